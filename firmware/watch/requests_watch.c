/* Requests about the camera and the loop: feed frames, start, stop, fetch events. */
#include "requests_watch.h"

#include "../camera/synthetic.h"
#include "../src/frame.h"
#include "lotor_config.h"
#include "lotor_watch.h"
#include "outputs.h"
#include "watch.h"

#if LOTOR_CAMERA_SYNTHETIC

static uint64_t get_u64(const uint8_t *at) { return get_u32(at) | (uint64_t)get_u32(at + 4) << 32; }

link_error camera_frame_request(const request *r, writer *answer) {
    if (r->length != 17)
        return ERROR_LENGTH;
    const uint8_t *p = r->payload;
    const camera_stamp stamp = {.number = get_u32(p), .time_ms = get_u64(p + 4)};
    if (p[16] >= PIXELS_FORMATS)
        return ERROR_RANGE;
    const uint32_t bytes =
        synthetic_begin(stamp, get_u16(p + 12), get_u16(p + 14), (pixel_format)p[16]);
    put_u32(answer, bytes);
    return bytes ? ERROR_NONE : ERROR_RANGE;
}

link_error camera_data_request(const request *r, writer *answer) {
    enum { HEAD = 8 };
    if (r->length <= HEAD || r->length > HEAD + FRAME_MAX_DATA)
        return ERROR_LENGTH;
    const uint32_t number = get_u32(r->payload), offset = get_u32(r->payload + 4);
    const size_t bytes = r->length - HEAD;
    switch (synthetic_take(number, offset, r->payload + HEAD, bytes)) {
    case SYNTHETIC_TAKEN:
        put_u32(answer, offset + (uint32_t)bytes);
        return ERROR_NONE;
    case SYNTHETIC_OUTSIDE:
        return ERROR_RANGE;
    case SYNTHETIC_SCATTERED:
        return ERROR_BUSY;
    default:
        return ERROR_NOT_READY;
    }
}

#endif

link_error watch_request(const request *r, writer *answer) {
    enum { STOP, START, STATE };
    if (r->length < 1)
        return ERROR_LENGTH;
    const uint8_t *p = r->payload + 1;
    if (r->payload[0] == START) {
        if (r->length != 23)
            return ERROR_LENGTH;
        const watch_settings settings = {
            .model = p[0],
            .veto = p[1],
            .flags = p[2],
            .votes = p[3],
            .of = p[4],
            .output = p[5],
            .on_ms = get_u32(p + 6),
            .memory_ms = get_u32(p + 10),
            .cooldown_ms = get_u32(p + 14),
            .threshold = (int16_t)get_u16(p + 18),
            .veto_from = (int16_t)get_u16(p + 20),
        };
        switch (watch_start(&settings)) {
        case WATCH_WRONG_INDEX:
            return ERROR_INDEX;
        case WATCH_WRONG_VALUE:
            return ERROR_RANGE;
        case WATCH_OK:
            break;
        }
    } else {
        if (r->length != 1)
            return ERROR_LENGTH;
        if (r->payload[0] > STATE)
            return ERROR_RANGE;
        if (r->payload[0] == STOP)
            watch_stop();
    }
    watch_put_state(answer);
    return ERROR_NONE;
}

link_error events_request(const request *r, writer *answer) {
    if (r->length != 4)
        return ERROR_LENGTH;
    watch_put_events(answer, get_u32(r->payload));
    return ERROR_NONE;
}

#ifdef LOTOR_SERVOS

/* A servo's pulse in microseconds may follow. */
static bool has_pulse(const request *r) { return r->length == 7; }

static bool is_out_of_reach(const request *r) {
    return has_pulse(r) && !outputs_reaches(r->payload[0], get_u16(r->payload + 5));
}

static bool switch_on(const request *r, uint8_t index, uint32_t on_ms) {
    return has_pulse(r) ? outputs_turn(index, on_ms, get_u16(r->payload + 5))
                        : outputs_on(index, on_ms);
}

#else

static bool has_pulse(const request *r) {
    (void)r;
    return false;
}
static bool is_out_of_reach(const request *r) { return has_pulse(r); }
static bool switch_on(const request *r, uint8_t index, uint32_t on_ms) {
    (void)r;
    return outputs_on(index, on_ms);
}

#endif

/* On for so many milliseconds, 0: off. One that is on stays on as it was to, so that a host may
   repeat it. */
link_error output_request(const request *r, writer *answer) {
    if (r->length != 5 && !has_pulse(r))
        return ERROR_LENGTH;
    const uint8_t index = r->payload[0];
    const uint32_t on_ms = get_u32(r->payload + 1);
    if (index >= outputs_count())
        return ERROR_INDEX;
    if (is_out_of_reach(r))
        return ERROR_RANGE;
    outputs_poll();
    if (!on_ms)
        outputs_off(index);
    else if (!outputs_left_ms(index) && !switch_on(r, index, on_ms))
        return ERROR_BUSY;
    put_u32(answer, outputs_left_ms(index));
    return ERROR_NONE;
}

link_error frame_request(const request *r, writer *answer) {
    if (r->length != 6)
        return ERROR_LENGTH;
    const uint32_t offset = get_u32(r->payload), bytes = get_u16(r->payload + 4);
    if (bytes > FRAME_MAX_DATA || offset > sizeof camera_frame ||
        bytes > sizeof camera_frame - offset)
        return ERROR_RANGE;
    camera_stamp stamp;
    if (!camera_has(&stamp))
        return ERROR_NOT_READY;
    put_u32(answer, stamp.number);
    put_u64(answer, stamp.time_ms);
    put_bytes(answer, camera_frame + offset, bytes);
    /* Whoever only asks for the number holds nothing up. */
    if (bytes)
        watch_hold(offset + bytes < sizeof camera_frame);
    return ERROR_NONE;
}

void put_camera(writer *answer) {
    const size_t start = tagged_begin(answer, 30);
    put_u8(answer, LOTOR_CAMERA_KIND);
    put_u8(answer, LOTOR_CAMERA_FORMAT);
    put_u16(answer, LOTOR_CAMERA_WIDTH);
    put_u16(answer, LOTOR_CAMERA_HEIGHT);
    put_u32(answer, sizeof camera_frame);
    tagged_end(answer, start);
#if LOTOR_OUTPUTS
    for (uint8_t i = 0; i < LOTOR_OUTPUTS; i++) {
        const size_t output = tagged_begin(answer, 31);
        put_u8(answer, i);
        put_u32(answer, lotor_outputs[i].max_on_ms);
        put_u32(answer, lotor_outputs[i].rest_ms);
        put_bytes(answer, lotor_outputs[i].name, strlen(lotor_outputs[i].name));
        tagged_end(answer, output);
    }
#endif
#ifdef LOTOR_SERVOS
    for (uint8_t i = 0; i < LOTOR_OUTPUTS; i++) {
        const lotor_servo *servo = &lotor_servos[i];
        if (!servo->max_us)
            continue;
        const size_t start_of = tagged_begin(answer, 32);
        put_u8(answer, i);
        put_u16(answer, servo->min_us);
        put_u16(answer, servo->max_us);
        put_u16(answer, servo->rest_us);
        put_u16(answer, servo->act_us);
        tagged_end(answer, start_of);
    }
#endif
}

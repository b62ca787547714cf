/* Takes frames apart, calls the request's function, sends its answer. */
#include "server.h"

#include "../hal/hal.h"
#include "frame.h"
#include "log.h"
#include "lotor_config.h"
#include "lotor_image.h"
#include "profile.h"
#ifdef LOTOR_CAMERA
#include "../watch/outputs.h"
#include "../watch/requests_watch.h"
#include "../watch/watch.h"
#include "lotor_camera.h"
#endif

enum { ANSWER = 0x80, ERROR_TYPE = 0xFF, NO_SEQ = 0xFFFF };

typedef link_error (*handler)(const request *, writer *);

static const handler handlers[] = {
    [0x01] = hello_request,        [0x02] = select_request,      [0x03] = load_request,
    [0x04] = run_request,          [0x05] = read_request,        [0x06] = self_test_request,
    [0x07] = profile_request,      [0x08] = statistics_request,  [0x09] = log_level_request,
    [0x0A] = reset_request,        [0x0B] = echo_request,
#ifdef LOTOR_TEST_FAULTS
    [0x0C] = fault_request,
#endif
#ifdef LOTOR_CAMERA
#if LOTOR_CAMERA_SYNTHETIC
    [0x14] = camera_frame_request, [0x15] = camera_data_request,
#endif
    [0x16] = watch_request,        [0x17] = events_request,      [0x18] = output_request,
    [0x19] = frame_request,
#endif
#ifdef LOTOR_UPDATE
    [0x0D] = update_begin_request, [0x0E] = update_data_request, [0x0F] = update_finish_request,
#endif
};

static const char *const error_text[] = {
    [ERROR_UNKNOWN_REQUEST] = "unknown request",
    [ERROR_LENGTH] = "wrong payload length",
    [ERROR_INDEX] = "no such index",
    [ERROR_RANGE] = "out of range",
    [ERROR_NOT_READY] = "not ready: load every input fully, then run, then read",
    [ERROR_RUN] = "the model's run failed",
    [ERROR_VERSION] = "unsupported link version",
    [ERROR_BUSY] = "busy",
    [ERROR_CRC] = "damaged frame",
    [ERROR_OVERSIZED] = "oversized frame",
#ifdef LOTOR_UPDATE
    [ERROR_UPDATE_HEADER] = "no header of an update",
    [ERROR_UPDATE_BOARD] = "the update is for another board",
    [ERROR_UPDATE_ADDRESS] = "the image is linked for another slot",
    [ERROR_UPDATE_TOO_LARGE] = "the image does not fit into the slot",
    [ERROR_UPDATE_OLDER] = "the image is older than the one that runs",
    [ERROR_UPDATE_UNSIGNED] = "the update is not signed",
    [ERROR_UPDATE_SIGNATURE] = "the signature is not by this board's key",
    [ERROR_UPDATE_BUSY] = "another update is under way",
    [ERROR_UPDATE_ON_TRIAL] = "the running image is not confirmed",
    [ERROR_UPDATE_NOT_BEGUN] = "no update is under way",
    [ERROR_UPDATE_REPEATED] = "this piece was written before",
    [ERROR_UPDATE_OUT_OF_ORDER] = "pieces before this one are missing",
    [ERROR_UPDATE_TRUNCATED] = "the piece or the image is cut short",
    [ERROR_UPDATE_DAMAGED] = "flash does not hold the image that the header names",
    [ERROR_UPDATE_FLASH] = "flash cannot be erased or written",
#endif
};

server_counters server_count;
static frame_decoder decoder;
static uint8_t answer_buffer[FRAME_MAX_BODY];

static void send_error(uint8_t type, uint16_t seq, link_error code) {
    writer body = frame_begin(answer_buffer, sizeof answer_buffer, ERROR_TYPE, seq);
    put_u8(&body, type);
    put_u8(&body, (uint8_t)code);
    put_bytes(&body, error_text[code], strlen(error_text[code]));
    frame_send(&body);
}

static void serve(const uint8_t *frame, size_t length) {
    const uint8_t type = frame[1];
    const request r = {get_u16(frame + 2), frame + FRAME_HEADER, length - FRAME_HEADER - FRAME_CRC};
    const handler handle = type < sizeof handlers / sizeof *handlers ? handlers[type] : NULL;
    link_error error = ERROR_NONE;
    writer answer = frame_begin(answer_buffer, sizeof answer_buffer, type | ANSWER, r.seq);
    if (frame[0] != FRAME_VERSION)
        error = ERROR_VERSION;
    else if (!handle)
        error = ERROR_UNKNOWN_REQUEST;
#ifdef LOTOR_CAMERA
    else if (watch_running() && type >= 0x03 && type <= 0x07)
        error = ERROR_BUSY; /* the loop has the arena, until it is stopped or a model selected */
#endif
    else
        error = handle(&r, &answer);
#ifdef LOTOR_CAMERA
    if (handle == hello_request && !error)
        put_camera(&answer);
#endif
    if (error == ERROR_UNKNOWN_REQUEST || error == ERROR_VERSION)
        server_count.unknown++;
    if (error) {
        send_error(type, r.seq, error);
        return;
    }
    frame_send(&answer);
    device_after_answer();
#ifdef LOTOR_CAMERA
    watch_poll(); /* before the next request, which may begin the next frame */
#endif
}

void server_init(void) {
    profile_calibrate();
    model_select(0, true);
    hal_uart_write(&(const uint8_t){0}, 1); /* ends whatever a reset cut off */
    log_text(LOG_INFO, lotor_version);
}

void server_poll(void) {
    for (int byte; (byte = hal_uart_read()) >= 0;) {
#ifdef LOTOR_CAMERA
        outputs_poll(); /* a host that does not stop talking keeps nothing on */
#endif
        switch (frame_push(&decoder, (uint8_t)byte)) {
        case FRAME_NONE:
            break;
        case FRAME_OK:
            server_count.ok++;
            serve(decoder.body, decoder.length);
            break;
        case FRAME_BAD_CRC:
            server_count.bad_crc++;
            send_error(0, NO_SEQ, ERROR_CRC);
            break;
        case FRAME_BAD_FRAMING:
            server_count.bad_framing++;
            send_error(0, NO_SEQ, ERROR_CRC);
            break;
        case FRAME_OVERSIZED:
            server_count.oversized++;
            send_error(0, NO_SEQ, ERROR_OVERSIZED);
            break;
        }
    }
}

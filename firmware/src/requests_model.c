/* Requests about the selected model: load, run, read, self-test, profile. */
#include "../hal/hal.h"
#include "coverage.h"
#include "crc32.h"
#include "fault.h"
#include "frame.h"
#include "log.h"
#include "lotor_config.h"
#include "lotor_model.h"
#include "profile.h"
#include "server.h"
#include "watermark.h"
#ifdef LOTOR_CAMERA
#include "../watch/watch.h"
#endif

enum { GUARD_BYTES = 16, TRACE = 1, QUICK = 1 };

/* With updates at least a stack for checking a signature. */
#if defined LOTOR_UPDATE && LOTOR_ARENA_BYTES < 4096
enum { BUFFER_BYTES = 4096 + GUARD_BYTES };
#else
enum { BUFFER_BYTES = LOTOR_ARENA_BYTES + GUARD_BYTES };
#endif

/* One arena for all models, and bytes behind it that no run may touch. */
#if LOTOR_ARENA_OF_HAL
static uint8_t *arena;
#else
static _Alignas(16) uint8_t arena[BUFFER_BYTES]
#ifndef LOTOR_HOST
    __attribute__((section(".arena")))
#endif
    ;
#endif

static struct {
    uint8_t index;
    bool painted; /* the whole arena at select, not the guard alone */
    coverage loaded[LOTOR_MAX_INPUTS];
    bool have_outputs;
    bool answered; /* the run below was answered: repeat it rather than run twice */
    uint16_t seq;
    uint8_t flags;
    int32_t result;
    uint64_t ticks;
} state;

static const lotor_model *model(void) { return &lotor_models[state.index]; }

static void forget_loads(void) {
    for (uint8_t i = 0; i < LOTOR_MAX_INPUTS; i++)
        coverage_clear(&state.loaded[i]);
}

static bool all_loaded(void) {
    for (uint8_t i = 0; i < model()->inputs; i++)
        if (!coverage_complete(&state.loaded[i], model()->input[i].bytes))
            return false;
    return true;
}

/* Begin a new sequence of runs. */
static void reset(void) {
    if (model()->reset)
        model()->reset(arena);
}

/* What lies behind a model's arena and must stay as it was painted. */
static uint8_t *guard(void) { return arena + model()->arena_bytes; }

static size_t guard_bytes(void) {
    return state.painted ? BUFFER_BYTES - model()->arena_bytes : GUARD_BYTES;
}

void model_select(uint8_t index, bool paint) {
#if LOTOR_ARENA_OF_HAL
    if (!arena)
        arena = hal_arena(BUFFER_BYTES);
#endif
    state.index = index;
    state.painted = paint;
    state.have_outputs = false;
    state.answered = false;
    forget_loads();
    profile_begin(false);
    if (paint)
        watermark_paint(arena, BUFFER_BYTES);
    else
        watermark_paint(guard(), guard_bytes());
    reset();
}

uint8_t model_selected(void) { return state.index; }

bool model_arena_painted(void) { return state.painted; }

size_t model_arena_touched(void) { return watermark_upwards(arena, BUFFER_BYTES); }

link_error select_request(const request *r, writer *answer) {
    if (r->length != 1 && r->length != 2)
        return ERROR_LENGTH;
    const uint8_t flags = r->length == 2 ? r->payload[1] : 0;
    if (r->payload[0] >= lotor_model_count)
        return ERROR_INDEX;
    if (flags & ~QUICK)
        return ERROR_RANGE;
#ifdef LOTOR_CAMERA
    watch_stop();
#endif
    model_select(r->payload[0], !(flags & QUICK));
    put_u8(answer, state.index);
    return ERROR_NONE;
}

link_error load_request(const request *r, writer *answer) {
    enum { HEAD = 5 };
    if (r->length <= HEAD || r->length > HEAD + FRAME_MAX_DATA)
        return ERROR_LENGTH;
    const uint8_t index = r->payload[0];
    const uint32_t offset = get_u32(r->payload + 1), bytes = (uint32_t)(r->length - HEAD);
    if (index >= model()->inputs)
        return ERROR_INDEX;
    const lotor_buffer *input = &model()->input[index];
    if (offset > input->bytes || bytes > input->bytes - offset)
        return ERROR_RANGE;
    if (!coverage_add(&state.loaded[index], offset, offset + bytes))
        return ERROR_BUSY;
    /* An output may share the input's memory, and a new input means a new run. */
    state.have_outputs = false;
    state.answered = false;
    memcpy(arena + input->offset + offset, r->payload + HEAD, bytes);
    put_u32(answer, offset + bytes);
    return ERROR_NONE;
}

/* Run the model over what lies in the arena; ERROR_RUN when it failed or left its arena. */
static link_error run(bool trace) {
    profile_begin(trace);
    forget_loads();
    state.result = model()->run(arena);
    fault_set_layer(-1);
    state.ticks = profile_total();
    server_count.runs++;
    if (!watermark_intact(guard(), guard_bytes())) {
        log_text(LOG_ERROR, "the model wrote past its arena");
        watermark_paint(guard(), guard_bytes());
        return ERROR_RUN;
    }
    state.have_outputs = state.result == 0;
    return ERROR_NONE;
}

#ifdef LOTOR_CAMERA

uint8_t *model_arena(void) { return arena; }

bool model_run(void) {
    state.answered = false;
    return run(false) == ERROR_NONE && state.result == 0;
}

#endif

link_error run_request(const request *r, writer *answer) {
    if (r->length != 1)
        return ERROR_LENGTH;
    const uint8_t flags = r->payload[0];
    if (flags & ~TRACE)
        return ERROR_RANGE;
    if (!state.answered || r->seq != state.seq || flags != state.flags) {
        if (!all_loaded())
            return ERROR_NOT_READY;
        const link_error error = run(flags & TRACE);
        if (error)
            return error;
        state.answered = true;
        state.seq = r->seq;
        state.flags = flags;
    }
    put_u32(answer, (uint32_t)state.result);
    put_u64(answer, state.ticks);
    return ERROR_NONE;
}

link_error read_request(const request *r, writer *answer) {
    if (r->length != 7)
        return ERROR_LENGTH;
    const uint8_t index = r->payload[0];
    const uint32_t offset = get_u32(r->payload + 1);
    const uint16_t bytes = get_u16(r->payload + 5);
    if (index >= model()->outputs)
        return ERROR_INDEX;
    const lotor_buffer *output = &model()->output[index];
    if (bytes > FRAME_MAX_DATA || offset > output->bytes || bytes > output->bytes - offset)
        return ERROR_RANGE;
    if (!state.have_outputs)
        return ERROR_NOT_READY;
    put_bytes(answer, arena + output->offset + offset, bytes);
    return ERROR_NONE;
}

/* Marsaglia's xorshift32 (2003), one step and its top byte for every input byte. */
static void fill_inputs(uint32_t x) {
    for (uint8_t i = 0; i < model()->inputs; i++) {
        uint8_t *at = arena + model()->input[i].offset;
        for (uint32_t n = model()->input[i].bytes; n; n--) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            *at++ = (uint8_t)(x >> 24);
        }
    }
}

/* Run on the fixed input; the CRC-32 over all outputs. */
static link_error self_test(uint32_t *crc) {
    state.have_outputs = false;
    state.answered = false;
    fill_inputs(model()->self_test_seed);
    reset();
    const link_error error = run(false);
    reset();
    if (error)
        return error;
    *crc = 0;
    for (uint8_t i = 0; i < model()->outputs; i++)
        *crc = crc32_update(*crc, arena + model()->output[i].offset, model()->output[i].bytes);
    return ERROR_NONE;
}

#ifdef LOTOR_UPDATE
bool model_self_test(uint8_t index) {
    uint32_t crc = 0;
    model_select(index, false);
    return !model()->self_test_seed ||
           (!self_test(&crc) && !state.result && crc == model()->self_test_crc);
}

void *model_scratch_top(void) { return arena + BUFFER_BYTES / 8 * 8; }
#endif

link_error self_test_request(const request *r, writer *answer) {
    if (r->length)
        return ERROR_LENGTH;
    if (!model()->self_test_seed)
        return ERROR_NOT_READY;
    uint32_t crc = 0;
    const link_error error = self_test(&crc);
    if (error)
        return error;
    put_u32(answer, crc);
    put_u32(answer, model()->self_test_crc);
    put_u32(answer, (uint32_t)state.result);
    put_u64(answer, state.ticks);
    return ERROR_NONE;
}

link_error profile_request(const request *r, writer *answer) {
    enum { HEAD = 6, ROW = 12, ROWS = (FRAME_MAX_PAYLOAD - HEAD) / ROW };
    if (r->length != 2)
        return ERROR_LENGTH;
    const uint32_t first = get_u16(r->payload), total = profile_layers();
    if (first > total)
        return ERROR_RANGE;
    const uint32_t count = total - first < ROWS ? total - first : ROWS;
    put_u16(answer, (uint16_t)first);
    put_u16(answer, (uint16_t)count);
    put_u16(answer, (uint16_t)total);
    for (uint32_t i = first; i < first + count; i++) {
        put_u64(answer, profile_ticks(i));
        put_u32(answer, profile_crc(i));
    }
    return ERROR_NONE;
}

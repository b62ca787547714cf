/* Requests about the device: who it is, how it fares, reset, faults. */
#include "../hal/hal.h"
#include "fault.h"
#include "frame.h"
#include "log.h"
#include "lotor_config.h"
#include "lotor_image.h"
#include "lotor_model.h"
#include "server.h"
#include "watermark.h"

static bool reset_wanted;

static void put_model(writer *answer, uint8_t index) {
    const lotor_model *m = &lotor_models[index];
    const size_t start = tagged_begin(answer, 10);
    put_u8(answer, index);
    put_u32(answer, m->arena_bytes);
    put_u32(answer, m->layers);
    put_u8(answer, m->inputs);
    put_u8(answer, m->outputs);
    put_bytes(answer, m->hash, sizeof m->hash);
    for (uint8_t i = 0; i < m->inputs; i++)
        put_u32(answer, m->input[i].bytes);
    for (uint8_t i = 0; i < m->outputs; i++)
        put_u32(answer, m->output[i].bytes);
    put_bytes(answer, m->name, strlen(m->name));
    tagged_end(answer, start);
}

static void put_fault(writer *answer, const fault_record *fault) {
    const size_t start = tagged_begin(answer, 11);
    put_u8(answer, (uint8_t)fault->reason);
    put_u32(answer, (uint32_t)fault->layer);
    for (size_t i = 0; i < 8; i++)
        put_u32(answer, fault->registers[i]);
    for (size_t i = 0; i < 4; i++)
        put_u32(answer, fault->status[i]);
    put_bytes(answer, fault->note, strlen(fault->note));
    tagged_end(answer, start);
}

link_error hello_request(const request *r, writer *answer) {
    if (r->length)
        return ERROR_LENGTH;
    const uint8_t selected = model_selected();
    put_tagged_text(answer, 1, lotor_board);
    put_tagged_text(answer, 2, lotor_chip);
    put_tagged_text(answer, 3, lotor_version);
    put_tagged(answer, 4, lotor_build_id, sizeof lotor_build_id);
    put_tagged_u32(answer, 5, LOTOR_CLOCK_HZ);
    put_tagged_text(answer, 6, lotor_tick_unit);
    put_tagged_u32(answer, 7, LOTOR_ARENA_BYTES);
    put_tagged_u32(answer, 8, FRAME_MAX_DATA);
    put_tagged(answer, 9, &selected, 1);
    put_tagged_u32(answer, 12, fault_resets());
    put_tagged_u32(answer, 13, fault_reset_reason());
    if (fault_last())
        put_fault(answer, fault_last());
#ifdef LOTOR_UPDATE
    put_update(answer);
#endif
    for (uint32_t i = 0; i < lotor_model_count; i++)
        put_model(answer, (uint8_t)i);
    return ERROR_NONE;
}

link_error statistics_request(const request *r, writer *answer) {
    if (r->length)
        return ERROR_LENGTH;
    uint32_t stack_bytes = 0;
    const void *stack = hal_stack(&stack_bytes);
    put_tagged_u32(answer, 1, server_count.ok);
    put_tagged_u32(answer, 2, server_count.bad_crc);
    put_tagged_u32(answer, 3, server_count.bad_framing);
    put_tagged_u32(answer, 4, server_count.oversized);
    put_tagged_u32(answer, 5, server_count.unknown);
    put_tagged_u32(answer, 6, server_count.runs);
    put_tagged_u32(answer, 7, (uint32_t)watermark_downwards(stack, stack_bytes));
    put_tagged_u32(answer, 8, stack_bytes);
    if (model_arena_painted())
        put_tagged_u32(answer, 9, (uint32_t)model_arena_touched());
    const size_t start = tagged_begin(answer, 10);
    put_u64(answer, hal_ticks());
    tagged_end(answer, start);
    put_tagged_u32(answer, 11, hal_uart_overruns());
    return ERROR_NONE;
}

link_error log_level_request(const request *r, writer *answer) {
    if (r->length != 1)
        return ERROR_LENGTH;
    if (r->payload[0] > LOG_DEBUG)
        return ERROR_RANGE;
    log_level = r->payload[0];
    put_u8(answer, log_level);
    return ERROR_NONE;
}

link_error echo_request(const request *r, writer *answer) {
    put_bytes(answer, r->payload, r->length);
    return ERROR_NONE;
}

link_error reset_request(const request *r, writer *answer) {
    (void)answer;
    if (r->length)
        return ERROR_LENGTH;
    reset_wanted = true;
    return ERROR_NONE;
}

#ifdef LOTOR_TEST_FAULTS
static uint8_t fault_wanted;

link_error fault_request(const request *r, writer *answer) {
    (void)answer;
    if (r->length != 1)
        return ERROR_LENGTH;
    if (r->payload[0] < FAULT_HARD || r->payload[0] > FAULT_NMI || !hal_can_provoke(r->payload[0]))
        return ERROR_RANGE;
    fault_wanted = r->payload[0];
    return ERROR_NONE;
}
#endif

void device_after_answer(void) {
    if (reset_wanted) {
        hal_uart_flush();
        fault_reset_request();
    }
#ifdef LOTOR_TEST_FAULTS
    if (fault_wanted) {
        hal_uart_flush();
        LOTOR_ASSERT(fault_wanted != FAULT_ASSERT);
        hal_provoke(fault_wanted);
    }
#endif
}

/* The request server: one answer to every request. */
#ifndef LOTOR_SERVER_H
#define LOTOR_SERVER_H

#include "bytes.h"

/* Error codes of the link. */
typedef enum {
    ERROR_NONE,
    ERROR_UNKNOWN_REQUEST,
    ERROR_LENGTH,
    ERROR_INDEX,
    ERROR_RANGE,
    ERROR_NOT_READY,
    ERROR_RUN,
    ERROR_VERSION,
    ERROR_BUSY,
    ERROR_CRC,
    ERROR_OVERSIZED,
} link_error;

/* A request: its sequence number and payload. */
typedef struct {
    uint16_t seq;
    const uint8_t *payload;
    size_t length;
} request;

typedef struct {
    uint32_t ok, bad_crc, bad_framing, oversized, unknown, runs;
} server_counters;

extern server_counters server_count;

void server_init(void);

/* Serve what has arrived. */
void server_poll(void);

/* Requests about the device (requests_device.c). */
link_error request_hello(const request *r, writer *answer);
link_error request_statistics(const request *r, writer *answer);
link_error request_log_level(const request *r, writer *answer);
link_error request_reset(const request *r, writer *answer);
link_error request_echo(const request *r, writer *answer);
link_error request_fault(const request *r, writer *answer);

/* What request_reset and request_fault asked for, once the answer is out. */
void device_after_answer(void);

/* Requests about the model (requests_model.c). */
link_error request_select(const request *r, writer *answer);
link_error request_load(const request *r, writer *answer);
link_error request_run(const request *r, writer *answer);
link_error request_read(const request *r, writer *answer);
link_error request_self_test(const request *r, writer *answer);
link_error request_profile(const request *r, writer *answer);

/* Select a model and forget everything loaded and computed. */
void model_select(uint8_t index);
uint8_t model_selected(void);

/* Bytes of the arena written since the selection. */
size_t model_arena_touched(void);

#endif

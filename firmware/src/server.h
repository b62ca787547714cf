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
link_error hello_request(const request *r, writer *answer);
link_error statistics_request(const request *r, writer *answer);
link_error log_level_request(const request *r, writer *answer);
link_error reset_request(const request *r, writer *answer);
link_error echo_request(const request *r, writer *answer);
link_error fault_request(const request *r, writer *answer);

/* What reset_request and fault_request asked for, once the answer is out. */
void device_after_answer(void);

/* Requests about the model (requests_model.c). */
link_error select_request(const request *r, writer *answer);
link_error load_request(const request *r, writer *answer);
link_error run_request(const request *r, writer *answer);
link_error read_request(const request *r, writer *answer);
link_error self_test_request(const request *r, writer *answer);
link_error profile_request(const request *r, writer *answer);

/* Select a model and forget everything loaded and computed. `paint`: the whole arena, to tell later
   what was touched; that takes a few instructions for every byte of it. */
void model_select(uint8_t index, bool paint);
uint8_t model_selected(void);

#ifdef LOTOR_CAMERA
/* The arena, and a run of the selected model over what lies in it; false when that failed. */
uint8_t *model_arena(void);
bool model_run(void);
#endif

/* Bytes of the arena written since the selection, if that painted it. */
bool model_arena_painted(void);
size_t model_arena_touched(void);

#endif

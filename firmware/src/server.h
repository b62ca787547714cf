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
    ERROR_UPDATE_HEADER, /* from here on: the faults of update/receive.h, in their order */
    ERROR_UPDATE_BOARD,
    ERROR_UPDATE_ADDRESS,
    ERROR_UPDATE_TOO_LARGE,
    ERROR_UPDATE_OLDER,
    ERROR_UPDATE_UNSIGNED,
    ERROR_UPDATE_SIGNATURE,
    ERROR_UPDATE_BUSY,
    ERROR_UPDATE_ON_TRIAL,
    ERROR_UPDATE_NOT_BEGUN,
    ERROR_UPDATE_REPEATED,
    ERROR_UPDATE_OUT_OF_ORDER,
    ERROR_UPDATE_TRUNCATED,
    ERROR_UPDATE_DAMAGED,
    ERROR_UPDATE_FLASH,
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

/* Requests of an update, and its item of hello (requests_update.c). */
link_error update_begin_request(const request *r, writer *answer);
link_error update_data_request(const request *r, writer *answer);
link_error update_finish_request(const request *r, writer *answer);
void put_update(writer *answer);

/* Select a model and forget everything loaded and computed. `paint`: the whole arena, to tell later
   what was touched; that takes a few instructions for every byte of it. */
void model_select(uint8_t index, bool paint);
uint8_t model_selected(void);

#ifdef LOTOR_CAMERA
/* The arena, and a run of the selected model over what lies in it; false when that failed. */
uint8_t *model_arena(void);
bool model_run(void);
#endif

/* Of boards with updates: select a model and test it as self_test does; true for one without a
 * self-test. */
bool model_self_test(uint8_t index);

/* The end of the arena, as a stack for somebody else; select a model afterwards. */
void *model_scratch_top(void);

/* Bytes of the arena written since the selection, if that painted it. */
bool model_arena_painted(void);
size_t model_arena_touched(void);

#endif

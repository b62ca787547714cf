/* Which slot is good, which is on trial, how the last update went: a journal in flash that a power
   cut at any moment leaves readable. */
#ifndef LOTOR_STATE_H
#define LOTOR_STATE_H

#include <stdint.h>

typedef enum { RESULT_NONE, RESULT_CONFIRMED, RESULT_ROLLED_BACK, RESULT_FELL_BACK } update_result;

/* Why an image was given up. */
typedef enum {
    REASON_UNKNOWN,   /* not yet told: the image that starts next tells it */
    REASON_FAULT,     /* detail: a reason of fault.h; layer, pc */
    REASON_WATCHDOG,  /* layer */
    REASON_POWER,     /* power came or sagged before it confirmed */
    REASON_PIN,       /* reset by the pin */
    REASON_RESET,     /* reset by a request, or nobody knows how */
    REASON_SELF_TEST, /* detail: the model's index */
    REASON_DAMAGED,   /* the slot is not what its header says */
    REASON_SIGNATURE, /* not signed by the boot loader's key */
} update_reason;

typedef struct {
    uint32_t format, sequence;
    uint8_t confirmed; /* the slot that is started */
    uint8_t trial;     /* the slot to try, or SLOT_NONE */
    uint8_t started;   /* whether it was; it has one try */
    uint8_t result;    /* of the last update, an update_result */
    uint8_t reason, detail;
    int16_t layer;
    uint32_t version; /* of the image that the result speaks of */
    uint32_t pc;
    uint32_t reserved;
    uint32_t crc;
} update_state;

/* The newest whole record; slot 0 confirmed and nothing on trial when there is none. */
update_state state_read(void);

/* Write the record that follows; sequence and CRC are filled in. 0, or -1 when flash failed. */
int state_append(const update_state *next);

#endif

/* The fault record and the boot counters: what survives a reset. */
#ifndef LOTOR_FAULT_H
#define LOTOR_FAULT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    FAULT_HARD = 1,
    FAULT_MEMORY,
    FAULT_BUS,
    FAULT_USAGE,
    FAULT_STACK,
    FAULT_ASSERT,
    FAULT_WATCHDOG,
    FAULT_NMI,
} fault_reason;

/* Why the program started; values of the hello answer. */
typedef enum {
    RESET_UNKNOWN,
    RESET_POWER,
    RESET_PIN,
    RESET_REQUEST,
    RESET_FAULT,
    RESET_WATCHDOG,
} reset_reason;

enum { FAULT_NOTE_BYTES = 48 };

typedef struct {
    uint32_t reason;
    int32_t layer;         /* that was running, -1 outside of a run */
    uint32_t registers[8]; /* r0 r1 r2 r3 r12 lr pc psr */
    uint32_t status[4];    /* CFSR HFSR MMFAR BFAR, 0 where the core has none */
    char note[FAULT_NOTE_BYTES];
} fault_record;

/* Read what the last program left behind; called once at start. */
void fault_boot(void);

/* The fault that ended the last program, or NULL. */
const fault_record *fault_last(void);

uint32_t fault_resets(void); /* since power-up */
reset_reason fault_reset_reason(void);

/* The layer that runs now, for the record; -1: none. */
void fault_set_layer(int32_t layer);

/* Keep the record and reset. */
_Noreturn void fault_store(const fault_record *record);

_Noreturn void fault_assert(const char *text);

/* Reset because the host asked for it. */
_Noreturn void fault_reset_request(void);

#define LOTOR_TEXT(x) #x
#define LOTOR_LINE(x) LOTOR_TEXT(x)
#define LOTOR_ASSERT(condition)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fault_assert(__FILE__ ":" LOTOR_LINE(__LINE__) " " #condition);                        \
    } while (0)

#endif

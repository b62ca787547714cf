/* Keeps the fault record in memory that start-up leaves alone, under a magic and a checksum. */
#include "fault.h"

#include <string.h>

#include "../hal/hal.h"
#include "crc32.h"

#ifdef LOTOR_HOST
#define NOINIT
#elif defined(LOTOR_RTC_MEMORY) /* of ESP-IDF's linker scripts */
#define NOINIT __attribute__((section(".rtc_noinit")))
#else
#define NOINIT __attribute__((section(".noinit")))
#endif

enum { MAGIC_COUNT = 0x4C4F544F, MAGIC_FAULT = 0x4641554C };

NOINIT static struct {
    uint32_t magic, resets, reason, check;
} counters;

NOINIT static struct {
    uint32_t magic;
    fault_record record;
    uint32_t crc;
} kept;

NOINIT static volatile int32_t layer;

static fault_record last;
static bool have_last;
static reset_reason started_by;

static uint32_t counters_check(void) {
    return crc32_update(0, &counters, sizeof counters - sizeof counters.check);
}

/* Note why the next start will happen. */
static void expect(reset_reason reason) {
    counters.reason = reason;
    counters.check = counters_check();
}

static reset_reason reason_now(void) {
    const hal_cause cause = hal_reset_cause(); /* read, and so cleared, at every start */
    if (counters.magic != MAGIC_COUNT || counters.check != counters_check() ||
        cause == HAL_CAUSE_POWER) {
        counters.magic = MAGIC_COUNT;
        counters.resets = 0;
        layer = -1;
        return RESET_POWER;
    }
    counters.resets++;
    /* What a requested reset started may have hung before it came here. */
    const bool hung = cause == HAL_CAUSE_WATCHDOG && counters.reason == RESET_REQUEST;
    if (counters.reason != RESET_UNKNOWN && !hung)
        return (reset_reason)counters.reason;
    switch (cause) {
    case HAL_CAUSE_WATCHDOG:
        return RESET_WATCHDOG;
    case HAL_CAUSE_PIN:
        return RESET_PIN;
    default:
        return RESET_UNKNOWN;
    }
}

void fault_boot(void) {
    started_by = reason_now();
    expect(RESET_UNKNOWN);
    have_last =
        kept.magic == MAGIC_FAULT && kept.crc == crc32_update(0, &kept.record, sizeof kept.record);
    if (have_last) {
        last = kept.record;
        last.note[FAULT_NOTE_BYTES - 1] = '\0';
    } else if (started_by == RESET_WATCHDOG) {
        /* A watchdog that resets at once leaves no registers, but the layer is known. */
        last = (fault_record){.reason = FAULT_WATCHDOG, .layer = layer, .note = "watchdog reset"};
        have_last = true;
    }
    kept.magic = 0; /* reported by this start only */
    layer = -1;
}

const fault_record *fault_last(void) { return have_last ? &last : NULL; }

uint32_t fault_resets(void) { return counters.resets; }

reset_reason fault_reset_reason(void) { return started_by; }

void fault_set_layer(int32_t now) { layer = now; }

void fault_store(const fault_record *record) {
    kept.record = *record;
    kept.record.layer = layer;
    kept.magic = MAGIC_FAULT;
    kept.crc = crc32_update(0, &kept.record, sizeof kept.record);
    expect(record->reason == FAULT_WATCHDOG ? RESET_WATCHDOG : RESET_FAULT);
    hal_reset();
}

void fault_assert(const char *text) {
    fault_record record = {.reason = FAULT_ASSERT};
    record.registers[6] = (uint32_t)(uintptr_t)__builtin_return_address(0);
    strncpy(record.note, text, FAULT_NOTE_BYTES - 1);
    fault_store(&record);
}

void fault_reset_request(void) {
    expect(RESET_REQUEST);
    hal_reset();
}

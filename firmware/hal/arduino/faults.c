/* What ESP-IDF's panic handler is called for becomes a fault record. The linker calls this in its
   place (--wrap), so that nothing of what it prints gets into the serial line. */
#include "../../src/fault.h"

#include <esp_private/panic_internal.h>
#include <esp_private/system_internal.h>
#include <freertos/FreeRTOS.h>
#include <freertos/task.h>
#include <freertos/xtensa_context.h>
#include <string.h>

#include "../../src/watermark.h"
#include "../hal.h"
#include "lotor_config.h"

void __wrap_esp_panic_handler(panic_info_t *info);

extern bool g_panic_abort; /* ESP-IDF's: abort() was called */

/* Exception causes: Xtensa Instruction Set Architecture Reference Manual, table 4-64. */
static const struct {
    uint8_t cause, reason;
    char name[24];
} causes[] = {
    {0, FAULT_USAGE, "IllegalInstruction"},
    {2, FAULT_BUS, "InstructionFetchError"},
    {3, FAULT_BUS, "LoadStoreError"},
    {6, FAULT_USAGE, "IntegerDivideByZero"},
    {8, FAULT_USAGE, "Privileged"},
    {9, FAULT_USAGE, "LoadStoreAlignment"},
    {12, FAULT_BUS, "InstrPIFDataError"},
    {13, FAULT_BUS, "LoadStorePIFDataError"},
    {14, FAULT_BUS, "InstrPIFAddrError"},
    {15, FAULT_BUS, "LoadStorePIFAddrError"},
    {20, FAULT_MEMORY, "InstFetchProhibited"},
    {28, FAULT_MEMORY, "LoadProhibited"},
    {29, FAULT_MEMORY, "StoreProhibited"},
};

enum { CANARY_BYTES = 16 }; /* FreeRTOS's, in the colour of our watermark */

static fault_record record;

static void note_exception(const XtExcFrame *frame) {
    static const char middle[] = " at 0x";
    record.reason = FAULT_HARD;
    char *at = record.note;
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
        if (causes[i].cause != (uint32_t)frame->exccause)
            continue;
        record.reason = causes[i].reason;
        memcpy(at, causes[i].name, strlen(causes[i].name));
        at += strlen(causes[i].name);
    }
    if (record.reason != FAULT_MEMORY && record.reason != FAULT_BUS)
        return;
    memcpy(at, middle, sizeof middle - 1);
    at += sizeof middle - 1;
    const uint32_t address = (uint32_t)frame->excvaddr;
    for (int shift = 28; shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[address >> shift & 15];
    /* Where a Cortex-M has MMFAR and BFAR. */
    record.status[record.reason == FAULT_MEMORY ? 2 : 3] = address;
}

static void note(const char *text) { memcpy(record.note, text, strlen(text)); }

/* a2 to a5, a1 (the stack pointer), a0, pc, ps. */
static void read_registers(const XtExcFrame *frame) {
    const long from[] = {frame->a2, frame->a3, frame->a4, frame->a5,
                         frame->a1, frame->a0, frame->pc, frame->ps};
    for (size_t i = 0; i < sizeof from / sizeof *from; i++)
        record.registers[i] = (uint32_t)from[i];
    /* A windowed call keeps its size in the top bits of the return address. */
    record.registers[5] = (record.registers[5] & 0x3fffffffu) | 0x40000000u;
}

void __wrap_esp_panic_handler(panic_info_t *info) {
    const esp_reset_reason_t hint = esp_reset_reason_get_hint();
    uint32_t bytes;
    const void *const stack = hal_stack(&bytes);
    read_registers(info->frame);
    if (hint == ESP_RST_TASK_WDT || info->exception == PANIC_EXCEPTION_IWDT) {
        record.reason = FAULT_WATCHDOG;
        note(hint == ESP_RST_TASK_WDT ? "task watchdog" : "interrupt watchdog");
    } else if (g_panic_abort) {
        const bool overflow = !watermark_intact(stack, CANARY_BYTES);
        record.reason = overflow ? FAULT_STACK : FAULT_HARD;
        note(overflow ? "the loop task's stack" : "abort");
    } else {
        note_exception(info->frame);
    }
    fault_store(&record);
}

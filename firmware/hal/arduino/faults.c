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
} causes[] = {
    {0, FAULT_USAGE},   /* illegal instruction */
    {2, FAULT_BUS},     /* error of a fetch */
    {3, FAULT_BUS},     /* of a load or store */
    {6, FAULT_USAGE},   /* division by zero */
    {8, FAULT_USAGE},   /* privileged instruction */
    {9, FAULT_USAGE},   /* unaligned load or store */
    {12, FAULT_BUS},    /* data of a fetch */
    {13, FAULT_BUS},    /* of a load or store */
    {14, FAULT_BUS},    /* address of a fetch */
    {15, FAULT_BUS},    /* of a load or store */
    {20, FAULT_MEMORY}, /* prohibited fetch */
    {28, FAULT_MEMORY}, /* load */
    {29, FAULT_MEMORY}, /* store */
};

enum { CANARY_BYTES = 16 }; /* FreeRTOS's, in the colour of our watermark */

static fault_record record;

static void note(const char *text) { strncpy(record.note, text, FAULT_NOTE_BYTES - 1); }

/* In ESP-IDF's words, and the address that was accessed. */
static void note_exception(const panic_info_t *info) {
    static const char middle[] = " at 0x";
    const XtExcFrame *const frame = info->frame;
    record.reason = FAULT_HARD;
    for (size_t i = 0; !info->pseudo_excause && i < sizeof causes / sizeof *causes; i++)
        if (causes[i].cause == (uint32_t)frame->exccause)
            record.reason = causes[i].reason;
    note(info->reason);
    const size_t length = strlen(record.note);
    if ((record.reason != FAULT_MEMORY && record.reason != FAULT_BUS) ||
        length + sizeof middle + 8 > sizeof record.note)
        return;
    char *at = record.note + length;
    memcpy(at, middle, sizeof middle - 1);
    at += sizeof middle - 1;
    const uint32_t address = (uint32_t)frame->excvaddr;
    for (int shift = 28; shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[address >> shift & 15];
    /* Where a Cortex-M has MMFAR and BFAR. */
    record.status[record.reason == FAULT_MEMORY ? 2 : 3] = address;
}

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
        const bool overflow = stack && !watermark_intact(stack, CANARY_BYTES);
        record.reason = overflow ? FAULT_STACK : FAULT_HARD;
        note(overflow ? "the loop task's stack" : "abort");
    } else {
        note_exception(info);
    }
    fault_store(&record);
}

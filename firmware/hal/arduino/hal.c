/* Chips of Espressif with two Xtensa cores, under the Arduino framework: its core 2.0.17, which
   lies on ESP-IDF 4.4. Everything here runs in Arduino's loop task, which stays on one core. */
#include "../hal.h"

#include <esp_heap_caps.h>
#include <esp_private/system_internal.h>
#include <esp_system.h>
#include <esp_task_wdt.h>
#include <esp_timer.h>
#include <freertos/FreeRTOS.h>
#include <freertos/task.h>
#include <hal/cpu_hal.h>

#include "../../src/fault.h"
#include "../../src/watermark.h"
#include "line.h"
#include "lotor_config.h"

/* A host may send a second frame while we work on the first. */
enum { RING_BYTES = 2 * (LOTOR_DATA_BYTES + 64), WATCHDOG_SECONDS = 30, IDLE_TICKS = 1 };

/* Below the frame that paints: registers that it saves, an interrupt's frame. */
enum { IN_USE_BYTES = 1024 };

static uint8_t input[256];
static size_t have, at;
static uint8_t *stack; /* the loop task's */

static struct {
    uint64_t microseconds;
    uint32_t cycles;
} base;

/* CCOUNT wraps each 18 s at 240 MHz; the microseconds say how often. Both count the same crystal.
 */
uint64_t hal_ticks(void) {
    const uint64_t passed = (uint64_t)esp_timer_get_time() - base.microseconds;
    const uint64_t about = passed * (LOTOR_CLOCK_HZ / 1000000u);
    const uint32_t exact = cpu_hal_get_cycle_count() - base.cycles;
    const uint64_t ticks = about + (uint64_t)(int64_t)(int32_t)(exact - (uint32_t)about);
    return (int64_t)ticks < 0 ? 0 : ticks;
}

const void *hal_stack(uint32_t *bytes) {
    *bytes = LOTOR_STACK_BYTES;
    return stack;
}

void hal_init(void) {
    base.microseconds = (uint64_t)esp_timer_get_time();
    base.cycles = cpu_hal_get_cycle_count();
    stack = pxTaskGetStackStart(NULL);
    const uint8_t *const frame = __builtin_frame_address(0);
    watermark_paint(stack, (size_t)(frame - stack) - IN_USE_BYTES);
    line_open(LOTOR_BAUD, RING_BYTES);
}

void hal_idle(void) { vTaskDelay(IDLE_TICKS); }

int hal_uart_read(void) {
    if (at == have) {
        at = 0;
        have = line_read(input, sizeof input);
    }
    return at < have ? input[at++] : -1;
}

/* Nobody listens: the bytes go the way of those of a UART without a cable. */
void hal_uart_write(const uint8_t *data, size_t bytes) {
    for (size_t sent; bytes && (sent = line_write(data, bytes)) != 0; bytes -= sent)
        data += sent;
}

void hal_uart_flush(void) { line_flush(); }

uint32_t hal_uart_overruns(void) { return line_overruns(); }

/* A block of the heap, taken once and kept: the linker's script of the framework leaves less for
   variables than there is. */
void *hal_arena(size_t bytes) {
    static const uint32_t places[] = {
#if !LOTOR_ARENA_PSRAM
        MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT,
#endif
        MALLOC_CAP_SPIRAM | MALLOC_CAP_8BIT,
    };
    void *arena = NULL;
    for (size_t i = 0; !arena && i < sizeof places / sizeof *places; i++)
        arena = heap_caps_aligned_alloc(16, bytes, places[i]);
    LOTOR_ASSERT(arena);
    return arena;
}

void hal_watchdog_start(void) {
#if LOTOR_WATCHDOG
    (void)esp_task_wdt_init(WATCHDOG_SECONDS, true);
    (void)esp_task_wdt_add(NULL);
#endif
}

void hal_watchdog_feed(void) {
#if LOTOR_WATCHDOG
    (void)esp_task_wdt_reset();
#endif
}

hal_cause hal_reset_cause(void) {
    switch (esp_reset_reason()) {
    case ESP_RST_POWERON:
    case ESP_RST_BROWNOUT:
        return HAL_CAUSE_POWER;
    case ESP_RST_EXT:
        return HAL_CAUSE_PIN;
    case ESP_RST_INT_WDT:
    case ESP_RST_TASK_WDT:
    case ESP_RST_WDT:
        return HAL_CAUSE_WATCHDOG;
    default:
        return HAL_CAUSE_UNKNOWN;
    }
}

/* As the panic handler does; the host has what it was sent (hal_uart_flush). */
void hal_reset(void) { esp_restart_noos(); }

/* The watchdog of an RP2040 and RP2350, which also resets on request; why the chip started. */
#include "../hal.h"
#include "chip.h"
#include "clocks.h"
#include "lotor_config.h"

#define PSM_WDSEL REGISTER(PSM + 0x8)
#define WATCHDOG_CTRL REGISTER(WATCHDOG + 0x00)
#define WATCHDOG_LOAD REGISTER(WATCHDOG + 0x04)
#define WATCHDOG_REASON REGISTER(WATCHDOG + 0x08)
#define WATCHDOG_SCRATCH4 REGISTER(WATCHDOG + 0x1C)

enum { MARK = 0x4C4F544F };

/* A reset that the watchdog made leaves the cause of the one before in CHIP_RESET. The boot ROM
   uses the watchdog, too, after it has written flash: then our mark is gone. */
hal_cause hal_reset_cause(void) {
    const uint32_t reason = WATCHDOG_REASON; /* cleared by any other reset */
    const bool ours = WATCHDOG_SCRATCH4 == MARK;
    WATCHDOG_SCRATCH4 = 0;
    if (reason)
        return ours && reason & 1u ? HAL_CAUSE_WATCHDOG : HAL_CAUSE_UNKNOWN; /* TIMER */
    if (CHIP_RESET & HAD_POWER_ON)
        return HAL_CAUSE_POWER;
    return CHIP_RESET & HAD_RUN ? HAL_CAUSE_PIN : HAL_CAUSE_UNKNOWN;
}

/* All but the oscillators. The RAM keeps its content. */
static void watchdog_resets_all(void) { PSM_WDSEL = WDSEL_ALL; }

void hal_watchdog_start(void) {
#if LOTOR_WATCHDOG
    watchdog_tick(CRYSTAL_MHZ); /* one a microsecond, of clk_ref */
    watchdog_resets_all();
    hal_watchdog_feed();
    WATCHDOG_SCRATCH4 = MARK;
    WATCHDOG_CTRL |= 1u << 30; /* ENABLE; stands still while a debugger holds the core */
#endif
}

void hal_watchdog_feed(void) {
#if LOTOR_WATCHDOG
    WATCHDOG_LOAD = 0xFFFFFF; /* 8.4 s on an RP2040, which counts twice (RP2040-E1), else 16.8 s */
#endif
}

/* The core's own reset request leaves clocks and peripherals as they are; the watchdog's does not.
 */
void hal_reset(void) {
    watchdog_resets_all();
    WATCHDOG_CTRL |= 1u << 31; /* TRIGGER */
    for (;;)
        __asm volatile("dsb");
}

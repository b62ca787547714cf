/* WDT of an nRF51 and nRF52840: 6.36 of the Product Specification. Once started it keeps running,
   as it was set up, also over a reset on request (chapter POWER, "Reset behavior"). */
#include "../cortex_m/cortex_m.h"
#include "../hal.h"
#include "lotor_config.h"

#define WDT 0x40010000u

void hal_watchdog_start(void) {
#if LOTOR_WATCHDOG
    REGISTER(WDT + 0x50C) = 0;                /* CONFIG: not while asleep or in a debugger */
    REGISTER(WDT + 0x504) = 32u * 32768u - 1; /* CRV: 32 s */
    REGISTER(WDT + 0x508) = 1;                /* RREN: one reload register */
    REGISTER(WDT + 0x000) = 1;                /* START */
    hal_watchdog_feed();                      /* one that ran already */
#endif
}

void hal_watchdog_feed(void) {
#if LOTOR_WATCHDOG
    REGISTER(WDT + 0x600) = 0x6E524635; /* RR[0] */
#endif
}

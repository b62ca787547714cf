/* The independent watchdog, alike in all series: chapter "Independent watchdog" of RM0041, RM0090,
   RM0390, RM0385 and RM0432. Included by one file of a series. Once started it runs until
   a reset. */
#ifndef LOTOR_STM32_IWDG_H
#define LOTOR_STM32_IWDG_H

#include "../cortex_m/cortex_m.h"
#include "../hal.h"
#include "lotor_config.h"

#define IWDG 0x40003000u

void hal_watchdog_start(void) {
#if LOTOR_WATCHDOG
    REGISTER(IWDG + 0x00) = 0xCCCC; /* KR: start; it starts the oscillator that the rest needs */
    REGISTER(IWDG + 0x00) = 0x5555; /* KR: unlock */
    REGISTER(IWDG + 0x04) = 6;      /* PR: LSI / 256 */
    REGISTER(IWDG + 0x08) = 0xFFF;  /* RLR: about 32 s */
    while (REGISTER(IWDG + 0x0C) & 3u) { /* SR: PVU, RVU */
    }
    REGISTER(IWDG + 0x00) = 0xAAAA; /* KR: reload */
#endif
}

void hal_watchdog_feed(void) {
#if LOTOR_WATCHDOG
    REGISTER(IWDG + 0x00) = 0xAAAA;
#endif
}

#endif

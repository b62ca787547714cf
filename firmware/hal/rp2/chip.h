/* Where an RP2040 and an RP2350 differ. */
#ifndef LOTOR_RP2_CHIP_H
#define LOTOR_RP2_CHIP_H

#include "../cortex_m/cortex_m.h"

#if __ARM_ARCH < 8

/* Section numbers are those of the RP2040 datasheet. */
#define CLOCKS 0x40008000u              /* 2.15.7 */
#define RESETS 0x4000C000u              /* 2.14.3 */
#define PSM 0x40010000u                 /* 2.13.5 */
#define IO_BANK0 0x40014000u            /* 2.19.6.1 */
#define PADS_BANK0 0x4001C000u          /* 2.19.6.3 */
#define XOSC 0x40024000u                /* 2.16.7 */
#define PLL_SYS 0x40028000u             /* 2.18.4 */
#define UART0 0x40034000u               /* 4.2.8 */
#define WATCHDOG 0x40058000u            /* 4.7.6 */
#define CHIP_RESET REGISTER(0x40064008) /* 2.12.8 */

enum {
    RESET_IO_BANK0 = 1 << 5, /* 2.14.3 */
    RESET_PADS_BANK0 = 1 << 8,
    RESET_PLL_SYS = 1 << 12,
    RESET_UART0 = 1 << 22,
    UART0_IRQ = 20,           /* 2.3.2 */
    HAD_POWER_ON = 1 << 8,    /* 2.12.8: HAD_POR, which is brown-out, too */
    HAD_RUN = 1 << 16,        /* 2.12.8 */
    WDSEL_ALL = 0x1FFFF & ~3, /* 2.13.5: without ROSC and XOSC */
};
#define PLL_POSTDIV1 6u /* 125 MHz */

static inline void chip_init(void) {}

static inline void watchdog_tick(uint32_t cycles) {
    REGISTER(WATCHDOG + 0x2C) = 1u << 9 | cycles; /* 4.7.6: TICK, ENABLE */
}

#else

/* Section numbers are those of the RP2350 datasheet. */
#define RESETS 0x40020000u              /* 7.5.3 */
#define CLOCKS 0x40010000u              /* 8.1.7 */
#define PSM 0x40018000u                 /* 7.4.4 */
#define IO_BANK0 0x40028000u            /* 9.11.1 */
#define PADS_BANK0 0x40038000u          /* 9.11.3 */
#define XOSC 0x40048000u                /* 8.2.8 */
#define PLL_SYS 0x40050000u             /* 8.6.5 */
#define UART0 0x40070000u               /* 12.1.8 */
#define WATCHDOG 0x400D8000u            /* 12.9.7 */
#define CHIP_RESET REGISTER(0x4010002C) /* 6.4: POWMAN */
#define TICKS 0x40108000u               /* 8.5.2 */

enum {
    RESET_IO_BANK0 = 1 << 6, /* 7.5.3 */
    RESET_PADS_BANK0 = 1 << 9,
    RESET_PLL_SYS = 1 << 14,
    RESET_UART0 = 1 << 26,
    UART0_IRQ = 33,                    /* 3.2 */
    HAD_POWER_ON = 1 << 16 | 1 << 17,  /* 6.4: HAD_POR, HAD_BOR */
    HAD_RUN = 1 << 18,                 /* 6.4: HAD_RUN_LOW */
    WDSEL_ALL = 0x1FFFFFF & ~(3 << 2), /* 7.4.4: without ROSC and XOSC */
};
#define PLL_POSTDIV1 5u                 /* 150 MHz */

extern const uint32_t __vectors[];

/* The boot ROM has a vector table of its own. */
static inline void chip_init(void) { REGISTER(0xE000ED08) = (uint32_t)(uintptr_t)__vectors; }

static inline void watchdog_tick(uint32_t cycles) {
    REGISTER(TICKS + 0x34) = cycles; /* 8.5.2: WATCHDOG_CYCLES */
    REGISTER(TICKS + 0x30) = 1;      /* WATCHDOG_CTRL, ENABLE */
}

#endif

#endif

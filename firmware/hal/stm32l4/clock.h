/* The clock of an STM32L4+: the PLL on the internal 16 MHz oscillator gives LOTOR_CLOCK_HZ, up to
   120 MHz. Registers: RM0432, chapters RCC, PWR, "Embedded flash
   memory". Not yet run on hardware. */
#ifndef LOTOR_STM32L4_CLOCK_H
#define LOTOR_STM32L4_CLOCK_H

#include "../cortex_m/cortex_m.h"
#include "lotor_config.h"

#define RCC 0x40021000u
#define PWR 0x40007000u
#define FLASH 0x40022000u

#define RCC_CR REGISTER(RCC + 0x00)
#define RCC_CFGR REGISTER(RCC + 0x08)
#define RCC_PLLCFGR REGISTER(RCC + 0x0C)
#define RCC_AHB2ENR REGISTER(RCC + 0x4C)
#define RCC_APB1ENR1 REGISTER(RCC + 0x58)
#define RCC_APB1ENR2 REGISTER(RCC + 0x5C)
#define RCC_CCIPR REGISTER(RCC + 0x88)
#define RCC_CSR REGISTER(RCC + 0x94)
#define PWR_CR2 REGISTER(PWR + 0x04)
#define PWR_CR5 REGISTER(PWR + 0x80)
#define FLASH_ACR REGISTER(FLASH + 0x00)

/* The PLL's input is 4 MHz and its output half of its oscillator's frequency. A wait state more for
   each 20 MHz, in range 1. */
enum {
    PLL_M = 16 / 4,
    PLL_N = LOTOR_CLOCK_HZ / 2000000,
    WAIT_STATES = (LOTOR_CLOCK_HZ - 1) / 20000000,
};

/* The internal 16 MHz, also of the UART; and the power controller's registers. */
static inline void oscillator_init(void) {
    RCC_APB1ENR1 |= 1u << 28;      /* PWREN */
    (void)RCC_APB1ENR1;            /* its clock takes two cycles */
    RCC_CR |= 1u << 8;             /* HSION */
    while (!(RCC_CR & 1u << 10)) { /* HSIRDY */
    }
}

/* Onto the 16 MHz, at any wait states. A boot loader's PLL may be running, and only one that is off
   can be set up: RM0432, RCC_PLLCFGR. */
static inline void pll_stop(void) {
    RCC_CFGR = (RCC_CFGR & ~3u) | 1u;         /* SW: HSI16 */
    while ((RCC_CFGR & 3u << 2) != 1u << 2) { /* SWS */
    }
    RCC_CR &= ~(1u << 24);      /* PLLON */
    while (RCC_CR & 1u << 25) { /* PLLRDY */
    }
}

/* In the order of chapter PWR, "Dynamic voltage scaling management", from range 1 to its boost
   mode: half of the clock for the first microsecond. */
static inline void clock_init(void) {
    pll_stop();
    RCC_CFGR |= 8u << 4;                         /* HPRE: / 2 */
    PWR_CR5 &= ~(1u << 8);                       /* R1MODE: boost */
    FLASH_ACR = 7u << 8 | (uint32_t)WAIT_STATES; /* DCEN, ICEN, PRFTEN */
    while ((FLASH_ACR & 0xFu) != WAIT_STATES) {
    }
    /* PLLREN, PLLR 2, PLLSRC HSI16 */
    RCC_PLLCFGR = 1u << 24 | (uint32_t)PLL_N << 8 | (uint32_t)(PLL_M - 1) << 4 | 2u;
    RCC_CR |= 1u << 24;            /* PLLON */
    while (!(RCC_CR & 1u << 25)) { /* PLLRDY */
    }
    RCC_CFGR |= 3u;                           /* SW: PLL */
    while ((RCC_CFGR & 3u << 2) != 3u << 2) { /* SWS */
    }
    for (volatile uint32_t turns = 0; turns < LOTOR_CLOCK_HZ / 1000000; turns++) {
    }
    RCC_CFGR &= ~(0xFu << 4); /* HPRE: / 1 */
}

#endif

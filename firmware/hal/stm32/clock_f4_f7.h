/* The clock of an STM32F4 or F7: the PLL on the internal 16 MHz oscillator gives LOTOR_CLOCK_HZ.
   Registers: RM0390 (F446) and RM0385 (F7), chapters RCC, PWR, "Embedded flash memory interface".
   Not yet run on hardware. */
#ifndef LOTOR_STM32_CLOCK_F4_F7_H
#define LOTOR_STM32_CLOCK_F4_F7_H

#include "../cortex_m/cortex_m.h"
#include "lotor_config.h"

#define RCC 0x40023800u
#define PWR 0x40007000u
#define FLASH 0x40023C00u

#define RCC_CR REGISTER(RCC + 0x00)
#define RCC_PLLCFGR REGISTER(RCC + 0x04)
#define RCC_CFGR REGISTER(RCC + 0x08)
#define RCC_AHB1ENR REGISTER(RCC + 0x30)
#define RCC_APB1ENR REGISTER(RCC + 0x40)
#define RCC_APB2ENR REGISTER(RCC + 0x44)
#define RCC_CSR REGISTER(RCC + 0x74)
#define CSR_RMVF (1u << 24)
#define CSR_POWER (1u << 27 | 1u << 25) /* PORRSTF, BORRSTF */
#define PWR_CR REGISTER(PWR + 0x00)
#define PWR_CSR REGISTER(PWR + 0x04)
#define FLASH_ACR REGISTER(FLASH + 0x00)

/* The PLL's input is 2 MHz, as recommended against jitter, and its output half of its oscillator's
   frequency, which is so 2 MHz * PLL_N. A wait state more for each 30 MHz, at 2.7 V and above:
   tables "Number of wait states according to CPU clock frequency". */
enum {
    PLL_M = 16 / 2,
    PLL_N = LOTOR_CLOCK_HZ / 1000000,
    WAIT_STATES = (LOTOR_CLOCK_HZ - 1) / 30000000,
};

/* In the order of chapter PWR, "Entering Over-drive mode". An F405 has none (nor LOTOR_PLL). */
static inline void clock_init(void) {
    RCC_APB1ENR |= 1u << 28; /* PWREN */
    PWR_CR |= 3u << 14;      /* VOS: scale 1 */
    /* PLLR 2 (F446), PLLQ 9, PLLSRC HSI, PLLP 2 */
    RCC_PLLCFGR = 2u << 28 | 9u << 24 | (uint32_t)PLL_N << 6 | (uint32_t)PLL_M;
    RCC_CR |= 1u << 24;             /* PLLON */
    PWR_CR |= 1u << 16;             /* ODEN */
    while (!(PWR_CSR & 1u << 16)) { /* ODRDY */
    }
    PWR_CR |= 1u << 17;             /* ODSWEN */
    while (!(PWR_CSR & 1u << 17)) { /* ODSWRDY */
    }
    /* Prefetch and the accelerator: ICEN, DCEN of an F4, ARTEN of an F7. */
    FLASH_ACR = FLASH_ACR_CACHES | 1u << 8 | (uint32_t)WAIT_STATES;
    while ((FLASH_ACR & 0xFu) != WAIT_STATES) {
    }
    RCC_CFGR = 4u << 13 | 5u << 10; /* PPRE2: / 2, PPRE1: / 4 */
    while (!(RCC_CR & 1u << 25)) {  /* PLLRDY */
    }
    RCC_CFGR |= 2u;                           /* SW: PLL */
    while ((RCC_CFGR & 3u << 2) != 2u << 2) { /* SWS */
    }
}

#endif

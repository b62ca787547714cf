/* Ticks are cycles of the core's counter; included by one file of a chip family. SysTick looks at
   the counter every 2^24 cycles, so that no wrap is missed. */
#ifndef LOTOR_TICKS_DWT_H
#define LOTOR_TICKS_DWT_H

#include "../hal.h"
#include "cortex_m.h"

static uint64_t now;

static void ticks_init(void) {
    DEMCR |= 1u << 24;    /* C1.6.5: TRCENA */
    DWT_LAR = 0xC5ACCE55; /* a Cortex-M7 ignores writes before this; others ignore this one */
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1u; /* C1.8.7: CYCCNTENA */
    SYST_RVR = 0xFFFFFF;
    SYST_CVR = 0;
    SYST_CSR = 7; /* B3.3.3: core clock, interrupt, enable */
}

uint64_t hal_ticks(void) {
    uint32_t masked;
    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(masked)::"memory");
    now += (uint32_t)(DWT_CYCCNT - (uint32_t)now);
    const uint64_t copy = now;
    __asm volatile("msr primask, %0" ::"r"(masked) : "memory");
    return copy;
}

void hal_systick(void) { (void)hal_ticks(); }

#endif

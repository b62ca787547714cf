/* Ticks are instructions of an emulator whose -icount gives each 128 ns (shift=7), counted by
   SysTick: LOTOR_TIMER_TICKS of its clock are LOTOR_TIMER_INSTRUCTIONS. Included by one file of a
   chip family. */
#ifndef LOTOR_TICKS_SYSTICK_H
#define LOTOR_TICKS_SYSTICK_H

#include "../hal.h"
#include "cortex_m.h"
#include "lotor_config.h"

/* SysTick has 24 bits (B3.3.4). A period is a whole number of instructions. */
enum {
    PERIOD_TURNS = (1u << 24) / LOTOR_TIMER_TICKS,
    PERIOD_TICKS = PERIOD_TURNS * LOTOR_TIMER_TICKS,
    PERIOD_INSTRUCTIONS = PERIOD_TURNS * LOTOR_TIMER_INSTRUCTIONS,
};

static uint64_t base; /* instructions until the counter was last started */
static volatile uint32_t wraps;
static uint32_t wrap_cost; /* instructions of the interrupt */

static void ticks_resume(void) {
    wraps = 0;
    SYST_CVR = 0; /* B3.3.5: any value clears it; the next tick loads the period */
    SYST_CSR = 7; /* B3.3.3: core clock, interrupt, enable */
}

/* The same work whatever the count, so that what the measuring costs can be taken off. After n
   instructions the counter has counted n * ticks / instructions, rounded either way; it counts more
   than twice an instruction, so that half a tick more rounds to n. */
uint64_t hal_ticks(void) {
    uint32_t high, low;
    do {
        high = wraps;
        low = PERIOD_TICKS - SYST_CVR; /* the first tick only loads the period */
    } while (high != wraps);
    const uint32_t in_period =
        ((2 * low + 1) * LOTOR_TIMER_INSTRUCTIONS + LOTOR_TIMER_TICKS) / (2 * LOTOR_TIMER_TICKS);
    return base + (uint64_t)high * (PERIOD_INSTRUCTIONS - wrap_cost) + in_period;
}

void hal_systick(void) { wraps = wraps + 1; }

/* B3.2.4: bit 26 lets SysTick interrupt now, bit 25 takes that back. */
static uint32_t cost_of(uint32_t icsr) {
    const uint64_t before = hal_ticks();
    SCB_ICSR = icsr;
    __asm volatile("dsb\n isb");
    return (uint32_t)(hal_ticks() - before);
}

static void ticks_init(void) {
    SYST_RVR = PERIOD_TICKS - 1;
    ticks_resume();
    const uint32_t nothing = cost_of(1u << 25);
    const uint32_t interrupt = cost_of(1u << 26) - PERIOD_INSTRUCTIONS;
    wrap_cost = interrupt - nothing;
    wraps = 0;
}

/* An emulator that skips idle time would otherwise jump from interrupt to interrupt for ever. */
static void ticks_pause(void) {
    base = hal_ticks();
    SYST_CSR = 0;
}

#endif

/* clk_sys of an RP2040 or RP2350 from the PLL, in a program and in its boot loader. */
#ifndef LOTOR_RP2_CLOCKS_H
#define LOTOR_RP2_CLOCKS_H

#include "chip.h"

#define CLK_REF_CTRL REGISTER(CLOCKS + 0x30)
#define CLK_REF_SELECTED REGISTER(CLOCKS + 0x38)
#define CLK_SYS_CTRL REGISTER(CLOCKS + 0x3C)
#define CLK_SYS_SELECTED REGISTER(CLOCKS + 0x44)
#define CLK_PERI_CTRL REGISTER(CLOCKS + 0x48)
#define RESET REGISTER(RESETS + 0x0)
#define RESET_DONE REGISTER(RESETS + 0x8)
#define XOSC_CTRL REGISTER(XOSC + 0x0)
#define XOSC_STATUS REGISTER(XOSC + 0x4)
#define XOSC_STARTUP REGISTER(XOSC + 0xC)
#define PLL_CS REGISTER(PLL_SYS + 0x0)
#define PLL_PWR REGISTER(PLL_SYS + 0x4)
#define PLL_FBDIV REGISTER(PLL_SYS + 0x8)
#define PLL_PRIM REGISTER(PLL_SYS + 0xC)

enum { CRYSTAL_MHZ = 12 };

static inline void out_of_reset(uint32_t blocks) {
    RESET |= blocks; /* whatever the last program left there */
    RESET &= ~blocks;
    while (~RESET_DONE & blocks) {
    }
}

/* 12 MHz crystal x 125 / PLL_POSTDIV1 / 2. A debugger resets the core alone, so that clk_sys may
   run from the PLL already. */
static inline void clocks_init(void) {
    CLK_SYS_CTRL &= ~1u; /* SRC is clk_ref */
    while (!(CLK_SYS_SELECTED & 1u)) {
    }
    XOSC_STARTUP = 47;             /* 47 * 256 periods, 1 ms */
    XOSC_CTRL = 0xFABAA0;          /* ENABLE, 1 to 15 MHz */
    while (!(XOSC_STATUS >> 31)) { /* STABLE */
    }
    CLK_REF_CTRL = 2; /* SRC is the crystal */
    while (!(CLK_REF_SELECTED & 1u << 2)) {
    }
    out_of_reset(RESET_PLL_SYS);
    PLL_CS = 1; /* REFDIV */
    PLL_FBDIV = 125;
    PLL_PWR = 1u << 3 | 1u << 2; /* all on but the dividers and what is not used */
    while (!(PLL_CS >> 31)) {    /* LOCK */
    }
    PLL_PRIM = PLL_POSTDIV1 << 16 | 2u << 12;
    PLL_PWR = 1u << 2;
    CLK_SYS_CTRL = 0; /* AUXSRC is the PLL */
    CLK_SYS_CTRL = 1; /* SRC is AUXSRC */
    while (!(CLK_SYS_SELECTED & 1u << 1)) {
    }
    CLK_PERI_CTRL = 1u << 11; /* ENABLE, from clk_sys */
}

#endif

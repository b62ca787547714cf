/* The second stage of the RP2040's boot. Its boot ROM copies the first 256 bytes of flash to the
   top of RAM and, if the CRC-32 in the last four is right (the build writes it), calls them: they
   must be independent of where they lie, and make flash readable as memory. */
#if __ARM_ARCH < 8
#include <stdint.h>

#include "../cortex_m/cortex_m.h"

/* Section numbers are those of the RP2040 datasheet. */
#define SSI 0x18000000u /* 4.10.13 */
#define SSI_CTRLR0 REGISTER(SSI + 0x00)
#define SSI_CTRLR1 REGISTER(SSI + 0x04)
#define SSI_SSIENR REGISTER(SSI + 0x08)
#define SSI_BAUDR REGISTER(SSI + 0x14)
#define SSI_SPI_CTRLR0 REGISTER(SSI + 0xF4)
#define VTOR REGISTER(0xE000ED08) /* 2.4.8 */

/* Placed by the linker script. Volatile: read once flash answers, not before. */
extern const volatile uint32_t __vectors[];

/* 2.8.1.3: entered at its first byte. Reads with 03h, which every serial flash knows, one bit at a
   time; a W25Q16JV takes 50 MHz with it, and clk_sys / 4 is at most 33. */
__attribute__((section(".boot2"), used, noreturn)) void boot2(void) {
    SSI_SSIENR = 0;                                   /* closed while it is changed */
    SSI_BAUDR = 4;                                    /* clk_sys / 4 */
    SSI_CTRLR0 = 31u << 16 | 3u << 8;                 /* 32 bits a frame, send a command and read */
    SSI_CTRLR1 = 0;                                   /* one frame a read */
    SSI_SPI_CTRLR0 = 0x03u << 24 | 2u << 8 | 6u << 2; /* 8 bits of command, 24 of address */
    SSI_SSIENR = 1;
    VTOR = (uint32_t)(uintptr_t)__vectors;
    __asm volatile("msr msp, %0\n bx %1" ::"r"(__vectors[0]), "r"(__vectors[1]));
    __builtin_unreachable();
}
#endif

/* A boot loader at its images' clock: at the 4 MHz after a reset, of the MSI, hashing one takes
   seconds. */
#include "../../boot/boot.h"
#include "clock.h"

void boot_clock(void) {
#if LOTOR_PLL
    oscillator_init();
    clock_init();
#endif
}

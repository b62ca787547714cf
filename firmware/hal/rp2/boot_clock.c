/* A boot loader at full speed: the ring oscillator, about 6 MHz, would take seconds for an image.
 */
#include "../../boot/boot.h"
#include "clocks.h"

void boot_clock(void) { clocks_init(); }

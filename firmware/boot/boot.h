/* Which slot starts. */
#ifndef LOTOR_BOOT_H
#define LOTOR_BOOT_H

#include <stdint.h>

/* The slot to start, or SLOT_NONE; notes in flash what that means. */
uint32_t boot_choose(void);

/* Make the core fast; a chip's family may have one (hal/<family>/boot_clock.c). */
void boot_clock(void);

#endif

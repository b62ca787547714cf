/* What the flash drivers may touch: the areas of state and the slots, never the boot loader,
   without which nothing starts. */
#ifndef LOTOR_HAL_FLASH_LIMITS_H
#define LOTOR_HAL_FLASH_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "lotor_config.h"

/* Whether all of these bytes lie there, and begin and end where a unit of writing does. */
static inline bool flash_writable(uint32_t address, uint32_t bytes) {
    const uint32_t end = LOTOR_SLOT_ADDRESS + 2 * LOTOR_SLOT_BYTES;
    return address >= LOTOR_STATE_ADDRESS && address <= end && bytes <= end - address &&
           (address | bytes) % LOTOR_FLASH_UNIT == 0;
}

#endif

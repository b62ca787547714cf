/* A double word whose writing or erasing was cut has no right ECC: reading it raises an NMI. */
#ifndef LOTOR_STM32L4_TORN_H
#define LOTOR_STM32L4_TORN_H

#include <stdbool.h>
#include <stdint.h>

/* Whether that is why an NMI has come, and not from within a program from `from` up to `to`: then
   it is cleared, and what was read is any bits, which a CRC-32 or a hash finds out. */
bool flash_torn(uint32_t from, uint32_t to);

#endif

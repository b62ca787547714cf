/* Flash that a program may erase and write; hal/<family>/flash.c implements it for boards with
 * updates. */
#ifndef LOTOR_HAL_FLASH_H
#define LOTOR_HAL_FLASH_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the unit of erasure that begins at this address, or 0 if none begins there. */
uint32_t hal_flash_page(uint32_t address);

/* Erase the unit that begins here to 0xFF; 0, or -1. Other code may run meanwhile only if the chip
 * allows it: the call returns when it is done. */
int hal_flash_erase(uint32_t address);

/* Write erased flash: address and bytes are multiples of LOTOR_FLASH_UNIT (lotor_config.h, from the
 * board file's update.write_bytes); 0, or -1. */
int hal_flash_write(uint32_t address, const void *data, uint32_t bytes);

#endif

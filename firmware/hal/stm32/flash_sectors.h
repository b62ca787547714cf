/* Flash of an STM32F4 or F7: sectors of three sizes, written in words. Chapters on flash of RM0090
   (3.6.3 "Erase", 3.6.4 "Programming"), RM0390, RM0385. A series that includes this defines
   SECTOR_BYTES, the first sectors' size, and FLASH_ACR_CACHES, FLASH_SR_ERRORS. */
#ifndef LOTOR_STM32_FLASH_SECTORS_H
#define LOTOR_STM32_FLASH_SECTORS_H

#include <string.h>

#include "../flash.h"
#include "../flash_limits.h"

#define FLASH 0x40023C00u
#define FLASH_ACR REGISTER(FLASH + 0x00)
#define FLASH_KEYR REGISTER(FLASH + 0x04)
#define FLASH_SR REGISTER(FLASH + 0x0C)
#define FLASH_CR REGISTER(FLASH + 0x10)

#include "flash_controller.h"

#define FLASH_MEMORY 0x08000000u

enum { CR_SER = 1u << 1, CR_SNB = 3, CR_PSIZE_WORD = 2u << 8 }; /* 32 bits at once: from 2.7 V on */

_Static_assert(LOTOR_FLASH_UNIT % 4 == 0, "words are written");

/* The sector that begins here and its number: four of the first size, one four times as large, then
   all eight times as large; 0 when none begins here. The last slot may end within its last one. */
static uint32_t sector_at(uint32_t address, uint32_t *number) {
    const uint32_t offset = address - FLASH_MEMORY;
    uint32_t bytes = 8 * SECTOR_BYTES;
    *number = 4 + offset / bytes;
    if (offset < 4 * SECTOR_BYTES) {
        bytes = SECTOR_BYTES;
        *number = offset / bytes;
    } else if (offset < 8 * SECTOR_BYTES) {
        bytes = 4 * SECTOR_BYTES;
        *number = 4;
    }
    return offset % bytes == 0 && flash_writable(address, LOTOR_FLASH_UNIT) ? bytes : 0;
}

uint32_t hal_flash_page(uint32_t address) {
    uint32_t number;
    return sector_at(address, &number);
}

int hal_flash_erase(uint32_t address) {
    uint32_t number, caches;
    const uint32_t bytes = sector_at(address, &number);
    if (!bytes || flash_begin(&caches))
        return -1;
    FLASH_CR = CR_PSIZE_WORD | number << CR_SNB | CR_SER;
    FLASH_CR |= CR_STRT;
    BARRIER();
    const int failed = flash_end(caches);
    flash_changed(address, bytes);
    return failed;
}

int hal_flash_write(uint32_t address, const void *data, uint32_t bytes) {
    uint32_t caches;
    if (!flash_writable(address, bytes) || flash_begin(&caches))
        return -1;
    FLASH_CR = CR_PSIZE_WORD | CR_PG;
    for (uint32_t i = 0; i < bytes; i += 4) {
        uint32_t word;
        memcpy(&word, (const uint8_t *)data + i, sizeof word);
        REGISTER(address + i) = word;
        BARRIER();
        flash_wait();
    }
    const int failed = flash_end(caches);
    flash_changed(address, bytes);
    return failed;
}

#endif

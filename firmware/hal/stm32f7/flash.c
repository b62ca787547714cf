/* Flash of an STM32F746 and its kin: sectors of 32, 128 and 256 KiB. */
#include "lotor_config.h"

#ifdef LOTOR_FLASH_UNIT

#include "../cortex_m/cortex_m.h"

#define SECTOR_BYTES 0x8000u
#define FLASH_ACR_CACHES (1u << 9)            /* ARTEN */
#define FLASH_SR_ERRORS (1u << 1 | 0xFu << 4) /* OPERR, WRPERR, PGAERR, PGPERR, ERSERR */

/* Arm DDI 0403E, B4.8; lines of 32 bytes: Arm DDI 0489. */
#define SCB_ICIALLU REGISTER(0xE000EF50)
#define SCB_DCIMVAC REGISTER(0xE000EF5C)
enum { CACHE_LINE = 32 };

/* The core's caches have what was there before. Nothing is lost: what is read-only or written
   through, as this memory is, is never newer than it. */
static inline void flash_changed(uint32_t address, uint32_t bytes) {
    const uint32_t end = address + bytes;
    for (uint32_t line = address & ~(CACHE_LINE - 1u); line < end; line += CACHE_LINE)
        SCB_DCIMVAC = line;
    SCB_ICIALLU = 0;
    BARRIER();
}

#include "../stm32/flash_sectors.h"

#endif

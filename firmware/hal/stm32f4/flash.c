/* Flash of an STM32F405, F446 and their kin: sectors of 16, 64 and 128 KiB. */
#include "lotor_config.h"

#ifdef LOTOR_FLASH_UNIT

#include "../cortex_m/cortex_m.h"

#define SECTOR_BYTES 0x4000u
#define FLASH_ACR_CACHES (1u << 10 | 1u << 9) /* DCEN, ICEN */
/* OPERR, WRPERR, PGAERR, PGPERR, PGSERR, RDERR */
#define FLASH_SR_ERRORS (1u << 1 | 0xFu << 4 | 1u << 8)

/* The core has no caches of its own. */
static inline void flash_changed(uint32_t address, uint32_t bytes) { (void)address, (void)bytes; }

#include "../stm32/flash_sectors.h"

#endif

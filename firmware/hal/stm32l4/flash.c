/* Flash of an STM32L4R5 and its kin with 2 MiB: written in double words with ECC; pages of 4 KiB in
   two banks, or of 8 KiB in one. RM0432, chapter "Embedded flash memory". */
#include "lotor_config.h"

#ifdef LOTOR_FLASH_UNIT

#include <string.h>

#include "../cortex_m/cortex_m.h"
#include "../flash.h"
#include "../flash_limits.h"
#include "torn.h"

#define FLASH 0x40022000u
#define FLASH_ACR REGISTER(FLASH + 0x00)
#define FLASH_KEYR REGISTER(FLASH + 0x08)
#define FLASH_SR REGISTER(FLASH + 0x10)
#define FLASH_CR REGISTER(FLASH + 0x14)
#define FLASH_ECCR REGISTER(FLASH + 0x18)
#define FLASH_OPTR REGISTER(FLASH + 0x20)
#define FLASH_ACR_CACHES (1u << 10 | 1u << 9) /* DCEN, ICEN */
/* OPERR; PROGERR, WRPERR, PGAERR, SIZERR, PGSERR, MISERR, FASTERR; RDERR, OPTVERR */
#define FLASH_SR_ERRORS (1u << 1 | 0x7Fu << 3 | 3u << 14)

#include "../stm32/flash_controller.h"

#define FLASH_MEMORY 0x08000000u

enum { BANK_BYTES = 1 << 20, CR_PER = 1u << 1, CR_PNB = 3 };
enum { ECCR_ADDRESS = 0x1FFFFF, ECCR_BANK = 1u << 21, ECCR_SYSTEM = 1u << 22 };
#define ECCR_ECCD (1u << 31 | 1u << 29) /* ECCD, and ECCD2 of a single bank */

_Static_assert(LOTOR_FLASH_UNIT % 8 == 0, "double words are written");

static bool two_banks(void) { return FLASH_OPTR & 1u << 22; } /* DBANK */

uint32_t hal_flash_page(uint32_t address) {
    const uint32_t bytes = two_banks() ? 4096 : 8192;
    return address % bytes == 0 && flash_writable(address, bytes) ? bytes : 0;
}

int hal_flash_erase(uint32_t address) {
    uint32_t caches;
    const uint32_t bytes = hal_flash_page(address), offset = address - FLASH_MEMORY;
    if (!bytes || flash_begin(&caches))
        return -1;
    FLASH_CR = offset / bytes << CR_PNB | CR_PER; /* BKER, the bank, is the number's ninth bit */
    FLASH_CR |= CR_STRT;
    BARRIER();
    return flash_end(caches);
}

int hal_flash_write(uint32_t address, const void *data, uint32_t bytes) {
    uint32_t caches;
    if (!flash_writable(address, bytes) || flash_begin(&caches))
        return -1;
    FLASH_CR = CR_PG;
    for (uint32_t i = 0; i < bytes; i += 8) {
        uint32_t words[2];
        memcpy(words, (const uint8_t *)data + i, sizeof words);
        REGISTER(address + i) = words[0]; /* waits for its other half */
        BARRIER();
        REGISTER(address + i + 4) = words[1];
        BARRIER();
        flash_wait();
    }
    return flash_end(caches);
}

bool flash_torn(uint32_t from, uint32_t to) {
    const uint32_t flags = FLASH_ECCR;
    if (!(flags & ECCR_ECCD) || flags & ECCR_SYSTEM)
        return false;
    uint32_t address = FLASH_MEMORY + (flags & ECCR_ADDRESS);
    if (flags & ECCR_BANK) /* of two */
        address += BANK_BYTES;
    if (address >= from && address < to)
        return false;
    FLASH_ECCR = flags & ECCR_ECCD; /* cleared by 1s */
    return true;
}

#endif

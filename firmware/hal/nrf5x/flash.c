/* The flash of nRF51 and nRF52840 through their controller NVMC: nRF51 Series Reference Manual
   v3.0, chapter 6; nRF52840 Product Specification v1.1, 4.3. The core stands still while it works.
 */
#include "lotor_config.h"

#ifdef LOTOR_UPDATE

#include "../cortex_m/cortex_m.h"
#include "../flash.h"
#include "../flash_limits.h"

#define NVMC 0x4001E000u
#define NVMC_READY REGISTER(NVMC + 0x400)
#define NVMC_CONFIG REGISTER(NVMC + 0x504)
#define NVMC_ERASEPAGE REGISTER(NVMC + 0x508)

enum { READ_ONLY = 0, WRITE = 1, ERASE = 2 };

/* nRF51: 6.1.1 and FICR's CODEPAGESIZE, 1 KiB; nRF52840: 4.2, 4 KiB. */
#if __ARM_ARCH >= 7
enum { PAGE_BYTES = 4096 };
#else
enum { PAGE_BYTES = 1024 };
#endif

static void wait(void) {
    while (!(NVMC_READY & 1u)) {
    }
}

static void configure(uint32_t what) {
    NVMC_CONFIG = what;
    wait();
}

/* One word: what the tests see each write by. */
__attribute__((noinline)) static void store(uint32_t address, uint32_t word) {
    REGISTER(address) = word;
    wait();
}

uint32_t hal_flash_page(uint32_t address) { return address % PAGE_BYTES ? 0 : PAGE_BYTES; }

int hal_flash_erase(uint32_t address) {
    if (address % PAGE_BYTES || !flash_writable(address, PAGE_BYTES))
        return -1;
    configure(ERASE);
    NVMC_ERASEPAGE = address;
    wait();
    configure(READ_ONLY);
    return 0;
}

int hal_flash_write(uint32_t address, const void *data, uint32_t bytes) {
    if (!flash_writable(address, bytes))
        return -1;
    const uint8_t *at = data;
    configure(WRITE);
    for (uint32_t i = 0; i < bytes; i += 4) {
        store(address + i, (uint32_t)at[i] | (uint32_t)at[i + 1] << 8 | (uint32_t)at[i + 2] << 16 |
                               (uint32_t)at[i + 3] << 24);
    }
    configure(READ_ONLY);
    return 0;
}

#endif

/* Serial flash behind an RP2040 or RP2350: sectors of 4 KiB, pages of 256 bytes. Commands are those
   of the W25Q16JV's data sheet, section 8.2, which all such flashes have in common. */
#include "lotor_config.h"

#ifdef LOTOR_FLASH_UNIT

#include <string.h>

#include "../flash.h"
#include "../flash_limits.h"
#include "flash_bus.h"

enum { PAGE = 256, SECTOR = 4096, STATUS_BUSY = 1 };
enum { PAGE_PROGRAM = 0x02, READ_STATUS = 0x05, WRITE_ENABLE = 0x06, SECTOR_ERASE = 0x20 };

/* One command that changes `bytes` from here on; `data` is in RAM. The core's ticks stand still
   when SysTick wraps more than once meanwhile, and the UART keeps what its FIFO takes. */
__attribute__((section(".in_ram"), noinline)) static void
command(uint8_t code, uint32_t address, const uint8_t *data, uint32_t bytes) {
    uint32_t masked;
    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(masked)::"memory");
    const uint32_t mode = bus_open();
    bus_select();
    bus_exchange(WRITE_ENABLE);
    bus_deselect();
    bus_select();
    bus_exchange(code);
    bus_exchange((uint8_t)(address >> 16));
    bus_exchange((uint8_t)(address >> 8));
    bus_exchange((uint8_t)address);
    if (data)
        for (uint32_t i = 0; i < bytes; i++)
            bus_exchange(data[i]);
    bus_deselect();
    bus_select();
    bus_exchange(READ_STATUS); /* told anew for as long as it is selected */
    while (bus_exchange(0) & STATUS_BUSY) {
    }
    bus_deselect();
    bus_close(mode, address - XIP, bytes);
    __asm volatile("msr primask, %0" ::"r"(masked) : "memory");
}

uint32_t hal_flash_page(uint32_t address) {
    return address % SECTOR == 0 && flash_writable(address, SECTOR) ? SECTOR : 0;
}

/* Serial flash tells no errors: both look what has become of it. */
int hal_flash_erase(uint32_t address) {
    if (!hal_flash_page(address))
        return -1;
    command(SECTOR_ERASE, address, NULL, SECTOR);
    const uint32_t *word = (const uint32_t *)(uintptr_t)address;
    for (uint32_t i = 0; i < SECTOR / sizeof *word; i++)
        if (word[i] != UINT32_MAX)
            return -1;
    return 0;
}

int hal_flash_write(uint32_t address, const void *data, uint32_t bytes) {
    if (!flash_writable(address, bytes))
        return -1;
    const uint8_t *from = data;
    while (bytes) {
        uint8_t page[PAGE]; /* the data itself may lie in flash */
        const uint32_t room = PAGE - address % PAGE, part = bytes < room ? bytes : room;
        memcpy(page, from, part);
        command(PAGE_PROGRAM, address, page, part);
        if (memcmp((const void *)(uintptr_t)address, page, part) != 0)
            return -1;
        address += part;
        from += part;
        bytes -= part;
    }
    return 0;
}

#endif

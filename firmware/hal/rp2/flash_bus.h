/* The bus to the serial flash, for commands of one's own: meanwhile flash is no memory, and whoever
   runs must be in RAM, with interrupts off. Everything here is inlined for that reason. */
#ifndef LOTOR_RP2_FLASH_BUS_H
#define LOTOR_RP2_FLASH_BUS_H

#include "../cortex_m/cortex_m.h"

#define INLINE static inline __attribute__((always_inline))

enum { XIP = 0x10000000 }; /* where flash is memory */

#if __ARM_ARCH < 8

/* Section numbers are those of the RP2040 datasheet. */
#define SSI 0x18000000u                    /* 4.10.13 */
#define XIP_FLUSH REGISTER(0x14000004)     /* 2.6.3.6 */
#define QSPI_SS_CTRL REGISTER(0x4001800Cu) /* 2.19.6.2 */
#define SSI_CTRLR0 REGISTER(SSI + 0x00)
#define SSI_SSIENR REGISTER(SSI + 0x08)
#define SSI_SR REGISTER(SSI + 0x28)
#define SSI_DR0 REGISTER(SSI + 0x60)

/* Return what `bus_close` wants back: how flash is read as memory. */
INLINE uint32_t bus_open(void) {
    const uint32_t mode = SSI_CTRLR0;
    SSI_SSIENR = 0;        /* closed while it is changed */
    SSI_CTRLR0 = 7u << 16; /* 8 bits a frame, each way */
    SSI_SSIENR = 1;
    return mode;
}

/* The SSI would deselect the flash whenever it has nothing to send: OUTOVER drives the pin. */
INLINE void bus_select(void) { QSPI_SS_CTRL = 2u << 8; }
INLINE void bus_deselect(void) {
    QSPI_SS_CTRL = 3u << 8;
    (void)QSPI_SS_CTRL; /* for 50 ns at least: W25Q16JV, tSHSL2 */
}

INLINE uint8_t bus_exchange(uint8_t byte) {
    SSI_DR0 = byte;
    while (!(SSI_SR & 1u << 3)) { /* RFNE */
    }
    return (uint8_t)SSI_DR0;
}

INLINE void bus_close(uint32_t mode, uint32_t offset, uint32_t bytes) {
    (void)offset, (void)bytes; /* the cache is flushed as a whole */
    SSI_SSIENR = 0;
    SSI_CTRLR0 = mode;
    SSI_SSIENR = 1;
    QSPI_SS_CTRL = 0; /* as the SSI drives it */
    XIP_FLUSH = 1;
    (void)XIP_FLUSH; /* waits until it is done */
}

#else

/* Section numbers are those of the RP2350 datasheet. Not yet run on hardware. */
#define QMI 0x400D0000u             /* 12.14.6 */
#define XIP_MAINTENANCE 0x18000000u /* 4.4.1: cache maintenance by writes */
#define QMI_DIRECT_CSR REGISTER(QMI + 0x00)
#define QMI_DIRECT_TX REGISTER(QMI + 0x04)
#define QMI_DIRECT_RX REGISTER(QMI + 0x08)

enum {
    CSR_EN = 1 << 0,
    CSR_BUSY = 1 << 1,
    CSR_ASSERT_CS0N = 1 << 2,
    CSR_RXEMPTY = 1 << 16,
    INVALIDATE_BY_ADDRESS = 2,
    CACHE_LINE = 8,
};

/* What is read as memory afterwards is not touched: M0_RCMD, M0_RFMT. The reset value of the clock
   divider, 6, makes 25 MHz of 150. */
INLINE uint32_t bus_open(void) {
    const uint32_t mode = QMI_DIRECT_CSR;
    QMI_DIRECT_CSR = mode | CSR_EN;
    while (QMI_DIRECT_CSR & CSR_BUSY) {
    }
    return mode;
}

INLINE void bus_select(void) { QMI_DIRECT_CSR |= CSR_ASSERT_CS0N; }
INLINE void bus_deselect(void) {
    QMI_DIRECT_CSR &= ~(uint32_t)CSR_ASSERT_CS0N;
    (void)QMI_DIRECT_CSR; /* for 50 ns at least: W25Q16JV, tSHSL2 */
}

INLINE uint8_t bus_exchange(uint8_t byte) {
    QMI_DIRECT_TX = byte; /* 8 bits, one at a time */
    while (QMI_DIRECT_CSR & CSR_RXEMPTY) {
    }
    const uint8_t answer = (uint8_t)QMI_DIRECT_RX;
    while (QMI_DIRECT_CSR & CSR_BUSY) {
    }
    return answer;
}

INLINE void bus_close(uint32_t mode, uint32_t offset, uint32_t bytes) {
    QMI_DIRECT_CSR = mode;
    for (uint32_t at = offset & ~(CACHE_LINE - 1u); at < offset + bytes; at += CACHE_LINE)
        *(volatile uint8_t *)(uintptr_t)(XIP_MAINTENANCE + at + INVALIDATE_BY_ADDRESS) = 0;
    __asm volatile("dsb\n isb" ::: "memory");
}

#endif

#endif

/* RP2040 and RP2350: clk_sys from the PLL, UART0 on GP0 (out) and GP1 (in), ticks from SysTick. */
#include "../hal.h"

#include "../../src/ring.h"
#include "../cortex_m/cortex_m.h"
#include "chip.h"
#include "clocks.h"
#include "lotor_config.h"

#define GPIO_CTRL(pin) REGISTER(IO_BANK0 + 8 * (pin) + 4)
#define PAD(pin) REGISTER(PADS_BANK0 + 4 * (pin) + 4)
#define UART_DR REGISTER(UART0 + 0x00)
#define UART_FR REGISTER(UART0 + 0x18)
#define UART_IBRD REGISTER(UART0 + 0x24)
#define UART_FBRD REGISTER(UART0 + 0x28)
#define UART_LCR_H REGISTER(UART0 + 0x2C)
#define UART_CR REGISTER(UART0 + 0x30)
#define UART_IMSC REGISTER(UART0 + 0x38)

enum { FR_BUSY = 1 << 3, FR_RXFE = 1 << 4, FR_TXFF = 1 << 5, DR_OE = 1 << 11 };

static ring received;

static void uart_init(void) {
    out_of_reset(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0);
    GPIO_CTRL(0) = 2; /* FUNCSEL: UART */
    GPIO_CTRL(1) = 2;
    PAD(0) = 0x56; /* as after a reset of an RP2040; an RP2350 isolates pads until they are set */
    PAD(1) = 0x5A; /* the same, but pulled up: a line that nobody drives is silent */
    const uint32_t divider = (LOTOR_UART_HZ * 4 + LOTOR_BAUD / 2) / LOTOR_BAUD; /* in 1/64 */
    UART_IBRD = divider / 64;
    UART_FBRD = divider % 64;
    UART_LCR_H = 3u << 5 | 1u << 4;        /* 8 bits, FIFOs; latches the divider, too */
    UART_CR = 1u << 9 | 1u << 8 | 1u << 0; /* RXE, TXE, UARTEN */
    UART_IMSC = 1u << 6 | 1u << 4;         /* RTIM, RXIM: FIFO half full, or no more comes */
    irq_enable(UART0_IRQ);
}

void hal_irq(uint32_t number) {
    if (number != UART0_IRQ)
        return;
    while (!(UART_FR & FR_RXFE)) {
        const uint32_t word = UART_DR;
        if (word & DR_OE) /* one or more after the last were lost */
            received.overruns = received.overruns + 1;
        ring_put(&received, (uint8_t)word);
    }
}

/* Cycles: SysTick counts 24 bits down, and its interrupt counts how often it began anew. */
enum { SYSTICK_TOP = 0xFFFFFF };

static volatile uint32_t wraps;

static void ticks_init(void) {
    SYST_CSR = 0;
    SYST_RVR = SYSTICK_TOP;
    SYST_CVR = 0;
    SYST_CSR = 7; /* B3.3.3 of the v6-M manual, DDI 0419: core clock, interrupt, enable */
}

void hal_systick(void) { wraps = wraps + 1; }

uint64_t hal_ticks(void) {
    uint32_t masked;
    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(masked)::"memory");
    uint32_t high = wraps, left = SYST_CVR;
    if (SCB_ICSR & 1u << 26) { /* PENDSTSET: it has begun anew, and nobody has counted that */
        high++;
        left = SYST_CVR;
    }
    __asm volatile("msr primask, %0" ::"r"(masked) : "memory");
    return ((uint64_t)high << 24) + (SYSTICK_TOP - left);
}

void hal_init(void) {
    chip_init();
    clocks_init();
    ticks_init();
    uart_init();
}

static bool something_received(void) { return !ring_empty(&received); }

void hal_idle(void) { sleep_unless(something_received); }

int hal_uart_read(void) { return ring_get(&received); }

void hal_uart_write(const uint8_t *data, size_t bytes) {
    while (bytes--) {
        while (UART_FR & FR_TXFF) {
        }
        UART_DR = *data++;
    }
}

void hal_uart_flush(void) {
    while (UART_FR & FR_BUSY) {
    }
}

uint32_t hal_uart_overruns(void) { return received.overruns; }

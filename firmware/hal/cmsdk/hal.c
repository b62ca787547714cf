/* Arm MPS2 (CMSDK): UART0, ticks from TIMER0. Its watchdog is not used: QEMU 7.2 lets it expire
   in the idle time that -icount sleep=off skips, and never clears that. */
#include "../hal.h"

#include "../../src/ring.h"
#include "../cortex_m/cortex_m.h"
#include "lotor_config.h"

/* Section numbers are those of the CMSDK Technical Reference Manual, Arm DDI 0479. */
#define TIMER0 0x40000000u /* 4.2 APB timer */
#define UART0 0x40004000u  /* 4.3 APB UART */

#define TIMER_CTRL REGISTER(TIMER0 + 0x00)
#define TIMER_VALUE REGISTER(TIMER0 + 0x04)
#define TIMER_RELOAD REGISTER(TIMER0 + 0x08)
#define TIMER_INT REGISTER(TIMER0 + 0x0C)
#define UART_DATA REGISTER(UART0 + 0x00)
#define UART_STATE REGISTER(UART0 + 0x04)
#define UART_CTRL REGISTER(UART0 + 0x08)
#define UART_INT REGISTER(UART0 + 0x0C)
#define UART_BAUDDIV REGISTER(UART0 + 0x10)

enum { UART0_RX_IRQ = 0, TIMER0_IRQ = 8 };
enum { STATE_TX_FULL = 1, STATE_RX_FULL = 2, STATE_RX_OVERRUN = 8 };

static ring received;

/* Ticks of the timer since `base`, which is in instructions: wraps counted by the interrupt. */
static uint64_t base;
static volatile uint32_t wraps;

static void timer_start(void) {
    wraps = 0;
    TIMER_RELOAD = 0xFFFFFFFF;
    TIMER_VALUE = 0xFFFFFFFF;
    TIMER_CTRL = 1u << 3 | 1u << 0; /* 4.2.3: interrupt, enable */
}

/* The 25 MHz timer runs 16/5 ticks per instruction when QEMU's -icount gives one 128 ns (shift=7).
   After n instructions it reads ceil(n * 16 / 5) - 1, so that ticks * 5 / 16 lies 1/16 to 5/16
   below n: 11/16 more puts n in the middle of what rounds to it. */
static uint64_t instructions(uint64_t ticks) { return (ticks * 5 + 11) / 16; }

uint64_t hal_ticks(void) {
    uint32_t high, low;
    do {
        high = wraps;
        low = 0xFFFFFFFFu - TIMER_VALUE;
    } while (high != wraps);
    return base + instructions((uint64_t)high << 32 | low);
}

void hal_systick(void) {}

void hal_irq(uint32_t number) {
    if (number == TIMER0_IRQ) {
        TIMER_INT = 1; /* 4.2.3: clear */
        wraps = wraps + 1;
    }
    if (number == UART0_RX_IRQ) {
        UART_INT = 2; /* 4.3.3: clear RX */
        if (UART_STATE & STATE_RX_OVERRUN) {
            received.overruns = received.overruns + 1;
            UART_STATE = STATE_RX_OVERRUN;
        }
        while (UART_STATE & STATE_RX_FULL)
            ring_put(&received, (uint8_t)UART_DATA);
    }
}

void hal_init(void) {
    timer_start();
    irq_enable(TIMER0_IRQ);
    UART_BAUDDIV = LOTOR_UART_HZ / LOTOR_BAUD; /* 4.3.3 */
    UART_CTRL = 1u << 3 | 1u << 1 | 1u << 0;   /* 4.3.3: RX interrupt, RX and TX on */
    irq_enable(UART0_RX_IRQ);
}

static bool something_received(void) { return !ring_empty(&received); }

/* The timer stands still meanwhile: an emulator that skips idle time would otherwise jump from one
   of its interrupts to the next for ever. */
void hal_idle(void) {
    base = hal_ticks();
    TIMER_CTRL = 0;
    sleep_unless(something_received);
    timer_start();
}

int hal_uart_read(void) { return ring_get(&received); }

void hal_uart_write(const uint8_t *data, size_t bytes) {
    while (bytes--) {
        while (UART_STATE & STATE_TX_FULL) {
        }
        UART_DATA = *data++;
    }
}

/* The UART does not tell when its last byte has left; the emulator's sends at once. */
void hal_uart_flush(void) {}

uint32_t hal_uart_overruns(void) { return received.overruns; }

hal_cause hal_reset_cause(void) { return HAL_CAUSE_UNKNOWN; }

void hal_watchdog_start(void) {}
void hal_watchdog_feed(void) {}

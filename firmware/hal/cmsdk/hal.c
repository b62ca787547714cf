/* Arm's prototyping boards MPS2 and MPS3: UART0, ticks from a CMSDK timer or the system counter of
   an SSE-300. Addresses, interrupts and clocks come from the board file. The watchdog is not used:
   QEMU 7.2 lets it expire in the idle time that -icount sleep=off skips, and never clears that. */
#include "../hal.h"

#include "../../src/ring.h"
#include "../cortex_m/cortex_m.h"
#include "lotor_config.h"

/* Section numbers are those of the CMSDK Technical Reference Manual, Arm DDI 0479. */
#define UART_DATA REGISTER(LOTOR_UART + 0x00) /* 4.3 APB UART */
#define UART_STATE REGISTER(LOTOR_UART + 0x04)
#define UART_CTRL REGISTER(LOTOR_UART + 0x08)
#define UART_INT REGISTER(LOTOR_UART + 0x0C)
#define UART_BAUDDIV REGISTER(LOTOR_UART + 0x10)

enum { STATE_TX_FULL = 1, STATE_RX_FULL = 2, STATE_RX_OVERRUN = 8 };

static ring received;

/* LOTOR_TIMER_TICKS of the timer are LOTOR_TIMER_INSTRUCTIONS when QEMU's -icount gives each 128 ns
   (shift=7). After n instructions the timer has counted n * ticks / instructions, rounded either
   way; it counts more than twice an instruction, so that half a tick more rounds to n. */
static uint64_t instructions(uint64_t ticks) {
    return ((2 * ticks + 1) * LOTOR_TIMER_INSTRUCTIONS + LOTOR_TIMER_TICKS) /
           (2 * LOTOR_TIMER_TICKS);
}

#if LOTOR_TICKS_COUNTER

/* 64 bits that never wrap: Arm SSE-300 Technical Reference Manual, DDI 101773, system counter. */
#define CNTCR REGISTER(LOTOR_TIMER + 0x00)
#define CNTCV_LOW REGISTER(LOTOR_TIMER + 0x08)
#define CNTCV_HIGH REGISTER(LOTOR_TIMER + 0x0C)

static void ticks_init(void) { CNTCR = 1; /* EN */ }

uint64_t hal_ticks(void) {
    uint32_t high, low;
    do {
        high = CNTCV_HIGH;
        low = CNTCV_LOW;
    } while (high != CNTCV_HIGH);
    return instructions((uint64_t)high << 32 | low);
}

static void ticks_irq(uint32_t number) { (void)number; }
static void ticks_pause(void) {}
static void ticks_resume(void) {}

#else

#define TIMER_CTRL REGISTER(LOTOR_TIMER + 0x00) /* 4.2 APB timer */
#define TIMER_VALUE REGISTER(LOTOR_TIMER + 0x04)
#define TIMER_RELOAD REGISTER(LOTOR_TIMER + 0x08)
#define TIMER_INT REGISTER(LOTOR_TIMER + 0x0C)

/* Ticks of the timer since `base`, which is in instructions: wraps counted by the interrupt. */
static uint64_t base;
static volatile uint32_t wraps;

static void ticks_resume(void) {
    wraps = 0;
    TIMER_RELOAD = 0xFFFFFFFF;
    TIMER_VALUE = 0xFFFFFFFF;
    TIMER_CTRL = 1u << 3 | 1u << 0; /* 4.2.3: interrupt, enable */
}

static void ticks_init(void) {
    ticks_resume();
    irq_enable(LOTOR_TIMER_IRQ);
}

uint64_t hal_ticks(void) {
    uint32_t high, low;
    do {
        high = wraps;
        low = 0xFFFFFFFFu - TIMER_VALUE;
    } while (high != wraps);
    return base + instructions((uint64_t)high << 32 | low);
}

static void ticks_irq(uint32_t number) {
    if (number == LOTOR_TIMER_IRQ) {
        TIMER_INT = 1; /* 4.2.3: clear */
        wraps = wraps + 1;
    }
}

static void ticks_pause(void) {
    base = hal_ticks();
    TIMER_CTRL = 0;
}

#endif

void hal_systick(void) {}

void hal_irq(uint32_t number) {
    ticks_irq(number);
    if (number == LOTOR_UART_IRQ) {
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
    ticks_init();
    UART_BAUDDIV = LOTOR_UART_HZ / LOTOR_BAUD; /* 4.3.3 */
    UART_CTRL = 1u << 3 | 1u << 1 | 1u << 0;   /* 4.3.3: RX interrupt, RX and TX on */
    irq_enable(LOTOR_UART_IRQ);
}

static bool something_received(void) { return !ring_empty(&received); }

/* A timer that interrupts stands still meanwhile: an emulator that skips idle time would otherwise
   jump from one of its interrupts to the next for ever. */
void hal_idle(void) {
    ticks_pause();
    sleep_unless(something_received);
    ticks_resume();
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

#ifdef LOTOR_LEDS

/* Pins are the board's user LEDs: Arm AN386 and its like, FPGA system control, register LED0. */
#define FPGAIO_LED REGISTER(LOTOR_LEDS)

void hal_output_set(uint32_t pin, bool level) {
    FPGAIO_LED = (FPGAIO_LED & ~(1u << pin)) | (uint32_t)level << pin;
}

void hal_output_init(uint32_t pin, bool level) { hal_output_set(pin, level); }

#endif

hal_cause hal_reset_cause(void) { return HAL_CAUSE_UNKNOWN; }

void hal_watchdog_start(void) {}
void hal_watchdog_feed(void) {}

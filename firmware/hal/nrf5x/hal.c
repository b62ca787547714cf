/* Nordic nRF51 and nRF52840: UART0, ticks from TIMER0 or the cycle counter.

   Section numbers are those of the nRF52840 Product Specification v1.1; the nRF51 Series Reference
   Manual v3.0 has the same registers at the same places (its chapters in brackets). The UART is the
   one without DMA, which both chips have. */
#include "../hal.h"

#include "../../src/ring.h"
#include "../cortex_m/cortex_m.h"
#include "lotor_config.h"

#define CLOCK 0x40000000u  /* 5.3, 5.4 [12, 13]: clocks and power share an address */
#define UART0 0x40002000u  /* 6.33 [29] */
#define TIMER0 0x40008000u /* 6.30 [18] */
#define NVMC 0x4001E000u   /* 4.3; its cache is of the nRF52 alone */
/* 6.9 [14]: 32 pins a port, the second port (nRF52840) behind the first. */
#define GPIO(pin) (0x50000000u + 0x300u * ((pin) / 32u))

#define CLOCK_HFCLKSTART REGISTER(CLOCK + 0x000)
#define POWER_RESETREAS REGISTER(CLOCK + 0x400)
#define CLOCK_HFCLKSTAT REGISTER(CLOCK + 0x40C)
#define UART_STARTRX REGISTER(UART0 + 0x000)
#define UART_STARTTX REGISTER(UART0 + 0x008)
#define UART_RXDRDY REGISTER(UART0 + 0x108)
#define UART_TXDRDY REGISTER(UART0 + 0x11C)
#define UART_INTENSET REGISTER(UART0 + 0x304)
#define UART_ERRORSRC REGISTER(UART0 + 0x480)
#define UART_ENABLE REGISTER(UART0 + 0x500)
#define UART_PSELRTS REGISTER(UART0 + 0x508)
#define UART_PSELTXD REGISTER(UART0 + 0x50C)
#define UART_PSELCTS REGISTER(UART0 + 0x510)
#define UART_PSELRXD REGISTER(UART0 + 0x514)
#define UART_RXD REGISTER(UART0 + 0x518)
#define UART_TXD REGISTER(UART0 + 0x51C)
#define UART_BAUDRATE REGISTER(UART0 + 0x524)
#define UART_CONFIG REGISTER(UART0 + 0x56C)
#define GPIO_OUTSET(pin) REGISTER(GPIO(pin) + 0x508)
#define GPIO_PIN_CNF(pin) REGISTER(GPIO(pin) + 0x700 + 4 * ((pin) % 32u))

enum { UART0_IRQ = 2, TIMER0_IRQ = 8, DISCONNECTED = -1 };

/* QEMU answers for all of the peripherals' addresses, also where there is nothing. */
uint32_t hal_nowhere(void) { return 0x60000000; }

static ring received;
static bool sending; /* a byte was handed over whose TXDRDY nobody has taken */

static void uart_init(void) {
    GPIO_OUTSET(LOTOR_UART_TX) = 1u << (LOTOR_UART_TX % 32u);
    GPIO_PIN_CNF(LOTOR_UART_TX) = 3;       /* PIN_CNF: output, no input buffer */
    GPIO_PIN_CNF(LOTOR_UART_RX) = 3u << 2; /* input with a pull-up, for a line that nobody drives */
    UART_ENABLE = 0;                       /* pins may be chosen while it is off */
    UART_PSELTXD = LOTOR_UART_TX;
    UART_PSELRXD = LOTOR_UART_RX;
    UART_PSELRTS = UART_PSELCTS = (uint32_t)DISCONNECTED;
    UART_CONFIG = 0; /* no parity, no flow control */
    /* BAUDRATE: the manuals list multiples of 2^12 of 2^32 / 16 MHz a baud. */
    UART_BAUDRATE = (uint32_t)((((uint64_t)LOTOR_BAUD << 32) / LOTOR_UART_HZ + 0x800) & 0xFFFFF000);
    UART_ENABLE = 4;
    UART_RXDRDY = UART_TXDRDY = 0;
    UART_INTENSET = 1u << 2; /* RXDRDY */
    UART_STARTTX = 1;
    UART_STARTRX = 1;
    irq_enable(UART0_IRQ);
}

static void uart_irq(void) {
    while (UART_RXDRDY) {
        UART_RXDRDY = 0; /* before reading RXD, which brings up the next byte */
        ring_put(&received, (uint8_t)UART_RXD);
    }
    const uint32_t errors = UART_ERRORSRC;
    UART_ERRORSRC = errors; /* ones clear */
    if (errors & 1u)        /* OVERRUN */
        received.overruns = received.overruns + 1;
}

/* What the 32-bit counter has counted since it was started: asked at least twice in its round. */
static uint64_t counted;

static uint32_t counter(void);

static uint64_t count(void) {
    uint32_t masked;
    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(masked)::"memory");
    counted += (uint32_t)(counter() - (uint32_t)counted);
    const uint64_t copy = counted;
    __asm volatile("msr primask, %0" ::"r"(masked) : "memory");
    return copy;
}

#if LOTOR_TICKS_DWT

static uint32_t counter(void) { return DWT_CYCCNT; }

/* SysTick asks every 2^24 cycles; both stand still while the core sleeps. */
static void ticks_init(void) {
    DEMCR |= 1u << 24; /* C1.6.5: TRCENA */
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1u; /* C1.8.7: CYCCNTENA */
    SYST_RVR = 0xFFFFFF;
    SYST_CVR = 0;
    SYST_CSR = 7; /* B3.3.3: core clock, interrupt, enable */
}

uint64_t hal_ticks(void) { return count(); }
void hal_systick(void) { (void)count(); }
static void ticks_irq(void) {}
static void ticks_pause(void) {}
static void ticks_resume(void) {}

#else

/* TIMER0 counts 8 MHz, that is 125 ns: QEMU rounds every count that is read to whole nanoseconds,
   and would lose half of one at 16 MHz. With -icount shift=7 an instruction takes 128 ns. */
#define TIMER_START REGISTER(TIMER0 + 0x000)
#define TIMER_STOP REGISTER(TIMER0 + 0x004)
#define TIMER_CLEAR REGISTER(TIMER0 + 0x00C)
#define TIMER_CAPTURE0 REGISTER(TIMER0 + 0x040)
#define TIMER_COMPARE(n) REGISTER(TIMER0 + 0x140 + 4 * (n))
#define TIMER_INTENSET REGISTER(TIMER0 + 0x304)
#define TIMER_MODE REGISTER(TIMER0 + 0x504)
#define TIMER_BITMODE REGISTER(TIMER0 + 0x508)
#define TIMER_PRESCALER REGISTER(TIMER0 + 0x510)
#define TIMER_CC(n) REGISTER(TIMER0 + 0x540 + 4 * (n))

enum { TICK_NS = 125, INSTRUCTION_NS = 128 };

static uint64_t base; /* instructions before the timer was started last */

static uint32_t counter(void) {
    TIMER_CAPTURE0 = 1;
    return TIMER_CC(0);
}

/* After n instructions the timer has counted n * 128 / 125, rounded down; no two n count alike. */
uint64_t hal_ticks(void) {
    return base + (count() * TICK_NS + INSTRUCTION_NS - 1) / INSTRUCTION_NS;
}

static void ticks_resume(void) {
    counted = 0;
    TIMER_CLEAR = 1;
    TIMER_START = 1;
}

static void ticks_pause(void) {
    base = hal_ticks();
    TIMER_STOP = 1;
}

static void ticks_init(void) {
    TIMER_STOP = 1;
    TIMER_MODE = 0;      /* counts time */
    TIMER_BITMODE = 3;   /* 32 bits */
    TIMER_PRESCALER = 1; /* 16 MHz / 2 */
    TIMER_CC(1) = 0x40000000;
    TIMER_CC(2) = 0xC0000000;
    TIMER_COMPARE(1) = TIMER_COMPARE(2) = 0;
    TIMER_INTENSET = 1u << 17 | 1u << 18; /* COMPARE[1], COMPARE[2]: somebody asks */
    irq_enable(TIMER0_IRQ);
    ticks_resume();
}

static void ticks_irq(void) {
    TIMER_COMPARE(1) = TIMER_COMPARE(2) = 0;
    (void)count();
}

void hal_systick(void) {}

#endif

void hal_irq(uint32_t number) {
    if (number == UART0_IRQ)
        uart_irq();
    else if (number == TIMER0_IRQ)
        ticks_irq();
}

void hal_init(void) {
    CLOCK_HFCLKSTART = 1; /* the crystal, which a baud rate needs */
    /* The source, not the event: a boot loader may have started it before. */
    while (!(CLOCK_HFCLKSTAT & 1u)) {
    }
#if __ARM_ARCH >= 7
    REGISTER(NVMC + 0x540) = 1; /* ICACHECNF: the instruction cache on */
#endif
    ticks_init();
    uart_init();
}

static bool something_received(void) { return !ring_empty(&received); }

/* The timer stands still meanwhile: an emulator that skips idle time would otherwise jump from one
   of its interrupts to the next for ever. */
void hal_idle(void) {
    ticks_pause();
    sleep_unless(something_received);
    ticks_resume();
}

int hal_uart_read(void) { return ring_get(&received); }

void hal_uart_flush(void) {
    while (sending && !UART_TXDRDY) { /* the byte is on the line */
    }
}

void hal_uart_write(const uint8_t *data, size_t bytes) {
    while (bytes--) {
        hal_uart_flush();
        UART_TXDRDY = 0;
        UART_TXD = *data++;
        sending = true;
    }
}

void hal_output_set(uint32_t pin, bool level) {
    if (level)
        GPIO_OUTSET(pin) = 1u << (pin % 32u);
    else
        REGISTER(GPIO(pin) + 0x50C) = 1u << (pin % 32u); /* OUTCLR */
}

void hal_output_init(uint32_t pin, bool level) {
    hal_output_set(pin, level); /* before it is driven */
    GPIO_PIN_CNF(pin) = 3;      /* output, no input buffer */
}

uint32_t hal_uart_overruns(void) { return received.overruns; }

/* RESETREAS: none of its bits means that power came or sagged. */
hal_cause hal_reset_cause(void) {
    enum { RESETPIN = 1 << 0, DOG = 1 << 1 };
    const uint32_t flags = POWER_RESETREAS;
    POWER_RESETREAS = flags; /* ones clear */
    if (!flags)
        return HAL_CAUSE_POWER;
    if (flags & RESETPIN) /* first: the pin may set others by mistake (erratum 136) */
        return HAL_CAUSE_PIN;
    return flags & DOG ? HAL_CAUSE_WATCHDOG : HAL_CAUSE_UNKNOWN;
}

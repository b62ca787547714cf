/* STM32F405 and its kin: USART1 on PA9/PA10, ticks from TIM2 or the cycle counter, IWDG. */
#include "../hal.h"

#include "../../src/ring.h"
#include "../cortex_m/cortex_m.h"
#include "lotor_config.h"

/* Section numbers are those of the reference manual RM0090. */
#define RCC 0x40023800u    /* 7.3 */
#define GPIOA 0x40020000u  /* 8.4 */
#define USART1 0x40011000u /* 30.6 */
#define TIM2 0x40000000u   /* 18.4 */
#define TIM5 0x40000C00u
#define IWDG 0x40003000u /* 21.4 */

#define RCC_AHB1ENR REGISTER(RCC + 0x30)
#define RCC_APB1ENR REGISTER(RCC + 0x40)
#define RCC_APB2ENR REGISTER(RCC + 0x44)
#define RCC_CSR REGISTER(RCC + 0x74)
#define GPIOA_MODER REGISTER(GPIOA + 0x00)
#define GPIOA_AFRH REGISTER(GPIOA + 0x24)
#define USART_SR REGISTER(USART1 + 0x00)
#define USART_DR REGISTER(USART1 + 0x04)
#define USART_BRR REGISTER(USART1 + 0x08)
#define USART_CR1 REGISTER(USART1 + 0x0C)
#define TIM_CR1 0x00u
#define TIM_EGR 0x14u
#define TIM_CNT 0x24u
#define TIM_PSC 0x28u

enum { USART1_IRQ = 37, SR_ORE = 1 << 3, SR_RXNE = 1 << 5, SR_TC = 1 << 6, SR_TXE = 1 << 7 };

static ring received;

static void uart_init(void) {
    RCC_AHB1ENR |= 1u << 0;                                    /* 7.3.10: GPIOA */
    RCC_APB2ENR |= 1u << 4;                                    /* 7.3.14: USART1 */
    GPIOA_MODER = (GPIOA_MODER & ~(0xFu << 18)) | 0xAu << 18;  /* 8.4.1: PA9, PA10 alternate */
    GPIOA_AFRH = (GPIOA_AFRH & ~(0xFFu << 4)) | 0x77u << 4;    /* 8.4.10: AF7 is USART1 */
    USART_BRR = (LOTOR_UART_HZ + LOTOR_BAUD / 2) / LOTOR_BAUD; /* 30.3.4: 16 times oversampling */
    USART_CR1 = 1u << 13 | 1u << 5 | 1u << 3 | 1u << 2;        /* 30.6.4: UE, RXNEIE, TE, RE */
    irq_enable(USART1_IRQ);
}

void hal_irq(uint32_t number) {
    if (number != USART1_IRQ)
        return;
    const uint32_t status = USART_SR;
    if (status & SR_ORE)
        received.overruns = received.overruns + 1;
    if (status & (SR_RXNE | SR_ORE)) /* 30.6.1: reading SR, then DR clears both */
        ring_put(&received, (uint8_t)USART_DR);
}

#if LOTOR_TICKS_DWT

/* Cycles; SysTick looks at the counter every 2^24 cycles, so that no wrap is missed. */
static uint64_t now;

static void ticks_init(void) {
    DEMCR |= 1u << 24; /* C1.6.5: TRCENA */
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1u; /* C1.8.7: CYCCNTENA */
    SYST_RVR = 0xFFFFFF;
    SYST_CVR = 0;
    SYST_CSR = 7; /* B3.3.3: core clock, interrupt, enable */
}

uint64_t hal_ticks(void) {
    uint32_t masked;
    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(masked)::"memory");
    now += (uint32_t)(DWT_CYCCNT - (uint32_t)now);
    const uint64_t copy = now;
    __asm volatile("msr primask, %0" ::"r"(masked) : "memory");
    return copy;
}

void hal_systick(void) { (void)hal_ticks(); }

#else

/* TIM2 counts the timer clock / 128: under QEMU with -icount shift=7 exactly one per instruction.
   TIM5 counts 512 times slower and so tells how often TIM2 has wrapped; both begin anew every 2^41
   ticks, which is seldom enough to be seen by somebody who asks. */
enum { SLOWER = 512 };

static void timer_start(uint32_t timer, uint32_t prescaler) {
    REGISTER(timer + TIM_PSC) = prescaler; /* 18.4.11 */
    REGISTER(timer + TIM_EGR) = 1;         /* 18.4.6: UG loads it and clears the count */
    REGISTER(timer + TIM_CR1) = 1;         /* 18.4.1: CEN */
}

static void ticks_init(void) {
    RCC_APB1ENR |= 1u << 0 | 1u << 3; /* 7.3.13: TIM2, TIM5 */
    timer_start(TIM5, 128 * SLOWER - 1);
    timer_start(TIM2, 128 - 1);
}

uint64_t hal_ticks(void) {
    const uint32_t fine = REGISTER(TIM2 + TIM_CNT); /* 18.4.10 */
    const uint64_t coarse = (uint64_t)REGISTER(TIM5 + TIM_CNT) * SLOWER;
    const uint64_t count = coarse + (uint64_t)(int64_t)(int32_t)(fine - (uint32_t)coarse);
    static uint64_t now;
    now += (count - now) & (((uint64_t)SLOWER << 32) - 1);
    return now;
}

void hal_systick(void) {}

#endif

void hal_init(void) {
    ticks_init();
    uart_init();
}

static bool something_received(void) { return !ring_empty(&received); }

void hal_idle(void) { sleep_unless(something_received); }

int hal_uart_read(void) { return ring_get(&received); }

void hal_uart_write(const uint8_t *data, size_t bytes) {
    while (bytes--) {
        while (!(USART_SR & SR_TXE)) {
        }
        USART_DR = *data++;
    }
}

void hal_uart_flush(void) {
    while (!(USART_SR & SR_TC)) { /* 30.6.1: the last stop bit is out */
    }
}

uint32_t hal_uart_overruns(void) { return received.overruns; }

hal_cause hal_reset_cause(void) {
    const uint32_t flags = RCC_CSR; /* 7.3.21 */
    RCC_CSR = 1u << 24;             /* RMVF: clear them for the next time */
    if (flags & (1u << 29 | 1u << 30))
        return HAL_CAUSE_WATCHDOG;
    if (flags & (1u << 27 | 1u << 25))
        return HAL_CAUSE_POWER;
    return flags & 1u << 26 ? HAL_CAUSE_PIN : HAL_CAUSE_UNKNOWN;
}

void hal_watchdog_start(void) {
#if LOTOR_WATCHDOG
    REGISTER(IWDG + 0x00) = 0x5555; /* 21.4.1: unlock */
    REGISTER(IWDG + 0x04) = 6;      /* 21.4.2: LSI / 256 */
    REGISTER(IWDG + 0x08) = 0xFFF;  /* 21.4.3: about 32 s */
    REGISTER(IWDG + 0x00) = 0xCCCC; /* 21.4.1: start */
#endif
}

void hal_watchdog_feed(void) {
#if LOTOR_WATCHDOG
    REGISTER(IWDG + 0x00) = 0xAAAA; /* 21.4.1: reload */
#endif
}

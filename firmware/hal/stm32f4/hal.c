/* STM32F405, F446 and their kin: USART1 on PA9/PA10, or USART2 on PA2/PA3, the virtual COM port of
   a Nucleo-64 (UM1724); ticks from TIM2 or the cycle counter, IWDG. */
#include "lotor_config.h"

#ifdef LOTOR_UART
#define USART LOTOR_UART
#define USART_IRQ LOTOR_UART_IRQ
#else
#define USART 0x40011000u /* USART1 */
#define USART_IRQ 37
#endif
#define FLASH_ACR_CACHES (1u << 10 | 1u << 9) /* DCEN, ICEN */

#include "../stm32/clock_f4_f7.h"

/* Section numbers are those of the reference manual RM0090. */
#define GPIOA 0x40020000u /* 8.4 */
#define TIM2 0x40000000u  /* 18.4 */
#define TIM5 0x40000C00u

#define TIM_CR1 0x00u
#define TIM_EGR 0x14u
#define TIM_CNT 0x24u
#define TIM_PSC 0x28u

#include "../stm32/pins.h"
#include "../stm32/reset_cause.h"
#include "../stm32/usart.h"

#if LOTOR_TICKS_DWT

#include "../cortex_m/ticks_dwt.h"

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

static void uart_init(void) {
    RCC_AHB1ENR |= 1u << 0; /* 7.3.10: GPIOA */
#if USART == 0x40011000u
    RCC_APB2ENR |= 1u << 4; /* 7.3.14: USART1 */
    enum { PIN_TX = 9, PIN_RX = 10 };
#elif USART == 0x40004400u
    RCC_APB1ENR |= 1u << 17; /* 7.3.13: USART2 */
    enum { PIN_TX = 2, PIN_RX = 3 };
#else
#error "hal.uart of this family is USART1 at 0x40011000 or USART2 at 0x40004400"
#endif
    pin_alternate(GPIOA, PIN_TX, 7); /* AF7 is USART1 and USART2 */
    pin_alternate(GPIOA, PIN_RX, 7);
    usart_start((LOTOR_UART_HZ + LOTOR_BAUD / 2) / LOTOR_BAUD); /* 30.3.4 */
}

void hal_init(void) {
#if LOTOR_PLL
    clock_init();
#endif
    ticks_init();
    uart_init();
}

void hal_idle(void) { sleep_unless(something_received); }

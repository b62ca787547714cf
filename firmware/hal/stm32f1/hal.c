/* STM32F100: USART1 on PA9/PA10, ticks from SysTick, no watchdog. Emulated by QEMU, which models
   neither clocks nor pins nor timers of this chip; the core would run on the internal 8 MHz. */
#define USART 0x40013800u /* USART1 */
#define USART_IRQ 37      /* RM0041, chapter NVIC: vector table */

/* Section numbers are those of the reference manual RM0041. */
#define RCC 0x40021000u   /* 6.3 */
#define GPIOA 0x40010800u /* 7.2 */

#define RCC_APB2ENR REGISTER(RCC + 0x18)
#define RCC_CSR REGISTER(RCC + 0x24) /* 6.3.10 */
#define GPIOA_CRH REGISTER(GPIOA + 0x04)
#define CSR_RMVF (1u << 24)
#define CSR_POWER (1u << 27) /* PORRSTF */

#include "../cortex_m/ticks_systick.h"
#include "../stm32/iwdg.h"
#include "../stm32/reset_cause.h"
#include "../stm32/usart.h"

void hal_init(void) {
    ticks_init();
    RCC_APB2ENR |= 1u << 14 | 1u << 2;                         /* 6.3.7: USART1, GPIOA */
    GPIOA_CRH = (GPIOA_CRH & ~0xFF0u) | 0x4u << 8 | 0xBu << 4; /* 7.2.2: PA10 input, PA9 output */
    usart_start((LOTOR_UART_HZ + LOTOR_BAUD / 2) / LOTOR_BAUD);
}

void hal_idle(void) {
    ticks_pause();
    sleep_unless(something_received);
    ticks_resume();
}

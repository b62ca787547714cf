/* STM32L4R5 and its kin, as on a Nucleo-144: LPUART1 on PG7/PG8, the virtual COM port of its
   ST-Link (UM2179); cycles of the core, IWDG. Not yet run on hardware. */
#define USART 0x40008000u /* LPUART1: its registers are an USART's */
#define USART_IRQ 70      /* RM0432, chapter NVIC: vector table */
#define USART_SEPARATE

#include "clock.h"

#define CSR_RMVF (1u << 23)
#define CSR_POWER (1u << 27) /* BORRSTF, also at power-on */

#include "../cortex_m/ticks_dwt.h"
#include "../stm32/pins.h"
#include "../stm32/reset_cause.h"
#include "../stm32/usart.h"

#define GPIOG 0x48001800u

static void uart_init(void) {
    RCC_AHB2ENR |= 1u << 6;     /* RM0432, RCC: GPIOG */
    PWR_CR2 |= 1u << 9;         /* PWR, IOSV: port G has a supply of its own */
    pin_alternate(GPIOG, 7, 8); /* AF8 is LPUART1_TX: STM32L4R5 data sheet */
    pin_alternate(GPIOG, 8, 8); /* LPUART1_RX */
    RCC_CCIPR = (RCC_CCIPR & ~(3u << 10)) | 2u << 10; /* LPUART1SEL: HSI16 */
    RCC_APB1ENR2 |= 1u << 0;                          /* LPUART1 */
    /* Chapter LPUART, "baud rate generation": 256 times the clock over the baud rate */
    usart_start((uint32_t)((256ull * LOTOR_UART_HZ + LOTOR_BAUD / 2) / LOTOR_BAUD));
}

void hal_init(void) {
    oscillator_init();
#if LOTOR_PLL
    clock_init();
#endif
    ticks_init();
    uart_init();
}

void hal_idle(void) { sleep_unless(something_received); }

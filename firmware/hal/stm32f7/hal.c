/* STM32F746 and its kin, as on a 32F746G-Discovery: USART1 on PA9/PB7, the virtual COM port of its
   ST-Link (UM1907); cycles of the core, caches, IWDG. Not yet run on hardware. */
#define USART 0x40011000u /* USART1 */
#define USART_IRQ 37      /* RM0385, chapter NVIC: vector table */
#define USART_SEPARATE
#define FLASH_ACR_CACHES (1u << 9) /* ARTEN */

#include "../stm32/clock_f4_f7.h"

#define GPIOA 0x40020000u
#define GPIOB 0x40020400u

#include "../cortex_m/ticks_dwt.h"
#include "../stm32/pins.h"
#include "../stm32/reset_cause.h"
#include "../stm32/usart.h"

/* Arm DDI 0403E, B4.8 and B2.2: caches of an Armv7-M. */
#define SCB_CCSIDR REGISTER(0xE000ED80)
#define SCB_CSSELR REGISTER(0xE000ED84)
#define SCB_ICIALLU REGISTER(0xE000EF50)
#define SCB_DCISW REGISTER(0xE000EF60)

/* What lies in the first 64 KiB of RAM, the DTCM, is never cached: so neither is what must survive
   a reset. Nothing else than the core reads or writes memory. */
static void caches_init(void) {
    __asm volatile("dsb\n isb");
    SCB_ICIALLU = 0;
    SCB_CSSELR = 0; /* the data cache */
    __asm volatile("dsb");
    const uint32_t size = SCB_CCSIDR;
    const uint32_t sets = size >> 13 & 0x7FFFu, ways = size >> 3 & 0x3FFu;
    for (uint32_t set = 0; set <= sets; set++)
        for (uint32_t way = 0; way <= ways; way++)
            SCB_DCISW = way << 30 | set << 5; /* 4 ways, lines of 32 bytes: Arm DDI 0489 */
    __asm volatile("dsb");
    SCB_CCR |= 1u << 17 | 1u << 16; /* IC, DC */
    __asm volatile("dsb\n isb");
}

static void uart_init(void) {
    RCC_AHB1ENR |= 1u << 1 | 1u << 0; /* RM0385, RCC: GPIOB, GPIOA */
    RCC_APB2ENR |= 1u << 4;           /* USART1 */
    pin_alternate(GPIOA, 9, 7);       /* AF7 is USART1_TX: STM32F746 data sheet */
    pin_alternate(GPIOB, 7, 7);       /* USART1_RX */
    usart_start((LOTOR_UART_HZ + LOTOR_BAUD / 2) / LOTOR_BAUD);
}

void hal_init(void) {
    caches_init();
#if LOTOR_PLL
    clock_init();
#endif
    ticks_init();
    uart_init();
}

void hal_idle(void) { sleep_unless(something_received); }

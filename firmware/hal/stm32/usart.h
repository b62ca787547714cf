/* The USART of all series, receiving by interrupt. A series that includes this defines USART (its
   address), USART_IRQ, and USART_SEPARATE where data has a register for each direction. The bits
   that are used are the same in both kinds: "USART registers" of RM0041, RM0090 (30.6), RM0390; of
   RM0385, RM0432. */
#ifndef LOTOR_STM32_USART_H
#define LOTOR_STM32_USART_H

#include "../../src/ring.h"
#include "../cortex_m/cortex_m.h"
#include "../hal.h"
#include "lotor_config.h"

#ifdef USART_SEPARATE
#define USART_CR1 REGISTER(USART + 0x00)
#define USART_BRR REGISTER(USART + 0x0C)
#define USART_STATUS REGISTER(USART + 0x1C)
#define USART_CLEAR REGISTER(USART + 0x20)
#define USART_RECEIVED REGISTER(USART + 0x24)
#define USART_SENT REGISTER(USART + 0x28)
enum { CR1_UE = 1u << 0 };
#else
#define USART_STATUS REGISTER(USART + 0x00)
#define USART_RECEIVED REGISTER(USART + 0x04)
#define USART_SENT REGISTER(USART + 0x04)
#define USART_BRR REGISTER(USART + 0x08)
#define USART_CR1 REGISTER(USART + 0x0C)
enum { CR1_UE = 1u << 13 };
#endif

enum { CR1_RE = 1u << 2, CR1_TE = 1u << 3, CR1_RXNEIE = 1u << 5 };
enum { STATUS_ORE = 1u << 3, STATUS_RXNE = 1u << 5, STATUS_TC = 1u << 6, STATUS_TXE = 1u << 7 };

static ring received;

/* `divider`: the UART's clock over the baud rate. */
static void usart_start(uint32_t divider) {
    USART_BRR = divider;
    USART_CR1 = CR1_UE | CR1_RXNEIE | CR1_TE | CR1_RE;
    irq_enable(USART_IRQ);
}

void hal_irq(uint32_t number) {
    if (number != USART_IRQ)
        return;
    const uint32_t status = USART_STATUS;
    if (status & STATUS_ORE)
        received.overruns = received.overruns + 1;
#ifdef USART_SEPARATE
    if (status & STATUS_ORE)
        USART_CLEAR = STATUS_ORE; /* ICR: ORECF */
    if (status & STATUS_RXNE)
        ring_put(&received, (uint8_t)USART_RECEIVED);
#else
    if (status & (STATUS_RXNE | STATUS_ORE)) /* reading SR, then DR clears both */
        ring_put(&received, (uint8_t)USART_RECEIVED);
#endif
}

static bool something_received(void) { return !ring_empty(&received); }

int hal_uart_read(void) { return ring_get(&received); }

void hal_uart_write(const uint8_t *data, size_t bytes) {
    while (bytes--) {
        while (!(USART_STATUS & STATUS_TXE)) {
        }
        USART_SENT = *data++;
    }
}

void hal_uart_flush(void) {
    while (!(USART_STATUS & STATUS_TC)) { /* the last stop bit is out */
    }
}

uint32_t hal_uart_overruns(void) { return received.overruns; }

#endif

/* Pins of all series but the F1: "GPIO registers" of RM0090 (8.4), RM0390, RM0385, RM0432. */
#ifndef LOTOR_STM32_PINS_H
#define LOTOR_STM32_PINS_H

#include "../cortex_m/cortex_m.h"

/* Give a pin of a port to a peripheral; the port has its clock. */
static inline void pin_alternate(uint32_t port, uint32_t pin, uint32_t function) {
    volatile uint32_t *const alternate = &REGISTER(port + 0x20 + 4 * (pin / 8)); /* AFRL, AFRH */
    volatile uint32_t *const mode = &REGISTER(port + 0x00);                      /* MODER */
    *alternate = (*alternate & ~(0xFu << 4 * (pin % 8))) | function << 4 * (pin % 8);
    *mode = (*mode & ~(3u << 2 * pin)) | 2u << 2 * pin;
}

#endif

/* Paints memory with a byte that is neither a common weight nor text, and measures what is left. */
#include "watermark.h"

enum { PAINT = 0xA5 };

void watermark_paint(void *memory, size_t bytes) {
    /* volatile: the stack is painted while in use, below the current frame. */
    volatile uint8_t *at = memory;
    while (bytes--)
        *at++ = PAINT;
}

size_t watermark_upwards(const void *memory, size_t bytes) {
    const uint8_t *at = memory;
    while (bytes && at[bytes - 1] == PAINT)
        bytes--;
    return bytes;
}

size_t watermark_downwards(const void *memory, size_t bytes) {
    const volatile uint8_t *at = memory;
    while (bytes && *at == PAINT) {
        at++;
        bytes--;
    }
    return bytes;
}

bool watermark_intact(const void *memory, size_t bytes) {
    return watermark_upwards(memory, bytes) == 0;
}

/* A ring of received bytes: one writer (the interrupt), one reader (the server). */
#ifndef LOTOR_RING_H
#define LOTOR_RING_H

#include <stdint.h>

#include "lotor_config.h"

enum { RING_BYTES = 2 * LOTOR_DATA_BYTES }; /* a power of two, more than one largest frame */

typedef struct {
    volatile uint32_t head, tail; /* head is written by the interrupt only, tail by the reader */
    volatile uint32_t overruns;
    volatile uint8_t data[RING_BYTES];
} ring;

static inline void ring_put(ring *r, uint8_t byte) {
    const uint32_t head = r->head;
    if (head - r->tail == RING_BYTES) {
        r->overruns = r->overruns + 1;
        return;
    }
    r->data[head % RING_BYTES] = byte;
    r->head = head + 1;
}

static inline int ring_empty(const ring *r) { return r->head == r->tail; }

static inline int ring_get(ring *r) {
    if (ring_empty(r))
        return -1;
    const uint32_t tail = r->tail;
    const uint8_t byte = r->data[tail % RING_BYTES];
    r->tail = tail + 1;
    return byte;
}

#endif

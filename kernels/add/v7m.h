/* ADD of int8 for Armv7-M: both inputs on one line, proved equal for all of their values. Two
 * tensors of one shape. */
#ifndef LOTOR_ADD_V7M_H
#define LOTOR_ADD_V7M_H

#include "../common/inline.h"

#include <stdint.h>

struct lotor_add_v7m_params {
    int32_t count;
    int32_t a_multiplier, b_multiplier, addend;
    int32_t a_low, b_low; /* of the multipliers, eight bits of fraction */
    int32_t away, shift;  /* away: halves of negative sums round down */
    int32_t out_offset, out_min, out_max;
};

static inline LOTOR_SPECIALISED int8_t lotor_add_v7m_value(const struct lotor_add_v7m_params *p,
                                                           int32_t a, int32_t b) {
    const int32_t low = (a * p->a_low + b * p->b_low) >> 8;
    const int32_t sum = a * p->a_multiplier + (b * p->b_multiplier + (p->addend + low));
    int32_t value;
    if (p->away) {
        const int32_t half = 1 << (p->shift - 1);
        value = ((sum + half - (sum < 0 ? 1 : 0)) >> p->shift) + p->out_offset;
        __asm__("ssat %0, #8, %1" : "=r"(value) : "r"(value));
    } else {
        __asm__("ssat %0, #8, %1, asr %2" : "=r"(value) : "r"(sum), "i"(p->shift));
    }
    if (p->out_min > -128 || p->out_max < 127) { /* gcc does not know that SSAT has clamped it */
        value = value < p->out_min ? p->out_min : value;
        value = value > p->out_max ? p->out_max : value;
    }
    return (int8_t)value;
}

static inline LOTOR_SPECIALISED void lotor_add_v7m(const struct lotor_add_v7m_params *p,
                                                   const int8_t *a, const int8_t *b, int8_t *out) {
    int32_t i = 0;
    for (; i + 4 <= p->count; i += 4) {
        const int32_t a0 = a[i], b0 = b[i], a1 = a[i + 1], b1 = b[i + 1];
        const int32_t a2 = a[i + 2], b2 = b[i + 2], a3 = a[i + 3], b3 = b[i + 3];
        out[i] = lotor_add_v7m_value(p, a0, b0);
        out[i + 1] = lotor_add_v7m_value(p, a1, b1);
        out[i + 2] = lotor_add_v7m_value(p, a2, b2);
        out[i + 3] = lotor_add_v7m_value(p, a3, b3);
    }
    for (; i < p->count; i++) {
        out[i] = lotor_add_v7m_value(p, a[i], b[i]);
    }
}

#endif

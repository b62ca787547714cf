/* ADD of int8 with the DSP instructions: both inputs on one line, proved equal for all of their
 * values. Two tensors of one shape. */
#ifndef LOTOR_ADD_DSP_H
#define LOTOR_ADD_DSP_H

#include "../common/dsp.h"
#include "../common/inline.h"

struct lotor_add_dsp_params {
    int32_t count;
    int32_t a_multiplier, b_multiplier, addend; /* of a value times 256, over 2^16 */
    int32_t away, shift;                        /* away: halves of negative sums round down */
    int32_t out_offset, out_min, out_max;
};

/* The upper (or lower, `top` = 0) half of a word, times a multiplier over 2^16, and an addend. */
static inline LOTOR_SPECIALISED int32_t lotor_dsp_scale(uint32_t halves, int32_t top,
                                                        int32_t multiplier, int32_t addend) {
    int32_t sum;
    if (top) {
        __asm__("smlawt %0, %1, %2, %3" : "=r"(sum) : "r"(multiplier), "r"(halves), "r"(addend));
    } else {
        __asm__("smlawb %0, %1, %2, %3" : "=r"(sum) : "r"(multiplier), "r"(halves), "r"(addend));
    }
    return sum;
}

static inline LOTOR_SPECIALISED int8_t lotor_add_dsp_value(const struct lotor_add_dsp_params *p,
                                                           uint32_t a, uint32_t b, int32_t top) {
    const int32_t sum = lotor_dsp_scale(b, top, p->b_multiplier,
                                        lotor_dsp_scale(a, top, p->a_multiplier, p->addend));
    int32_t value;
    if (p->away) {
        const int32_t half = 1 << (p->shift - 1);
        value = ((sum + half - (sum < 0 ? 1 : 0)) >> p->shift) + p->out_offset;
        __asm__("ssat %0, #8, %1" : "=r"(value) : "r"(value));
    } else {
        __asm__("ssat %0, #8, %1, asr %2" : "=r"(value) : "r"(sum), "i"(p->shift));
    }
    value = value < p->out_min ? p->out_min : value;
    return (int8_t)(value > p->out_max ? p->out_max : value);
}

static inline LOTOR_SPECIALISED void lotor_add_dsp(const struct lotor_add_dsp_params *p,
                                                   const int8_t *a, const int8_t *b, int8_t *out) {
    int32_t i = 0;
#pragma GCC unroll 2
    for (; i + 4 <= p->count; i += 4) {
        const uint32_t left = lotor_dsp_load(a + i);
        const uint32_t right = lotor_dsp_load(b + i);
        const uint32_t mask = UINT32_C(0xFF00FF00);
        const uint32_t even_a = left << 8 & mask, even_b = right << 8 & mask;
        const uint32_t odd_a = left & mask, odd_b = right & mask;
        out[i] = lotor_add_dsp_value(p, even_a, even_b, 0);
        out[i + 1] = lotor_add_dsp_value(p, odd_a, odd_b, 0);
        out[i + 2] = lotor_add_dsp_value(p, even_a, even_b, 1);
        out[i + 3] = lotor_add_dsp_value(p, odd_a, odd_b, 1);
    }
    for (; i < p->count; i++) {
        out[i] =
            lotor_add_dsp_value(p, (uint32_t)(uint8_t)a[i] << 8, (uint32_t)(uint8_t)b[i] << 8, 0);
    }
}

#endif

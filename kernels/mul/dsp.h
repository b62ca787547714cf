/* MUL of int8 with the DSP instructions: the product's requantization is that of a sum, see
 * `dsp_general.h`. Tensors of one shape, or rows that are broadcast. */
#ifndef LOTOR_MUL_DSP_H
#define LOTOR_MUL_DSP_H

#include "../common/broadcast.h"
#include "../common/dsp.h"
#include "../common/dsp_general.h"

struct lotor_mul_dsp_params {
    int32_t row, a_step, b_step; /* steps of 0 or 1 */
    int32_t a_offset, b_offset;
    int32_t way, lift, shift, out_offset, out_min, out_max;
};

/* Two of int16, and an offset, of the bytes 0 and 2, or turned, 1 and 3. */
static inline uint32_t lotor_mul_dsp_pair(uint32_t bytes, int32_t offset, int32_t turned) {
    const uint32_t both = (uint16_t)offset * UINT32_C(0x10001);
    uint32_t pair;
    if (turned) {
        __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(pair) : "r"(both), "r"(bytes));
    } else {
        __asm__("sxtab16 %0, %1, %2" : "=r"(pair) : "r"(both), "r"(bytes));
    }
    return pair;
}

/* The product of the upper (or lower, `top` = 0) halves. */
static inline LOTOR_SPECIALISED int8_t lotor_mul_dsp_value(const struct lotor_mul_dsp_params *p,
                                                           uint32_t a, uint32_t b, int32_t top,
                                                           const struct lotor_dsp_channel *scale) {
    int32_t product;
    if (top) {
        __asm__("smultt %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
    } else {
        __asm__("smulbb %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
    }
    return lotor_dsp_requantize(product, scale, p->way, p->lift, p->shift, p->out_offset,
                                p->out_min, p->out_max);
}

static inline LOTOR_SPECIALISED uint32_t lotor_mul_dsp_load(const int8_t *from, int32_t step) {
    return step ? lotor_dsp_load(from) : (uint8_t)*from * UINT32_C(0x01010101);
}

static inline LOTOR_SPECIALISED void lotor_mul_dsp(const struct lotor_mul_dsp_params *p,
                                                   const int8_t *a, const int8_t *b,
                                                   const int32_t *loops, const int32_t *numbers,
                                                   int8_t *out) {
    const struct lotor_dsp_channel scale = lotor_dsp_channel(numbers, p->way);
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int8_t *left = a + rows.at[0];
        const int8_t *right = b + rows.at[1];
        int8_t *to = out + rows.at[2];
        for (int32_t i = p->row / 4; i > 0; i--) {
            const uint32_t x = lotor_mul_dsp_load(left, p->a_step);
            const uint32_t y = lotor_mul_dsp_load(right, p->b_step);
            const uint32_t x_even = lotor_mul_dsp_pair(x, p->a_offset, 0);
            const uint32_t y_even = lotor_mul_dsp_pair(y, p->b_offset, 0);
            const uint32_t x_odd = lotor_mul_dsp_pair(x, p->a_offset, 1);
            const uint32_t y_odd = lotor_mul_dsp_pair(y, p->b_offset, 1);
            to[0] = lotor_mul_dsp_value(p, x_even, y_even, 0, &scale);
            to[1] = lotor_mul_dsp_value(p, x_odd, y_odd, 0, &scale);
            to[2] = lotor_mul_dsp_value(p, x_even, y_even, 1, &scale);
            to[3] = lotor_mul_dsp_value(p, x_odd, y_odd, 1, &scale);
            left += 4 * p->a_step;
            right += 4 * p->b_step;
            to += 4;
        }
        for (int32_t i = 0; i < p->row % 4; i++) {
            const uint32_t x = (uint32_t)(left[i * p->a_step] + p->a_offset);
            const uint32_t y = (uint32_t)(right[i * p->b_step] + p->b_offset);
            to[i] = lotor_mul_dsp_value(p, x, y, 0, &scale);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

#endif

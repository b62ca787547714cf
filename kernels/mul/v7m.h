/* MUL of int8 for Armv7-M: the product's requantization is that of a sum, see `dsp_general.h`.
 * Tensors of one shape, or rows that are broadcast. */
#ifndef LOTOR_MUL_V7M_H
#define LOTOR_MUL_V7M_H

#include "../common/broadcast.h"
#include "../common/dsp_general.h"

struct lotor_mul_v7m_params {
    int32_t row, a_step, b_step; /* steps of 0 or 1 */
    int32_t a_offset, b_offset;
    int32_t way, lift, shift, out_offset, out_min, out_max;
};

static inline LOTOR_SPECIALISED int8_t lotor_mul_v7m_value(const struct lotor_mul_v7m_params *p,
                                                           int32_t a, int32_t b,
                                                           const struct lotor_dsp_channel *scale) {
    const int32_t product = (a + p->a_offset) * (b + p->b_offset) + scale->bias;
    return lotor_dsp_requantize(product, scale, p->way, p->lift, p->shift, p->out_offset,
                                p->out_min, p->out_max);
}

static inline LOTOR_SPECIALISED void lotor_mul_v7m(const struct lotor_mul_v7m_params *p,
                                                   const int8_t *a, const int8_t *b,
                                                   const int32_t *loops, const int32_t *numbers,
                                                   int8_t *out) {
    const struct lotor_dsp_channel scale = lotor_dsp_channel(numbers, p->way);
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int8_t *left = a + rows.at[0];
        const int8_t *right = b + rows.at[1];
        int8_t *to = out + rows.at[2];
#pragma GCC unroll 4
        for (int32_t i = p->row; i > 0; i--) {
            *to++ = lotor_mul_v7m_value(p, *left, *right, &scale);
            left += p->a_step;
            right += p->b_step;
        }
    } while (lotor_next_row(&rows, loops, 3));
}

#endif

/* Elementwise sum of two int8 tensors, each with its own scale. */
#ifndef LOTOR_ADD_PORTABLE_H
#define LOTOR_ADD_PORTABLE_H

#include "../common/fixed_point.h"

struct lotor_add_params {
    int32_t elements, left_shift;
    int32_t a_offset, a_multiplier, a_shift;
    int32_t b_offset, b_multiplier, b_shift;
    int32_t out_offset, out_multiplier, out_shift, out_min, out_max;
};

static inline void lotor_add_portable(const struct lotor_add_params *p, const int8_t *a,
                                      const int8_t *b, int8_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        const int32_t left = lotor_shift_left(a[i] + p->a_offset, p->left_shift);
        const int32_t right = lotor_shift_left(b[i] + p->b_offset, p->left_shift);
        const int32_t sum = lotor_requantize(left, p->a_multiplier, p->a_shift) +
                            lotor_requantize(right, p->b_multiplier, p->b_shift);
        const int32_t value =
            lotor_requantize(sum, p->out_multiplier, p->out_shift) + p->out_offset;
        out[i] = (int8_t)lotor_clamp(value, p->out_min, p->out_max);
    }
}

#endif

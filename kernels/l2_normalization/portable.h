/* Rows divided by their Euclidean norm: int8, float. */
#ifndef LOTOR_L2_NORMALIZATION_PORTABLE_H
#define LOTOR_L2_NORMALIZATION_PORTABLE_H

#include "../common/fixed_functions.h"
#include "../common/float_math.h"

struct lotor_l2_normalization_params {
    int32_t rows, depth;
    int32_t in_offset;
    int32_t early; /* 1: the factor 128 to the output is applied first, as the uint8 kernel does */
};

struct lotor_l2_normalization_float_params {
    int32_t rows, depth;
};

/* The output is in 128ths. */
static inline void lotor_l2_normalization_portable(const struct lotor_l2_normalization_params *p,
                                                   const int8_t *in, int8_t *out) {
    for (int32_t row = 0; row < p->rows; row++) {
        int32_t sum = 0;
        for (int32_t c = 0; c < p->depth; c++) {
            const int32_t x = in[c] + p->in_offset;
            sum += x * x;
        }
        int32_t multiplier;
        int32_t shift;
        lotor_inverse_root(sum, &multiplier, &shift);
        for (int32_t c = 0; c < p->depth; c++) {
            const int32_t x = in[c] + p->in_offset;
            const int32_t value = p->early ? lotor_requantize(128 * x, multiplier, shift)
                                           : lotor_requantize(x, multiplier, shift + 7);
            out[c] = (int8_t)lotor_clamp(value, INT8_MIN, INT8_MAX);
        }
        in += p->depth;
        out += p->depth;
    }
}

static inline void
lotor_l2_normalization_float_portable(const struct lotor_l2_normalization_float_params *p,
                                      const float *in, float *out) {
    for (int32_t row = 0; row < p->rows; row++) {
        float sum = 0.0f;
        for (int32_t c = 0; c < p->depth; c++) {
            sum += in[c] * in[c];
        }
        const float root = lotor_sqrt(sum);
        const float norm = root < 1e-6f ? 1e-6f : root;
        for (int32_t c = 0; c < p->depth; c++) {
            out[c] = in[c] / norm;
        }
        in += p->depth;
        out += p->depth;
    }
}

#endif

/* PRELU: int8, int16, float. The factors repeat after a period. */
#ifndef LOTOR_PRELU_PORTABLE_H
#define LOTOR_PRELU_PORTABLE_H

#include "../common/fixed_point.h"

struct lotor_prelu_params {
    int32_t periods, period;
    int32_t in_offset, alpha_offset;
    int32_t multiplier, shift;             /* of values >= 0 */
    int32_t alpha_multiplier, alpha_shift; /* of products with alpha */
    int32_t low, high;                     /* of the result without the offset */
    int32_t out_offset;
};

struct lotor_prelu_int16_params {
    int32_t periods, period;
    int32_t in_offset, alpha_offset;
    int32_t multiplier, shift, alpha_multiplier, alpha_shift;
};

struct lotor_prelu_float_params {
    int32_t periods, period;
};

static inline void lotor_prelu_portable(const struct lotor_prelu_params *p, const int8_t *in,
                                        const int8_t *alpha, int8_t *out) {
    for (int32_t n = 0; n < p->periods; n++) {
        for (int32_t i = 0; i < p->period; i++) {
            const int32_t x = in[i] + p->in_offset;
            const int32_t value = x >= 0 ? lotor_requantize(x, p->multiplier, p->shift)
                                         : lotor_requantize(x * (alpha[i] + p->alpha_offset),
                                                            p->alpha_multiplier, p->alpha_shift);
            /* The offset comes last: gcc 12 vectors lack bits between shift and clamp. */
            out[i] = (int8_t)(lotor_clamp(value, p->low, p->high) + p->out_offset);
        }
        in += p->period;
        out += p->period;
    }
}

static inline void lotor_prelu_int16_portable(const struct lotor_prelu_int16_params *p,
                                              const int16_t *in, const int8_t *alpha,
                                              int16_t *out) {
    for (int32_t n = 0; n < p->periods; n++) {
        for (int32_t i = 0; i < p->period; i++) {
            const int32_t x = in[i] + p->in_offset;
            const int32_t value = x >= 0 ? lotor_requantize(x, p->multiplier, p->shift)
                                         : lotor_requantize(x * (alpha[i] + p->alpha_offset),
                                                            p->alpha_multiplier, p->alpha_shift);
            out[i] = (int16_t)lotor_clamp(value, INT16_MIN, INT16_MAX);
        }
        in += p->period;
        out += p->period;
    }
}

static inline void lotor_prelu_float_portable(const struct lotor_prelu_float_params *p,
                                              const float *in, const float *alpha, float *out) {
    for (int32_t n = 0; n < p->periods; n++) {
        for (int32_t i = 0; i < p->period; i++) {
            out[i] = in[i] >= 0.0f ? in[i] : in[i] * alpha[i];
        }
        in += p->period;
        out += p->period;
    }
}

#endif

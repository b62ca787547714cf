/* LEAKY_RELU: int16, float. */
#ifndef LOTOR_LEAKY_RELU_PORTABLE_H
#define LOTOR_LEAKY_RELU_PORTABLE_H

#include "../common/fixed_point.h"

struct lotor_leaky_relu_int16_params {
    int32_t elements;
    int32_t multiplier, shift;
    int32_t alpha_multiplier, alpha_shift; /* of the magnitude of alpha */
    int32_t alpha_sign;
};

struct lotor_leaky_relu_float_params {
    int32_t elements;
    float alpha;
};

static inline void lotor_leaky_relu_int16_portable(const struct lotor_leaky_relu_int16_params *p,
                                                   const int16_t *in, int16_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        int32_t value;
        if (in[i] >= 0) {
            value = lotor_requantize(in[i], p->multiplier, p->shift);
        } else {
            const int32_t scaled = lotor_requantize(in[i], p->alpha_multiplier, p->alpha_shift);
            /* Never INT32_MIN: the multiplier is below 2^31. */
            value = p->alpha_sign < 0 ? -scaled : scaled;
        }
        out[i] = (int16_t)lotor_clamp(value, INT16_MIN, INT16_MAX);
    }
}

static inline void lotor_leaky_relu_float_portable(const struct lotor_leaky_relu_float_params *p,
                                                   const float *in, float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = in[i] > 0.0f ? in[i] : in[i] * p->alpha;
    }
}

#endif

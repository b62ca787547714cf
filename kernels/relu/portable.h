/* RELU and its bounded forms: int16, float. */
#ifndef LOTOR_RELU_PORTABLE_H
#define LOTOR_RELU_PORTABLE_H

#include "../common/fixed_point.h"

struct lotor_relu_int16_params {
    int32_t elements;
    int32_t multiplier, shift, out_min, out_max;
};

struct lotor_relu_float_params {
    int32_t elements;
};

struct lotor_relu_bounded_float_params {
    int32_t elements;
    float low, high;
};

static inline void lotor_relu_int16_portable(const struct lotor_relu_int16_params *p,
                                             const int16_t *in, int16_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        const int32_t value = lotor_requantize(in[i], p->multiplier, p->shift);
        out[i] = (int16_t)lotor_clamp(value, p->out_min, p->out_max);
    }
}

/* Not-a-number and minus zero stay. */
static inline void lotor_relu_float_portable(const struct lotor_relu_float_params *p,
                                             const float *in, float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = in[i] < 0.0f ? 0.0f : in[i];
    }
}

static inline void
lotor_relu_bounded_float_portable(const struct lotor_relu_bounded_float_params *p, const float *in,
                                  float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        if (in[i] > p->high) {
            out[i] = p->high;
        } else {
            out[i] = in[i] < p->low ? p->low : in[i];
        }
    }
}

#endif

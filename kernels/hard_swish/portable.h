/* HARD_SWISH of floats; the order of the operations is the reference's. */
#ifndef LOTOR_HARD_SWISH_PORTABLE_H
#define LOTOR_HARD_SWISH_PORTABLE_H

#include <stdint.h>

struct lotor_hard_swish_float_params {
    int32_t elements;
};

static inline void lotor_hard_swish_float_portable(const struct lotor_hard_swish_float_params *p,
                                                   const float *in, float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        const float shifted = in[i] + 3.0f;
        const float gate = shifted > 0.0f ? shifted : 0.0f;
        out[i] = in[i] * (gate < 6.0f ? gate : 6.0f) / 6.0f;
    }
}

#endif

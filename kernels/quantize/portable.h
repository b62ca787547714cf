/* float to int8, int8 to another scale, and between uint8 and int8 of one scale. */
#ifndef LOTOR_QUANTIZE_PORTABLE_H
#define LOTOR_QUANTIZE_PORTABLE_H

#include "../common/fixed_point.h"
#include "../common/rounding.h"

struct lotor_quantize_params {
    int32_t elements;
    float scale;
    int32_t zero_point;
};

struct lotor_requantize_params {
    int32_t elements;
    int32_t in_offset, out_offset, multiplier, shift;
};

struct lotor_change_sign_params {
    int32_t elements;
};

static inline void lotor_quantize_portable(const struct lotor_quantize_params *p, const float *in,
                                           int8_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        const float ratio = in[i] / p->scale; /* rounded to float, as the reference does */
        const int32_t value = lotor_clamp(lotor_round_double((double)ratio), -65536, 65536);
        out[i] = (int8_t)lotor_clamp(value + p->zero_point, INT8_MIN, INT8_MAX);
    }
}

static inline void lotor_requantize_portable(const struct lotor_requantize_params *p,
                                             const int8_t *in, int8_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        const int32_t value =
            lotor_requantize(in[i] + p->in_offset, p->multiplier, p->shift) + p->out_offset;
        out[i] = (int8_t)lotor_clamp(value, INT8_MIN, INT8_MAX);
    }
}

/* uint8 to the int8 that is 128 less, or back: the same bits but the highest. */
static inline void lotor_change_sign_portable(const struct lotor_change_sign_params *p,
                                              const void *in, void *out) {
    const uint8_t *from = in;
    uint8_t *to = out;
    for (int32_t i = 0; i < p->elements; i++) {
        to[i] = (uint8_t)(from[i] ^ 0x80);
    }
}

#endif

/* float to integers, integers to another scale, and between uint8 and int8 of one scale. */
#ifndef LOTOR_QUANTIZE_PORTABLE_H
#define LOTOR_QUANTIZE_PORTABLE_H

#include "../common/fixed_point.h"
#include "../common/rounding.h"

struct lotor_quantize_params {
    int32_t elements;
    float scale;
    int32_t zero_point;
};

struct lotor_quantize_int16_params {
    int32_t elements;
    float scale;
    int32_t zero_point;
};

struct lotor_requantize_mixed_params {
    int32_t elements;
    int32_t in_bytes, out_bytes; /* 1, 2 or 4: signed integers */
    int32_t in_zero_point, out_zero_point, multiplier, shift;
    int32_t out_min, out_max;
};

struct lotor_change_sign_params {
    int32_t elements;
};

static inline void lotor_quantize_portable(const struct lotor_quantize_params *p, const float *in,
                                           int8_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        const int32_t value = lotor_clamp(lotor_round_float(in[i] / p->scale), -65536, 65536);
        out[i] = (int8_t)lotor_clamp(value + p->zero_point, INT8_MIN, INT8_MAX);
    }
}

static inline void lotor_quantize_int16_portable(const struct lotor_quantize_int16_params *p,
                                                 const float *in, int16_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        const int32_t value = lotor_clamp(lotor_round_float(in[i] / p->scale), -65536, 65536);
        out[i] = (int16_t)lotor_clamp(value + p->zero_point, INT16_MIN, INT16_MAX);
    }
}

/* Between integers of any size, int8 to int8 excepted, which is a table; sums that leave int32
 * wrap, as in the reference. */
static inline void lotor_requantize_mixed_portable(const struct lotor_requantize_mixed_params *p,
                                                   const void *in, void *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        int32_t value;
        if (p->in_bytes == 1) {
            value = ((const int8_t *)in)[i];
        } else {
            value = p->in_bytes == 2 ? ((const int16_t *)in)[i] : ((const int32_t *)in)[i];
        }
        value = (int32_t)((uint32_t)value - (uint32_t)p->in_zero_point);
        value = lotor_requantize(value, p->multiplier, p->shift);
        value = (int32_t)((uint32_t)value + (uint32_t)p->out_zero_point);
        value = lotor_clamp(value, p->out_min, p->out_max);
        if (p->out_bytes == 1) {
            ((int8_t *)out)[i] = (int8_t)value;
        } else if (p->out_bytes == 2) {
            ((int16_t *)out)[i] = (int16_t)value;
        } else {
            ((int32_t *)out)[i] = value;
        }
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

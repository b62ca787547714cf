/* int8 and int16 to float. */
#ifndef LOTOR_DEQUANTIZE_PORTABLE_H
#define LOTOR_DEQUANTIZE_PORTABLE_H

#include <stdint.h>

struct lotor_dequantize_params {
    int32_t elements;
    float scale;
    int32_t zero_point;
};

struct lotor_dequantize_int16_params {
    int32_t elements;
    float scale;
};

static inline void lotor_dequantize_portable(const struct lotor_dequantize_params *p,
                                             const int8_t *in, float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = p->scale * (float)(in[i] - p->zero_point);
    }
}

static inline void lotor_dequantize_int16_portable(const struct lotor_dequantize_int16_params *p,
                                                   const int16_t *in, float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = p->scale * (float)in[i];
    }
}

#endif

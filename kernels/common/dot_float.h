/* Sums of float32 products in the order of LiteRT's recurrent kernels on x86. */
#ifndef LOTOR_COMMON_DOT_FLOAT_H
#define LOTOR_COMMON_DOT_FLOAT_H

#include <stdint.h>

/* sum + a . b: four sums side by side as far as whole fours go, added up, then the rest. */
static inline float lotor_dot_float(float sum, const float *a, const float *b, int32_t count) {
    float lane[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    int32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        for (int32_t l = 0; l < 4; l++) {
            lane[l] += a[i + l] * b[i + l];
        }
    }
    sum += lane[0] + lane[1] + lane[2] + lane[3];
    for (; i < count; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

#endif

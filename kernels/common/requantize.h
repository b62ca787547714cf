/* From sums of products to outputs, as the TensorFlow Lite reference kernels do it. */
#ifndef LOTOR_COMMON_REQUANTIZE_H
#define LOTOR_COMMON_REQUANTIZE_H

#include "fixed_point.h"
#include "wrap.h"

/* x * multiplier / 2^right, rounded half up; |x| < 2^47, the multiplier has 15 bits. */
static inline int32_t lotor_requantize_wide(int64_t x, int32_t multiplier, int32_t right) {
    return (int32_t)((x * multiplier + (INT64_C(1) << (right - 1))) >> right);
}

/* The output of an int16 layer: 32-bit sums wrap and are rounded twice, 64-bit ones once. */
static inline int32_t lotor_requantize_int16(int64_t sum, int32_t multiplier, int32_t shift,
                                             int32_t narrow) {
    if (narrow) {
        return lotor_requantize((int32_t)(uint32_t)sum, multiplier, shift);
    }
    return lotor_requantize_wide(sum, multiplier, shift);
}

#endif

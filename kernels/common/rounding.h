/* Rounding of floating-point numbers half away from zero, without a maths library. */
#ifndef LOTOR_COMMON_ROUNDING_H
#define LOTOR_COMMON_ROUNDING_H

#include <stdint.h>

/* Numbers outside int32 (and not-a-number) saturate, so that the conversion is always defined. */
static inline int32_t lotor_round_double(double x) {
    if (!(x > -2147483648.0)) {
        return INT32_MIN;
    }
    if (x >= 2147483647.0) {
        return INT32_MAX;
    }
    const int32_t whole = (int32_t)x;
    const double rest = x - whole; /* exact */
    if (rest >= 0.5) {
        return whole + 1;
    }
    return rest <= -0.5 ? whole - 1 : whole;
}

/* The same of single precision, for processors whose doubles are slow. */
static inline int32_t lotor_round_float(float x) {
    if (!(x > -2147483648.0f)) {
        return INT32_MIN;
    }
    if (x >= 2147483648.0f) {
        return INT32_MAX;
    }
    const int32_t whole = (int32_t)x;
    const float rest = x - (float)whole; /* exact */
    if (rest >= 0.5f) {
        return whole + 1;
    }
    return rest <= -0.5f ? whole - 1 : whole;
}

#endif

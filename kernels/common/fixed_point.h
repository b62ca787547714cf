/* Fixed-point arithmetic of the TensorFlow Lite reference kernels.
 *
 * A real factor is multiplier * 2^(shift - 31). Results equal gemmlowp's
 * SaturatingRoundingDoublingHighMul and RoundingDivideByPOT for every operand that occurs here.
 */
#ifndef LOTOR_COMMON_FIXED_POINT_H
#define LOTOR_COMMON_FIXED_POINT_H

#include <stdint.h>

/* a * b / 2^31, rounded half up; the multiplier b is never INT32_MIN. */
static inline int32_t lotor_multiply_high(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/* x / 2^exponent, rounded half away from zero; 0 <= exponent <= 31. */
static inline int32_t lotor_divide_by_power(int32_t x, int32_t exponent) {
    const int32_t mask = (int32_t)((INT64_C(1) << exponent) - 1);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

/* x * 2^left, wrapping as the reference does on two's complement machines. */
static inline int32_t lotor_shift_left(int32_t x, int32_t left) {
    return (int32_t)((uint32_t)x << left);
}

/* x * multiplier * 2^(shift - 31), rounded twice. */
static inline int32_t lotor_requantize(int32_t x, int32_t multiplier, int32_t shift) {
    if (shift > 0) {
        return lotor_multiply_high(lotor_shift_left(x, shift), multiplier);
    }
    return lotor_divide_by_power(lotor_multiply_high(x, multiplier), -shift);
}

/* The same of a factor below 1, given as the shift to the right. */
static inline int32_t lotor_scale_down(int32_t x, int32_t multiplier, int32_t right) {
    return lotor_divide_by_power(lotor_multiply_high(x, multiplier), right);
}

static inline int32_t lotor_clamp(int32_t x, int32_t low, int32_t high) {
    if (x < low) {
        return low;
    }
    return x > high ? high : x;
}

static inline int32_t lotor_max(int32_t a, int32_t b) { return a > b ? a : b; }

static inline int32_t lotor_min(int32_t a, int32_t b) { return a < b ? a : b; }

#endif

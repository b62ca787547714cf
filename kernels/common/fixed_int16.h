/* Logistic function and tanh of int16 fixed-point numbers.
 *
 * Source: gemmlowp's functions, whose every bit they have. Qm.n has m integer bits and n = 15 - m
 * fraction bits; numbers are held as int32.
 */
#ifndef LOTOR_COMMON_FIXED_INT16_H
#define LOTOR_COMMON_FIXED_INT16_H

#include "fixed_point.h"

/* a * b / 2^15, rounded half up. */
static inline int32_t lotor_multiply_high_int16(int32_t a, int32_t b) {
    return lotor_min((a * b + (1 << 14)) >> 15, INT16_MAX);
}

/* exp(x) in Q0.15 of x in [-1/4, 0) in Q0.15: Taylor series around -1/8. */
static inline int32_t lotor_exp_quarter_int16(int32_t x) {
    const int32_t exp_minus_eighth = 28918;
    const int32_t one_third = 10923;
    const int32_t d = x + (1 << 12);
    const int32_t d2 = lotor_multiply_high_int16(d, d);
    const int32_t d3 = lotor_multiply_high_int16(d2, d);
    const int32_t d4 = lotor_multiply_high_int16(d2, d2);
    const int32_t third = lotor_multiply_high_int16(lotor_divide_by_power(d4, 2) + d3, one_third);
    const int32_t tail = lotor_divide_by_power(third + d2, 1);
    return lotor_min(exp_minus_eighth + lotor_multiply_high_int16(exp_minus_eighth, d + tail),
                     INT16_MAX);
}

/* exp(x) in Q0.15 of x <= 0 with 0 to 7 integer bits. */
static inline int32_t lotor_exp_int16(int32_t x, int32_t integer_bits) {
    /* exp(-2^k) in Q0.15 for k = -2 ... 4 */
    static const int16_t power[7] = {25520, 19875, 12055, 4435, 600, 11, 0};
    const int32_t quarter = 1 << (13 - integer_bits);
    if (x == 0) {
        return INT16_MAX;
    }
    if (integer_bits > 5 && x < -(1 << (20 - integer_bits))) {
        return 0;
    }
    const int32_t fraction = (x & (quarter - 1)) - quarter;
    const int32_t rest = fraction - x;
    int32_t result = lotor_exp_quarter_int16(fraction * (1 << integer_bits));
    for (int32_t k = 0; k < 7 && k - 2 < integer_bits; k++) {
        if (rest & (quarter << k)) {
            result = lotor_multiply_high_int16(result, power[k]);
        }
    }
    return result;
}

/* 2 / (1 + x) in Q2.13 of x in [0, 1] in Q0.15: three Newton-Raphson steps. */
static inline int32_t lotor_reciprocal_int16(int32_t x) {
    const int32_t half = (x + INT16_MAX + 1) / 2; /* (1 + x) / 2 */
    int32_t y = 23130 + lotor_multiply_high_int16(half, -15420);
    for (int32_t step = 0; step < 3; step++) {
        const int32_t error = (1 << 13) - lotor_multiply_high_int16(half, y);
        y += lotor_clamp(lotor_multiply_high_int16(y, error) * 4, INT16_MIN, INT16_MAX);
    }
    return y;
}

/* 1 / (1 + exp(-x)) in Q0.15 of x in Q3.12. */
static inline int32_t lotor_logistic_int16(int32_t x) {
    if (x == 0) {
        return 1 << 14;
    }
    const int32_t y = lotor_reciprocal_int16(lotor_exp_int16(x > 0 ? -x : x, 3));
    const int32_t positive = lotor_clamp(y * 2, INT16_MIN, INT16_MAX);
    return x > 0 ? positive : INT16_MAX - positive;
}

/* tanh(x) in Q0.15 of x with 0 to 6 integer bits. */
static inline int32_t lotor_tanh_int16(int32_t x, int32_t integer_bits) {
    if (x == 0) {
        return 0;
    }
    const int32_t exp = lotor_exp_int16(x > 0 ? -x : x, integer_bits + 1);
    const int32_t y = lotor_reciprocal_int16(exp) - (1 << 13);
    const int32_t positive = lotor_clamp(y * 4, INT16_MIN, INT16_MAX);
    return x > 0 ? positive : -positive;
}

#endif

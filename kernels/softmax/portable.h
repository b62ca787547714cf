/* Softmax over the last axis, int8, in fixed point.
 *
 * Source: gemmlowp's fixed-point exponential and reciprocal, as the TensorFlow Lite reference
 * kernel combines them. Qm.n has m integer bits and n = 31 - m fraction bits.
 */
#ifndef LOTOR_SOFTMAX_PORTABLE_H
#define LOTOR_SOFTMAX_PORTABLE_H

#include "../common/fixed_point.h"

struct lotor_softmax_params {
    int32_t rows, depth;
    int32_t multiplier, left_shift; /* int8 difference to Q5.26 */
    int32_t diff_min;               /* differences below give an exponential of zero */
};

/* x * 2^exponent, saturated to int32. */
static inline int32_t lotor_softmax_shift_left(int32_t x, int32_t exponent) {
    const int64_t wide = (int64_t)x * (INT64_C(1) << exponent);
    if (wide > INT32_MAX) {
        return INT32_MAX;
    }
    return wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* exp(x) in Q0.31 of x in [-1/4, 0) in Q0.31: Taylor series around -1/8. */
static inline int32_t lotor_softmax_exp_quarter(int32_t x) {
    const int32_t exp_minus_eighth = 1895147668;
    const int32_t one_third = 715827883;
    const int32_t d = x + (1 << 28);
    const int32_t d2 = lotor_multiply_high(d, d);
    const int32_t d3 = lotor_multiply_high(d2, d);
    const int32_t d4 = lotor_multiply_high(d2, d2);
    const int32_t d4_over_4 = lotor_divide_by_power(d4, 2);
    const int32_t tail =
        lotor_divide_by_power(lotor_multiply_high(d4_over_4 + d3, one_third) + d2, 1);
    return exp_minus_eighth + lotor_multiply_high(exp_minus_eighth, d + tail);
}

/* exp(x) in Q0.31 of x <= 0 in Q5.26. */
static inline int32_t lotor_softmax_exp(int32_t x) {
    /* exp(-2^k) in Q0.31 for k = -2 ... 4 */
    static const int32_t power[7] = {1672461947, 1302514674, 790015084, 290630308,
                                     39332535,   720401,     242};
    const int32_t quarter = 1 << 24;
    if (x == 0) {
        return INT32_MAX;
    }
    const int32_t fraction = (x & (quarter - 1)) - quarter;
    const int32_t rest = fraction - x;
    int32_t result = lotor_softmax_exp_quarter(lotor_softmax_shift_left(fraction, 5));
    for (int32_t k = 0; k < 7; k++) {
        if (rest & (quarter << k)) {
            result = lotor_multiply_high(result, power[k]);
        }
    }
    return result;
}

/* 1 / (1 + x) in Q0.31 of x in [0, 1) in Q0.31: three Newton-Raphson steps. */
static inline int32_t lotor_softmax_reciprocal(int32_t x) {
    const int32_t c48_over_17 = 1515870810;                           /* Q2.29 */
    const int32_t minus_32_over_17 = -1010580540;                     /* Q2.29 */
    const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2); /* (1 + x) / 2 */
    int32_t y = c48_over_17 + lotor_multiply_high(half, minus_32_over_17);
    for (int32_t step = 0; step < 3; step++) {
        const int32_t error = (1 << 29) - lotor_multiply_high(half, y);
        y += lotor_softmax_shift_left(lotor_multiply_high(y, error), 2);
    }
    return lotor_softmax_shift_left(y, 1);
}

static inline int32_t lotor_softmax_exp_of(const struct lotor_softmax_params *p, int32_t diff) {
    return lotor_softmax_exp(
        lotor_multiply_high(lotor_shift_left(diff, p->left_shift), p->multiplier));
}

static inline void lotor_softmax_portable(const struct lotor_softmax_params *p, const int8_t *in,
                                          int8_t *out) {
    for (int32_t row = 0; row < p->rows; row++) {
        int32_t largest = INT8_MIN;
        for (int32_t c = 0; c < p->depth; c++) {
            largest = lotor_max(largest, in[c]);
        }
        int32_t sum = 0; /* Q12.19 */
        for (int32_t c = 0; c < p->depth; c++) {
            if (in[c] - largest >= p->diff_min) {
                sum += lotor_divide_by_power(lotor_softmax_exp_of(p, in[c] - largest), 12);
            }
        }
        /* sum = (1 + x) * 2^over, with x in [0, 1) */
        int32_t zeros = 0;
        while (((uint32_t)sum << zeros) < (UINT32_C(1) << 31)) {
            zeros++;
        }
        const int32_t over = 12 - zeros;
        const uint32_t x = ((uint32_t)sum << zeros) - (UINT32_C(1) << 31);
        const int32_t scale = lotor_softmax_reciprocal((int32_t)x);
        for (int32_t c = 0; c < p->depth; c++) {
            int32_t value = INT8_MIN;
            /* A sum of 512 or more leaves every probability below half a step of the output. */
            if (in[c] - largest >= p->diff_min && over <= 8) {
                const int32_t exp = lotor_softmax_exp_of(p, in[c] - largest);
                value += lotor_divide_by_power(lotor_multiply_high(scale, exp), over + 31 - 8);
            }
            out[c] = (int8_t)lotor_clamp(value, INT8_MIN, INT8_MAX);
        }
        in += p->depth;
        out += p->depth;
    }
}

#endif

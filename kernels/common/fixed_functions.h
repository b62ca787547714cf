/* Exponential, reciprocal, logarithm and inverse root in fixed point.
 *
 * Source: gemmlowp's functions and those of LiteRT's kernel library, whose every bit they have.
 * Qm.n has m integer bits and n = 31 - m fraction bits.
 */
#ifndef LOTOR_COMMON_FIXED_FUNCTIONS_H
#define LOTOR_COMMON_FIXED_FUNCTIONS_H

#include "fixed_point.h"

/* x * 2^exponent, saturated to int32. */
static inline int32_t lotor_shift_left_saturated(int32_t x, int32_t exponent) {
    const int64_t wide = (int64_t)x * (INT64_C(1) << exponent);
    if (wide > INT32_MAX) {
        return INT32_MAX;
    }
    return wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* Zeros above the highest one; x is not 0. */
static inline int32_t lotor_leading_zeros(uint32_t x) {
    int32_t zeros = 0;
    while ((x << zeros) < (UINT32_C(1) << 31)) {
        zeros++;
    }
    return zeros;
}

/* exp(x) in Q0.31 of x in [-1/4, 0) in Q0.31: Taylor series around -1/8. */
static inline int32_t lotor_fixed_exp_quarter(int32_t x) {
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
static inline int32_t lotor_fixed_exp(int32_t x) {
    /* exp(-2^k) in Q0.31 for k = -2 ... 4 */
    static const int32_t power[7] = {1672461947, 1302514674, 790015084, 290630308,
                                     39332535,   720401,     242};
    const int32_t quarter = 1 << 24;
    if (x == 0) {
        return INT32_MAX;
    }
    const int32_t fraction = (x & (quarter - 1)) - quarter;
    const int32_t rest = fraction - x;
    int32_t result = lotor_fixed_exp_quarter(lotor_shift_left_saturated(fraction, 5));
    for (int32_t k = 0; k < 7; k++) {
        if (rest & (quarter << k)) {
            result = lotor_multiply_high(result, power[k]);
        }
    }
    return result;
}

/* 1 / (1 + x) in Q0.31 of x in [0, 1) in Q0.31: three Newton-Raphson steps. */
static inline int32_t lotor_fixed_reciprocal(int32_t x) {
    const int32_t c48_over_17 = 1515870810;                           /* Q2.29 */
    const int32_t minus_32_over_17 = -1010580540;                     /* Q2.29 */
    const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2); /* (1 + x) / 2 */
    int32_t y = c48_over_17 + lotor_multiply_high(half, minus_32_over_17);
    for (int32_t step = 0; step < 3; step++) {
        const int32_t error = (1 << 29) - lotor_multiply_high(half, y);
        y += lotor_shift_left_saturated(lotor_multiply_high(y, error), 2);
    }
    return lotor_shift_left_saturated(y, 1);
}

/* ln x in Q5.26 of x >= 1 in Q12.19.
 *
 * x = 2^n r with r within 2^(1/4) of 2^(-1/4); a quotient of polynomials gives ln r.
 */
static inline int32_t lotor_fixed_log(int32_t x) {
    const int32_t ln_2 = 1488522236;        /* Q0.31, as all constants here */
    const int32_t root_half = 1518500250;   /* 2^(-1/2) */
    const int32_t fourth_root = 1805811301; /* 2^(-1/4) */
    const int32_t numerator_2 = 117049297;  /* 11/240 2^(1/4) */
    const int32_t denominator_2 = 127690142;
    const int32_t denominator_0 = 1057819769;
    const int32_t denominator_1 = 638450708;
    const int32_t quarter = 1 << 23; /* Q6.25 */
    /* n from x itself and from x 2^(-1/2): one of the two leaves the smaller r. */
    const int32_t zeros_a = lotor_leading_zeros((uint32_t)x);
    const int32_t scaled = lotor_shift_left_saturated(x, zeros_a - 1);
    const int32_t r_a = lotor_shift_left_saturated(lotor_multiply_high(scaled, root_half), 1);
    const int32_t n_a = (12 - zeros_a) * (1 << 25) + quarter;
    const int32_t zeros_b = lotor_leading_zeros((uint32_t)lotor_multiply_high(x, root_half)) - 1;
    const int32_t r_b = lotor_shift_left_saturated(x, zeros_b);
    const int32_t n_b = (12 - zeros_b) * (1 << 25) - quarter;
    const int32_t r = lotor_min(r_a, r_b);
    const int32_t n = lotor_max(n_a, n_b);

    const int32_t p = (int32_t)(((int64_t)r + fourth_root + 1) / 2);
    const int32_t q = (r - fourth_root) * 2;
    const int32_t square = lotor_multiply_high(q, q);
    const int32_t cubic = lotor_multiply_high(lotor_multiply_high(q, square), numerator_2);
    const int32_t numerator = lotor_multiply_high(q, r) + cubic;
    const int32_t even = denominator_0 + q + lotor_multiply_high(denominator_2, square);
    const int32_t denominator =
        lotor_multiply_high(p, even) + lotor_multiply_high(denominator_1, q);
    const int32_t quotient = lotor_multiply_high(lotor_divide_by_power(numerator, 6),
                                                 lotor_fixed_reciprocal(denominator));
    return lotor_shift_left_saturated(lotor_multiply_high(n, ln_2) + quotient, 1);
}

/* 1 / sqrt(x) as *multiplier * 2^(*shift - 31), with *shift <= 0: five Newton-Raphson steps.
 *
 * 0 counts as 1.
 */
static inline void lotor_inverse_root(int32_t x, int32_t *multiplier, int32_t *shift) {
    *multiplier = INT32_MAX;
    *shift = 0;
    if (x <= 1) {
        return;
    }
    int32_t right = 11;
    while (x >= 1 << 29) {
        x /= 4;
        right++;
    }
    const int32_t pairs = (lotor_leading_zeros((uint32_t)x) - 1) / 2 - 1;
    right -= pairs;
    x <<= 2 * pairs;
    const int32_t half = lotor_divide_by_power(x >> 1, 1); /* Q3.28, as y and three_halves */
    const int32_t three_halves = 3 << 27;
    const int32_t root_half = 1518500250; /* Q0.31 */
    int32_t y = 1 << 28;
    for (int32_t step = 0; step < 5; step++) {
        const int32_t cube = lotor_multiply_high(lotor_multiply_high(y, y), y);
        const int32_t y3 = lotor_shift_left_saturated(cube, 6);
        const int32_t next = lotor_multiply_high(three_halves, y) - lotor_multiply_high(half, y3);
        y = lotor_shift_left_saturated(next, 3);
    }
    y = lotor_multiply_high(y, root_half);
    *multiplier = right < 0 ? y * (1 << -right) : y;
    *shift = right < 0 ? 0 : -right;
}

#endif

/* Softmax over the last axis: int8 in fixed point, int16 by table, float.
 *
 * Source: gemmlowp's fixed-point functions, as the TensorFlow Lite reference kernel combines them.
 */
#ifndef LOTOR_SOFTMAX_PORTABLE_H
#define LOTOR_SOFTMAX_PORTABLE_H

#include "../common/fixed_functions.h"
#include "../common/float_math.h"
#include "../table/portable.h"

struct lotor_softmax_params {
    int32_t rows, depth;
    int32_t multiplier, left_shift; /* int8 difference to Q5.26 */
    int32_t diff_min;               /* differences below give an exponential of zero */
};

struct lotor_softmax_to_int16_params {
    int32_t rows, depth;
    int32_t multiplier, left_shift, diff_min;
};

struct lotor_softmax_int16_params {
    int32_t rows, depth;
    int32_t multiplier, shift; /* int16 difference to 65535ths of 10 */
};

struct lotor_softmax_float_params {
    int32_t rows, depth;
    float beta;
};

static inline int32_t lotor_softmax_largest(const int8_t *in, int32_t depth) {
    int32_t largest = INT8_MIN;
    for (int32_t c = 0; c < depth; c++) {
        largest = lotor_max(largest, in[c]);
    }
    return largest;
}

/* exp of a difference in Q0.31. */
static inline int32_t lotor_softmax_exp(int32_t diff, int32_t multiplier, int32_t left_shift) {
    return lotor_fixed_exp(lotor_multiply_high(lotor_shift_left(diff, left_shift), multiplier));
}

/* 1 / sum in Q0.31, times 2^*over; the sum is in Q12.19. */
static inline int32_t lotor_softmax_scale(int32_t sum, int32_t *over) {
    /* sum = (1 + x) * 2^over, with x in [0, 1) */
    const int32_t zeros = lotor_leading_zeros((uint32_t)sum);
    *over = 12 - zeros;
    return lotor_fixed_reciprocal((int32_t)(((uint32_t)sum << zeros) - (UINT32_C(1) << 31)));
}

static inline void lotor_softmax_portable(const struct lotor_softmax_params *p, const int8_t *in,
                                          int8_t *out) {
    for (int32_t row = 0; row < p->rows; row++) {
        const int32_t largest = lotor_softmax_largest(in, p->depth);
        int32_t sum = 0; /* Q12.19 */
        for (int32_t c = 0; c < p->depth; c++) {
            if (in[c] - largest >= p->diff_min) {
                const int32_t exp =
                    lotor_softmax_exp(in[c] - largest, p->multiplier, p->left_shift);
                sum += lotor_divide_by_power(exp, 12);
            }
        }
        int32_t over;
        const int32_t scale = lotor_softmax_scale(sum, &over);
        for (int32_t c = 0; c < p->depth; c++) {
            int32_t value = INT8_MIN;
            /* A sum of 512 or more leaves every probability below half a step of the output. */
            if (in[c] - largest >= p->diff_min && over <= 8) {
                const int32_t exp =
                    lotor_softmax_exp(in[c] - largest, p->multiplier, p->left_shift);
                value += lotor_divide_by_power(lotor_multiply_high(scale, exp), over + 31 - 8);
            }
            out[c] = (int8_t)lotor_clamp(value, INT8_MIN, INT8_MAX);
        }
        in += p->depth;
        out += p->depth;
    }
}

/* int8 to int16: probabilities in steps of 2^-16, from -32768. */
static inline void lotor_softmax_to_int16_portable(const struct lotor_softmax_to_int16_params *p,
                                                   const int8_t *in, int16_t *out) {
    for (int32_t row = 0; row < p->rows; row++) {
        const int32_t largest = lotor_softmax_largest(in, p->depth);
        int32_t sum = 0; /* Q12.19 */
        for (int32_t c = 0; c < p->depth; c++) {
            if (in[c] - largest >= p->diff_min) {
                const int32_t exp =
                    lotor_softmax_exp(in[c] - largest, p->multiplier, p->left_shift);
                sum += lotor_divide_by_power(exp, 12);
            }
        }
        int32_t over;
        const int32_t scale = lotor_softmax_scale(sum, &over);
        for (int32_t c = 0; c < p->depth; c++) {
            int32_t value = INT16_MIN;
            if (in[c] - largest >= p->diff_min) {
                const int32_t exp =
                    lotor_softmax_exp(in[c] - largest, p->multiplier, p->left_shift);
                value += lotor_divide_by_power(lotor_multiply_high(scale, exp), over + 31 - 16);
            }
            out[c] = (int16_t)lotor_clamp(value, INT16_MIN, INT16_MAX);
        }
        in += p->depth;
        out += p->depth;
    }
}

/* exps: e^x for x in [-10, 0]; reciprocals: 1 / (1 + x) for x in [0, 1]; tables of 513. */
static inline void lotor_softmax_int16_portable(const struct lotor_softmax_int16_params *p,
                                                const int16_t *in, const int16_t *exps,
                                                const int16_t *reciprocals, int16_t *out) {
    for (int32_t row = 0; row < p->rows; row++) {
        int32_t largest = INT16_MIN;
        for (int32_t c = 0; c < p->depth; c++) {
            largest = lotor_max(largest, in[c]);
        }
        int32_t sum = 0; /* Q16.15 */
        for (int32_t c = 0; c < p->depth; c++) {
            const int32_t diff = lotor_requantize(in[c] - largest, p->multiplier, p->shift);
            const int32_t x = lotor_clamp(diff + INT16_MAX, INT16_MIN, INT16_MAX);
            out[c] = lotor_interpolate((int16_t)x, exps);
            sum += out[c];
        }
        /* sum = (1 + x) * 2^n, with x in [0, 1] in 65536ths */
        const int32_t zeros = lotor_leading_zeros((uint32_t)sum);
        const int64_t normal = (int64_t)sum * (INT64_C(1) << (zeros - 1));
        const int32_t x = (int32_t)((normal + (1 << 13)) >> 14) - (1 << 16);
        const int32_t place = lotor_clamp(x - (1 << 15), INT16_MIN, INT16_MAX);
        const int32_t scale = lotor_interpolate((int16_t)place, reciprocals);
        const int32_t right = 31 - zeros;
        for (int32_t c = 0; c < p->depth; c++) {
            const int32_t value = (out[c] * scale + (1 << (right - 1))) >> right;
            out[c] = (int16_t)lotor_clamp(value, 0, INT16_MAX);
        }
        in += p->depth;
        out += p->depth;
    }
}

static inline void lotor_softmax_float_portable(const struct lotor_softmax_float_params *p,
                                                const float *in, float *out) {
    for (int32_t row = 0; row < p->rows; row++) {
        float largest = in[0];
        for (int32_t c = 1; c < p->depth; c++) {
            largest = in[c] > largest ? in[c] : largest;
        }
        float sum = 0.0f;
        for (int32_t c = 0; c < p->depth; c++) {
            out[c] = lotor_exp((in[c] - largest) * p->beta);
            sum += out[c];
        }
        for (int32_t c = 0; c < p->depth; c++) {
            out[c] = out[c] / sum;
        }
        in += p->depth;
        out += p->depth;
    }
}

#endif

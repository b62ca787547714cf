/* Logarithm of the softmax over the last axis: int8 in fixed point, float. */
#ifndef LOTOR_LOG_SOFTMAX_PORTABLE_H
#define LOTOR_LOG_SOFTMAX_PORTABLE_H

#include "../common/fixed_functions.h"
#include "../common/float_math.h"

struct lotor_log_softmax_params {
    int32_t rows, depth;
    int32_t multiplier, left_shift;            /* int8 difference to Q5.26 */
    int32_t reverse_multiplier, reverse_shift; /* and back */
    int32_t diff_min;                          /* differences below give an exponential of zero */
};

struct lotor_log_softmax_float_params {
    int32_t rows, depth;
};

/* The output has steps of 1/16 below 127, which is zero. */
static inline void lotor_log_softmax_portable(const struct lotor_log_softmax_params *p,
                                              const int8_t *in, int8_t *out) {
    for (int32_t row = 0; row < p->rows; row++) {
        int32_t largest = INT8_MIN;
        for (int32_t c = 0; c < p->depth; c++) {
            largest = lotor_max(largest, in[c]);
        }
        int32_t sum = 0; /* Q12.19 */
        for (int32_t c = 0; c < p->depth; c++) {
            if (in[c] - largest >= p->diff_min) {
                const int32_t x = lotor_requantize(in[c] - largest, p->multiplier, p->left_shift);
                sum += lotor_divide_by_power(lotor_fixed_exp(x), 12);
            }
        }
        const int32_t log_sum = lotor_fixed_log(sum); /* Q5.26 */
        /* What lies below would leave Q5.26 when the logarithm is taken off. */
        const int32_t lowest =
            lotor_max(p->diff_min - 1, lotor_requantize(log_sum + INT32_MIN, p->reverse_multiplier,
                                                        p->reverse_shift));
        for (int32_t c = 0; c < p->depth; c++) {
            int32_t value = INT8_MIN;
            if (in[c] - largest > lowest) {
                const int32_t x = lotor_requantize(in[c] - largest, p->multiplier, p->left_shift);
                value = lotor_divide_by_power(x - log_sum, 22) + INT8_MAX;
            }
            out[c] = (int8_t)lotor_clamp(value, INT8_MIN, INT8_MAX);
        }
        in += p->depth;
        out += p->depth;
    }
}

static inline void lotor_log_softmax_float_portable(const struct lotor_log_softmax_float_params *p,
                                                    const float *in, float *out) {
    for (int32_t row = 0; row < p->rows; row++) {
        float largest = in[0];
        for (int32_t c = 1; c < p->depth; c++) {
            largest = in[c] > largest ? in[c] : largest;
        }
        float sum = 0.0f;
        for (int32_t c = 0; c < p->depth; c++) {
            sum += lotor_exp(in[c] - largest);
        }
        const float log_sum = lotor_log(sum);
        for (int32_t c = 0; c < p->depth; c++) {
            out[c] = in[c] - largest - log_sum;
        }
        in += p->depth;
        out += p->depth;
    }
}

#endif

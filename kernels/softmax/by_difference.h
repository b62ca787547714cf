/* Softmax of int8 with many classes: what becomes of each difference to the largest input is
 * computed once, then looked up. */
#ifndef LOTOR_SOFTMAX_BY_DIFFERENCE_H
#define LOTOR_SOFTMAX_BY_DIFFERENCE_H

#include "portable.h"

/* One row, of which `largest` is known.
 *
 * counting: differences that give more than zero; looked_up has room for as many. */
static inline void lotor_softmax_by_difference(const int8_t *in, int32_t depth, int32_t largest,
                                               int32_t multiplier, int32_t left_shift,
                                               int32_t counting, int8_t *out, int32_t *looked_up) {
    for (int32_t d = 0; d < counting; d++) {
        looked_up[d] = lotor_softmax_exp(-d, multiplier, left_shift);
    }
    int32_t sum = 0; /* Q12.19 */
    for (int32_t c = 0; c < depth; c++) {
        const int32_t d = largest - in[c];
        sum += d < counting ? lotor_divide_by_power(looked_up[d], 12) : 0;
    }
    int32_t over;
    const int32_t scale = lotor_softmax_scale(sum, &over);
    for (int32_t d = 0; d < counting; d++) {
        /* A sum of 512 or more leaves every probability below half a step of the output. */
        int32_t value = INT8_MIN;
        if (over <= 8) {
            value += lotor_divide_by_power(lotor_multiply_high(scale, looked_up[d]), over + 31 - 8);
        }
        looked_up[d] = lotor_clamp(value, INT8_MIN, INT8_MAX);
    }
    for (int32_t c = 0; c < depth; c++) {
        const int32_t d = largest - in[c];
        out[c] = (int8_t)(d < counting ? looked_up[d] : INT8_MIN);
    }
}

#endif

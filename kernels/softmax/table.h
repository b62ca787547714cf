/* Softmax of int8 with many classes: what becomes of each difference to the largest input is
 * computed once, then looked up. */
#ifndef LOTOR_SOFTMAX_TABLE_H
#define LOTOR_SOFTMAX_TABLE_H

#include "../common/inline.h"
#include "portable.h"

struct lotor_softmax_table_params {
    int32_t rows, depth;            /* depth: 4 or more */
    int32_t multiplier, left_shift; /* int8 difference to Q5.26 */
    int32_t counting;               /* differences that give more than zero */
};

typedef int32_t lotor_softmax_find(const int8_t *in, int32_t depth);

/* find: the largest of `depth` inputs. looked_up: room for `counting` numbers. */
static inline LOTOR_SPECIALISED void lotor_softmax_table(const struct lotor_softmax_table_params *p,
                                                         lotor_softmax_find *find, const int8_t *in,
                                                         int8_t *out, int32_t *looked_up) {
    for (int32_t row = 0; row < p->rows; row++) {
        const int32_t largest = find(in, p->depth);
        for (int32_t d = 0; d < p->counting; d++) {
            looked_up[d] = lotor_softmax_exp(-d, p->multiplier, p->left_shift);
        }
        int32_t sum = 0; /* Q12.19 */
        for (int32_t c = 0; c < p->depth; c++) {
            const int32_t d = largest - in[c];
            sum += d < p->counting ? lotor_divide_by_power(looked_up[d], 12) : 0;
        }
        int32_t over;
        const int32_t scale = lotor_softmax_scale(sum, &over);
        for (int32_t d = 0; d < p->counting; d++) {
            /* A sum of 512 or more leaves every probability below half a step of the output. */
            int32_t value = INT8_MIN;
            if (over <= 8) {
                value +=
                    lotor_divide_by_power(lotor_multiply_high(scale, looked_up[d]), over + 31 - 8);
            }
            looked_up[d] = lotor_clamp(value, INT8_MIN, INT8_MAX);
        }
        for (int32_t c = 0; c < p->depth; c++) {
            const int32_t d = largest - in[c];
            out[c] = (int8_t)(d < p->counting ? looked_up[d] : INT8_MIN);
        }
        in += p->depth;
        out += p->depth;
    }
}

#endif

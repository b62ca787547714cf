/* Softmax of int8 with many classes for Armv6-M, see `by_difference.h`. */
#ifndef LOTOR_SOFTMAX_V6M_H
#define LOTOR_SOFTMAX_V6M_H

#include "by_difference.h"

struct lotor_softmax_v6m_params {
    int32_t rows, depth;
    int32_t multiplier, left_shift; /* int8 difference to Q5.26 */
    int32_t counting;               /* differences that give more than zero */
};

/* looked_up: room for `counting` numbers. */
static inline void lotor_softmax_v6m(const struct lotor_softmax_v6m_params *p, const int8_t *in,
                                     int8_t *out, int32_t *looked_up) {
    for (int32_t row = 0; row < p->rows; row++) {
        lotor_softmax_by_difference(in, p->depth, lotor_softmax_largest(in, p->depth),
                                    p->multiplier, p->left_shift, p->counting, out, looked_up);
        in += p->depth;
        out += p->depth;
    }
}

#endif

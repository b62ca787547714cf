/* Softmax of int8 with many classes, see `by_difference.h`. The DSP instructions find the
 * largest. */
#ifndef LOTOR_SOFTMAX_DSP_H
#define LOTOR_SOFTMAX_DSP_H

#include "../common/dsp_pool.h"
#include "by_difference.h"

struct lotor_softmax_dsp_params {
    int32_t rows, depth;            /* depth: 4 or more */
    int32_t multiplier, left_shift; /* int8 difference to Q5.26 */
    int32_t counting;               /* differences that give more than zero */
};

static inline int32_t lotor_softmax_dsp_largest(const int8_t *in, int32_t depth) {
    uint32_t four = lotor_dsp_load(in + depth - 4);
    for (int32_t c = depth / 4; c > 0; c--) {
        four = lotor_dsp_largest(four, lotor_dsp_load(in));
        in += 4;
    }
    int32_t largest = INT8_MIN;
    for (int32_t i = 0; i < 4; i++) {
        largest = lotor_max(largest, (int8_t)(four >> 8 * i));
    }
    return largest;
}

/* looked_up: room for `counting` numbers. */
static inline void lotor_softmax_dsp(const struct lotor_softmax_dsp_params *p, const int8_t *in,
                                     int8_t *out, int32_t *looked_up) {
    for (int32_t row = 0; row < p->rows; row++) {
        lotor_softmax_by_difference(in, p->depth, lotor_softmax_dsp_largest(in, p->depth),
                                    p->multiplier, p->left_shift, p->counting, out, looked_up);
        in += p->depth;
        out += p->depth;
    }
}

#endif

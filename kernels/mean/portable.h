/* Mean over one or two groups of neighbouring axes, int8.
 *
 * The input is [outer][reduce_0][middle][reduce_1][inner], the output [outer][middle][inner].
 */
#ifndef LOTOR_MEAN_PORTABLE_H
#define LOTOR_MEAN_PORTABLE_H

#include "../common/fixed_point.h"

struct lotor_mean_params {
    int32_t outer, reduce_0, middle, reduce_1, inner;
    int32_t in_zero_points; /* the zero point times the number of inputs of one mean */
    int32_t out_offset, multiplier, shift;
};

static inline void lotor_mean_portable(const struct lotor_mean_params *p, const int8_t *in,
                                       int8_t *out) {
    const int32_t row = p->reduce_1 * p->inner;
    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t m = 0; m < p->middle; m++) {
            for (int32_t i = 0; i < p->inner; i++) {
                int32_t sum = 0;
                for (int32_t r0 = 0; r0 < p->reduce_0; r0++) {
                    const int8_t *value = in + (r0 * p->middle + m) * row + i;
                    for (int32_t r1 = 0; r1 < p->reduce_1; r1++) {
                        sum += value[r1 * p->inner];
                    }
                }
                const int32_t mean =
                    lotor_requantize(sum - p->in_zero_points, p->multiplier, p->shift) +
                    p->out_offset;
                *out++ = (int8_t)lotor_clamp(mean, INT8_MIN, INT8_MAX);
            }
        }
        in += p->reduce_0 * p->middle * row;
    }
}

#endif

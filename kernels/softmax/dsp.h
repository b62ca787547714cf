/* Softmax of int8 with many classes by a table; the DSP instructions find the largest input. */
#ifndef LOTOR_SOFTMAX_DSP_H
#define LOTOR_SOFTMAX_DSP_H

#include "../common/dsp_pool.h"
#include "table.h"

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

static inline void lotor_softmax_dsp(const struct lotor_softmax_table_params *p, const int8_t *in,
                                     int8_t *out, int32_t *looked_up) {
    lotor_softmax_table(p, lotor_softmax_dsp_largest, in, out, looked_up);
}

#endif

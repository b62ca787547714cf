/* 1x1 convolution of int8 for Armv7-M: six pixels at a time, see `v7m_dense.h`. */
#ifndef LOTOR_CONV_2D_V7M_POINTWISE_H
#define LOTOR_CONV_2D_V7M_POINTWISE_H

#include "../common/v7m_dense.h"

struct lotor_conv_2d_v7m_pointwise_params {
    int32_t pixels, in_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t weights_offset;
    int32_t pairs; /* of inputs in a pixel */
    int32_t words; /* of packed weights */
    lotor_v7m_dense_function *dense;
};

static inline LOTOR_SPECIALISED void
lotor_conv_2d_v7m_pointwise(const struct lotor_conv_2d_v7m_pointwise_params *p, const int8_t *in,
                            const uint32_t *weights, int8_t *out, int32_t *scratch) {
    for (int32_t left = p->pixels; left > 0; left -= LOTOR_V7M_LANES) {
        const int32_t lanes = left < LOTOR_V7M_LANES ? left : LOTOR_V7M_LANES;
        for (int32_t i = 0; i < lanes; i += 2) {
            const int32_t *const end =
                lotor_v7m_pack(in, i + 1 < lanes ? in + p->in_step : in, p->in_c, scratch + i);
            if (p->weights_offset != 0) {
                lotor_v7m_totals(scratch + i, end, p->weights_offset,
                                 scratch + LOTOR_V7M_LANES * p->pairs + i);
            }
            in += 2 * p->in_step;
        }
        const struct lotor_v7m_dense shape = {p->out_step, p->pairs, lanes};
        p->dense(&shape, scratch, weights, weights + p->words, out);
        out += LOTOR_V7M_LANES * p->out_step;
    }
}

#endif

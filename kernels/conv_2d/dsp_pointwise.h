/* 1x1 convolution of int8 with the DSP instructions: four pixels and two filters at a time.
 *
 * Four pixels are unpacked to int16 once for all filters. Bias and zero points are in the packed
 * weights, see `dsp_dense.h`.
 */
#ifndef LOTOR_CONV_2D_DSP_POINTWISE_H
#define LOTOR_CONV_2D_DSP_POINTWISE_H

#include "../common/dsp.h"
#include "../common/dsp_dense.h"

struct lotor_conv_2d_dsp_pointwise_params {
    int32_t pixels, in_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t pairs;             /* of inputs in a pixel */
    int32_t words;             /* of packed weights */
    int32_t first;             /* of them that make an even number of filters of an odd one; or 0 */
    lotor_dsp_dense_function *dense;
};

static inline LOTOR_SPECIALISED void
lotor_conv_2d_dsp_pointwise(const struct lotor_conv_2d_dsp_pointwise_params *p, const int8_t *in,
                            const uint32_t *weights, int8_t *out, int32_t *scratch) {
    uint32_t *const lanes = (uint32_t *)scratch;
    for (int32_t pixel = 0; pixel < p->pixels; pixel += 4) {
        const int32_t left = p->pixels - pixel;
        const int8_t *from = in + pixel * p->in_step;
        if (left > 4 || (left == 4 && p->in_c % 4 == 0)) {
            /* What a word holds beyond the pixel meets weights of 0. */
            lotor_dsp_expand_four(from, p->in_step, p->pairs / 2, lanes);
        } else {
            const int32_t kept = left < 4 ? 4 - left : 0;
            lotor_dsp_keep(lanes, p->pairs, kept);
            pixel -= kept;
            for (int32_t i = kept; i < 4; i++) {
                uint32_t *const lane = lotor_dsp_expand(from, p->in_c / 4, lanes + i);
                lotor_dsp_expand_rest(from + p->in_c / 4 * 4, p->in_c % 4, lane);
                from += p->in_step;
            }
        }
        lotor_dsp_dense_four(p->dense, lanes, p->pairs, weights, p->words, p->first,
                             out + pixel * p->out_step, p->out_step);
    }
}

#endif

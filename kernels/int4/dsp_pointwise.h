/* 1x1 convolution of int8 with weights of four bits, with the DSP instructions.
 *
 * Some filters at a time are unpacked into scratch memory, for which the int8 kernel then computes
 * all pixels: a weight is unpacked once, the inputs are for every such block of filters.
 */
#ifndef LOTOR_INT4_DSP_POINTWISE_H
#define LOTOR_INT4_DSP_POINTWISE_H

#include "../common/dsp_int4.h"
#include "../conv_2d/dsp_pointwise.h"

struct lotor_conv_2d_int4_dsp_pointwise_params {
    struct lotor_conv_2d_dsp_pointwise_params layer; /* its words are those of two filters */
    int32_t twos;                                    /* times two filters */
    int32_t at_once; /* of them; where their number is odd, 2 or more */
};

static inline LOTOR_SPECIALISED void
lotor_conv_2d_int4_dsp_pointwise(const struct lotor_conv_2d_int4_dsp_pointwise_params *p,
                                 const int8_t *in, const uint32_t *weights, int8_t *out,
                                 int32_t *lanes, int32_t *scratch) {
    struct lotor_conv_2d_dsp_pointwise_params block = p->layer;
    uint32_t *const filters = (uint32_t *)scratch;
    for (int32_t left = p->twos; left > 0; left -= p->at_once) {
        const int32_t twos = left < p->at_once ? left : p->at_once;
        weights = lotor_dsp_int4_unpack(weights, twos, p->layer.pairs, p->layer.words, filters);
        block.words = twos * p->layer.words;
        lotor_conv_2d_dsp_pointwise(&block, in, filters, out, lanes);
        out += block.first ? 2 * twos - 1 : 2 * twos;
        block.first = 0; /* the first block alone has an odd number */
    }
}

#endif

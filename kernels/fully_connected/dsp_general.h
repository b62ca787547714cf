/* Dense layer of int8 of any shape with the DSP instructions: any number of inputs and outputs,
 * weights with a zero point, sums of any size. Four outputs at a time. */
#ifndef LOTOR_FULLY_CONNECTED_DSP_GENERAL_H
#define LOTOR_FULLY_CONNECTED_DSP_GENERAL_H

#include "../common/dsp_sums.h"

struct lotor_fully_connected_dsp_general_params {
    int32_t batches, inputs, outputs;
    int32_t weights_offset;
    int32_t words;                                          /* of weights of an output */
    int32_t entries;                                        /* of `scales` for an output */
    int32_t way, lift, shift, out_offset, out_min, out_max; /* see `dsp_general.h` */
};

static inline LOTOR_SPECIALISED void
lotor_fully_connected_dsp_general(const struct lotor_fully_connected_dsp_general_params *p,
                                  const int8_t *in, const uint32_t *weights, const int32_t *scales,
                                  int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        const uint32_t *four = weights;
        int32_t same = 0; /* what the weights' zero point adds for all outputs */
        if (p->weights_offset != 0) {
            same = p->weights_offset * lotor_dsp_total(in, p->inputs);
        }
        for (int32_t o = 0; o < p->outputs; o += 4) {
            /* The last four come a second time in part. */
            const int32_t first = lotor_max(lotor_min(o, p->outputs - 4), 0);
            int32_t sums[4];
            lotor_dsp_four_sums(in, four, p->inputs, sums);
            four += 4 * (1 + p->words);
#pragma GCC unroll 1
            for (int32_t i = 0; i < 4; i++) {
                const int32_t at = lotor_min(first + i, p->outputs - 1);
                const struct lotor_dsp_channel scale =
                    lotor_dsp_channel(scales + at * p->entries, p->way);
                out[at] =
                    lotor_dsp_requantize(lotor_wrapping_add(sums[i], same), &scale, p->way, p->lift,
                                         p->shift, p->out_offset, p->out_min, p->out_max);
            }
        }
        in += p->inputs;
        out += p->outputs;
    }
}

#endif

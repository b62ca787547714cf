/* Means of int8 over one or two neighbouring axes before the last with the DSP instructions, four
 * channels at a time. */
#ifndef LOTOR_MEAN_DSP_H
#define LOTOR_MEAN_DSP_H

#include "../common/dsp_pool.h"

struct lotor_mean_dsp_params {
    int32_t rows, channels; /* of the output */
    int32_t step;           /* elements from the inputs of one row to those of the next */
    int32_t height, width;  /* pixels of a mean */
    int32_t line_step, pixel_step;
    int32_t bias, multiplier, addend, right; /* of a sum, see `dsp_general.h` */
    int32_t way, lift, shift, out_min, out_max;
};

static inline LOTOR_SPECIALISED void lotor_mean_dsp(const struct lotor_mean_dsp_params *p,
                                                    const int8_t *in, int8_t *out) {
    const struct lotor_dsp_window window = {
        .height = p->height,
        .width = p->width,
        .line_step = p->line_step,
        .pixel_step = p->pixel_step,
        .way = p->way,
        .lift = p->lift,
        .shift = p->shift,
        .out_min = p->out_min,
        .out_max = p->out_max,
        .scale = {p->bias, {p->multiplier, p->addend, p->right}},
    };
    for (int32_t row = 0; row < p->rows; row++) {
        lotor_dsp_means(&window, in, p->channels, out);
        in += p->step;
        out += p->channels;
    }
}

#endif

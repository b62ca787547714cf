/* Means of int8 over one or two neighbouring axes before the last with Helium instructions, eight
 * channels at a time. */
#ifndef LOTOR_MEAN_HELIUM_H
#define LOTOR_MEAN_HELIUM_H

#include "../common/helium_pool.h"

struct lotor_mean_helium_params {
    int32_t rows, channels; /* of the output */
    int32_t step;           /* elements from the inputs of one row to those of the next */
    int32_t height, width;  /* pixels of a mean */
    int32_t line_step, pixel_step;
    int32_t wide;                           /* whether there are more than 255 pixels */
    int32_t biased;                         /* whether the bias comes to the sums */
    int32_t bias, multiplier, addend, left; /* of a sum, see `helium_output.h` */
    int32_t lift, shift, out_min, out_max;
};

static inline LOTOR_SPECIALISED void lotor_mean_helium(const struct lotor_mean_helium_params *p,
                                                       const int8_t *in, int8_t *out) {
    const struct lotor_helium_window window = {
        .height = p->height,
        .width = p->width,
        .line_gap = p->line_step - p->width * p->pixel_step,
        .pixel_step = p->pixel_step,
        .bias = p->bias,
        .multiplier = p->multiplier,
        .addend = p->addend,
        .left = p->left,
    };
    const struct lotor_helium_mean mean = {
        .wide = p->wide,
        .biased = p->biased,
        .lift = p->lift,
        .shift = p->shift,
        .out_min = p->out_min,
        .out_max = p->out_max,
    };
    for (int32_t row = 0; row < p->rows; row++) {
        lotor_helium_means(&window, &mean, 1, in, p->channels, out);
        in += p->step;
        out += p->channels;
    }
}

#endif

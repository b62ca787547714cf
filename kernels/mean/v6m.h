/* Means of int8 over one or two neighbouring axes before the last for Armv6-M, four channels at a
 * time. */
#ifndef LOTOR_MEAN_V6M_H
#define LOTOR_MEAN_V6M_H

#include "../common/v6m_pool.h"

struct lotor_mean_v6m_params {
    int32_t rows, channels; /* of the output */
    int32_t step;           /* elements from the inputs of one row to those of the next */
    int32_t height, width;  /* pixels of a mean */
    int32_t line_step, pixel_step;
    int32_t multiplier, addend, shift, out_min, out_max, clamped; /* see `v6m_pool.h` */
    int32_t parts, begin, reach, high, zero, below, lowest;
};

static inline LOTOR_SPECIALISED void lotor_mean_v6m(const struct lotor_mean_v6m_params *p,
                                                    const int8_t *in, int8_t *out) {
    const struct lotor_v6m_window window = {p->height, p->width, p->line_step, p->pixel_step};
    const struct lotor_v6m_mean mean = {
        .multiplier = p->multiplier,
        .addend = p->addend,
        .shift = p->shift,
        .out_min = p->out_min,
        .out_max = p->out_max,
        .clamped = p->clamped,
        .parts = p->parts,
        .begin = p->begin,
        .reach = p->reach,
        .high = p->high,
        .zero = p->zero,
        .below = p->below,
        .lowest = p->lowest,
    };
    for (int32_t row = 0; row < p->rows; row++) {
        lotor_v6m_means(&window, &mean, in, p->channels, out);
        in += p->step;
        out += p->channels;
    }
}

#endif

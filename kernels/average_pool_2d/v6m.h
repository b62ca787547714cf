/* Average pooling of int8 for Armv6-M, four channels at a time; all windows lie inside the
 * image. */
#ifndef LOTOR_AVERAGE_POOL_2D_V6M_H
#define LOTOR_AVERAGE_POOL_2D_V6M_H

#include "../common/v6m_pool.h"

struct lotor_average_pool_2d_v6m_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w; /* pad: 0 */
    int32_t multiplier, addend, shift, out_min, out_max, clamped; /* see `v6m_pool.h` */
};

static inline LOTOR_SPECIALISED void
lotor_average_pool_2d_v6m(const struct lotor_average_pool_2d_v6m_params *p, const int8_t *in,
                          int8_t *out) {
    const struct lotor_v6m_window window = {p->kernel_h, p->kernel_w, p->in_w * p->in_step,
                                            p->in_step};
    const struct lotor_v6m_mean mean = {
        .multiplier = p->multiplier,
        .addend = p->addend,
        .shift = p->shift,
        .out_min = p->out_min,
        .out_max = p->out_max,
        .clamped = p->clamped,
    };
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const int8_t *from = in + y * p->stride_h * p->in_w * p->in_step;
            for (int32_t x = 0; x < p->out_w; x++) {
                lotor_v6m_means(&window, &mean, from, p->in_c, out);
                from += p->stride_w * p->in_step;
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

#endif

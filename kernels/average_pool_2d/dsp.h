/* Average pooling of int8 with the DSP instructions, four channels at a time; all windows lie
 * inside the image. */
#ifndef LOTOR_AVERAGE_POOL_2D_DSP_H
#define LOTOR_AVERAGE_POOL_2D_DSP_H

#include "../common/dsp_pool.h"

struct lotor_average_pool_2d_dsp_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w; /* pad: 0 */
    int32_t bias, multiplier, addend, right; /* of a sum, see `dsp_general.h` */
    int32_t way, lift, shift, out_min, out_max;
};

static inline LOTOR_SPECIALISED void
lotor_average_pool_2d_dsp(const struct lotor_average_pool_2d_dsp_params *p, const int8_t *in,
                          int8_t *out) {
    const struct lotor_dsp_window window = {
        .height = p->kernel_h,
        .width = p->kernel_w,
        .line_step = p->in_w * p->in_step,
        .pixel_step = p->in_step,
        .way = p->way,
        .lift = p->lift,
        .shift = p->shift,
        .out_min = p->out_min,
        .out_max = p->out_max,
        .scale = {p->bias, {p->multiplier, p->addend, p->right}},
    };
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++) {
                const int32_t at = y * p->stride_h * p->in_w + x * p->stride_w;
                lotor_dsp_means(&window, in + at * p->in_step, p->in_c, out);
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

#endif

/* Average pooling of int8 with Helium instructions, eight channels at a time. */
#ifndef LOTOR_AVERAGE_POOL_2D_HELIUM_H
#define LOTOR_AVERAGE_POOL_2D_HELIUM_H

#include "../common/helium_pool.h"

struct lotor_average_pool_2d_helium_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    int32_t inside;                          /* whether all windows lie inside the image */
    int32_t multiplier, addend, lift, shift; /* of a whole window, see `helium_output.h` */
    int32_t out_min, out_max;
};

/* The means of a window. */
static inline LOTOR_SPECIALISED void lotor_average_pool_2d_helium_window(
    const struct lotor_average_pool_2d_helium_params *p, int32_t height, int32_t width,
    int32_t fixed, int32_t multiplier, int32_t addend, const int8_t *in, int8_t *out) {
    const struct lotor_helium_window window = {
        .height = height,
        .width = width,
        .line_gap = (p->in_w - width) * p->in_step,
        .pixel_step = p->in_step,
        .multiplier = multiplier,
        .addend = addend,
    };
    const struct lotor_helium_mean mean = {
        .lift = p->lift,
        .shift = p->shift,
        .out_min = p->out_min,
        .out_max = p->out_max,
    };
    lotor_helium_means(&window, &mean, fixed, in, p->in_c, out);
}

/* scales: multiplier and addend of every number of pixels inside the image that a window has. */
static inline LOTOR_SPECIALISED void
lotor_average_pool_2d_helium(const struct lotor_average_pool_2d_helium_params *p, const int8_t *in,
                             const int32_t *scales, int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const int32_t top = y * p->stride_h - p->pad_h;
            const int32_t first_y = lotor_max(top, 0);
            const int32_t height = lotor_min(top + p->kernel_h, p->in_h) - first_y;
            for (int32_t x = 0; x < p->out_w; x++) {
                const int32_t left = x * p->stride_w - p->pad_w;
                const int32_t first_x = lotor_max(left, 0);
                const int32_t width = lotor_min(left + p->kernel_w, p->in_w) - first_x;
                const int8_t *from = in + (first_y * p->in_w + first_x) * p->in_step;
                if (p->inside || (height == p->kernel_h && width == p->kernel_w)) {
                    lotor_average_pool_2d_helium_window(p, p->kernel_h, p->kernel_w, 1,
                                                        p->multiplier, p->addend, from, out);
                } else {
                    const int32_t *scale = scales + 2 * height * width;
                    lotor_average_pool_2d_helium_window(p, height, width, 0, scale[0], scale[1],
                                                        from, out);
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

#endif

/* 2-D convolution of int8 of any shape with the DSP instructions: groups, few pixels or filters,
 * weights with a zero point, sums of any size. Four pixels and two filters at a time, or where
 * there are fewer pixels, one. What lies outside the input counts as its zero point. */
#ifndef LOTOR_CONV_2D_DSP_GENERAL_H
#define LOTOR_CONV_2D_DSP_GENERAL_H

#include "../common/dsp_sums.h"

struct lotor_conv_2d_dsp_general_params {
    int32_t batches, in_h, in_w, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t groups, group_c, filters; /* channels and filters of a group */
    int32_t in_zero_point, weights_offset;
    int32_t pointwise; /* a pixel of the output needs the one of the same number */
    int32_t lanes;     /* pixels at a time, 4 or 1 */
    int32_t words;     /* of weights in a filter */
    int32_t entries;   /* of `scales` for a channel */
    int32_t way, lift, shift, out_offset, out_min, out_max; /* see `dsp_general.h` */
};

/* Returns the window of an output pixel; `copy` is room for it. */
static inline LOTOR_SPECIALISED const int8_t *
lotor_conv_2d_dsp_general_window(const struct lotor_conv_2d_dsp_general_params *p, const int8_t *in,
                                 int32_t pixel, int8_t *copy) {
    if (p->pointwise) {
        return in + pixel * p->in_step;
    }
    const int32_t count = p->kernel_w * p->group_c; /* in a row of the window */
    const int32_t row = pixel / p->out_w, image = row / p->out_h;
    const int32_t top = (row - image * p->out_h) * p->stride_h - p->pad_h;
    const int32_t left = (pixel - row * p->out_w) * p->stride_w - p->pad_w;
    const int32_t end = left + (p->kernel_w - 1) * p->dilation_w;
    const int whole = p->in_step == p->group_c && p->dilation_w == 1 && left >= 0 && end < p->in_w;
    int8_t *to = copy;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = top + ky * p->dilation_h;
        const int8_t *from = in + (image * p->in_h + y) * p->in_w * p->in_step;
        if (y < 0 || y >= p->in_h) {
            memset(to, p->in_zero_point, (size_t)count);
        } else if (whole) {
            memcpy(to, from + left * p->in_step, (size_t)count);
        } else {
            for (int32_t kx = 0; kx < p->kernel_w; kx++) {
                const int32_t x = left + kx * p->dilation_w;
                if (x < 0 || x >= p->in_w) {
                    memset(to + kx * p->group_c, p->in_zero_point, (size_t)p->group_c);
                } else {
                    memcpy(to + kx * p->group_c, from + x * p->in_step, (size_t)p->group_c);
                }
            }
        }
        to += count;
    }
    return copy;
}

static inline LOTOR_SPECIALISED int8_t
lotor_conv_2d_dsp_general_output(const struct lotor_conv_2d_dsp_general_params *p, int32_t sum,
                                 int32_t same, const struct lotor_dsp_channel *scale) {
    if (p->weights_offset != 0) {
        sum = lotor_wrapping_add(sum, same);
    }
    return lotor_dsp_requantize(sum, scale, p->way, p->lift, p->shift, p->out_offset, p->out_min,
                                p->out_max);
}

/* Up to four pixels of a group. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_dsp_general_pixels(const struct lotor_conv_2d_dsp_general_params *p, const int8_t *in,
                                 const uint32_t *weights, const int32_t *scales, int32_t pixel,
                                 int32_t count, int8_t *out, uint32_t *lanes) {
    const int32_t window = p->kernel_h * p->kernel_w * p->group_c;
    int8_t *const copy = (int8_t *)(lanes + (p->lanes > 1 ? 8 * p->words : 0));
    const int8_t *from = in;
    int32_t same[4] = {0}; /* what the weights' zero point adds for all filters */
    int8_t *to[4];
    int32_t sums[8];
    for (int32_t i = 0; i < p->lanes; i++) {
        const int32_t at = lotor_min(i, count - 1);
        to[i] = out + (pixel + at) * p->out_step;
        if (i == at) {
            from = lotor_conv_2d_dsp_general_window(p, in, pixel + i, copy);
            if (p->lanes > 1) {
                same[i] = p->weights_offset * lotor_dsp_spread(from, window, lanes + i);
            } else if (p->weights_offset != 0) {
                same[i] = p->weights_offset * lotor_dsp_total(from, window);
            }
        }
    }
    const int32_t some = p->lanes > 1 ? 2 : 4; /* filters at a time */
    for (int32_t f = 0; f < p->filters; f += some) {
        /* The last ones come a second time in part. */
        const int32_t first = lotor_max(lotor_min(f, p->filters - some), 0);
        if (p->lanes > 1) {
            lotor_dsp_eight_sums(lanes, weights, p->words, sums);
        } else {
            lotor_dsp_four_sums(from, weights, window, sums);
        }
#pragma GCC unroll 4
        for (int32_t i = 0; i < some; i++) {
            const int32_t c = lotor_min(first + i, p->filters - 1);
            const struct lotor_dsp_channel scale =
                lotor_dsp_channel(scales + c * p->entries, p->way);
            /* Backward: lanes that are not in use write to the last pixel first. */
#pragma GCC unroll 4
            for (int32_t k = p->lanes - 1; k >= 0; k--) {
                to[k][c] =
                    lotor_conv_2d_dsp_general_output(p, sums[i * p->lanes + k], same[k], &scale);
            }
        }
        weights += some * (1 + p->words);
    }
}

static inline LOTOR_SPECIALISED void
lotor_conv_2d_dsp_general(const struct lotor_conv_2d_dsp_general_params *p, const int8_t *in,
                          const uint32_t *weights, const int32_t *scales, int8_t *out,
                          int32_t *scratch) {
    const int32_t pixels = p->batches * p->out_h * p->out_w;
    const int32_t some = p->lanes > 1 ? 2 : 4;
    const int32_t words = (p->filters + some - 1) / some * some * (1 + p->words); /* of a group */
    for (int32_t pixel = 0; pixel < pixels; pixel += p->lanes) {
        const int32_t count = lotor_min(p->lanes, pixels - pixel);
        for (int32_t g = 0; g < p->groups; g++) {
            lotor_conv_2d_dsp_general_pixels(p, in + g * p->group_c, weights + g * words,
                                             scales + g * p->filters * p->entries, pixel, count,
                                             out + g * p->filters, (uint32_t *)scratch);
        }
    }
}

#endif

/* 2-D convolution of int8 for Armv7-M: six pixels at a time, see `v7m_dense.h`.
 *
 * The windows of two pixels are packed together once for all filters. Bias and zero points are in
 * the packed weights; what lies outside the input counts as its zero point.
 */
#ifndef LOTOR_CONV_2D_V7M_H
#define LOTOR_CONV_2D_V7M_H

#include "../common/v7m_dense.h"

struct lotor_conv_2d_v7m_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t in_zero_point;
    int32_t pairs; /* of inputs in a window, whose rows begin with whole ones */
    int32_t words; /* of packed weights */
    lotor_v7m_dense_function *dense;
};

/* A pixel's window. */
struct lotor_conv_2d_v7m_window {
    const int8_t *image;
    int32_t top, left;
};

static inline LOTOR_SPECIALISED struct lotor_conv_2d_v7m_window
lotor_conv_2d_v7m_window(const struct lotor_conv_2d_v7m_params *p, const int8_t *in,
                         int32_t pixel) {
    const int32_t line = pixel / p->out_w, column = pixel - line * p->out_w;
    const int32_t n = line / p->out_h, y = line - n * p->out_h;
    const struct lotor_conv_2d_v7m_window window = {
        .image = in + n * p->in_h * p->in_w * p->in_step,
        .top = y * p->stride_h - p->pad_h,
        .left = column * p->stride_w - p->pad_w,
    };
    return window;
}

/* Returns a row of a window: where it lies, or for what is not inside the input, a copy. */
static inline LOTOR_SPECIALISED const int8_t *
lotor_conv_2d_v7m_row(const struct lotor_conv_2d_v7m_params *p,
                      const struct lotor_conv_2d_v7m_window *window, int32_t ky, int8_t *copy) {
    const int32_t y = window->top + ky * p->dilation_h, left = window->left;
    const int8_t *const row = window->image + y * p->in_w * p->in_step;
    const int whole = p->kernel_w == 1 || (p->in_step == p->in_c && p->dilation_w == 1);
    const int inside = y >= 0 && y < p->in_h;
    if (whole && inside && left >= 0 && left + p->kernel_w <= p->in_w) {
        return row + left * p->in_step;
    }
    memset(copy, p->in_zero_point, (size_t)(p->kernel_w * p->in_c));
    for (int32_t kx = 0; kx < p->kernel_w && inside; kx++) {
        const int32_t x = left + kx * p->dilation_w;
        if (x >= 0 && x < p->in_w) {
            memcpy(copy + kx * p->in_c, row + x * p->in_step, (size_t)p->in_c);
        }
    }
    return copy;
}

static inline LOTOR_SPECIALISED void lotor_conv_2d_v7m(const struct lotor_conv_2d_v7m_params *p,
                                                       const int8_t *in, const uint32_t *weights,
                                                       int8_t *out, int32_t *scratch) {
    const int32_t pixels = p->batches * p->out_h * p->out_w;
    const int32_t count = p->kernel_w * p->in_c;
    int8_t *const copy = (int8_t *)(scratch + LOTOR_V7M_LANES * p->pairs);
    for (int32_t first = 0; first < pixels; first += LOTOR_V7M_LANES) {
        const int32_t left = pixels - first;
        const int32_t lanes = left < LOTOR_V7M_LANES ? left : LOTOR_V7M_LANES;
        for (int32_t i = 0; i < lanes; i += 2) {
            const struct lotor_conv_2d_v7m_window a = lotor_conv_2d_v7m_window(p, in, first + i),
                                                  b = i + 1 < lanes ? lotor_conv_2d_v7m_window(
                                                                          p, in, first + i + 1)
                                                                    : a;
            int32_t *to = scratch + i;
            for (int32_t ky = 0; ky < p->kernel_h; ky++) {
                const int8_t *const x = lotor_conv_2d_v7m_row(p, &a, ky, copy);
                to = lotor_v7m_pack(x, lotor_conv_2d_v7m_row(p, &b, ky, copy + count), count, to);
            }
        }
        const struct lotor_v7m_dense shape = {p->out_step, p->pairs, lanes};
        p->dense(&shape, scratch, weights, weights + p->words, out + first * p->out_step);
    }
}

#endif

/* 2-D convolution of int8 for Armv7-M: six pixels at a time, see `v7m_dense.h`.
 *
 * The windows of two pixels are packed together once for all filters. Bias and zero points are in
 * the packed weights; what lies outside the input counts as its zero point.
 */
#ifndef LOTOR_CONV_2D_V7M_H
#define LOTOR_CONV_2D_V7M_H

#include "../common/v7m_dense.h"

#include <string.h>

struct lotor_conv_2d_v7m_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t in_zero_point;
    int32_t pairs;       /* of inputs in a window */
    int32_t copied;      /* bytes of room for a part of a window */
    int32_t words;       /* of packed weights */
    int32_t lift, shift; /* of the sums, see `v7m_output.h` */
    int32_t out_min, out_max;
};

/* Returns a row of a window: where it lies, or for what is not inside the input, a copy. */
static inline LOTOR_SPECIALISED const int8_t *
lotor_conv_2d_v7m_row(const struct lotor_conv_2d_v7m_params *p, const int8_t *in, int32_t pixel,
                      int32_t ky, int8_t *copy) {
    const int32_t n = pixel / (p->out_h * p->out_w);
    const int32_t y = pixel / p->out_w % p->out_h * p->stride_h - p->pad_h + ky * p->dilation_h;
    const int32_t left = pixel % p->out_w * p->stride_w - p->pad_w;
    const int32_t end = left + (p->kernel_w - 1) * p->dilation_w;
    const int8_t *const row = in + (n * p->in_h + y) * p->in_w * p->in_step;
    const int32_t whole = p->kernel_w == 1 || (p->in_step == p->in_c && p->dilation_w == 1);
    if (whole && left >= 0 && end < p->in_w && y >= 0 && y < p->in_h) {
        return row + left * p->in_step;
    }
    for (int32_t kx = 0; kx < p->kernel_w; kx++) {
        const int32_t x = left + kx * p->dilation_w;
        int8_t *const to = copy + kx * p->in_c;
        if (x < 0 || x >= p->in_w || y < 0 || y >= p->in_h) {
            memset(to, p->in_zero_point, (size_t)p->in_c);
        } else {
            memcpy(to, row + x * p->in_step, (size_t)p->in_c);
        }
    }
    return copy;
}

/* Packs `count` inputs of two pixels, two of each at a time. */
static inline LOTOR_SPECIALISED int32_t *lotor_v7m_pack(const int8_t *a, const int8_t *b,
                                                        int32_t count, int32_t *to, int32_t step) {
#pragma GCC unroll 2
    for (int32_t i = count / 4; i > 0; i--) {
        uint32_t x, y;
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        to[0] = (int8_t)x + (int8_t)y * 65536;
        to[1] = (int8_t)(x >> 8) + (int8_t)(y >> 8) * 65536;
        to[step] = (int8_t)(x >> 16) + (int8_t)(y >> 16) * 65536;
        to[step + 1] = (int8_t)(x >> 24) + (int8_t)(y >> 24) * 65536;
        to += 2 * step;
        a += 4;
        b += 4;
    }
    for (int32_t i = 0; i < count % 4; i += 2) {
        to[0] = a[i] + b[i] * 65536;
        to[1] = i + 1 < count % 4 ? a[i + 1] + b[i + 1] * 65536 : 0;
        to += step;
    }
    return to;
}

/* Packs the windows of two pixels; `bytes` is room for parts of them. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_v7m_windows(const struct lotor_conv_2d_v7m_params *p, const int8_t *in, int32_t a,
                          int32_t b, int32_t *to, int32_t step, int8_t *bytes) {
    const int32_t count = p->kernel_w * p->in_c;
    int8_t *const more = bytes + p->copied;
    if (count % 2 == 0 || p->kernel_h == 1) {
        for (int32_t ky = 0; ky < p->kernel_h; ky++) {
            const int8_t *const left = lotor_conv_2d_v7m_row(p, in, a, ky, bytes);
            to = lotor_v7m_pack(left, lotor_conv_2d_v7m_row(p, in, b, ky, more), count, to, step);
        }
        return;
    }
    for (int32_t ky = 0; ky < p->kernel_h; ky++) { /* pairs that begin in one row end in the next */
        int8_t *const left = bytes + ky * count, *const right = more + ky * count;
        const int8_t *row = lotor_conv_2d_v7m_row(p, in, a, ky, left);
        if (row != left) {
            memcpy(left, row, (size_t)count);
        }
        row = lotor_conv_2d_v7m_row(p, in, b, ky, right);
        if (row != right) {
            memcpy(right, row, (size_t)count);
        }
    }
    lotor_v7m_pack(bytes, more, p->kernel_h * count, to, step);
}

/* The outputs of a constant number of pixels. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_v7m_pixels(const struct lotor_conv_2d_v7m_params *p, const int8_t *in,
                         const uint32_t *weights, int8_t *out, int32_t first, int32_t lanes,
                         int32_t *packed, int8_t *bytes) {
    const int32_t step = lanes + lanes % 2;
    for (int32_t i = 0; i < lanes; i += 2) {
        const int32_t a = first + i, b = i + 1 < lanes ? a + 1 : a;
        lotor_conv_2d_v7m_windows(p, in, a, b, packed + i, step, bytes);
    }
    lotor_v7m_dense(packed, weights, weights + p->words, out + first * p->out_step, p->pairs, lanes,
                    p->out_step, p->lift, p->shift, p->out_min, p->out_max);
}

static inline LOTOR_SPECIALISED void lotor_conv_2d_v7m(const struct lotor_conv_2d_v7m_params *p,
                                                       const int8_t *in, const uint32_t *weights,
                                                       int8_t *out, int32_t *scratch) {
    const int32_t pixels = p->batches * p->out_h * p->out_w;
    const int32_t rest = pixels % LOTOR_V7M_LANES;
    int8_t *const bytes =
        (int8_t *)(scratch +
                   p->pairs * (pixels < LOTOR_V7M_LANES ? rest + rest % 2 : LOTOR_V7M_LANES));
    int32_t first = 0;
    for (; first < pixels - rest; first += LOTOR_V7M_LANES) {
        lotor_conv_2d_v7m_pixels(p, in, weights, out, first, LOTOR_V7M_LANES, scratch, bytes);
    }
    if (rest > 0) {
        lotor_conv_2d_v7m_pixels(p, in, weights, out, first, rest, scratch, bytes);
    }
}

#endif

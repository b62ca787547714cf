/* 2-D convolution of int8 for Armv7-M: six pixels at a time, see `v7m_dense.h`.
 *
 * The windows of two pixels are packed together once for all filters of a group. Bias and the
 * input's zero point are in the packed weights; what lies outside the input counts as its zero
 * point.
 */
#ifndef LOTOR_CONV_2D_V7M_H
#define LOTOR_CONV_2D_V7M_H

#include "../common/v7m_dense.h"

struct lotor_conv_2d_v7m_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t groups, filters; /* filters, `in_c`, `pairs` and `words` are those of one group */
    int32_t side_by_side;    /* whether rows of windows lie in the input as they are */
    int32_t in_zero_point, weights_offset;
    int32_t pairs; /* of inputs in a window, whose rows begin with whole ones */
    int32_t words; /* of packed weights */
    lotor_v7m_dense_function *dense;
};

/* A pixel's window, from one of its rows on. */
struct lotor_conv_2d_v7m_window {
    const int8_t *row; /* where the row's first input lies, or would */
    int32_t y, left;
    int32_t inside; /* whether its columns are inside the input */
};

static inline LOTOR_SPECIALISED struct lotor_conv_2d_v7m_window
lotor_conv_2d_v7m_window(const struct lotor_conv_2d_v7m_params *p, const int8_t *in,
                         int32_t pixel) {
    const int32_t line = pixel / p->out_w, column = pixel - line * p->out_w;
    const int32_t n = line / p->out_h;
    const int32_t top = (line - n * p->out_h) * p->stride_h - p->pad_h;
    const int32_t left = column * p->stride_w - p->pad_w;
    const int32_t right = left + (p->kernel_w - 1) * p->dilation_w;
    const struct lotor_conv_2d_v7m_window window = {
        .row = in + ((n * p->in_h + top) * p->in_w + left) * p->in_step,
        .y = top,
        .left = left,
        .inside = left >= 0 && right < p->in_w,
    };
    return window;
}

/* Copies a row of a window, with the zero point for what is not inside the input. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_v7m_copy(const struct lotor_conv_2d_v7m_params *p,
                       const struct lotor_conv_2d_v7m_window *window, int8_t *copy) {
    const int inside = window->y >= 0 && window->y < p->in_h;
    memset(copy, p->in_zero_point, (size_t)(p->kernel_w * p->in_c));
    for (int32_t kx = 0; kx < p->kernel_w && inside; kx++) {
        const int32_t from = kx * p->dilation_w, x = window->left + from;
        if (x >= 0 && x < p->in_w) {
            memcpy(copy + kx * p->in_c, window->row + from * p->in_step, (size_t)p->in_c);
        }
    }
}

/* Returns the next row of a window. */
static inline LOTOR_SPECIALISED const int8_t *
lotor_conv_2d_v7m_row(const struct lotor_conv_2d_v7m_params *p,
                      struct lotor_conv_2d_v7m_window *window, int8_t *copy) {
    const int8_t *row = window->row;
    if (!p->side_by_side || !window->inside || (uint32_t)window->y >= (uint32_t)p->in_h) {
        lotor_conv_2d_v7m_copy(p, window, copy);
        row = copy;
    }
    window->y += p->dilation_h;
    window->row += p->dilation_h * p->in_w * p->in_step;
    return row;
}

/* Packs the windows of two pixels; returns where the next input would be packed. */
static inline LOTOR_SPECIALISED int32_t *
lotor_conv_2d_v7m_windows(const struct lotor_conv_2d_v7m_params *p,
                          struct lotor_conv_2d_v7m_window a, struct lotor_conv_2d_v7m_window b,
                          int32_t *to, int8_t *copy) {
    const int32_t count = p->kernel_w * p->in_c;
    const int32_t bottom = a.y + (p->kernel_h - 1) * p->dilation_h;
    if (a.inside && b.inside && a.y == b.y && a.y >= 0 && bottom < p->in_h &&
        (p->side_by_side || p->in_c % 2 == 0)) {
        const int32_t apart = b.row - a.row;
        const int8_t *x = a.row;
        for (int32_t ky = p->kernel_h; ky > 0; ky--) {
            if (p->side_by_side) {
                to = lotor_v7m_pack(x, x + apart, count, to);
            } else {
                for (int32_t kx = 0; kx < p->kernel_w; kx++) {
                    const int8_t *const tap = x + kx * p->dilation_w * p->in_step;
                    to = lotor_v7m_pack(tap, tap + apart, p->in_c, to);
                }
            }
            x += p->dilation_h * p->in_w * p->in_step;
        }
        return to;
    }
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int8_t *const x = lotor_conv_2d_v7m_row(p, &a, copy);
        to = lotor_v7m_pack(x, lotor_conv_2d_v7m_row(p, &b, copy + count), count, to);
    }
    return to;
}

/* The filters of a group, for up to six pixels. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_v7m_group(const struct lotor_conv_2d_v7m_params *p, const int8_t *in,
                        const uint32_t *weights, int32_t pixel, int32_t lanes, int8_t *out,
                        int32_t *scratch) {
    int32_t *const totals = scratch + LOTOR_V7M_LANES * p->pairs;
    int8_t *const copy = (int8_t *)(totals + (p->weights_offset != 0 ? LOTOR_V7M_LANES : 0));
    for (int32_t i = 0; i < lanes; i += 2) {
        const struct lotor_conv_2d_v7m_window a = lotor_conv_2d_v7m_window(p, in, pixel + i);
        struct lotor_conv_2d_v7m_window b = a; /* where there is no second pixel */
        if (i + 1 < lanes) {
            b = lotor_conv_2d_v7m_window(p, in, pixel + i + 1);
        }
        const int32_t *const end = lotor_conv_2d_v7m_windows(p, a, b, scratch + i, copy);
        if (p->weights_offset != 0) {
            lotor_v7m_totals(scratch + i, end, p->weights_offset, totals + i);
        }
    }
    const struct lotor_v7m_dense shape = {p->out_step, p->pairs, lanes};
    p->dense(&shape, scratch, weights, weights + p->words, out + pixel * p->out_step);
}

static inline LOTOR_SPECIALISED void lotor_conv_2d_v7m(const struct lotor_conv_2d_v7m_params *p,
                                                       const int8_t *in, const uint32_t *weights,
                                                       int8_t *out, int32_t *scratch) {
    const int32_t pixels = p->batches * p->out_h * p->out_w;
    for (int32_t first = 0; first < pixels; first += LOTOR_V7M_LANES) {
        const int32_t left = pixels - first;
        const int32_t lanes = left < LOTOR_V7M_LANES ? left : LOTOR_V7M_LANES;
        for (int32_t g = 0; g < p->groups; g++) {
            lotor_conv_2d_v7m_group(p, in + g * p->in_c, weights + g * p->words, first, lanes,
                                    out + g * p->filters, scratch);
        }
    }
}

#endif

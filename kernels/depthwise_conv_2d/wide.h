/* Depthwise 2-D convolution of int8 for wide vector registers: sixteen channels at a time.
 *
 * Where channels are few and pixels lie close, sixteen numbers of a row are taken across pixels:
 * weights and table are then repeated for `period` numbers.
 */
#ifndef LOTOR_DEPTHWISE_CONV_2D_WIDE_H
#define LOTOR_DEPTHWISE_CONV_2D_WIDE_H

#include "../common/inline.h"
#include "../common/wide.h"

#include <stdint.h>
#include <string.h>

struct lotor_depthwise_conv_2d_wide_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t depth_multiplier; /* 1 */
    int32_t period;           /* numbers of a row of weights */
    int32_t across;           /* whether they are those of a row of pixels, not of channels */
    int32_t in_offset, out_offset, out_min, out_max;
};

/* Some numbers of an output row, at most sixteen; what is read for each lies as far from the next
 * as its output does.
 *
 * in: what the window's first tap sees, were it inside; end: of the input, up to which more numbers
 * than count may be read; place: of the weights; rows and columns of
 * the window that are inside: from `top` and `left`, before `bottom` and `right`. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_wide_some(const struct lotor_depthwise_conv_2d_wide_params *p,
                                  const int8_t *in, const int8_t *end, const int32_t *weights,
                                  const int32_t *table, int32_t place, int32_t count, int32_t top,
                                  int32_t bottom, int32_t left, int32_t right, int8_t *out) {
    lotor_wide_int32 low = {0};
    lotor_wide_int32 high = {0};
    for (int32_t ky = top; ky < bottom; ky++) {
        for (int32_t kx = left; kx < right; kx++) {
            const int8_t *from =
                in + (ky * p->dilation_h * p->in_w + kx * p->dilation_w) * p->in_step;
            const int32_t *taps = weights + (ky * p->kernel_w + kx) * p->period + place;
            int8_t numbers[LOTOR_WIDE] = {0};
            if (count < LOTOR_WIDE && end - from < LOTOR_WIDE) {
                memcpy(numbers, from, (size_t)count);
                from = numbers;
            }
            lotor_wide_multiply(from, p->in_offset, taps, &low);
            lotor_wide_multiply(from + LOTOR_WIDE / 2, p->in_offset, taps + LOTOR_WIDE / 2, &high);
        }
    }
    int32_t plain[LOTOR_WIDE];
    memcpy(plain, &low, sizeof low);
    memcpy(plain + LOTOR_WIDE / 2, &high, sizeof high);
    int8_t values[LOTOR_WIDE];
    lotor_wide_output(plain, table + place, p->period, p->out_offset, p->out_min, p->out_max,
                      values);
    memcpy(out, values, (size_t)count);
}

/* A run of numbers, `total` of them. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_wide_run(const struct lotor_depthwise_conv_2d_wide_params *p,
                                 const int8_t *in, const int8_t *end, const int32_t *weights,
                                 const int32_t *table, int32_t total, int32_t top, int32_t bottom,
                                 int32_t left, int32_t right, int8_t *out) {
    const int32_t whole = total / LOTOR_WIDE * LOTOR_WIDE;
    for (int32_t c = 0; c < whole; c += LOTOR_WIDE) {
        lotor_depthwise_conv_2d_wide_some(p, in + c, end, weights, table, c, LOTOR_WIDE, top,
                                          bottom, left, right, out + c);
    }
    if (whole < total) {
        lotor_depthwise_conv_2d_wide_some(p, in + whole, end, weights, table, whole, total - whole,
                                          top, bottom, left, right, out + whole);
    }
}

/* The same at the border, for all layers: a copy for each would take compilers long. */
static LOTOR_SHARED void
lotor_depthwise_conv_2d_wide_border(const struct lotor_depthwise_conv_2d_wide_params *p,
                                    const int8_t *in, const int8_t *end, const int32_t *weights,
                                    const int32_t *table, int32_t total, int32_t top,
                                    int32_t bottom, int32_t left, int32_t right, int8_t *out) {
    lotor_depthwise_conv_2d_wide_run(p, in, end, weights, table, total, top, bottom, left, right,
                                     out);
}

/* How many taps lie before the input, and where those behind it begin. */
static inline int32_t lotor_depthwise_conv_2d_wide_first(int32_t start, int32_t dilation,
                                                         int32_t kernel) {
    const int32_t before = start < 0 ? (-start + dilation - 1) / dilation : 0;
    return before < kernel ? before : kernel;
}

static inline int32_t lotor_depthwise_conv_2d_wide_end(int32_t start, int32_t dilation,
                                                       int32_t kernel, int32_t size) {
    const int32_t room = size - start;
    const int32_t end = room > 0 ? (room + dilation - 1) / dilation : 0;
    return end < kernel ? end : kernel;
}

/* weights: int32 [kernel_h][kernel_w][period]; table: int32 [4][period]; `period` is a multiple of
 * sixteen, what is beyond the channels is 0. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_wide(const struct lotor_depthwise_conv_2d_wide_params *p, const int8_t *in,
                             const int32_t *weights, const int32_t *table, int8_t *out) {
    const int8_t *end = in + (p->batches * p->in_h * p->in_w - 1) * p->in_step + p->in_c;
    const int32_t reach = (p->kernel_w - 1) * p->dilation_w;
    for (int32_t row = 0; row < p->batches * p->out_h; row++) {
        const int32_t y = row % p->out_h * p->stride_h - p->pad_h;
        const int32_t top = lotor_depthwise_conv_2d_wide_first(y, p->dilation_h, p->kernel_h);
        const int32_t bottom =
            lotor_depthwise_conv_2d_wide_end(y, p->dilation_h, p->kernel_h, p->in_h);
        const int32_t line = (row / p->out_h * p->in_h + y) * p->in_w;
        int8_t *to = out + row * p->out_w * p->out_step;
        int32_t column = 0;
        while (column < p->out_w) {
            const int32_t x = column * p->stride_w - p->pad_w;
            const int32_t left = lotor_depthwise_conv_2d_wide_first(x, p->dilation_w, p->kernel_w);
            const int32_t right =
                lotor_depthwise_conv_2d_wide_end(x, p->dilation_w, p->kernel_w, p->in_w);
            const int8_t *from = in + (line + x) * p->in_step;
            int32_t columns = 1;
            if (p->across && left == 0 && right == p->kernel_w) {
                columns = p->in_w - reach - x;
                columns = columns < p->out_w - column ? columns : p->out_w - column;
            }
            const int32_t total = columns * p->in_c;
            if (top == 0 && bottom == p->kernel_h && left == 0 && right == p->kernel_w) {
                lotor_depthwise_conv_2d_wide_run(p, from, end, weights, table, total, 0,
                                                 p->kernel_h, 0, p->kernel_w, to);
            } else {
                lotor_depthwise_conv_2d_wide_border(p, from, end, weights, table, total, top,
                                                    bottom, left, right, to);
            }
            column += columns;
            to += columns * p->out_step;
        }
    }
}

#endif

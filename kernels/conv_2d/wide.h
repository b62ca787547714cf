/* 2-D convolution of int8 for wide vector registers: four pixels and sixteen filters at a time.
 *
 * The windows of four pixels are gathered as int16, the zero point taken off, so that taps outside
 * the input are 0.
 */
#ifndef LOTOR_CONV_2D_WIDE_H
#define LOTOR_CONV_2D_WIDE_H

#include "../common/inline.h"
#include "../common/wide.h"

#include <stdint.h>
#include <string.h>

enum { LOTOR_CONV_2D_WIDE_MOST = 4608 }; /* inputs of a window */

struct lotor_conv_2d_wide_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t group_c; /* all of in_c */
    int32_t pairs;   /* of a window's inputs */
    int32_t in_offset, out_offset, out_min, out_max;
};

/* Gathers the window of one output pixel: int16 [2 * pairs]. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_wide_gather(const struct lotor_conv_2d_wide_params *p, const int8_t *in,
                          int32_t pixel, int16_t *window) {
    const int32_t image = pixel / (p->out_h * p->out_w);
    const int32_t top = pixel / p->out_w % p->out_h * p->stride_h - p->pad_h;
    const int32_t left = pixel % p->out_w * p->stride_w - p->pad_w;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = top + ky * p->dilation_h;
        const int32_t row = p->kernel_w * p->in_c;
        if (p->dilation_w == 1 && p->in_step == p->in_c && y >= 0 && y < p->in_h && left >= 0 &&
            left + p->kernel_w <= p->in_w) {
            const int8_t *from = in + ((image * p->in_h + y) * p->in_w + left) * p->in_c;
            for (int32_t c = 0; c < row; c++) {
                window[ky * row + c] = (int16_t)(from[c] + p->in_offset);
            }
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t x = left + kx * p->dilation_w;
            int16_t *to = window + (ky * p->kernel_w + kx) * p->in_c;
            if (y < 0 || y >= p->in_h || x < 0 || x >= p->in_w) {
                memset(to, 0, (size_t)p->in_c * sizeof *to);
                continue;
            }
            const int8_t *from = in + ((image * p->in_h + y) * p->in_w + x) * p->in_step;
            for (int32_t c = 0; c < p->in_c; c++) {
                to[c] = (int16_t)(from[c] + p->in_offset);
            }
        }
    }
    const int32_t inputs = p->kernel_h * p->kernel_w * p->in_c;
    if (inputs < 2 * p->pairs) {
        window[inputs] = 0; /* its weight is 0, too: it must only be something */
    }
}

/* weights: int16 [blocks][pairs][16][2]; table: int32 [blocks][4][16]. */
static inline LOTOR_SPECIALISED void lotor_conv_2d_wide(const struct lotor_conv_2d_wide_params *p,
                                                        const int8_t *in, const int16_t *weights,
                                                        const int32_t *table, int8_t *out) {
    int16_t windows[LOTOR_WIDE_PIXELS * LOTOR_CONV_2D_WIDE_MOST];
    int32_t sums[LOTOR_WIDE_PIXELS * LOTOR_WIDE];
    const int32_t pitch = 2 * p->pairs;
    const int32_t pixels = p->batches * p->out_h * p->out_w;
    for (int32_t first = 0; first < pixels; first += LOTOR_WIDE_PIXELS) {
        const int32_t left = pixels - first;
        const int32_t some = left < LOTOR_WIDE_PIXELS ? left : LOTOR_WIDE_PIXELS;
        for (int32_t i = 0; i < LOTOR_WIDE_PIXELS; i++) {
            /* Too few at the end: the last one again, whose sums nobody takes. */
            const int32_t pixel = first + (i < some ? i : some - 1);
            lotor_conv_2d_wide_gather(p, in, pixel, windows + i * pitch);
        }
        for (int32_t c = 0; c < p->out_c; c += LOTOR_WIDE) {
            const int32_t rest = p->out_c - c;
            const int32_t count = rest < LOTOR_WIDE ? rest : LOTOR_WIDE;
            lotor_wide_windows(windows, pitch, p->pairs, weights + c * pitch, sums);
            for (int32_t i = 0; i < some; i++) {
                int8_t values[LOTOR_WIDE];
                lotor_wide_output(sums + i * LOTOR_WIDE, table + c * 4, LOTOR_WIDE, p->out_offset,
                                  p->out_min, p->out_max, values);
                memcpy(out + (first + i) * p->out_step + c, values, (size_t)count);
            }
        }
    }
}

#endif

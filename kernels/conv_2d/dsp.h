/* 2-D convolution of int8 with the DSP instructions: four pixels and two filters at a time.
 *
 * The windows of four pixels are unpacked to int16 once for all filters. Bias and zero points are
 * in the packed weights, see `dsp_dense.h`; what lies outside the input counts as its zero point.
 */
#ifndef LOTOR_CONV_2D_DSP_H
#define LOTOR_CONV_2D_DSP_H

#include "../common/dsp.h"
#include "../common/dsp_dense.h"

struct lotor_conv_2d_dsp_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t in_zero_point;
    int32_t pairs;       /* of inputs in a window */
    int32_t words;       /* of packed weights */
    int32_t lift, shift; /* of the sums, see `dsp_dense.h` */
    int32_t out_min, out_max;
};

/* Returns the row of a window: where it lies, or for what is not inside the input, a copy. */
static inline LOTOR_SPECIALISED const int8_t *
lotor_conv_2d_dsp_row(const struct lotor_conv_2d_dsp_params *p, const int8_t *in, int32_t left,
                      int8_t *copy) {
    const int32_t end = left + (p->kernel_w - 1) * p->dilation_w;
    if (p->in_step == p->in_c && p->dilation_w == 1 && left >= 0 && end < p->in_w) {
        return in + left * p->in_step;
    }
    int8_t *to = copy;
    for (int32_t kx = 0; kx < p->kernel_w; kx++) {
        const int32_t x = left + kx * p->dilation_w;
        if (x < 0 || x >= p->in_w) {
            memset(to, p->in_zero_point, (size_t)p->in_c);
        } else {
            memcpy(to, in + x * p->in_step, (size_t)p->in_c);
        }
        to += p->in_c;
    }
    return copy;
}

/* Unpacks the window of an output pixel to one lane; `bytes` is room for it packed. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_dsp_window(const struct lotor_conv_2d_dsp_params *p, const int8_t *in, int32_t pixel,
                         uint32_t *lane, int8_t *bytes) {
    if (p->kernel_h * p->kernel_w * p->stride_h * p->stride_w == 1 && p->pad_h + p->pad_w == 0) {
        lotor_dsp_expand(in + pixel * p->in_step, p->in_c, lane);
        return;
    }
    const int32_t count = p->kernel_w * p->in_c; /* in a row of the window */
    const uint32_t zero = (uint16_t)p->in_zero_point * UINT32_C(0x10001);
    const int32_t row = pixel / p->out_w;
    const int32_t top = row % p->out_h * p->stride_h - p->pad_h;
    const int32_t left = (pixel - row * p->out_w) * p->stride_w - p->pad_w;
    const int8_t *image = in + row / p->out_h * p->in_h * p->in_w * p->in_step;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = top + ky * p->dilation_h;
        const int inside = y >= 0 && y < p->in_h;
        const int8_t *from = image + y * p->in_w * p->in_step;
        if (count % 4 != 0) { /* the whole window first */
            int8_t *const to = bytes + ky * count;
            if (inside) {
                from = lotor_conv_2d_dsp_row(p, from, left, to);
                if (from != to) {
                    memcpy(to, from, (size_t)count);
                }
            } else {
                memset(to, p->in_zero_point, (size_t)count);
            }
        } else if (inside) {
            lane = lotor_dsp_expand(lotor_conv_2d_dsp_row(p, from, left, bytes), count, lane);
        } else {
            lane = lotor_dsp_fill(zero, count / 2, lane);
        }
    }
    if (count % 4 != 0) {
        lotor_dsp_expand(bytes, p->kernel_h * count, lane);
    }
}

static inline LOTOR_SPECIALISED void lotor_conv_2d_dsp(const struct lotor_conv_2d_dsp_params *p,
                                                       const int8_t *in, const uint32_t *weights,
                                                       int8_t *out, int32_t *scratch) {
    uint32_t *const lanes = (uint32_t *)scratch;
    const int32_t pixels = p->batches * p->out_h * p->out_w;
    for (int32_t next = 0; next < pixels;) {
        const int32_t kept = pixels - next < 4 ? 4 - (pixels - next) : 0;
        if (kept > 0) { /* at the end, some pixels once more, whose input may be overwritten */
            for (int32_t i = 0; i < 4 * p->pairs; i += 4) {
                memmove(lanes + i, lanes + i + 4 - kept, (size_t)kept * sizeof *lanes);
            }
        }
        for (int32_t i = kept; i < 4; i++) {
            lotor_conv_2d_dsp_window(p, in, next++, lanes + i, (int8_t *)(lanes + p->pairs * 4));
        }
        const int32_t pixel = next - 4;
        lotor_dsp_dense(lanes, weights, weights + p->words, out + pixel * p->out_step, p->pairs,
                        p->out_step, p->out_c % 2, p->lift, p->shift, p->out_min, p->out_max);
    }
}

#endif

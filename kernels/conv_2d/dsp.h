/* 2-D convolution of int8 with the DSP instructions: four pixels and two filters at a time.
 *
 * The windows of four pixels are unpacked to int16 once for all filters. Bias and zero points are
 * in the packed weights, see `dsp_dense.h`; what lies outside the input counts as its zero point.
 * Each row of a window is read in whole words: what they hold beyond it meets weights of 0. Where a
 * row ends with a single byte, these come last, two rows in a word.
 */
#ifndef LOTOR_CONV_2D_DSP_H
#define LOTOR_CONV_2D_DSP_H

#include "../common/dsp.h"
#include "../common/dsp_dense.h"

struct lotor_conv_2d_dsp_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t in_zero_point;
    int32_t row;    /* words of a window's row */
    int32_t single; /* whether each row ends with a single byte besides */
    int32_t whole;  /* whether pixels have whole words */
    int32_t pairs;  /* of inputs in a window */
    int32_t words;  /* of packed weights */
    int32_t first;  /* of them that make an even number of filters of an odd one; or 0 */
    lotor_dsp_dense_function *dense;
};

/* Copies a window; its rows lie `pitch` bytes apart then. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_dsp_copy(const struct lotor_conv_2d_dsp_params *p, const int8_t *image, int32_t top,
                       int32_t left, int32_t pitch, int8_t *copy) {
    /* Where pixels and taps lie side by side, all of a row at once. */
    const int at_once = p->in_step == p->in_c && p->dilation_w == 1;
    const int32_t outside = at_once && left < 0 ? -left : 0;
    const int32_t inside = p->in_w - left < p->kernel_w ? p->in_w - left : p->kernel_w;
    memset(copy, p->in_zero_point, (size_t)(p->kernel_h * pitch));
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = top + ky * p->dilation_h;
        const int32_t end = y < 0 || y >= p->in_h ? 0 : at_once ? inside : p->kernel_w;
        for (int32_t kx = outside; kx < end; kx += at_once ? p->kernel_w : 1) {
            const int32_t x = left + kx * p->dilation_w;
            if (x >= 0 && x < p->in_w) {
                memcpy(copy + ky * pitch + kx * p->in_c, image + (y * p->in_w + x) * p->in_step,
                       (size_t)((at_once ? end - kx : 1) * p->in_c));
            }
        }
    }
}

/* Unpacks the single bytes at the rows' ends. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_dsp_singles(const struct lotor_conv_2d_dsp_params *p, const int8_t *from,
                          int32_t pitch, uint32_t *lane) {
    for (int32_t ky = 0; ky < p->kernel_h; ky += 2) {
        const int32_t below = ky + 1 < p->kernel_h ? from[pitch] : 0;
        *lane = lotor_dsp_pair(*from, below);
        from += 2 * pitch;
        lane += 4;
    }
}

/* Unpacks a window of whole words in each pixel to one lane. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_dsp_words(const struct lotor_conv_2d_dsp_params *p, const int8_t *image, int32_t top,
                        int32_t left, uint32_t *lane) {
    const uint32_t zero = (uint16_t)p->in_zero_point * UINT32_C(0x10001);
    const int32_t words = p->in_c / 4;
    /* Where pixels and taps lie side by side, all of a row at once. */
    const int at_once = p->in_step == p->in_c && p->dilation_w == 1;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = top + ky * p->dilation_h;
        const int inside = y >= 0 && y < p->in_h;
        for (int32_t kx = 0; kx < p->kernel_w;) {
            const int32_t x = left + kx * p->dilation_w;
            int32_t taps = 1;
            if (at_once) {
                const int32_t end = x < 0 && inside ? -left : inside ? p->in_w - left : p->kernel_w;
                taps = (end > kx && end < p->kernel_w ? end : p->kernel_w) - kx;
            }
            if (inside && x >= 0 && x < p->in_w) {
                lane = lotor_dsp_expand(image + (y * p->in_w + x) * p->in_step, taps * words, lane);
            } else {
                lane = lotor_dsp_fill(zero, 2 * taps * words, lane);
            }
            kx += taps;
        }
    }
}

/* Unpacks the windows of the pixels from `pixel` on to the lanes from `lane` up to the last. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_dsp_windows(const struct lotor_conv_2d_dsp_params *p, const int8_t *in, int32_t pixel,
                          int32_t lane, uint32_t *lanes) {
    int8_t *const copy = (int8_t *)(lanes + 4 * p->pairs);
    const int32_t bytes = 4 * p->row + p->single; /* of a window's row */
    const int32_t room = 4 * p->row + 4 * p->single;
    const int32_t pitch = p->dilation_h * p->in_w * p->in_step;
    const int32_t size = p->in_h * p->in_w * p->in_step;
    const int side_by_side = p->in_step == p->in_c && p->dilation_w == 1;
    const uint32_t zero = (uint16_t)p->in_zero_point * UINT32_C(0x10001);
    while (lane < 4) {
        const int32_t line = pixel / p->out_w;
        const int32_t column = pixel - line * p->out_w;
        const int8_t *const image = in + line / p->out_h * size;
        const int32_t top = line % p->out_h * p->stride_h - p->pad_h;
        const int32_t left = column * p->stride_w - p->pad_w;
        const int32_t bottom = top + (p->kernel_h - 1) * p->dilation_h;
        const int32_t right = left + p->kernel_w - 1;
        const int32_t start = (top * p->in_w + left) * p->in_step;
        const int32_t last = start + (p->kernel_h - 1) * pitch + bytes; /* after the last byte */
        const int rows_inside = top >= 0 && bottom < p->in_h;
        const int columns_inside = side_by_side && left >= 0 && right < p->in_w;
        const int32_t ahead = 3 * p->stride_w; /* of the fourth pixel */
        if (lane == 0 && column + 3 < p->out_w && columns_inside && right + ahead < p->in_w &&
            (p->whole || (rows_inside && last + ahead * p->in_step <= size))) {
            const int8_t *from = image + start;
            uint32_t *to = lanes;
            for (int32_t ky = 0; ky < p->kernel_h; ky++) {
                const int32_t y = top + ky * p->dilation_h;
                if (p->whole && (y < 0 || y >= p->in_h)) {
                    for (int32_t i = 0; i < 8 * p->row; i++) {
                        *to++ = zero;
                    }
                } else if (p->row > 0) {
                    to = lotor_dsp_expand_four(from, p->stride_w * p->in_step, p->row, to);
                }
                from += pitch;
            }
            for (int32_t i = 0; i < 4 && p->single; i++) {
                lotor_conv_2d_dsp_singles(
                    p, image + start + i * p->stride_w * p->in_step + 4 * p->row, pitch, to + i);
            }
            return;
        }
        if (p->whole) {
            lotor_conv_2d_dsp_words(p, image, top, left, lanes + lane);
        } else {
            const int inside = rows_inside && columns_inside && last <= size;
            const int8_t *from = inside ? image + start : copy;
            const int32_t apart = inside ? pitch : room;
            if (!inside) {
                lotor_conv_2d_dsp_copy(p, image, top, left, room, copy);
            }
            uint32_t *to = lanes + lane;
            for (int32_t ky = 0; ky < p->kernel_h; ky++) {
                to = lotor_dsp_expand(from + ky * apart, p->row, to);
            }
            if (p->single) {
                lotor_conv_2d_dsp_singles(p, from + 4 * p->row, apart, to);
            }
        }
        lane++;
        pixel++;
    }
}

static inline LOTOR_SPECIALISED void lotor_conv_2d_dsp(const struct lotor_conv_2d_dsp_params *p,
                                                       const int8_t *in, const uint32_t *weights,
                                                       int8_t *out, int32_t *scratch) {
    uint32_t *const lanes = (uint32_t *)scratch;
    const int32_t pixels = p->batches * p->out_h * p->out_w;
    for (int32_t pixel = 0; pixel < pixels; pixel += 4) {
        const int32_t kept = pixels - pixel < 4 ? 4 - (pixels - pixel) : 0;
        lotor_dsp_keep(lanes, p->pairs, kept);
        lotor_conv_2d_dsp_windows(p, in, pixel, kept, lanes);
        pixel -= kept;
        lotor_dsp_dense_four(p->dense, lanes, p->pairs, weights, p->words, p->first,
                             out + pixel * p->out_step, p->out_step);
    }
}

#endif

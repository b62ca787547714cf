/* Transposed 2-D convolution: input NHWC, weights OHWI, requantization for each channel.
 *
 * An input at (y, x) is added, times the filter, to the outputs from (y, x) * stride - pad on. The
 * reference adds input by input to an image of sums; here each output collects its inputs, in the
 * same order, and needs no such image.
 */
#ifndef LOTOR_TRANSPOSE_CONV_PORTABLE_H
#define LOTOR_TRANSPOSE_CONV_PORTABLE_H

#include "../common/float_clamp.h"
#include "../common/inline.h"
#include "../common/requantize.h"

struct lotor_transpose_conv_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    int32_t in_offset, weights_offset, out_offset, out_min, out_max;
};

struct lotor_transpose_conv_int16_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    int32_t narrow, out_min, out_max; /* narrow: sums of 32 bits, which wrap, instead of 64 */
};

struct lotor_transpose_conv_float_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    float out_min, out_max;
};

/* The first input whose filter reaches an output; its last tap lies there or beyond. */
static inline int32_t lotor_transpose_conv_first(int32_t end, int32_t kernel, int32_t stride) {
    return end < kernel ? 0 : (end - kernel) / stride + 1;
}

/* The sum of one filter over the inputs that reach one output, which the filter of an input at
 * (0, 0) would reach with its tap (bottom, right). */
static inline LOTOR_SPECIALISED int32_t
lotor_transpose_conv_sum(const struct lotor_transpose_conv_params *p, const int8_t *in,
                         const int8_t *filter, int32_t bottom, int32_t right) {
    int32_t sum = 0;
    const int32_t first_x = lotor_transpose_conv_first(right, p->kernel_w, p->stride_w);
    int32_t y = lotor_transpose_conv_first(bottom, p->kernel_h, p->stride_h);
    for (; y < p->in_h && y * p->stride_h <= bottom; y++) {
        const int32_t ky = bottom - y * p->stride_h;
        for (int32_t x = first_x; x < p->in_w && x * p->stride_w <= right; x++) {
            const int32_t kx = right - x * p->stride_w;
            const int8_t *pixel = in + (y * p->in_w + x) * p->in_step;
            const int8_t *tap = filter + (ky * p->kernel_w + kx) * p->in_c;
            for (int32_t c = 0; c < p->in_c; c++) {
                sum += (pixel[c] + p->in_offset) * (tap[c] + p->weights_offset);
            }
        }
    }
    return sum;
}

static inline LOTOR_SPECIALISED void
lotor_transpose_conv_portable(const struct lotor_transpose_conv_params *p, const int8_t *in,
                              const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                              const int8_t *shift, int8_t *out) {
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->in_c;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++) {
                for (int32_t c = 0; c < p->out_c; c++) {
                    const int32_t sum = lotor_transpose_conv_sum(p, in, weights + c * filter_size,
                                                                 y + p->pad_h, x + p->pad_w);
                    const int32_t scaled =
                        lotor_requantize(lotor_wrapping_add(sum, bias[c]), multiplier[c], shift[c]);
                    const int32_t value = lotor_wrapping_add(scaled, p->out_offset);
                    out[c] = (int8_t)lotor_clamp(value, p->out_min, p->out_max);
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

static inline LOTOR_SPECIALISED int64_t
lotor_transpose_conv_int16_sum(const struct lotor_transpose_conv_int16_params *p, const int16_t *in,
                               const int8_t *filter, int32_t bottom, int32_t right) {
    int64_t sum = 0;
    const int32_t first_x = lotor_transpose_conv_first(right, p->kernel_w, p->stride_w);
    int32_t y = lotor_transpose_conv_first(bottom, p->kernel_h, p->stride_h);
    for (; y < p->in_h && y * p->stride_h <= bottom; y++) {
        const int32_t ky = bottom - y * p->stride_h;
        for (int32_t x = first_x; x < p->in_w && x * p->stride_w <= right; x++) {
            const int32_t kx = right - x * p->stride_w;
            const int16_t *pixel = in + (y * p->in_w + x) * p->in_step;
            const int8_t *tap = filter + (ky * p->kernel_w + kx) * p->in_c;
            for (int32_t c = 0; c < p->in_c; c++) {
                sum += pixel[c] * tap[c];
            }
        }
    }
    return sum;
}

static inline LOTOR_SPECIALISED void
lotor_transpose_conv_int16_portable(const struct lotor_transpose_conv_int16_params *p,
                                    const int16_t *in, const int8_t *weights, const int64_t *bias,
                                    const int32_t *multiplier, const int8_t *shift, int16_t *out) {
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->in_c;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++) {
                for (int32_t c = 0; c < p->out_c; c++) {
                    const int64_t sum = lotor_transpose_conv_int16_sum(
                        p, in, weights + c * filter_size, y + p->pad_h, x + p->pad_w);
                    const int32_t value =
                        lotor_requantize_int16(sum + bias[c], multiplier[c], shift[c], p->narrow);
                    out[c] = (int16_t)lotor_clamp(value, p->out_min, p->out_max);
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

static inline LOTOR_SPECIALISED float
lotor_transpose_conv_float_sum(const struct lotor_transpose_conv_float_params *p, const float *in,
                               const float *filter, int32_t bottom, int32_t right) {
    float sum = 0;
    const int32_t first_x = lotor_transpose_conv_first(right, p->kernel_w, p->stride_w);
    int32_t y = lotor_transpose_conv_first(bottom, p->kernel_h, p->stride_h);
    for (; y < p->in_h && y * p->stride_h <= bottom; y++) {
        const int32_t ky = bottom - y * p->stride_h;
        for (int32_t x = first_x; x < p->in_w && x * p->stride_w <= right; x++) {
            const int32_t kx = right - x * p->stride_w;
            const float *pixel = in + (y * p->in_w + x) * p->in_step;
            const float *tap = filter + (ky * p->kernel_w + kx) * p->in_c;
            for (int32_t c = 0; c < p->in_c; c++) {
                sum += pixel[c] * tap[c];
            }
        }
    }
    return sum;
}

static inline LOTOR_SPECIALISED void
lotor_transpose_conv_float_portable(const struct lotor_transpose_conv_float_params *p,
                                    const float *in, const float *weights, const float *bias,
                                    float *out) {
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->in_c;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++) {
                for (int32_t c = 0; c < p->out_c; c++) {
                    const float sum = lotor_transpose_conv_float_sum(
                        p, in, weights + c * filter_size, y + p->pad_h, x + p->pad_w);
                    out[c] = lotor_clamp_float(sum + bias[c], p->out_min, p->out_max);
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

#endif

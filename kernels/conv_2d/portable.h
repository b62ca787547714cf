/* 2-D convolution: input NHWC, weights OHWI, one bias and requantization for each channel.
 *
 * Specification: TensorFlow Lite 8-bit quantization specification, CONV_2D; the int16 and float32
 * forms are those of LiteRT's reference kernels.
 */
#ifndef LOTOR_CONV_2D_PORTABLE_H
#define LOTOR_CONV_2D_PORTABLE_H

#include "../common/float_clamp.h"
#include "../common/inline.h"
#include "../common/requantize.h"
#include "../common/turn.h"

struct lotor_conv_2d_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t backward;          /* from the last pixel to the first */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t group_c; /* input channels that one filter sees */
    int32_t in_offset, weights_offset, out_offset, out_min, out_max;
};

struct lotor_conv_2d_int16_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t backward;          /* from the last pixel to the first */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t group_c;
    int32_t narrow, out_min, out_max; /* narrow: sums of 32 bits, which wrap, instead of 64 */
};

struct lotor_conv_2d_float_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t backward;          /* from the last pixel to the first */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t group_c;
    float out_min, out_max;
};

/* The sum of one filter over one window; taps outside the input count as the zero point, so as
 * nothing. */
static inline LOTOR_SPECIALISED int32_t lotor_conv_2d_window(const struct lotor_conv_2d_params *p,
                                                             const int8_t *in, const int8_t *filter,
                                                             int32_t top, int32_t left) {
    int32_t sum = 0;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = top + ky * p->dilation_h;
        if (y < 0 || y >= p->in_h) {
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t x = left + kx * p->dilation_w;
            if (x < 0 || x >= p->in_w) {
                continue;
            }
            const int8_t *pixel = in + (y * p->in_w + x) * p->in_step;
            const int8_t *tap = filter + (ky * p->kernel_w + kx) * p->group_c;
            for (int32_t c = 0; c < p->group_c; c++) {
                sum += (pixel[c] + p->in_offset) * tap[c];
            }
        }
    }
    return sum;
}

/* The sum of the inputs of one window. */
static inline LOTOR_SPECIALISED int32_t lotor_conv_2d_window_inputs(
    const struct lotor_conv_2d_params *p, const int8_t *in, int32_t top, int32_t left) {
    int32_t sum = 0;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = top + ky * p->dilation_h;
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t x = left + kx * p->dilation_w;
            if (y < 0 || y >= p->in_h || x < 0 || x >= p->in_w) {
                continue;
            }
            const int8_t *pixel = in + (y * p->in_w + x) * p->in_step;
            for (int32_t c = 0; c < p->group_c; c++) {
                sum += pixel[c] + p->in_offset;
            }
        }
    }
    return sum;
}

static inline LOTOR_SPECIALISED void lotor_conv_2d_portable(const struct lotor_conv_2d_params *p,
                                                            const int8_t *in, const int8_t *weights,
                                                            const int32_t *bias,
                                                            const int32_t *multiplier,
                                                            const int8_t *shift, int8_t *out) {
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->group_c;
    const int32_t filters_per_group = p->out_c / (p->in_c / p->group_c);
    for (int32_t i = 0; i < p->batches; i++) {
        const int32_t n = lotor_turn(i, p->batches, p->backward);
        const int8_t *image = in + n * p->in_h * p->in_w * p->in_step;
        for (int32_t row = 0; row < p->out_h; row++) {
            const int32_t y = lotor_turn(row, p->out_h, p->backward);
            for (int32_t column = 0; column < p->out_w; column++) {
                const int32_t x = lotor_turn(column, p->out_w, p->backward);
                int8_t *to = out + ((n * p->out_h + y) * p->out_w + x) * p->out_step;
                const int32_t top = y * p->stride_h - p->pad_h;
                const int32_t left = x * p->stride_w - p->pad_w;
                int32_t zero_point_sum = 0; /* what the weights' zero point adds */
                for (int32_t c = 0; c < p->out_c; c++) {
                    const int8_t *group = image + c / filters_per_group * p->group_c;
                    if (p->weights_offset != 0 && c % filters_per_group == 0) {
                        zero_point_sum =
                            p->weights_offset * lotor_conv_2d_window_inputs(p, group, top, left);
                    }
                    const int32_t sum =
                        lotor_conv_2d_window(p, group, weights + c * filter_size, top, left) +
                        zero_point_sum;
                    const int32_t scaled =
                        lotor_requantize(lotor_wrapping_add(sum, bias[c]), multiplier[c], shift[c]);
                    const int32_t value = lotor_wrapping_add(scaled, p->out_offset);
                    to[c] = (int8_t)lotor_clamp(value, p->out_min, p->out_max);
                }
            }
        }
    }
}

static inline LOTOR_SPECIALISED int64_t
lotor_conv_2d_int16_window(const struct lotor_conv_2d_int16_params *p, const int16_t *in,
                           const int8_t *filter, int32_t top, int32_t left) {
    int64_t sum = 0;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = top + ky * p->dilation_h;
        if (y < 0 || y >= p->in_h) {
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t x = left + kx * p->dilation_w;
            if (x < 0 || x >= p->in_w) {
                continue;
            }
            const int16_t *pixel = in + (y * p->in_w + x) * p->in_step;
            const int8_t *tap = filter + (ky * p->kernel_w + kx) * p->group_c;
            for (int32_t c = 0; c < p->group_c; c++) {
                sum += pixel[c] * tap[c];
            }
        }
    }
    return sum;
}

static inline LOTOR_SPECIALISED void
lotor_conv_2d_int16_portable(const struct lotor_conv_2d_int16_params *p, const int16_t *in,
                             const int8_t *weights, const int64_t *bias, const int32_t *multiplier,
                             const int8_t *shift, int16_t *out) {
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->group_c;
    const int32_t filters_per_group = p->out_c / (p->in_c / p->group_c);
    for (int32_t i = 0; i < p->batches; i++) {
        const int32_t n = lotor_turn(i, p->batches, p->backward);
        const int16_t *image = in + n * p->in_h * p->in_w * p->in_step;
        for (int32_t row = 0; row < p->out_h; row++) {
            const int32_t y = lotor_turn(row, p->out_h, p->backward);
            for (int32_t column = 0; column < p->out_w; column++) {
                const int32_t x = lotor_turn(column, p->out_w, p->backward);
                int16_t *to = out + ((n * p->out_h + y) * p->out_w + x) * p->out_step;
                for (int32_t c = 0; c < p->out_c; c++) {
                    const int16_t *group = image + c / filters_per_group * p->group_c;
                    const int64_t sum = lotor_conv_2d_int16_window(
                        p, group, weights + c * filter_size, y * p->stride_h - p->pad_h,
                        x * p->stride_w - p->pad_w);
                    const int32_t value =
                        lotor_requantize_int16(sum + bias[c], multiplier[c], shift[c], p->narrow);
                    to[c] = (int16_t)lotor_clamp(value, p->out_min, p->out_max);
                }
            }
        }
    }
}

/* Summed in the reference's order: row by row, pixel by pixel, channel by channel. */
static inline LOTOR_SPECIALISED float
lotor_conv_2d_float_window(const struct lotor_conv_2d_float_params *p, const float *in,
                           const float *filter, int32_t top, int32_t left) {
    float sum = 0;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = top + ky * p->dilation_h;
        if (y < 0 || y >= p->in_h) {
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t x = left + kx * p->dilation_w;
            if (x < 0 || x >= p->in_w) {
                continue;
            }
            const float *pixel = in + (y * p->in_w + x) * p->in_step;
            const float *tap = filter + (ky * p->kernel_w + kx) * p->group_c;
            for (int32_t c = 0; c < p->group_c; c++) {
                sum += pixel[c] * tap[c];
            }
        }
    }
    return sum;
}

static inline LOTOR_SPECIALISED void
lotor_conv_2d_float_portable(const struct lotor_conv_2d_float_params *p, const float *in,
                             const float *weights, const float *bias, float *out) {
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->group_c;
    const int32_t filters_per_group = p->out_c / (p->in_c / p->group_c);
    for (int32_t i = 0; i < p->batches; i++) {
        const int32_t n = lotor_turn(i, p->batches, p->backward);
        const float *image = in + n * p->in_h * p->in_w * p->in_step;
        for (int32_t row = 0; row < p->out_h; row++) {
            const int32_t y = lotor_turn(row, p->out_h, p->backward);
            for (int32_t column = 0; column < p->out_w; column++) {
                const int32_t x = lotor_turn(column, p->out_w, p->backward);
                float *to = out + ((n * p->out_h + y) * p->out_w + x) * p->out_step;
                for (int32_t c = 0; c < p->out_c; c++) {
                    const float *group = image + c / filters_per_group * p->group_c;
                    const float sum = lotor_conv_2d_float_window(
                        p, group, weights + c * filter_size, y * p->stride_h - p->pad_h,
                        x * p->stride_w - p->pad_w);
                    to[c] = lotor_clamp_float(sum + bias[c], p->out_min, p->out_max);
                }
            }
        }
    }
}

#endif

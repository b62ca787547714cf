/* Convolutions and dense layers of float32 activations with int8 weights: the activations of each
 * image or row are quantized first, so that the sums are integers.
 *
 * Specification: LiteRT's reference kernels for dynamic-range quantized models.
 */
#ifndef LOTOR_HYBRID_PORTABLE_H
#define LOTOR_HYBRID_PORTABLE_H

#include "../common/float_clamp.h"
#include "../common/inline.h"
#include "../common/quantize_row.h"

struct lotor_hybrid_quantize_params {
    int32_t batches, elements; /* of each batch */
    int32_t symmetric;         /* 1: from -127 to 127 around zero */
};

struct lotor_hybrid_conv_2d_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t group_c;
    int32_t joint; /* 1: the sum is multiplied by the product of both scales, not one by one */
    float out_min, out_max;
};

struct lotor_hybrid_depthwise_conv_2d_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step;
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t depth_multiplier;
    float out_min, out_max;
};

struct lotor_hybrid_fully_connected_params {
    int32_t batches, inputs, outputs;
    int32_t scale_step; /* 1: a scale for each output; 0: one for all */
    int32_t limits;     /* how many: the lower, which is what not-a-number becomes; the upper */
    float out_min, out_max;
};

/* Quantize each image with a scale and a zero point of its own. */
static inline void lotor_hybrid_quantize_portable(const struct lotor_hybrid_quantize_params *p,
                                                  const float *in, int8_t *out, float *scale,
                                                  int32_t *zero_point) {
    for (int32_t n = 0; n < p->batches; n++) {
        lotor_quantize_row(in, p->elements, p->symmetric, out, scale + n, zero_point + n);
        in += p->elements;
        out += p->elements;
    }
}

/* The sum of one filter over one window; taps outside the input count as nothing. */
static inline LOTOR_SPECIALISED int32_t
lotor_hybrid_conv_2d_window(const struct lotor_hybrid_conv_2d_params *p, const int8_t *in,
                            const int8_t *filter, int32_t zero_point, int32_t top, int32_t left) {
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
                sum += (pixel[c] - zero_point) * tap[c];
            }
        }
    }
    return sum;
}

static inline LOTOR_SPECIALISED void
lotor_hybrid_conv_2d_portable(const struct lotor_hybrid_conv_2d_params *p, const int8_t *in,
                              const float *in_scale, const int32_t *zero_point,
                              const int8_t *weights, const float *scale, const float *bias,
                              float *out) {
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->group_c;
    const int32_t filters_per_group = p->out_c / (p->in_c / p->group_c);
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++) {
                for (int32_t c = 0; c < p->out_c; c++) {
                    const int8_t *group = in + c / filters_per_group * p->group_c;
                    const float sum = (float)lotor_hybrid_conv_2d_window(
                        p, group, weights + c * filter_size, zero_point[n],
                        y * p->stride_h - p->pad_h, x * p->stride_w - p->pad_w);
                    const float value =
                        p->joint ? sum * (scale[c] * in_scale[n]) : sum * scale[c] * in_scale[n];
                    out[c] = lotor_clamp_float(value + bias[c], p->out_min, p->out_max);
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

static inline LOTOR_SPECIALISED int32_t lotor_hybrid_depthwise_conv_2d_window(
    const struct lotor_hybrid_depthwise_conv_2d_params *p, const int8_t *in, const int8_t *filter,
    int32_t zero_point, int32_t top, int32_t left) {
    int32_t sum = 0;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = top + ky * p->dilation_h;
        if (y < 0 || y >= p->in_h) {
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t x = left + kx * p->dilation_w;
            if (x >= 0 && x < p->in_w) {
                sum += (in[(y * p->in_w + x) * p->in_step] - zero_point) *
                       filter[(ky * p->kernel_w + kx) * p->out_c];
            }
        }
    }
    return sum;
}

static inline LOTOR_SPECIALISED void
lotor_hybrid_depthwise_conv_2d_portable(const struct lotor_hybrid_depthwise_conv_2d_params *p,
                                        const int8_t *in, const float *in_scale,
                                        const int32_t *zero_point, const int8_t *weights,
                                        const float *scale, const float *bias, float *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++) {
                for (int32_t c = 0; c < p->out_c; c++) {
                    const float sum = (float)lotor_hybrid_depthwise_conv_2d_window(
                        p, in + c / p->depth_multiplier, weights + c, zero_point[n],
                        y * p->stride_h - p->pad_h, x * p->stride_w - p->pad_w);
                    const float value = sum * (scale[c] * in_scale[n]);
                    out[c] = lotor_clamp_float(value + bias[c], p->out_min, p->out_max);
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

/* Whether there is nothing to add, as the reference asks: it keeps a bias of minus zero then. */
static inline int32_t lotor_hybrid_all_zero(const int8_t *in, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        if (in[i] != 0) {
            return 0;
        }
    }
    return 1;
}

static inline float lotor_hybrid_limit(float x, int32_t limits, float low, float high) {
    if (limits == 0) {
        return x;
    }
    const float below = limits == 2 && high < x ? high : x;
    return low < below ? below : low;
}

static inline void
lotor_hybrid_fully_connected_portable(const struct lotor_hybrid_fully_connected_params *p,
                                      const int8_t *in, const float *in_scale,
                                      const int32_t *zero_point, const int8_t *weights,
                                      const float *scale, const float *bias, float *out) {
    const int32_t nothing = lotor_hybrid_all_zero(in, p->batches * p->inputs);
    for (int32_t n = 0; n < p->batches; n++) {
        const int8_t *row = weights;
        for (int32_t o = 0; o < p->outputs; o++) {
            int32_t sum = 0;
            for (int32_t i = 0; i < p->inputs; i++) {
                sum += *row++ * (in[i] - zero_point[n]);
            }
            const float add = (float)sum * (scale[o * p->scale_step] * in_scale[n]);
            *out++ = lotor_hybrid_limit(nothing ? bias[o] : bias[o] + add, p->limits, p->out_min,
                                        p->out_max);
        }
        in += p->inputs;
    }
}

#endif

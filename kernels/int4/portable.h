/* Layers whose weights have four bits: two to a byte, the first in the low half. Every filter, and
 * every row of a dense layer, begins at a byte; the filters of a depthwise convolution lie one
 * beside the other in a single row.
 *
 * A convolution unpacks one filter after the other into scratch memory and runs the int8 kernel for
 * that output channel alone, so that a weight is unpacked once for all pixels. A dense layer uses
 * each weight once for each row of inputs, and takes it from its byte.
 */
#ifndef LOTOR_INT4_PORTABLE_H
#define LOTOR_INT4_PORTABLE_H

#include "../conv_2d/portable.h"
#include "../depthwise_conv_2d/portable.h"
#include "../fully_connected/portable.h"
#include "../hybrid/portable.h"

/* The number in the low half of a byte. */
static inline int32_t lotor_int4_low(int32_t byte) { return ((byte & 15) ^ 8) - 8; }

/* The weight at an index of a row. */
static inline int32_t lotor_int4(const int8_t *row, int32_t at) {
    return lotor_int4_low(row[at >> 1] >> ((at & 1) << 2));
}

static inline int32_t lotor_int4_row_bytes(int32_t weights) { return (weights + 1) >> 1; }

/* Unpack every `step`-th weight of a row. */
static inline void lotor_int4_unpack(const int8_t *row, int32_t first, int32_t step, int32_t count,
                                     int8_t *out) {
    for (int32_t i = 0; i < count; i++) {
        out[i] = (int8_t)lotor_int4(row, first + i * step);
    }
}

static inline LOTOR_SPECIALISED void
lotor_conv_2d_int4_portable(const struct lotor_conv_2d_params *p, const int8_t *in,
                            const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                            const int8_t *shift, int8_t *out, int8_t *filter) {
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->group_c;
    const int32_t filters_per_group = p->out_c / (p->in_c / p->group_c);
    struct lotor_conv_2d_params one = *p;
    one.in_c = p->group_c;
    one.out_c = 1;
    for (int32_t c = 0; c < p->out_c; c++) {
        const int8_t *row = weights + c * lotor_int4_row_bytes(filter_size);
        lotor_int4_unpack(row, 0, 1, filter_size, filter);
        lotor_conv_2d_portable(&one, in + c / filters_per_group * p->group_c, filter, bias + c,
                               multiplier + c, shift + c, out + c);
    }
}

static inline LOTOR_SPECIALISED void
lotor_conv_2d_int16_int4_portable(const struct lotor_conv_2d_int16_params *p, const int16_t *in,
                                  const int8_t *weights, const int64_t *bias,
                                  const int32_t *multiplier, const int8_t *shift, int16_t *out,
                                  int8_t *filter) {
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->group_c;
    const int32_t filters_per_group = p->out_c / (p->in_c / p->group_c);
    struct lotor_conv_2d_int16_params one = *p;
    one.in_c = p->group_c;
    one.out_c = 1;
    for (int32_t c = 0; c < p->out_c; c++) {
        const int8_t *row = weights + c * lotor_int4_row_bytes(filter_size);
        lotor_int4_unpack(row, 0, 1, filter_size, filter);
        lotor_conv_2d_int16_portable(&one, in + c / filters_per_group * p->group_c, filter,
                                     bias + c, multiplier + c, shift + c, out + c);
    }
}

static inline LOTOR_SPECIALISED void
lotor_hybrid_conv_2d_int4_portable(const struct lotor_hybrid_conv_2d_params *p, const int8_t *in,
                                   const float *in_scale, const int32_t *zero_point,
                                   const int8_t *weights, const float *scale, const float *bias,
                                   float *out, int8_t *filter) {
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->group_c;
    const int32_t filters_per_group = p->out_c / (p->in_c / p->group_c);
    struct lotor_hybrid_conv_2d_params one = *p;
    one.in_c = p->group_c;
    one.out_c = 1;
    for (int32_t c = 0; c < p->out_c; c++) {
        const int8_t *row = weights + c * lotor_int4_row_bytes(filter_size);
        lotor_int4_unpack(row, 0, 1, filter_size, filter);
        lotor_hybrid_conv_2d_portable(&one, in + c / filters_per_group * p->group_c, in_scale,
                                      zero_point, filter, scale + c, bias + c, out + c);
    }
}

static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_int4_portable(const struct lotor_depthwise_conv_2d_params *p,
                                      const int8_t *in, const int8_t *weights, const int32_t *bias,
                                      const int32_t *multiplier, const int8_t *shift, int8_t *out,
                                      int8_t *filter) {
    struct lotor_depthwise_conv_2d_params one = *p;
    one.out_c = 1;
    for (int32_t c = 0; c < p->out_c; c++) {
        lotor_int4_unpack(weights, c, p->out_c, p->kernel_h * p->kernel_w, filter);
        lotor_depthwise_conv_2d_portable(&one, in + c / p->depth_multiplier, filter, bias + c,
                                         multiplier + c, shift + c, out + c);
    }
}

static inline int32_t lotor_int4_dot(const int8_t *in, const int8_t *row, int32_t count) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count >> 1; i++) {
        const int32_t byte = *row++;
        sum += *in++ * lotor_int4_low(byte);
        sum += *in++ * (byte >> 4);
    }
    return count & 1 ? sum + *in * lotor_int4_low(*row) : sum;
}

/* No int4 weights have a zero point. */
static inline void lotor_fully_connected_int4_portable(const struct lotor_fully_connected_params *p,
                                                       const int8_t *in, const int8_t *weights,
                                                       const int32_t *bias,
                                                       const int32_t *multiplier,
                                                       const int8_t *shift, int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t o = 0; o < p->outputs; o++) {
            const int8_t *row = weights + o * lotor_int4_row_bytes(p->inputs);
            const int32_t sum = lotor_wrapping_add(lotor_int4_dot(in, row, p->inputs), bias[o]);
            const int32_t at = o * p->scale_step;
            const int32_t value = lotor_scale_exactly(sum, multiplier[at], shift[at]);
            *out++ = (int8_t)lotor_clamp(lotor_wrapping_add(value, p->out_offset), p->out_min,
                                         p->out_max);
        }
        in += p->inputs;
    }
}

static inline void
lotor_fully_connected_double_int4_portable(const struct lotor_fully_connected_double_params *p,
                                           const int8_t *in, const int8_t *weights,
                                           const int32_t *bias, const double *scale, int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t o = 0; o < p->outputs; o++) {
            const int8_t *row = weights + o * lotor_int4_row_bytes(p->inputs);
            const int32_t sum = lotor_wrapping_add(lotor_int4_dot(in, row, p->inputs), bias[o]);
            const int32_t value = lotor_fully_connected_round(sum, scale[o * p->scale_step]);
            *out++ = (int8_t)lotor_clamp(lotor_wrapping_add(value, p->out_offset), p->out_min,
                                         p->out_max);
        }
        in += p->inputs;
    }
}

static inline void
lotor_fully_connected_int16_int4_portable(const struct lotor_fully_connected_int16_params *p,
                                          const int16_t *in, const int8_t *weights,
                                          const int64_t *bias, const double *scale, int16_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t o = 0; o < p->outputs; o++) {
            const int8_t *row = weights + o * lotor_int4_row_bytes(p->inputs);
            int64_t sum = bias[o];
            for (int32_t i = 0; i < p->inputs; i++) {
                sum += in[i] * lotor_int4(row, i);
            }
            const double wide = p->narrow ? (double)(int32_t)sum : (double)sum;
            const int32_t value = lotor_fully_connected_round(wide, scale[o * p->scale_step]);
            *out++ = (int16_t)lotor_clamp(value, p->out_min, p->out_max);
        }
        in += p->inputs;
    }
}

static inline void
lotor_hybrid_fully_connected_int4_portable(const struct lotor_hybrid_fully_connected_params *p,
                                           const int8_t *in, const float *in_scale,
                                           const int32_t *zero_point, const int8_t *weights,
                                           const float *scale, const float *bias, float *out) {
    const int32_t nothing = lotor_hybrid_all_zero(in, p->batches * p->inputs);
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t o = 0; o < p->outputs; o++) {
            const int8_t *row = weights + o * lotor_int4_row_bytes(p->inputs);
            int32_t sum = 0;
            for (int32_t i = 0; i < p->inputs; i++) {
                sum += lotor_int4(row, i) * (in[i] - zero_point[n]);
            }
            const float add = (float)sum * (scale[o * p->scale_step] * in_scale[n]);
            *out++ = lotor_hybrid_limit(nothing ? bias[o] : bias[o] + add, p->limits, p->out_min,
                                        p->out_max);
        }
        in += p->inputs;
    }
}

#endif

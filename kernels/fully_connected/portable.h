/* Dense layer: rows of inputs times weights [outputs][inputs], plus bias.
 *
 * Specification: TensorFlow Lite 8-bit quantization specification, FULLY_CONNECTED; LiteRT's
 * reference requantizes it in double, rounding half away from zero.
 */
#ifndef LOTOR_FULLY_CONNECTED_PORTABLE_H
#define LOTOR_FULLY_CONNECTED_PORTABLE_H

#include "../common/exact_scale.h"
#include "../common/fixed_point.h"
#include "../common/float_clamp.h"
#include "../common/requantize.h"
#include "../common/rounding.h"

/* The inputs' zero point is in the bias. */
struct lotor_fully_connected_params {
    int32_t batches, inputs, outputs;
    int32_t weights_offset, out_offset, out_min, out_max;
    int32_t scale_step; /* 1: a scale for each output; 0: one for all */
};

struct lotor_fully_connected_double_params {
    int32_t batches, inputs, outputs;
    int32_t weights_offset, out_offset, out_min, out_max;
    int32_t scale_step;
};

/* Weights that are computed at run time: zero points are subtracted here. */
struct lotor_fully_connected_dynamic_params {
    int32_t batches, inputs, outputs;
    int32_t in_offset, weights_offset, out_offset, out_min, out_max;
    int32_t scale_step;
};

struct lotor_fully_connected_int16_params {
    int32_t batches, inputs, outputs;
    int32_t weights_offset, out_min, out_max;
    int32_t scale_step;
    int32_t narrow; /* 1: sums are int32, which wrap */
};

struct lotor_fully_connected_float_params {
    int32_t batches, inputs, outputs;
    float out_min, out_max;
};

static inline int32_t lotor_fully_connected_dot(const int8_t *in, const int8_t *weights,
                                                int32_t count) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        sum += in[i] * weights[i];
    }
    return sum;
}

static inline int32_t lotor_fully_connected_total(const int8_t *in, int32_t count) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        sum += in[i];
    }
    return sum;
}

/* sum * scale, near enough for the clamp that follows: the zero point must not leave int32. */
static inline int32_t lotor_fully_connected_round(double sum, double scale) {
    return lotor_clamp(lotor_round_double(sum * scale), -65536, 65536);
}

static inline void lotor_fully_connected_portable(const struct lotor_fully_connected_params *p,
                                                  const int8_t *in, const int8_t *weights,
                                                  const int32_t *bias, const int32_t *multiplier,
                                                  const int8_t *shift, int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        int32_t same = 0; /* for all outputs */
        if (p->weights_offset != 0) {
            same = p->weights_offset * lotor_fully_connected_total(in, p->inputs);
        }
        for (int32_t o = 0; o < p->outputs; o++) {
            const int32_t dot = lotor_fully_connected_dot(in, weights + o * p->inputs, p->inputs);
            const int32_t sum = lotor_wrapping_add(lotor_wrapping_add(dot, same), bias[o]);
            const int32_t at = o * p->scale_step;
            const int32_t value = lotor_scale_exactly(sum, multiplier[at], shift[at]);
            *out++ = (int8_t)lotor_clamp(lotor_wrapping_add(value, p->out_offset), p->out_min,
                                         p->out_max);
        }
        in += p->inputs;
    }
}

/* The same for scales that no integer multiplier equals. */
static inline void
lotor_fully_connected_double_portable(const struct lotor_fully_connected_double_params *p,
                                      const int8_t *in, const int8_t *weights, const int32_t *bias,
                                      const double *scale, int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        int32_t same = 0;
        if (p->weights_offset != 0) {
            same = p->weights_offset * lotor_fully_connected_total(in, p->inputs);
        }
        for (int32_t o = 0; o < p->outputs; o++) {
            const int32_t dot = lotor_fully_connected_dot(in, weights + o * p->inputs, p->inputs);
            const int32_t sum = lotor_wrapping_add(lotor_wrapping_add(dot, same), bias[o]);
            const int32_t value = lotor_fully_connected_round(sum, scale[o * p->scale_step]);
            *out++ = (int8_t)lotor_clamp(lotor_wrapping_add(value, p->out_offset), p->out_min,
                                         p->out_max);
        }
        in += p->inputs;
    }
}

static inline void
lotor_fully_connected_dynamic_portable(const struct lotor_fully_connected_dynamic_params *p,
                                       const int8_t *in, const int8_t *weights, const int32_t *bias,
                                       const double *scale, int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t o = 0; o < p->outputs; o++) {
            int32_t dot = 0;
            for (int32_t i = 0; i < p->inputs; i++) {
                dot += (in[i] + p->in_offset) * (weights[o * p->inputs + i] + p->weights_offset);
            }
            const int32_t sum = lotor_wrapping_add(dot, bias[o]);
            const int32_t value = lotor_fully_connected_round(sum, scale[o * p->scale_step]);
            *out++ = (int8_t)lotor_clamp(lotor_wrapping_add(value, p->out_offset), p->out_min,
                                         p->out_max);
        }
        in += p->inputs;
    }
}

static inline void
lotor_fully_connected_int16_portable(const struct lotor_fully_connected_int16_params *p,
                                     const int16_t *in, const int8_t *weights, const int64_t *bias,
                                     const double *scale, int16_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t o = 0; o < p->outputs; o++) {
            int64_t sum = bias[o];
            for (int32_t i = 0; i < p->inputs; i++) {
                sum += (int64_t)in[i] * (weights[o * p->inputs + i] + p->weights_offset);
            }
            const double wide = p->narrow ? (double)(int32_t)sum : (double)sum;
            const int32_t value = lotor_fully_connected_round(wide, scale[o * p->scale_step]);
            *out++ = (int16_t)lotor_clamp(value, p->out_min, p->out_max);
        }
        in += p->inputs;
    }
}

static inline void
lotor_fully_connected_float_portable(const struct lotor_fully_connected_float_params *p,
                                     const float *in, const float *weights, const float *bias,
                                     float *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t o = 0; o < p->outputs; o++) {
            float sum = 0.0f;
            for (int32_t i = 0; i < p->inputs; i++) {
                sum += in[i] * weights[o * p->inputs + i];
            }
            *out++ = lotor_clamp_float(sum + bias[o], p->out_min, p->out_max);
        }
        in += p->inputs;
    }
}

#endif

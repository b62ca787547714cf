/* A dense layer over time, factored: features of the newest input, weighted over the last ones.
 *
 * state: for every filter the features of the last inputs, the oldest first; kept between runs.
 */
#ifndef LOTOR_SVDF_PORTABLE_H
#define LOTOR_SVDF_PORTABLE_H

#include "../common/dot_float.h"
#include "../common/requantize.h"

#include <string.h>

struct lotor_svdf_params {
    int32_t batches, inputs, filters, rank, memory;
    int32_t in_offset, out_offset, out_min, out_max;
    int32_t feature_multiplier, feature_shift, out_multiplier, out_shift;
};

struct lotor_svdf_float_params {
    int32_t batches, inputs, filters, rank, memory;
    int32_t has_min, has_max; /* without a limit infinities pass */
    float out_min, out_max;
};

static inline void lotor_svdf_portable(const struct lotor_svdf_params *p, const int8_t *in,
                                       const int8_t *features, const int16_t *time,
                                       const int32_t *bias, int8_t *out, int16_t *state) {
    const int32_t units = p->filters / p->rank;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t unit = 0; unit < units; unit++) {
            int32_t sum = bias[unit];
            for (int32_t f = unit * p->rank; f < (unit + 1) * p->rank; f++) {
                int32_t dot = 0;
                for (int32_t i = 0; i < p->inputs; i++) {
                    dot += features[f * p->inputs + i] * (in[i] + p->in_offset);
                }
                const int32_t feature =
                    lotor_requantize(dot, p->feature_multiplier, p->feature_shift);
                int16_t *line = state + f * p->memory;
                memmove(line, line + 1, (size_t)(p->memory - 1) * sizeof *line);
                line[p->memory - 1] = (int16_t)lotor_clamp(feature, INT16_MIN, INT16_MAX);
                for (int32_t t = 0; t < p->memory; t++) {
                    sum = lotor_wrapping_add(sum, time[f * p->memory + t] * line[t]);
                }
            }
            const int32_t value = lotor_wrapping_add(
                lotor_requantize(sum, p->out_multiplier, p->out_shift), p->out_offset);
            *out++ = (int8_t)lotor_clamp(value, p->out_min, p->out_max);
        }
        in += p->inputs;
        state += p->filters * p->memory;
    }
}

static inline void lotor_svdf_float_portable(const struct lotor_svdf_float_params *p,
                                             const float *in, const float *features,
                                             const float *time, const float *bias, float *out,
                                             float *state) {
    const int32_t units = p->filters / p->rank;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t unit = 0; unit < units; unit++) {
            float sum = 0.0f;
            for (int32_t f = unit * p->rank; f < (unit + 1) * p->rank; f++) {
                float *line = state + f * p->memory;
                memmove(line, line + 1, (size_t)(p->memory - 1) * sizeof *line);
                line[p->memory - 1] =
                    lotor_dot_float(0.0f, features + f * p->inputs, in, p->inputs);
                sum += lotor_dot_float(0.0f, time + f * p->memory, line, p->memory);
            }
            const float value = sum + bias[unit];
            if (p->has_min && value < p->out_min) {
                *out++ = p->out_min;
            } else if (p->has_max && value > p->out_max) {
                *out++ = p->out_max;
            } else {
                *out++ = value;
            }
        }
        in += p->inputs;
        state += p->filters * p->memory;
    }
}

#endif

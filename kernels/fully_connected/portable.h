/* Dense layer, int8: rows of inputs times weights [outputs][inputs].
 *
 * Specification: TensorFlow Lite 8-bit quantization specification, FULLY_CONNECTED; LiteRT's
 * reference requantizes it in double, rounding half away from zero.
 */
#ifndef LOTOR_FULLY_CONNECTED_PORTABLE_H
#define LOTOR_FULLY_CONNECTED_PORTABLE_H

#include "../common/fixed_point.h"
#include "../common/rounding.h"

struct lotor_fully_connected_params {
    int32_t batches, inputs, outputs;
    int32_t in_offset, out_offset, out_min, out_max;
    int32_t scale_step; /* 1: a scale for each output; 0: one for all */
};

static inline int32_t lotor_fully_connected_dot(const int8_t *in, const int8_t *weights,
                                                int32_t count, int32_t in_offset) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        sum += (in[i] + in_offset) * weights[i];
    }
    return sum;
}

static inline void lotor_fully_connected_portable(const struct lotor_fully_connected_params *p,
                                                  const int8_t *in, const int8_t *weights,
                                                  const int32_t *bias, const double *scale,
                                                  int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t o = 0; o < p->outputs; o++) {
            const int32_t sum = bias[o] + lotor_fully_connected_dot(in, weights + o * p->inputs,
                                                                    p->inputs, p->in_offset);
            /* Clamp before the zero point is added: the sum must not leave int32. */
            const int32_t rounded = lotor_clamp(
                lotor_round_double((double)sum * scale[o * p->scale_step]), -65536, 65536);
            *out++ = (int8_t)lotor_clamp(rounded + p->out_offset, p->out_min, p->out_max);
        }
        in += p->inputs;
    }
}

#endif

/* Long short-term memory over a sequence, int8 with int16 cells.
 *
 * Weights of the four gates follow each other: input, forget, cell, output. The zero points of
 * input and output are in their biases. `hidden` and `cells` are kept between runs.
 */
#ifndef LOTOR_UNIDIRECTIONAL_SEQUENCE_LSTM_PORTABLE_H
#define LOTOR_UNIDIRECTIONAL_SEQUENCE_LSTM_PORTABLE_H

#include "../common/fixed_int16.h"
#include "../common/requantize.h"

#include <string.h>

struct lotor_lstm_params {
    int32_t batches, steps, inputs, cells;
    int32_t batch_stride, step_stride; /* rows from one batch, from one step, to the next */
    int32_t cell_bits;                 /* integer bits of the cells, 0 to 6 */
    int32_t cell_clip;                 /* 0: none */
    int32_t out_multiplier, out_shift, out_offset;
};

/* A gate before its function, Q3.12; multipliers and shifts: of the inputs, of the outputs. */
static inline int32_t lotor_lstm_gate(const struct lotor_lstm_params *p, const int8_t *in,
                                      const int8_t *hidden, const int8_t *in_weights,
                                      const int8_t *hidden_weights, const int32_t *in_bias,
                                      const int32_t *hidden_bias, const int32_t *multiplier,
                                      const int8_t *shift, int32_t cell) {
    int32_t from_in = 0, from_hidden = 0;
    for (int32_t i = 0; i < p->inputs; i++) {
        from_in += in[i] * in_weights[cell * p->inputs + i];
    }
    for (int32_t i = 0; i < p->cells; i++) {
        from_hidden += hidden[i] * hidden_weights[cell * p->cells + i];
    }
    from_in = lotor_requantize(lotor_add_wrapping(from_in, in_bias[cell]), multiplier[0], shift[0]);
    from_hidden = lotor_requantize(lotor_add_wrapping(from_hidden, hidden_bias[cell]),
                                   multiplier[1], shift[1]);
    from_in = lotor_clamp(from_in, INT16_MIN, INT16_MAX);
    from_hidden = lotor_clamp(from_hidden, -(1 << 20), 1 << 20); /* so that the sum fits */
    return lotor_clamp(from_in + from_hidden, INT16_MIN, INT16_MAX);
}

static inline void lotor_lstm_step(const struct lotor_lstm_params *p, const int8_t *in,
                                   const int8_t *in_weights, const int8_t *hidden_weights,
                                   const int32_t *in_bias, const int32_t *hidden_bias,
                                   const int32_t *multiplier, const int8_t *shift, int8_t *out,
                                   int8_t *hidden, int16_t *cells) {
    for (int32_t c = 0; c < p->cells; c++) {
        int32_t gate[4];
        for (int32_t g = 0; g < 4; g++) {
            gate[g] =
                lotor_lstm_gate(p, in, hidden, in_weights + g * p->cells * p->inputs,
                                hidden_weights + g * p->cells * p->cells, in_bias + g * p->cells,
                                hidden_bias + g * p->cells, multiplier + 2 * g, shift + 2 * g, c);
            gate[g] = g == 2 ? lotor_tanh_int16(gate[g], 3) : lotor_logistic_int16(gate[g]);
        }
        const int32_t kept = lotor_divide_by_power(gate[1] * cells[c], 15);
        const int32_t added = lotor_divide_by_power(gate[0] * gate[2], 15 + p->cell_bits);
        int32_t cell = lotor_clamp(kept + added, INT16_MIN, INT16_MAX);
        if (p->cell_clip > 0) {
            cell = lotor_clamp(cell, -p->cell_clip, p->cell_clip);
        }
        cells[c] = (int16_t)cell;
        const int32_t product = gate[3] * lotor_tanh_int16(cell, p->cell_bits);
        const int32_t value =
            lotor_requantize(product, p->out_multiplier, p->out_shift) + p->out_offset;
        out[c] = (int8_t)lotor_clamp(value, INT8_MIN, INT8_MAX);
    }
    memcpy(hidden, out, (size_t)p->cells);
}

static inline void lotor_lstm_portable(const struct lotor_lstm_params *p, const int8_t *in,
                                       const int8_t *in_weights, const int8_t *hidden_weights,
                                       const int32_t *in_bias, const int32_t *hidden_bias,
                                       const int32_t *multiplier, const int8_t *shift, int8_t *out,
                                       int8_t *hidden, int16_t *cells) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t t = 0; t < p->steps; t++) {
            const int32_t row = n * p->batch_stride + t * p->step_stride;
            lotor_lstm_step(p, in + row * p->inputs, in_weights, hidden_weights, in_bias,
                            hidden_bias, multiplier, shift, out + row * p->cells,
                            hidden + n * p->cells, cells + n * p->cells);
        }
    }
}

#endif

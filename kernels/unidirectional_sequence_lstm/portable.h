/* Long short-term memory over a sequence: int8 with int16 cells, float32, float32 with int8
 * weights.
 *
 * Weights of the gates follow each other: input (unless it is coupled), forget, cell, output. The
 * zero points of int8 input and output are in their biases. `hidden` and `cells` are kept between
 * runs.
 */
#ifndef LOTOR_UNIDIRECTIONAL_SEQUENCE_LSTM_PORTABLE_H
#define LOTOR_UNIDIRECTIONAL_SEQUENCE_LSTM_PORTABLE_H

#include "../common/fixed_int16.h"
#include "../common/float_clamp.h"
#include "../common/float_math.h"
#include "../common/opaque.h"
#include "../common/quantize_row.h"
#include "../common/requantize.h"
#include "../common/rounding.h"

#include <stddef.h>
#include <string.h>

struct lotor_lstm_params {
    int32_t batches, steps, inputs, cells;
    int32_t batch_stride, step_stride; /* rows from one batch, from one step, to the next */
    int32_t cell_bits;                 /* integer bits of the cells, 0 to 6 */
    int32_t cell_clip;                 /* 0: none */
    int32_t out_multiplier, out_shift, out_offset;
};

struct lotor_lstm_float_params {
    int32_t batches, steps, inputs, cells, outputs;
    int32_t batch_stride, step_stride;
    int32_t activation; /* its number in the model format: 1 to 4 */
    int32_t coupled;    /* 1: the input gate is one less the forget gate */
    int32_t peepholes;  /* 1: gates see the cells */
    int32_t normalized; /* 1: layer normalization */
    int32_t projected;  /* 1: outputs are sums of the cells' */
    int32_t together;   /* 1: time is first: the reference computes all batches at once */
    int32_t in_order, hidden_order, projection_order; /* see lotor_lstm_order */
    float cell_clip, proj_clip;                       /* 0: none */
};

/* Weights are int8, and what they are multiplied with is quantized at each step. */
struct lotor_lstm_hybrid_params {
    int32_t batches, steps, inputs, cells, outputs;
    int32_t batch_stride, step_stride;
    int32_t activation, coupled, peepholes, normalized, projected;
    int32_t together;
    int32_t symmetric; /* 1: quantized from -127 to 127 around zero */
    float cell_clip, proj_clip;
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
    from_in = lotor_requantize(lotor_wrapping_add(from_in, in_bias[cell]), multiplier[0], shift[0]);
    from_hidden = lotor_requantize(lotor_wrapping_add(from_hidden, hidden_bias[cell]),
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
        const int32_t value = lotor_wrapping_add(
            lotor_requantize(product, p->out_multiplier, p->out_shift), p->out_offset);
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

/* A sum of products in one of the orders of LiteRT on x86: in 2, 4 or 16 sums side by side as far
 * as whole groups go (3: in 4 that are added in another order), then one by one (1: all of them).
 */
static inline float lotor_lstm_dot_float(const float *a, const float *b, int32_t count,
                                         int32_t order) {
    float lane[16] = {0.0f};
    const int32_t whole = order == 1 ? 0 : count - count % (order == 2 ? 8 : 4);
    for (int32_t i = 0; i < whole; i += 4) {
        for (int32_t l = 0; l < 4; l++) {
            const int32_t swapped = (l & 1) * 2 + l / 2;
            lane[order == 3 ? swapped : (i + l) & (order - 1)] += a[i + l] * b[i + l];
        }
    }
    for (int32_t l = 0; l < 4; l++) {
        lane[l] += lane[4 + l] + (lane[8 + l] + lane[12 + l]);
    }
    float sum = (lane[0] + lane[2]) + (lane[1] + lane[3]);
    for (int32_t i = whole; i < count; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* The order for one row of a matrix. Products of matrices (0) take rows in blocks of eight, one of
 * four, and one by one, where four sequences are at hand. */
static inline int32_t lotor_lstm_order(int32_t order, int32_t row, int32_t rows, int32_t four) {
    if (order != 0) {
        return order;
    }
    if (!four || row < rows - rows % 8) {
        return 1;
    }
    return row < rows - rows % 4 ? 2 : 3;
}

/* sums += matrix * x, within finite numbers as in the reference. */
static inline void lotor_lstm_matrix_float(const float *matrix, const float *x, int32_t rows,
                                           int32_t columns, int32_t order, int32_t four,
                                           int32_t together, float *sums) {
    const float most = 3.40282347e38f;
    for (int32_t row = 0; row < rows; row++) {
        float sum = lotor_lstm_dot_float(matrix + row * columns, x, columns,
                                         lotor_lstm_order(order, row, rows, four));
        if (together) {
            sum = lotor_clamp_float(sum, -most, most) + sums[row];
        } else {
            sum = lotor_clamp_float(sum + sums[row], -most, most);
        }
        sums[row] = sum;
    }
}

/* 1 / (1 + e^-x) as LiteRT's recurrent layers on x86 compute it, with the coefficients of Eigen,
 * so that no bit differs: e^(x/2) from a polynomial, its square e, and e / (e + 1). */
static inline float lotor_lstm_logistic(float x) {
    if (!(x >= -104.0f)) {
        return x != x ? x : 0.0f;
    }
    const float most = 16.6355324f; /* where the result is 1 */
    const float half = 0.5f * (x > most ? most : x);
    const float n = lotor_floor(half * 1.44269502f + 0.5f);
    /* ln 2 in two parts */
    const float r = n * 2.12194442e-4f + (n * -0.693359375f + half);
    const float z = r * r;
    const float even = z * 0.0418986678f + 0.499991417f;
    const float odd = z * 8.33471306e-3f + 0.166668773f;
    const float root = ((odd * r + even) * z + (r + 1.0f)) * lotor_power_of_two((int32_t)n);
    const float e = root * root;
    return e / (e + 1.0f);
}

/* The same of those few elements that it does not take in groups of four: the exponential is then
 * the C library's. glibc's, in double: 2^(n / 32) from a table times a polynomial of the rest. */
static inline float lotor_lstm_logistic_alone(float x) {
    static const double powers[32] = {1.0,
                                      1.0218971486541166,
                                      1.0442737824274138,
                                      1.0671404006768237,
                                      1.0905077326652577,
                                      1.1143867425958924,
                                      1.1387886347566916,
                                      1.1637248587775775,
                                      1.189207115002721,
                                      1.215247359980469,
                                      1.241857812073484,
                                      1.2690509571917332,
                                      1.2968395546510096,
                                      1.3252366431597413,
                                      1.3542555469368927,
                                      1.383909881963832,
                                      1.4142135623730951,
                                      1.4451808069770467,
                                      1.4768261459394993,
                                      1.5091644275934228,
                                      1.5422108254079407,
                                      1.5759808451078865,
                                      1.6104903319492543,
                                      1.645755478153965,
                                      1.681792830507429,
                                      1.718619298122478,
                                      1.7562521603732995,
                                      1.7947090750031072,
                                      1.8340080864093424,
                                      1.8741676341103,
                                      1.9152065613971474,
                                      1.9571441241754002};
    if (!(x >= -103.972076f)) {
        return x != x ? x : 0.0f;
    }
    const double z = 46.16624130844683 * (double)(x > 16.6355324f ? 16.6355324f : x);
    const int32_t whole = lotor_round_double(z);
    const double rest = z - whole;
    const double square = rest * rest;
    const double high = 1.6938359250920212e-06 * rest + 0.00023459809789509004;
    const double low = 0.021660849396613134 * rest + 1.0;
    const int32_t at = whole & 31;
    /* In two steps, as 2^n may be no normal float. */
    const double scale = powers[at] * (double)lotor_power_of_two((whole - at) / 64);
    const double rise = (double)lotor_power_of_two((whole - at) / 32 - (whole - at) / 64);
    const float e = (float)((high * square + low) * (scale * rise));
    return e / (e + 1.0f);
}

/* Whether the reference takes an element alone. Groups begin at multiples of 16 bytes, and it
 * computes `count` elements at once, of which the first has the place `start`. */
static inline int32_t lotor_lstm_alone(int32_t place, int32_t start, int32_t count) {
    int32_t head = (4 - start % 4) % 4;
    head = head < count ? head : count;
    return place < start + head || place >= start + head + (count - head) / 4 * 4;
}

/* tanh x, likewise: a quotient of polynomials. */
static inline float lotor_lstm_tanh(float x) {
    const float most = 7.90738964080810547f; /* where the quotient is 1 */
    const float y = lotor_clamp_float(x, -most, most);
    const float z = y * y;
    float top = 1.394553628e-8f;
    top = z * top + 2.102733560e-5f;
    top = z * top + 3.520756727e-3f;
    top = z * top + 1.340216100e-1f;
    float bottom = 8.015776984e-7f;
    bottom = z * bottom + 3.326951409e-4f;
    bottom = z * bottom + 2.597254514e-2f;
    bottom = z * bottom + 4.673548340e-1f;
    bottom = z * bottom + 1.0f;
    return (z * y * top + y) / bottom;
}

/* The fused activation; what is not a number becomes the lower limit, as in the reference. */
static inline float lotor_lstm_activation(float x, int32_t number) {
    if (number == 4) {
        return lotor_lstm_tanh(x);
    }
    const float low = number == 2 ? -1.0f : 0.0f;
    const float high = number == 2 ? 1.0f : 6.0f;
    const float below = number != 1 && high < x ? high : x;
    return low < below ? below : low;
}

/* Subtract the mean and divide by the standard deviation. */
static inline void lotor_lstm_normalize(float *x, int32_t count) {
    float sum = 0.0f;
    for (int32_t i = 0; i < count; i++) {
        sum += x[i];
    }
    const float mean = sum / (float)count;
    float squares = 0.0f;
    for (int32_t i = 0; i < count; i++) {
        const float difference = x[i] - mean;
        squares += difference * difference;
    }
    const float inverse = 1.0f / lotor_sqrt(squares / (float)count + 1e-8f);
    for (int32_t i = 0; i < count; i++) {
        x[i] = (x[i] - mean) * inverse;
    }
}

/* Where the reference keeps a gate: of this sequence, and of all that it computes with it. */
struct lotor_lstm_place {
    int32_t first, start, count;
};

static inline struct lotor_lstm_place lotor_lstm_place_of(int32_t gate, int32_t coupled,
                                                          int32_t cells, int32_t batch,
                                                          int32_t batches, int32_t together) {
    const int32_t slot = (gate == 1 ? 2 : gate == 2 ? 1 : gate) - coupled;
    const int32_t all = slot * cells * batches;
    const int32_t first = all + batch * cells;
    const struct lotor_lstm_place own = {first, first, cells};
    const struct lotor_lstm_place joint = {first, all, cells * batches};
    return together ? joint : own;
}

/* From the sums of a gate to the gate: peepholes, normalization and function. */
static inline void lotor_lstm_finish_gate(int32_t count, const float *peepholes, const float *cells,
                                          const float *normalization, const float *bias,
                                          int32_t activation, struct lotor_lstm_place place,
                                          float *gate) {
    if (peepholes != NULL) {
        for (int32_t c = 0; c < count; c++) {
            gate[c] += peepholes[c] * cells[c];
        }
    }
    if (normalization != NULL) {
        lotor_lstm_normalize(gate, count);
        for (int32_t c = 0; c < count; c++) {
            gate[c] = gate[c] * normalization[c] + bias[c];
        }
    }
    for (int32_t c = 0; c < count; c++) {
        if (activation != 0) {
            gate[c] = lotor_lstm_activation(gate[c], activation);
        } else if (lotor_lstm_alone(place.first + c, place.start, place.count)) {
            gate[c] = lotor_lstm_logistic_alone(gate[c]);
        } else {
            gate[c] = lotor_lstm_logistic(gate[c]);
        }
    }
}

/* Limits; 0 for none. What is not a number becomes the upper one, as in the reference. */
static inline void lotor_lstm_clip(int32_t count, float limit, float *x) {
    if (!(limit > 0.0f)) {
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        const float below = x[i] < limit ? x[i] : limit;
        x[i] = below < -limit ? -limit : below;
    }
}

/* The cells, from their gates: input, forget, new value. */
static inline void lotor_lstm_update_cells(int32_t count, int32_t coupled, float clip,
                                           const float *gates, float *cells) {
    for (int32_t c = 0; c < count; c++) {
        const float forget = gates[count + c];
        const float in = coupled ? 1.0f - forget : gates[c];
        const float cell = forget * cells[c] + gates[2 * count + c] * in;
        cells[c] = cell;
    }
    lotor_lstm_clip(count, clip, cells);
}

/* What goes into the projection: the output gate times the function of the cells. */
static inline void lotor_lstm_unprojected(int32_t count, int32_t activation, const float *gate,
                                          const float *cells, float *out) {
    for (int32_t c = 0; c < count; c++) {
        out[c] = gate[c] * lotor_lstm_activation(cells[c], activation);
    }
}

/* The peepholes of a gate, NULL for none; they follow each other as the gates that have some. */
static inline const float *lotor_lstm_peepholes(const float *all, int32_t present, int32_t gate,
                                                int32_t coupled, int32_t count) {
    if (!present || gate == 2) {
        return NULL;
    }
    return all + ((gate == 3 ? 2 : gate) - coupled) * count;
}

static inline void lotor_lstm_float_step(const struct lotor_lstm_float_params *p, int32_t batch,
                                         const float *in, const float *in_weights,
                                         const float *hidden_weights, const float *bias,
                                         const float *peepholes, const float *normalization,
                                         const float *projection, const float *projection_bias,
                                         float *out, float *hidden, float *cells, float *gates) {
    const int32_t n = p->cells;
    const int32_t four = batch < p->batches - p->batches % 4;
    for (int32_t g = p->coupled; g < 4; g++) {
        const int32_t slot = g - p->coupled;
        float *gate = gates + g * n;
        if (g == 3) {
            lotor_lstm_update_cells(n, p->coupled, p->cell_clip, gates, cells);
        }
        for (int32_t c = 0; c < n; c++) {
            gate[c] = p->normalized ? 0.0f : bias[slot * n + c];
        }
        lotor_lstm_matrix_float(in_weights + slot * n * p->inputs, in, n, p->inputs, p->in_order,
                                four, p->together, gate);
        lotor_lstm_matrix_float(hidden_weights + slot * n * p->outputs, hidden, n, p->outputs,
                                p->hidden_order, four, p->together, gate);
        lotor_lstm_finish_gate(
            n, lotor_lstm_peepholes(peepholes, p->peepholes, g, p->coupled, n), cells,
            p->normalized ? normalization + slot * n : NULL, bias + slot * n,
            g == 2 ? p->activation : 0,
            lotor_lstm_place_of(g, p->coupled, n, batch, p->batches, p->together), gate);
    }
    float *product = gates + 2 * n;
    lotor_lstm_unprojected(n, p->activation, gates + 3 * n, cells, product);
    if (p->projected) {
        memcpy(out, lotor_opaque(projection_bias), (size_t)p->outputs * sizeof *out);
        lotor_lstm_matrix_float(projection, product, p->outputs, n, p->projection_order, four,
                                p->together, out);
        lotor_lstm_clip(p->outputs, p->proj_clip, out);
    } else {
        memcpy(out, product, (size_t)n * sizeof *out);
    }
    memcpy(hidden, out, (size_t)p->outputs * sizeof *hidden);
}

static inline void lotor_lstm_float_portable(const struct lotor_lstm_float_params *p,
                                             const float *in, const float *in_weights,
                                             const float *hidden_weights, const float *bias,
                                             const float *peepholes, const float *normalization,
                                             const float *projection, const float *projection_bias,
                                             float *out, float *hidden, float *cells,
                                             float *gates) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t t = 0; t < p->steps; t++) {
            const int32_t row = n * p->batch_stride + t * p->step_stride;
            lotor_lstm_float_step(p, n, in + row * p->inputs, in_weights, hidden_weights, bias,
                                  peepholes, normalization, projection, projection_bias,
                                  out + row * p->outputs, hidden + n * p->outputs,
                                  cells + n * p->cells, gates);
        }
    }
}

/* sums += matrix * x of quantized numbers. */
static inline void lotor_lstm_matrix_hybrid(const int8_t *matrix, const int8_t *x, int32_t rows,
                                            int32_t columns, int32_t zero_point, float scale,
                                            float *sums) {
    for (int32_t row = 0; row < rows; row++) {
        int32_t sum = 0;
        for (int32_t i = 0; i < columns; i++) {
            sum += *matrix++ * (x[i] - zero_point);
        }
        sums[row] += (float)sum * scale;
    }
}

/* numbers: the quantized input and output of the step before, then what is projected. */
static inline void lotor_lstm_hybrid_step(const struct lotor_lstm_hybrid_params *p, int32_t batch,
                                          const float *in, const int8_t *in_weights,
                                          const int8_t *hidden_weights, const int8_t *projection,
                                          const float *scales, const float *bias,
                                          const float *peepholes, const float *normalization,
                                          const float *projection_bias, float *out, float *hidden,
                                          float *cells, float *gates, int8_t *numbers) {
    const int32_t n = p->cells;
    float in_scale, hidden_scale;
    int32_t in_zero, hidden_zero;
    lotor_quantize_row(in, p->inputs, p->symmetric, numbers, &in_scale, &in_zero);
    lotor_quantize_row(hidden, p->outputs, p->symmetric, numbers + p->inputs, &hidden_scale,
                       &hidden_zero);
    for (int32_t g = p->coupled; g < 4; g++) {
        const int32_t slot = g - p->coupled;
        float *gate = gates + g * n;
        if (g == 3) {
            lotor_lstm_update_cells(n, p->coupled, p->cell_clip, gates, cells);
        }
        for (int32_t c = 0; c < n; c++) {
            gate[c] = p->normalized ? 0.0f : bias[slot * n + c];
        }
        lotor_lstm_matrix_hybrid(in_weights + slot * n * p->inputs, numbers, n, p->inputs, in_zero,
                                 in_scale * scales[2 * slot], gate);
        lotor_lstm_matrix_hybrid(hidden_weights + slot * n * p->outputs, numbers + p->inputs, n,
                                 p->outputs, hidden_zero, hidden_scale * scales[2 * slot + 1],
                                 gate);
        lotor_lstm_finish_gate(
            n, lotor_lstm_peepholes(peepholes, p->peepholes, g, p->coupled, n), cells,
            p->normalized ? normalization + slot * n : NULL, bias + slot * n,
            g == 2 ? p->activation : 0,
            lotor_lstm_place_of(g, p->coupled, n, batch, p->batches, p->together), gate);
    }
    float *product = gates + 2 * n;
    lotor_lstm_unprojected(n, p->activation, gates + 3 * n, cells, product);
    if (p->projected) {
        lotor_quantize_row(product, n, p->symmetric, numbers, &in_scale, &in_zero);
        memcpy(out, lotor_opaque(projection_bias), (size_t)p->outputs * sizeof *out);
        lotor_lstm_matrix_hybrid(projection, numbers, p->outputs, n, in_zero,
                                 in_scale * scales[8 - 2 * p->coupled], out);
        lotor_lstm_clip(p->outputs, p->proj_clip, out);
    } else {
        memcpy(out, product, (size_t)n * sizeof *out);
    }
    memcpy(hidden, out, (size_t)p->outputs * sizeof *hidden);
}

static inline void lotor_lstm_hybrid_portable(
    const struct lotor_lstm_hybrid_params *p, const float *in, const int8_t *in_weights,
    const int8_t *hidden_weights, const int8_t *projection, const float *scales, const float *bias,
    const float *peepholes, const float *normalization, const float *projection_bias, float *out,
    float *hidden, float *cells, float *gates, int8_t *numbers) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t t = 0; t < p->steps; t++) {
            const int32_t row = n * p->batch_stride + t * p->step_stride;
            lotor_lstm_hybrid_step(p, n, in + row * p->inputs, in_weights, hidden_weights,
                                   projection, scales, bias, peepholes, normalization,
                                   projection_bias, out + row * p->outputs, hidden + n * p->outputs,
                                   cells + n * p->cells, gates, numbers);
        }
    }
}

#endif

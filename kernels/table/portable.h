/* Functions of one quantized input by table. */
#ifndef LOTOR_TABLE_PORTABLE_H
#define LOTOR_TABLE_PORTABLE_H

#include <stdint.h>

struct lotor_table_params {
    int32_t rows, row;
    int32_t in_step, out_step; /* elements from one row to the next */
};

struct lotor_table_int16_params {
    int32_t elements;
};

/* values: the results for -128 ... 127. */
static inline void lotor_table_portable(const struct lotor_table_params *p, const int8_t *in,
                                        const int8_t *values, int8_t *out) {
    for (int32_t r = 0; r < p->rows; r++) {
#pragma GCC unroll 8
        for (int32_t i = 0; i < p->row; i++) {
            out[i] = values[in[i] + 128];
        }
        in += p->in_step;
        out += p->out_step;
    }
}

/* Interpolate between the results for -32768, -32640, ..., 32768 of a table of 513. */
static inline int16_t lotor_interpolate(int16_t x, const int16_t *values) {
    const int32_t index = (x + 32768) / 128;
    const int32_t rest = (x + 32768) % 128;
    /* 16 bits: a steeper slope wraps, as in the reference. */
    const int16_t slope = (int16_t)(uint16_t)(values[index + 1] - values[index]);
    return (int16_t)(uint16_t)(values[index] + ((slope * rest + 64) >> 7));
}

static inline void lotor_table_int16_portable(const struct lotor_table_int16_params *p,
                                              const int16_t *in, const int16_t *values,
                                              int16_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = lotor_interpolate(in[i], values);
    }
}

#endif

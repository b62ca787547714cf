/* Copies elements from one regular arrangement to another.
 *
 * For all indices 0 <= i_k < size_k of the six dimensions, `run` bytes move
 *     from in  + in_start  + i_0 * in_0  + ... + i_5 * in_5
 *     to   out + out_start + i_0 * out_0 + ... + i_5 * out_5.
 * Starts and strides count bytes; strides may be negative (to reverse) and those of the input zero
 * (to repeat). Input and output do not overlap. */
#ifndef LOTOR_COPY_PORTABLE_H
#define LOTOR_COPY_PORTABLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../common/opaque.h"

struct lotor_copy_params {
    int32_t run;
    int32_t in_start, out_start;
    int32_t size_0, in_0, out_0;
    int32_t size_1, in_1, out_1;
    int32_t size_2, in_2, out_2;
    int32_t size_3, in_3, out_3;
    int32_t size_4, in_4, out_4;
    int32_t size_5, in_5, out_5;
};

struct lotor_copy_table_params {
    int32_t run;
    int32_t in_start, out_start;
    int32_t size_0, in_0, out_0;
    int32_t size_1, in_1, out_1;
};

/* The innermost dimension; runs as long as an element have loops of their own, for speed. */
static inline void lotor_copy_row(const struct lotor_copy_params *p, const uint8_t *in,
                                  uint8_t *out) {
    const ptrdiff_t in_step = p->in_5;
    const ptrdiff_t out_step = p->out_5;
    const int32_t size = p->size_5;
    switch (p->run) {
    case 1:
        for (int32_t i = 0; i < size; i++) {
            out[i * out_step] = in[i * in_step];
        }
        break;
    case 2:
        for (int32_t i = 0; i < size; i++) {
            memcpy(out + i * out_step, in + i * in_step, 2);
        }
        break;
    case 4:
        for (int32_t i = 0; i < size; i++) {
            memcpy(out + i * out_step, in + i * in_step, 4);
        }
        break;
    case 8:
        for (int32_t i = 0; i < size; i++) {
            memcpy(out + i * out_step, in + i * in_step, 8);
        }
        break;
    default:
        for (int32_t i = 0; i < size; i++) {
            memcpy(out + i * out_step, in + i * in_step, (size_t)p->run);
        }
    }
}

static inline void lotor_copy_portable(const struct lotor_copy_params *p, const void *in,
                                       void *out) {
    const uint8_t *const from = lotor_opaque((const uint8_t *)in + p->in_start);
    uint8_t *const to = (uint8_t *)out + p->out_start;
    for (int32_t a = 0; a < p->size_0; a++) {
        for (int32_t b = 0; b < p->size_1; b++) {
            for (int32_t c = 0; c < p->size_2; c++) {
                for (int32_t d = 0; d < p->size_3; d++) {
                    for (int32_t e = 0; e < p->size_4; e++) {
                        const int32_t read =
                            a * p->in_0 + b * p->in_1 + c * p->in_2 + d * p->in_3 + e * p->in_4;
                        const int32_t write = a * p->out_0 + b * p->out_1 + c * p->out_2 +
                                              d * p->out_3 + e * p->out_4;
                        lotor_copy_row(p, from + read, to + write);
                    }
                }
            }
        }
    }
}

/* As copy, for bytes, each replaced by its entry in a table of 256. */
static inline void lotor_copy_table_portable(const struct lotor_copy_table_params *p,
                                             const void *in, const uint8_t *table, void *out) {
    const uint8_t *const from = lotor_opaque((const uint8_t *)in + p->in_start);
    uint8_t *const to = (uint8_t *)out + p->out_start;
    for (int32_t a = 0; a < p->size_0; a++) {
        for (int32_t b = 0; b < p->size_1; b++) {
            const uint8_t *const source = from + (a * p->in_0 + b * p->in_1);
            uint8_t *const target = to + (a * p->out_0 + b * p->out_1);
            for (int32_t i = 0; i < p->run; i++) {
                target[i] = table[source[i]];
            }
        }
    }
}

#endif

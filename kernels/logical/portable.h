/* LOGICAL_AND, LOGICAL_OR with broadcasting, LOGICAL_NOT. */
#ifndef LOTOR_LOGICAL_PORTABLE_H
#define LOTOR_LOGICAL_PORTABLE_H

#include "../common/broadcast.h"

struct lotor_logical_and_params {
    int32_t row, a_step, b_step;
};

struct lotor_logical_or_params {
    int32_t row, a_step, b_step;
};

struct lotor_logical_not_params {
    int32_t elements;
};

static inline void lotor_logical_and_portable(const struct lotor_logical_and_params *p,
                                              const uint8_t *a, const uint8_t *b,
                                              const int32_t *loops, uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const uint8_t *left = a + rows.at[0];
        const uint8_t *right = b + rows.at[1];
        uint8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = left[i * p->a_step] && right[i * p->b_step];
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_logical_or_portable(const struct lotor_logical_or_params *p,
                                             const uint8_t *a, const uint8_t *b,
                                             const int32_t *loops, uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const uint8_t *left = a + rows.at[0];
        const uint8_t *right = b + rows.at[1];
        uint8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = left[i * p->a_step] || right[i * p->b_step];
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_logical_not_portable(const struct lotor_logical_not_params *p,
                                              const uint8_t *in, uint8_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = !in[i];
    }
}

#endif

/* MINIMUM with broadcasting: int8, int16, int32, float. */
#ifndef LOTOR_MINIMUM_PORTABLE_H
#define LOTOR_MINIMUM_PORTABLE_H

#include "../common/broadcast.h"

struct lotor_minimum_params {
    int32_t row, a_step, b_step;
};

struct lotor_minimum_int16_params {
    int32_t row, a_step, b_step;
};

struct lotor_minimum_int32_params {
    int32_t row, a_step, b_step;
};

struct lotor_minimum_float_params {
    int32_t row, a_step, b_step;
};

static inline void lotor_minimum_portable(const struct lotor_minimum_params *p, const int8_t *a,
                                          const int8_t *b, const int32_t *loops, int8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int8_t *left = a + rows.at[0];
        const int8_t *right = b + rows.at[1];
        int8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = left[i * p->a_step] < right[i * p->b_step] ? left[i * p->a_step]
                                                               : right[i * p->b_step];
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_minimum_int16_portable(const struct lotor_minimum_int16_params *p,
                                                const int16_t *a, const int16_t *b,
                                                const int32_t *loops, int16_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int16_t *left = a + rows.at[0];
        const int16_t *right = b + rows.at[1];
        int16_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = left[i * p->a_step] < right[i * p->b_step] ? left[i * p->a_step]
                                                               : right[i * p->b_step];
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_minimum_int32_portable(const struct lotor_minimum_int32_params *p,
                                                const int32_t *a, const int32_t *b,
                                                const int32_t *loops, int32_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int32_t *left = a + rows.at[0];
        const int32_t *right = b + rows.at[1];
        int32_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = left[i * p->a_step] < right[i * p->b_step] ? left[i * p->a_step]
                                                               : right[i * p->b_step];
        }
    } while (lotor_next_row(&rows, loops, 3));
}

/* The second where one is not-a-number. */
static inline void lotor_minimum_float_portable(const struct lotor_minimum_float_params *p,
                                                const float *a, const float *b,
                                                const int32_t *loops, float *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const float *left = a + rows.at[0];
        const float *right = b + rows.at[1];
        float *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = left[i * p->a_step] < right[i * p->b_step] ? left[i * p->a_step]
                                                               : right[i * p->b_step];
        }
    } while (lotor_next_row(&rows, loops, 3));
}

#endif

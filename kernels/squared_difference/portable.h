/* SQUARED_DIFFERENCE with broadcasting: int8 with a scale each, int32, float. */
#ifndef LOTOR_SQUARED_DIFFERENCE_PORTABLE_H
#define LOTOR_SQUARED_DIFFERENCE_PORTABLE_H

#include "../common/broadcast.h"
#include "../common/fixed_point.h"
#include "../common/wrap.h"

struct lotor_squared_difference_params {
    int32_t row, a_step, b_step;
    int32_t a_offset, a_multiplier, a_right;
    int32_t b_offset, b_multiplier, b_right;
    int32_t out_offset, out_multiplier, out_right, out_min, out_max;
};

struct lotor_squared_difference_int32_params {
    int32_t row, a_step, b_step;
};

struct lotor_squared_difference_float_params {
    int32_t row, a_step, b_step;
};

/* Both numbers with 7 more bits, on a common scale; then the square on that of the output. */
static inline int32_t
lotor_squared_difference_value(const struct lotor_squared_difference_params *p, int32_t a,
                               int32_t b) {
    const int32_t left =
        lotor_scale_down((a + p->a_offset) * (1 << 7), p->a_multiplier, p->a_right);
    const int32_t right =
        lotor_scale_down((b + p->b_offset) * (1 << 7), p->b_multiplier, p->b_right);
    const int32_t square = (left - right) * (left - right);
    const int32_t value = lotor_scale_down(square, p->out_multiplier, p->out_right);
    return lotor_clamp(value + p->out_offset, p->out_min, p->out_max);
}

static inline int32_t lotor_square_int32(int32_t x) { return lotor_wrapping_mul(x, x); }

static inline float lotor_square_float(float x) { return x * x; }

static inline void
lotor_squared_difference_portable(const struct lotor_squared_difference_params *p, const int8_t *a,
                                  const int8_t *b, const int32_t *loops, int8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int8_t *left = a + rows.at[0];
        const int8_t *right = b + rows.at[1];
        int8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (int8_t)lotor_squared_difference_value(p, left[i * p->a_step],
                                                           right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void
lotor_squared_difference_int32_portable(const struct lotor_squared_difference_int32_params *p,
                                        const int32_t *a, const int32_t *b, const int32_t *loops,
                                        int32_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int32_t *left = a + rows.at[0];
        const int32_t *right = b + rows.at[1];
        int32_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] =
                lotor_square_int32(lotor_wrapping_sub(left[i * p->a_step], right[i * p->b_step]));
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void
lotor_squared_difference_float_portable(const struct lotor_squared_difference_float_params *p,
                                        const float *a, const float *b, const int32_t *loops,
                                        float *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const float *left = a + rows.at[0];
        const float *right = b + rows.at[1];
        float *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = lotor_square_float(left[i * p->a_step] - right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

#endif

/* ADD with broadcasting: int8 and int16 with a scale each, int32, float. */
#ifndef LOTOR_ADD_PORTABLE_H
#define LOTOR_ADD_PORTABLE_H

#include "../common/broadcast.h"
#include "../common/fixed_point.h"
#include "../common/float_clamp.h"
#include "../common/wrap.h"

struct lotor_add_params {
    int32_t row, a_step, b_step;
    int32_t a_offset, a_multiplier, a_right;
    int32_t b_offset, b_multiplier, b_right;
    int32_t out_offset, out_multiplier, out_right, out_min, out_max;
};

struct lotor_add_int16_params {
    int32_t row, a_step, b_step;
    int32_t a_offset, a_multiplier, a_right;
    int32_t b_offset, b_multiplier, b_right;
    int32_t out_offset, out_multiplier, out_right, out_min, out_max;
};

struct lotor_add_pot_int16_params {
    int32_t row, a_step, b_step;
    int32_t a_right, b_right, out_min, out_max;
};

struct lotor_add_int32_params {
    int32_t row, a_step, b_step;
    int32_t out_min, out_max;
};

struct lotor_add_float_params {
    int32_t row, a_step, b_step;
    float out_min, out_max;
};

/* Both numbers with 20 more bits, on a common scale; then the sum on that of the output. */
static inline int32_t lotor_add_value(const struct lotor_add_params *p, int32_t a, int32_t b) {
    const int32_t left =
        lotor_scale_down((a + p->a_offset) * (1 << 20), p->a_multiplier, p->a_right);
    const int32_t right =
        lotor_scale_down((b + p->b_offset) * (1 << 20), p->b_multiplier, p->b_right);
    const int32_t value = lotor_scale_down(left + right, p->out_multiplier, p->out_right);
    return lotor_clamp(value + p->out_offset, p->out_min, p->out_max);
}

/* Both numbers with 15 more bits, on a common scale; then the sum on that of the output. */
static inline int32_t lotor_add_int16_value(const struct lotor_add_int16_params *p, int32_t a,
                                            int32_t b) {
    const int32_t left =
        lotor_scale_down((a + p->a_offset) * (1 << 15), p->a_multiplier, p->a_right);
    const int32_t right =
        lotor_scale_down((b + p->b_offset) * (1 << 15), p->b_multiplier, p->b_right);
    const int32_t value = lotor_scale_down(left + right, p->out_multiplier, p->out_right);
    return lotor_clamp(value + p->out_offset, p->out_min, p->out_max);
}

static inline void lotor_add_portable(const struct lotor_add_params *p, const int8_t *a,
                                      const int8_t *b, const int32_t *loops, int8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int8_t *left = a + rows.at[0];
        const int8_t *right = b + rows.at[1];
        int8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (int8_t)lotor_add_value(p, left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_add_int16_portable(const struct lotor_add_int16_params *p,
                                            const int16_t *a, const int16_t *b,
                                            const int32_t *loops, int16_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int16_t *left = a + rows.at[0];
        const int16_t *right = b + rows.at[1];
        int16_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (int16_t)lotor_add_int16_value(p, left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline int32_t lotor_add_pot_int16_value(const struct lotor_add_pot_int16_params *p,
                                                int32_t a, int32_t b) {
    const int32_t left = lotor_divide_by_power(a, p->a_right);
    const int32_t right = lotor_divide_by_power(b, p->b_right);
    return lotor_clamp(left + right, p->out_min, p->out_max);
}

/* Scales that are powers of two. */
static inline void lotor_add_pot_int16_portable(const struct lotor_add_pot_int16_params *p,
                                                const int16_t *a, const int16_t *b,
                                                const int32_t *loops, int16_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int16_t *left = a + rows.at[0];
        const int16_t *right = b + rows.at[1];
        int16_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] =
                (int16_t)lotor_add_pot_int16_value(p, left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_add_int32_portable(const struct lotor_add_int32_params *p,
                                            const int32_t *a, const int32_t *b,
                                            const int32_t *loops, int32_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int32_t *left = a + rows.at[0];
        const int32_t *right = b + rows.at[1];
        int32_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = lotor_clamp(lotor_wrapping_add(left[i * p->a_step], right[i * p->b_step]),
                                p->out_min, p->out_max);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_add_float_portable(const struct lotor_add_float_params *p, const float *a,
                                            const float *b, const int32_t *loops, float *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const float *left = a + rows.at[0];
        const float *right = b + rows.at[1];
        float *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = lotor_clamp_float(left[i * p->a_step] + right[i * p->b_step], p->out_min,
                                      p->out_max);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

#endif

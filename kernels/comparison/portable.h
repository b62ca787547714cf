/* EQUAL, LESS and their kin with broadcasting: int8 and int16 with a scale each, int32, float,
 * bool.
 *
 * The others are one of these with the inputs changed places, or the opposite.
 */
#ifndef LOTOR_COMPARISON_PORTABLE_H
#define LOTOR_COMPARISON_PORTABLE_H

#include "../common/broadcast.h"
#include "../common/fixed_point.h"

struct lotor_equal_scaled_int8_params {
    int32_t row, a_step, b_step;
    int32_t a_offset, a_multiplier, a_right;
    int32_t b_offset, b_multiplier, b_right;
    int32_t invert; /* 1: the opposite is the result */
};

struct lotor_equal_scaled_int16_params {
    int32_t row, a_step, b_step;
    int32_t a_offset, a_multiplier, a_right;
    int32_t b_offset, b_multiplier, b_right;
    int32_t invert; /* 1: the opposite is the result */
};

struct lotor_equal_bool_params {
    int32_t row, a_step, b_step;
    int32_t invert; /* 1: the opposite is the result */
};

struct lotor_equal_int16_params {
    int32_t row, a_step, b_step;
    int32_t invert; /* 1: the opposite is the result */
};

struct lotor_equal_int32_params {
    int32_t row, a_step, b_step;
    int32_t invert; /* 1: the opposite is the result */
};

struct lotor_equal_float_params {
    int32_t row, a_step, b_step;
    int32_t invert; /* 1: the opposite is the result */
};

struct lotor_less_scaled_int8_params {
    int32_t row, a_step, b_step;
    int32_t a_offset, a_multiplier, a_right;
    int32_t b_offset, b_multiplier, b_right;
    int32_t invert; /* 1: the opposite is the result */
};

struct lotor_less_scaled_int16_params {
    int32_t row, a_step, b_step;
    int32_t a_offset, a_multiplier, a_right;
    int32_t b_offset, b_multiplier, b_right;
    int32_t invert; /* 1: the opposite is the result */
};

struct lotor_less_int16_params {
    int32_t row, a_step, b_step;
    int32_t invert; /* 1: the opposite is the result */
};

struct lotor_less_int32_params {
    int32_t row, a_step, b_step;
    int32_t invert; /* 1: the opposite is the result */
};

struct lotor_less_float_params {
    int32_t row, a_step, b_step;
    int32_t invert; /* 1: the opposite is the result */
};

struct lotor_less_equal_float_params {
    int32_t row, a_step, b_step;
};

/* A quantized number with 8 more bits, times its scale. */
static inline int32_t lotor_comparable(int32_t x, int32_t multiplier, int32_t right) {
    return lotor_scale_down(x * (1 << 8), multiplier, right);
}

static inline int32_t lotor_equal_scaled_int8_value(const struct lotor_equal_scaled_int8_params *p,
                                                    int32_t a, int32_t b) {
    const int32_t left = lotor_comparable(a + p->a_offset, p->a_multiplier, p->a_right);
    const int32_t right = lotor_comparable(b + p->b_offset, p->b_multiplier, p->b_right);
    return (left == right) != p->invert;
}

static inline void lotor_equal_scaled_int8_portable(const struct lotor_equal_scaled_int8_params *p,
                                                    const int8_t *a, const int8_t *b,
                                                    const int32_t *loops, uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int8_t *left = a + rows.at[0];
        const int8_t *right = b + rows.at[1];
        uint8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (uint8_t)lotor_equal_scaled_int8_value(p, left[i * p->a_step],
                                                           right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline int32_t
lotor_equal_scaled_int16_value(const struct lotor_equal_scaled_int16_params *p, int32_t a,
                               int32_t b) {
    const int32_t left = lotor_comparable(a + p->a_offset, p->a_multiplier, p->a_right);
    const int32_t right = lotor_comparable(b + p->b_offset, p->b_multiplier, p->b_right);
    return (left == right) != p->invert;
}

static inline void
lotor_equal_scaled_int16_portable(const struct lotor_equal_scaled_int16_params *p, const int16_t *a,
                                  const int16_t *b, const int32_t *loops, uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int16_t *left = a + rows.at[0];
        const int16_t *right = b + rows.at[1];
        uint8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (uint8_t)lotor_equal_scaled_int16_value(p, left[i * p->a_step],
                                                            right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_equal_bool_portable(const struct lotor_equal_bool_params *p,
                                             const uint8_t *a, const uint8_t *b,
                                             const int32_t *loops, uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const uint8_t *left = a + rows.at[0];
        const uint8_t *right = b + rows.at[1];
        uint8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (uint8_t)((left[i * p->a_step] == right[i * p->b_step]) != p->invert);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_equal_int16_portable(const struct lotor_equal_int16_params *p,
                                              const int16_t *a, const int16_t *b,
                                              const int32_t *loops, uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int16_t *left = a + rows.at[0];
        const int16_t *right = b + rows.at[1];
        uint8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (uint8_t)((left[i * p->a_step] == right[i * p->b_step]) != p->invert);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_equal_int32_portable(const struct lotor_equal_int32_params *p,
                                              const int32_t *a, const int32_t *b,
                                              const int32_t *loops, uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int32_t *left = a + rows.at[0];
        const int32_t *right = b + rows.at[1];
        uint8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (uint8_t)((left[i * p->a_step] == right[i * p->b_step]) != p->invert);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_equal_float_portable(const struct lotor_equal_float_params *p,
                                              const float *a, const float *b, const int32_t *loops,
                                              uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const float *left = a + rows.at[0];
        const float *right = b + rows.at[1];
        uint8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (uint8_t)((left[i * p->a_step] == right[i * p->b_step]) != p->invert);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline int32_t lotor_less_scaled_int8_value(const struct lotor_less_scaled_int8_params *p,
                                                   int32_t a, int32_t b) {
    const int32_t left = lotor_comparable(a + p->a_offset, p->a_multiplier, p->a_right);
    const int32_t right = lotor_comparable(b + p->b_offset, p->b_multiplier, p->b_right);
    return (left < right) != p->invert;
}

static inline void lotor_less_scaled_int8_portable(const struct lotor_less_scaled_int8_params *p,
                                                   const int8_t *a, const int8_t *b,
                                                   const int32_t *loops, uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int8_t *left = a + rows.at[0];
        const int8_t *right = b + rows.at[1];
        uint8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] =
                (uint8_t)lotor_less_scaled_int8_value(p, left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline int32_t lotor_less_scaled_int16_value(const struct lotor_less_scaled_int16_params *p,
                                                    int32_t a, int32_t b) {
    const int32_t left = lotor_comparable(a + p->a_offset, p->a_multiplier, p->a_right);
    const int32_t right = lotor_comparable(b + p->b_offset, p->b_multiplier, p->b_right);
    return (left < right) != p->invert;
}

static inline void lotor_less_scaled_int16_portable(const struct lotor_less_scaled_int16_params *p,
                                                    const int16_t *a, const int16_t *b,
                                                    const int32_t *loops, uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int16_t *left = a + rows.at[0];
        const int16_t *right = b + rows.at[1];
        uint8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (uint8_t)lotor_less_scaled_int16_value(p, left[i * p->a_step],
                                                           right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_less_int16_portable(const struct lotor_less_int16_params *p,
                                             const int16_t *a, const int16_t *b,
                                             const int32_t *loops, uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int16_t *left = a + rows.at[0];
        const int16_t *right = b + rows.at[1];
        uint8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (uint8_t)((left[i * p->a_step] < right[i * p->b_step]) != p->invert);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_less_int32_portable(const struct lotor_less_int32_params *p,
                                             const int32_t *a, const int32_t *b,
                                             const int32_t *loops, uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int32_t *left = a + rows.at[0];
        const int32_t *right = b + rows.at[1];
        uint8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (uint8_t)((left[i * p->a_step] < right[i * p->b_step]) != p->invert);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_less_float_portable(const struct lotor_less_float_params *p,
                                             const float *a, const float *b, const int32_t *loops,
                                             uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const float *left = a + rows.at[0];
        const float *right = b + rows.at[1];
        uint8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (uint8_t)((left[i * p->a_step] < right[i * p->b_step]) != p->invert);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_less_equal_float_portable(const struct lotor_less_equal_float_params *p,
                                                   const float *a, const float *b,
                                                   const int32_t *loops, uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const float *left = a + rows.at[0];
        const float *right = b + rows.at[1];
        uint8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = left[i * p->a_step] <= right[i * p->b_step];
        }
    } while (lotor_next_row(&rows, loops, 3));
}

#endif

/* FLOOR_DIV with broadcasting: int8, int16, int32, float. */
#ifndef LOTOR_FLOOR_DIV_PORTABLE_H
#define LOTOR_FLOOR_DIV_PORTABLE_H

#include "../common/broadcast.h"
#include "../common/wrap.h"

struct lotor_floor_div_params {
    int32_t row, a_step, b_step;
};

struct lotor_floor_div_int16_params {
    int32_t row, a_step, b_step;
};

struct lotor_floor_div_int32_params {
    int32_t row, a_step, b_step;
};

struct lotor_floor_div_float_params {
    int32_t row, a_step, b_step;
};

/* By 0, where the reference stops, the result is 0; the lowest number by -1 wraps to itself. */
static inline int32_t lotor_floor_div_value(int32_t a, int32_t b) {
    if (b == 0) {
        return 0;
    }
    if (b == -1) {
        return lotor_wrapping_sub(0, a);
    }
    const int32_t quotient = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

/* The quotient is rounded to double first, as in the reference; by 0, where it stops, 0. */
static inline float lotor_floor_div_float_value(float a, float b) {
    if (b == 0.0f) {
        return 0.0f;
    }
    const double quotient = (double)a / (double)b;
    if (!(quotient > -4503599627370496.0 && quotient < 4503599627370496.0)) {
        return (float)quotient; /* whole already, or not-a-number */
    }
    const double whole = (double)(int64_t)quotient;
    if (whole == quotient) {
        return (float)quotient; /* minus zero stays */
    }
    return (float)(whole > quotient ? whole - 1.0 : whole);
}

static inline void lotor_floor_div_portable(const struct lotor_floor_div_params *p, const int8_t *a,
                                            const int8_t *b, const int32_t *loops, int8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int8_t *left = a + rows.at[0];
        const int8_t *right = b + rows.at[1];
        int8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (int8_t)lotor_floor_div_value(left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_floor_div_int16_portable(const struct lotor_floor_div_int16_params *p,
                                                  const int16_t *a, const int16_t *b,
                                                  const int32_t *loops, int16_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int16_t *left = a + rows.at[0];
        const int16_t *right = b + rows.at[1];
        int16_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (int16_t)lotor_floor_div_value(left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_floor_div_int32_portable(const struct lotor_floor_div_int32_params *p,
                                                  const int32_t *a, const int32_t *b,
                                                  const int32_t *loops, int32_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int32_t *left = a + rows.at[0];
        const int32_t *right = b + rows.at[1];
        int32_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = lotor_floor_div_value(left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_floor_div_float_portable(const struct lotor_floor_div_float_params *p,
                                                  const float *a, const float *b,
                                                  const int32_t *loops, float *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const float *left = a + rows.at[0];
        const float *right = b + rows.at[1];
        float *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = lotor_floor_div_float_value(left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

#endif

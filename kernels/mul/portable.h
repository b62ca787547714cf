/* MUL with broadcasting: int8 and int16 with a scale each, int32, float. */
#ifndef LOTOR_MUL_PORTABLE_H
#define LOTOR_MUL_PORTABLE_H

#include "../common/broadcast.h"
#include "../common/fixed_point.h"
#include "../common/float_clamp.h"
#include "../common/wrap.h"

struct lotor_mul_params {
    int32_t row, a_step, b_step;
    int32_t a_offset, b_offset, multiplier, shift;
    int32_t low, high; /* of the result without the offset */
    int32_t out_offset;
};

struct lotor_mul_int16_params {
    int32_t row, a_step, b_step;
    int32_t multiplier, shift, out_min, out_max;
};

struct lotor_mul_int32_params {
    int32_t row, a_step, b_step;
    int32_t out_min, out_max;
};

struct lotor_mul_float_params {
    int32_t row, a_step, b_step;
    float out_min, out_max;
};

static inline int32_t lotor_mul_value(const struct lotor_mul_params *p, int32_t a, int32_t b) {
    const int32_t product = (a + p->a_offset) * (b + p->b_offset);
    const int32_t value = lotor_requantize(product, p->multiplier, p->shift);
    /* The offset comes last: between shift and clamp, gcc 12 has too few bits of it in vectors. */
    return lotor_clamp(value, p->low, p->high) + p->out_offset;
}

static inline void lotor_mul_portable(const struct lotor_mul_params *p, const int8_t *a,
                                      const int8_t *b, const int32_t *loops, int8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int8_t *left = a + rows.at[0];
        const int8_t *right = b + rows.at[1];
        int8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (int8_t)lotor_mul_value(p, left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline int32_t lotor_mul_int16_value(const struct lotor_mul_int16_params *p, int32_t a,
                                            int32_t b) {
    return lotor_clamp(lotor_requantize(a * b, p->multiplier, p->shift), p->out_min, p->out_max);
}

static inline void lotor_mul_int16_portable(const struct lotor_mul_int16_params *p,
                                            const int16_t *a, const int16_t *b,
                                            const int32_t *loops, int16_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int16_t *left = a + rows.at[0];
        const int16_t *right = b + rows.at[1];
        int16_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (int16_t)lotor_mul_int16_value(p, left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_mul_int32_portable(const struct lotor_mul_int32_params *p,
                                            const int32_t *a, const int32_t *b,
                                            const int32_t *loops, int32_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int32_t *left = a + rows.at[0];
        const int32_t *right = b + rows.at[1];
        int32_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = lotor_clamp(lotor_wrapping_mul(left[i * p->a_step], right[i * p->b_step]),
                                p->out_min, p->out_max);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_mul_float_portable(const struct lotor_mul_float_params *p, const float *a,
                                            const float *b, const int32_t *loops, float *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const float *left = a + rows.at[0];
        const float *right = b + rows.at[1];
        float *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = lotor_clamp_float(left[i * p->a_step] * right[i * p->b_step], p->out_min,
                                      p->out_max);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

#endif

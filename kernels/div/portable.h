/* DIV with broadcasting: int8 and int16 with a scale each, int32, float. */
#ifndef LOTOR_DIV_PORTABLE_H
#define LOTOR_DIV_PORTABLE_H

#include "../common/broadcast.h"
#include "../common/fixed_functions.h"
#include "../common/fixed_point.h"
#include "../common/float_clamp.h"
#include "../common/float_math.h"
#include "../common/wrap.h"

struct lotor_div_params {
    int32_t row, a_step, b_step;
    int32_t a_offset, b_offset;
    int32_t out_offset, multiplier, shift, out_min, out_max;
};

struct lotor_div_int16_params {
    int32_t row, a_step, b_step;
    int32_t multiplier, shift, out_min, out_max;
};

struct lotor_div_int32_params {
    int32_t row, a_step, b_step;
    int32_t out_min, out_max;
};

struct lotor_div_float_params {
    int32_t row, a_step, b_step;
    float out_min, out_max;
};

/* Copies of the sign below the highest bit. */
static inline int32_t lotor_sign_bits(int32_t x) {
    const int32_t magnitude = x < 0 ? -(x + 1) : x;
    return magnitude == 0 ? 31 : lotor_leading_zeros((uint32_t)magnitude) - 1;
}

/* a / b * multiplier * 2^(shift - 31), through the reciprocal of b.
 *
 * By 0, where the reference stops, the result is 0. Where the reference would shift by less than 0
 * or by more than 31, and has rubbish, the result is saturated or 0.
 */
static inline int32_t lotor_divide(int32_t a, int32_t b, int32_t multiplier, int32_t shift) {
    if (b == 0) {
        return 0;
    }
    if (b < 0) {
        a = -a;
        b = -b;
    }
    const int32_t zeros = lotor_leading_zeros((uint32_t)b);
    const uint32_t fraction = ((uint32_t)b << zeros) - (UINT32_C(1) << 31);
    const int32_t room = lotor_sign_bits(a);
    const int32_t quotient =
        lotor_multiply_high(lotor_shift_left(a, room), lotor_fixed_reciprocal((int32_t)fraction));
    const int32_t scaled = lotor_multiply_high(quotient, multiplier);
    const int32_t right = 31 - zeros + room - shift;
    if (right > 31) {
        return 0;
    }
    return right < 0 ? lotor_shift_left_saturated(scaled, -right)
                     : lotor_divide_by_power(scaled, right);
}

static inline int32_t lotor_div_value(const struct lotor_div_params *p, int32_t a, int32_t b) {
    const int32_t value = lotor_divide(a + p->a_offset, b + p->b_offset, p->multiplier, p->shift);
    return lotor_clamp(lotor_wrapping_add(value, p->out_offset), p->out_min, p->out_max);
}

static inline void lotor_div_portable(const struct lotor_div_params *p, const int8_t *a,
                                      const int8_t *b, const int32_t *loops, int8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int8_t *left = a + rows.at[0];
        const int8_t *right = b + rows.at[1];
        int8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (int8_t)lotor_div_value(p, left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline int32_t lotor_div_int16_value(const struct lotor_div_int16_params *p, int32_t a,
                                            int32_t b) {
    return lotor_clamp(lotor_divide(a, b, p->multiplier, p->shift), p->out_min, p->out_max);
}

static inline void lotor_div_int16_portable(const struct lotor_div_int16_params *p,
                                            const int16_t *a, const int16_t *b,
                                            const int32_t *loops, int16_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int16_t *left = a + rows.at[0];
        const int16_t *right = b + rows.at[1];
        int16_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (int16_t)lotor_div_int16_value(p, left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

/* By 0, where the reference stops, 0; the lowest number by -1 wraps to itself. */
static inline int32_t lotor_div_int32_value(int32_t a, int32_t b) {
    if (b == 0) {
        return 0;
    }
    return b == -1 ? lotor_wrapping_sub(0, a) : a / b;
}

static inline void lotor_div_int32_portable(const struct lotor_div_int32_params *p,
                                            const int32_t *a, const int32_t *b,
                                            const int32_t *loops, int32_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int32_t *left = a + rows.at[0];
        const int32_t *right = b + rows.at[1];
        int32_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = lotor_clamp(lotor_div_int32_value(left[i * p->a_step], right[i * p->b_step]),
                                p->out_min, p->out_max);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

/* By 0 as IEEE 754 says, which C leaves open: infinite, or of 0 not-a-number. */
static inline float lotor_div_float_value(float a, float b) {
    if (b != 0.0f) {
        return a / b;
    }
    if (a != a) {
        return a;
    }
    if (a == 0.0f) {
        return lotor_float_of_bits(0xffc00000u);
    }
    const uint32_t sign = (lotor_bits_of_float(a) ^ lotor_bits_of_float(b)) & 0x80000000u;
    return lotor_float_of_bits(sign | 0x7f800000u);
}

static inline void lotor_div_float_portable(const struct lotor_div_float_params *p, const float *a,
                                            const float *b, const int32_t *loops, float *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const float *left = a + rows.at[0];
        const float *right = b + rows.at[1];
        float *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] =
                lotor_clamp_float(lotor_div_float_value(left[i * p->a_step], right[i * p->b_step]),
                                  p->out_min, p->out_max);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

#endif

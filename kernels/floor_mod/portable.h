/* FLOOR_MOD with broadcasting: int8, int16, int32, float; the result has the divisor's sign. */
#ifndef LOTOR_FLOOR_MOD_PORTABLE_H
#define LOTOR_FLOOR_MOD_PORTABLE_H

#include "../common/broadcast.h"

#include <string.h>

struct lotor_floor_mod_params {
    int32_t row, a_step, b_step;
};

struct lotor_floor_mod_int16_params {
    int32_t row, a_step, b_step;
};

struct lotor_floor_mod_int32_params {
    int32_t row, a_step, b_step;
};

struct lotor_floor_mod_float_params {
    int32_t row, a_step, b_step;
};

/* By 0, where the reference stops, the result is 0. */
static inline int32_t lotor_floor_mod_value(int32_t a, int32_t b) {
    if (b == 0 || b == -1) {
        return 0;
    }
    const int32_t rest = a % b;
    return rest != 0 && (b < 0) != (rest < 0) ? rest + b : rest;
}

/* A positive float as fraction * 2^exponent of whole numbers, the fraction of 24 bits. */
static inline uint32_t lotor_split_float(uint32_t bits, int32_t *exponent) {
    uint32_t fraction = bits & 0x007fffffu;
    *exponent = (int32_t)(bits >> 23);
    if (*exponent > 0) {
        return fraction | 0x00800000u;
    }
    *exponent = 1;
    while (fraction < 0x00800000u) {
        fraction <<= 1;
        (*exponent)--;
    }
    return fraction;
}

/* The rest of a / b towards zero, exact: long division of the fractions. */
static inline float lotor_fmod(float a, float b) {
    uint32_t a_bits;
    uint32_t b_bits;
    memcpy(&a_bits, &a, sizeof a_bits);
    memcpy(&b_bits, &b, sizeof b_bits);
    const uint32_t sign = a_bits & 0x80000000u;
    a_bits &= 0x7fffffffu;
    b_bits &= 0x7fffffffu;
    if (b_bits > 0x7f800000u) {
        return a + b; /* not-a-number */
    }
    if (a_bits >= 0x7f800000u || b_bits == 0) {
        const uint32_t nan = a_bits > 0x7f800000u ? sign | a_bits | 0x00400000u : 0xffc00000u;
        memcpy(&a, &nan, sizeof a);
        return a;
    }
    if (a_bits < b_bits) {
        return a;
    }
    int32_t exponent;
    int32_t last;
    uint32_t rest = lotor_split_float(a_bits, &exponent);
    const uint32_t divisor = lotor_split_float(b_bits, &last);
    for (;;) {
        if (rest >= divisor) {
            rest -= divisor;
        }
        if (exponent == last) {
            break;
        }
        rest <<= 1;
        exponent--;
    }
    while (rest != 0 && rest < 0x00800000u) {
        rest <<= 1;
        exponent--;
    }
    uint32_t bits = sign;
    if (rest != 0 && exponent > 0) {
        bits |= (rest & 0x007fffffu) | ((uint32_t)exponent << 23);
    } else if (rest != 0) {
        bits |= rest >> (1 - exponent);
    }
    memcpy(&a, &bits, sizeof a);
    return a;
}

static inline float lotor_floor_mod_float_value(float a, float b) {
    const float rest = lotor_fmod(a, b);
    return rest != 0.0f && (b < 0.0f) != (rest < 0.0f) ? rest + b : rest;
}

static inline void lotor_floor_mod_portable(const struct lotor_floor_mod_params *p, const int8_t *a,
                                            const int8_t *b, const int32_t *loops, int8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int8_t *left = a + rows.at[0];
        const int8_t *right = b + rows.at[1];
        int8_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (int8_t)lotor_floor_mod_value(left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_floor_mod_int16_portable(const struct lotor_floor_mod_int16_params *p,
                                                  const int16_t *a, const int16_t *b,
                                                  const int32_t *loops, int16_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int16_t *left = a + rows.at[0];
        const int16_t *right = b + rows.at[1];
        int16_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = (int16_t)lotor_floor_mod_value(left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_floor_mod_int32_portable(const struct lotor_floor_mod_int32_params *p,
                                                  const int32_t *a, const int32_t *b,
                                                  const int32_t *loops, int32_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int32_t *left = a + rows.at[0];
        const int32_t *right = b + rows.at[1];
        int32_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = lotor_floor_mod_value(left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

static inline void lotor_floor_mod_float_portable(const struct lotor_floor_mod_float_params *p,
                                                  const float *a, const float *b,
                                                  const int32_t *loops, float *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const float *left = a + rows.at[0];
        const float *right = b + rows.at[1];
        float *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = lotor_floor_mod_float_value(left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

#endif

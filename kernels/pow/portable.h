/* POW with broadcasting: int32. */
#ifndef LOTOR_POW_PORTABLE_H
#define LOTOR_POW_PORTABLE_H

#include "../common/broadcast.h"
#include "../common/wrap.h"

struct lotor_pow_int32_params {
    int32_t row, a_step, b_step;
};

/* By squaring; wraps. For a negative exponent, where the reference stops, 0. */
static inline int32_t lotor_pow_value(int32_t base, int32_t exponent) {
    if (exponent < 0) {
        return 0;
    }
    int32_t power = 1;
    while (exponent != 0) {
        if ((exponent & 1) != 0) {
            power = lotor_wrapping_mul(power, base);
        }
        base = lotor_wrapping_mul(base, base);
        exponent >>= 1;
    }
    return power;
}

static inline void lotor_pow_int32_portable(const struct lotor_pow_int32_params *p,
                                            const int32_t *a, const int32_t *b,
                                            const int32_t *loops, int32_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int32_t *left = a + rows.at[0];
        const int32_t *right = b + rows.at[1];
        int32_t *to = out + rows.at[2];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = lotor_pow_value(left[i * p->a_step], right[i * p->b_step]);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

#endif

/* Where the largest (smallest) number of [outer][size][inner] lies along the middle axis.
 *
 * Of equal ones the first. Indices are int32, or int64 if `wide`.
 */
#ifndef LOTOR_ARG_MAX_PORTABLE_H
#define LOTOR_ARG_MAX_PORTABLE_H

#include <stdint.h>

struct lotor_arg_max_params {
    int32_t outer, size, inner;
    int32_t largest; /* else smallest */
    int32_t wide;
};

struct lotor_arg_max_int32_params {
    int32_t outer, size, inner;
    int32_t largest, wide;
};

struct lotor_arg_max_float_params {
    int32_t outer, size, inner;
    int32_t largest, wide;
};

static inline void lotor_store_index(void *out, int32_t at, int32_t index, int32_t wide) {
    if (wide) {
        ((int64_t *)out)[at] = index;
    } else {
        ((int32_t *)out)[at] = index;
    }
}

static inline void lotor_arg_max_portable(const struct lotor_arg_max_params *p, const int8_t *in,
                                          void *out) {
    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t i = 0; i < p->inner; i++) {
            const int8_t *line = in + o * p->size * p->inner + i;
            int32_t best = 0;
            for (int32_t k = 1; k < p->size; k++) {
                const int8_t value = line[k * p->inner], held = line[best * p->inner];
                if (p->largest ? value > held : value < held) {
                    best = k;
                }
            }
            lotor_store_index(out, o * p->inner + i, best, p->wide);
        }
    }
}

static inline void lotor_arg_max_int32_portable(const struct lotor_arg_max_int32_params *p,
                                                const int32_t *in, void *out) {
    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t i = 0; i < p->inner; i++) {
            const int32_t *line = in + o * p->size * p->inner + i;
            int32_t best = 0;
            for (int32_t k = 1; k < p->size; k++) {
                const int32_t value = line[k * p->inner], held = line[best * p->inner];
                if (p->largest ? value > held : value < held) {
                    best = k;
                }
            }
            lotor_store_index(out, o * p->inner + i, best, p->wide);
        }
    }
}

/* Not-a-number comes after every number. */
static inline void lotor_arg_max_float_portable(const struct lotor_arg_max_float_params *p,
                                                const float *in, void *out) {
    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t i = 0; i < p->inner; i++) {
            const float *line = in + o * p->size * p->inner + i;
            int32_t best = 0;
            for (int32_t k = 1; k < p->size; k++) {
                const float value = line[k * p->inner], held = line[best * p->inner];
                const int better = p->largest ? value > held : value < held;
                if (better || (held != held && value == value)) {
                    best = k;
                }
            }
            lotor_store_index(out, o * p->inner + i, best, p->wide);
        }
    }
}

#endif

/* Running sums along the middle axis of [outer][size][inner], `exclusive`: of what comes before. */
#ifndef LOTOR_CUMSUM_PORTABLE_H
#define LOTOR_CUMSUM_PORTABLE_H

#include "../common/wrap.h"

struct lotor_cumsum_int32_params {
    int32_t outer, size, inner;
    int32_t exclusive, reverse;
};

struct lotor_cumsum_float_params {
    int32_t outer, size, inner;
    int32_t exclusive, reverse;
};

static inline void lotor_cumsum_int32_portable(const struct lotor_cumsum_int32_params *p,
                                               const int32_t *in, int32_t *out) {
    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t i = 0; i < p->inner; i++) {
            int32_t sum = 0;
            for (int32_t k = 0; k < p->size; k++) {
                const int32_t along = p->reverse ? p->size - 1 - k : k;
                const int32_t at = (o * p->size + along) * p->inner + i;
                const int32_t before = sum;
                sum = lotor_wrapping_add(sum, in[at]);
                out[at] = p->exclusive ? before : sum;
            }
        }
    }
}

static inline void lotor_cumsum_float_portable(const struct lotor_cumsum_float_params *p,
                                               const float *in, float *out) {
    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t i = 0; i < p->inner; i++) {
            float sum = 0.0f;
            for (int32_t k = 0; k < p->size; k++) {
                const int32_t along = p->reverse ? p->size - 1 - k : k;
                const int32_t at = (o * p->size + along) * p->inner + i;
                const float before = sum;
                sum = sum + in[at];
                out[at] = p->exclusive ? before : sum;
            }
        }
    }
}

#endif

/* The largest numbers of each row and where they lie, by falling value; of equal ones the first. */
#ifndef LOTOR_TOPK_V2_PORTABLE_H
#define LOTOR_TOPK_V2_PORTABLE_H

#include <stdint.h>

struct lotor_topk_v2_params {
    int32_t rows, size, k;
};

struct lotor_topk_v2_int16_params {
    int32_t rows, size, k;
};

struct lotor_topk_v2_int32_params {
    int32_t rows, size, k;
};

struct lotor_topk_v2_float_params {
    int32_t rows, size, k;
};

static inline void lotor_topk_v2_portable(const struct lotor_topk_v2_params *p, const int8_t *in,
                                          int8_t *values, int32_t *indices) {
    for (int32_t row = 0; row < p->rows; row++) {
        int32_t last = -1;
        for (int32_t k = 0; k < p->k; k++) {
            int32_t best = -1;
            for (int32_t i = 0; i < p->size; i++) {
                const int open = last < 0 || in[last] > in[i] || (i > last && !(in[i] > in[last]));
                if (open && (best < 0 || in[i] > in[best])) {
                    best = i;
                }
            }
            *values++ = in[best];
            *indices++ = best;
            last = best;
        }
        in += p->size;
    }
}

static inline void lotor_topk_v2_int16_portable(const struct lotor_topk_v2_int16_params *p,
                                                const int16_t *in, int16_t *values,
                                                int32_t *indices) {
    for (int32_t row = 0; row < p->rows; row++) {
        int32_t last = -1;
        for (int32_t k = 0; k < p->k; k++) {
            int32_t best = -1;
            for (int32_t i = 0; i < p->size; i++) {
                const int open = last < 0 || in[last] > in[i] || (i > last && !(in[i] > in[last]));
                if (open && (best < 0 || in[i] > in[best])) {
                    best = i;
                }
            }
            *values++ = in[best];
            *indices++ = best;
            last = best;
        }
        in += p->size;
    }
}

static inline void lotor_topk_v2_int32_portable(const struct lotor_topk_v2_int32_params *p,
                                                const int32_t *in, int32_t *values,
                                                int32_t *indices) {
    for (int32_t row = 0; row < p->rows; row++) {
        int32_t last = -1;
        for (int32_t k = 0; k < p->k; k++) {
            int32_t best = -1;
            for (int32_t i = 0; i < p->size; i++) {
                const int open = last < 0 || in[last] > in[i] || (i > last && !(in[i] > in[last]));
                if (open && (best < 0 || in[i] > in[best])) {
                    best = i;
                }
            }
            *values++ = in[best];
            *indices++ = best;
            last = best;
        }
        in += p->size;
    }
}

/* Not-a-number comes after every number. */
static inline int lotor_float_above(float a, float b) { return a > b || (a == a && b != b); }

static inline void lotor_topk_v2_float_portable(const struct lotor_topk_v2_float_params *p,
                                                const float *in, float *values, int32_t *indices) {
    for (int32_t row = 0; row < p->rows; row++) {
        int32_t last = -1;
        for (int32_t k = 0; k < p->k; k++) {
            int32_t best = -1;
            for (int32_t i = 0; i < p->size; i++) {
                const int open = last < 0 || lotor_float_above(in[last], in[i]) ||
                                 (i > last && !(lotor_float_above(in[i], in[last])));
                if (open && (best < 0 || lotor_float_above(in[i], in[best]))) {
                    best = i;
                }
            }
            *values++ = in[best];
            *indices++ = best;
            last = best;
        }
        in += p->size;
    }
}

#endif

/* Product of matrices, for each of up to three broadcast batch axes.
 *
 * Steps are in elements, so that a transposed matrix is read where it lies.
 */
#ifndef LOTOR_BATCH_MATMUL_PORTABLE_H
#define LOTOR_BATCH_MATMUL_PORTABLE_H

#include "../common/requantize.h"

struct lotor_batch_matmul_params {
    int32_t batches_0, batches_1, batches_2, rows, columns, depth;
    int32_t a_step_0, a_step_1, a_step_2, a_row, a_depth;
    int32_t b_step_0, b_step_1, b_step_2, b_column, b_depth;
    int32_t a_offset, b_offset, out_offset, multiplier, shift;
};

struct lotor_batch_matmul_int16_params {
    int32_t batches_0, batches_1, batches_2, rows, columns, depth;
    int32_t a_step_0, a_step_1, a_step_2, a_row, a_depth;
    int32_t b_step_0, b_step_1, b_step_2, b_column, b_depth;
    int32_t multiplier, shift; /* 15 bits; to the right */
};

struct lotor_batch_matmul_float_params {
    int32_t batches_0, batches_1, batches_2, rows, columns, depth;
    int32_t a_step_0, a_step_1, a_step_2, a_row, a_depth;
    int32_t b_step_0, b_step_1, b_step_2, b_column, b_depth;
};

static inline void lotor_batch_matmul_one(const struct lotor_batch_matmul_params *p,
                                          const int8_t *a, const int8_t *b, int8_t *out) {
    for (int32_t row = 0; row < p->rows; row++) {
        for (int32_t column = 0; column < p->columns; column++) {
            const int8_t *left = a + row * p->a_row;
            const int8_t *right = b + column * p->b_column;
            int32_t sum = 0;
            for (int32_t k = 0; k < p->depth; k++) {
                sum += (left[k * p->a_depth] + p->a_offset) * (right[k * p->b_depth] + p->b_offset);
            }
            const int32_t value =
                lotor_wrapping_add(lotor_requantize(sum, p->multiplier, p->shift), p->out_offset);
            *out++ = (int8_t)lotor_clamp(value, INT8_MIN, INT8_MAX);
        }
    }
}

static inline void lotor_batch_matmul_portable(const struct lotor_batch_matmul_params *p,
                                               const int8_t *a, const int8_t *b, int8_t *out) {
    for (int32_t n0 = 0; n0 < p->batches_0; n0++) {
        for (int32_t n1 = 0; n1 < p->batches_1; n1++) {
            for (int32_t n2 = 0; n2 < p->batches_2; n2++) {
                lotor_batch_matmul_one(
                    p, a + n0 * p->a_step_0 + n1 * p->a_step_1 + n2 * p->a_step_2,
                    b + n0 * p->b_step_0 + n1 * p->b_step_1 + n2 * p->b_step_2, out);
                out += p->rows * p->columns;
            }
        }
    }
}

static inline void lotor_batch_matmul_int16_one(const struct lotor_batch_matmul_int16_params *p,
                                                const int16_t *a, const int16_t *b, int16_t *out) {
    for (int32_t row = 0; row < p->rows; row++) {
        for (int32_t column = 0; column < p->columns; column++) {
            const int16_t *left = a + row * p->a_row;
            const int16_t *right = b + column * p->b_column;
            int64_t sum = 0;
            for (int32_t k = 0; k < p->depth; k++) {
                sum += (int32_t)left[k * p->a_depth] * right[k * p->b_depth];
            }
            const int32_t value = lotor_requantize_wide(sum, p->multiplier, p->shift);
            *out++ = (int16_t)lotor_clamp(value, INT16_MIN, INT16_MAX);
        }
    }
}

static inline void
lotor_batch_matmul_int16_portable(const struct lotor_batch_matmul_int16_params *p, const int16_t *a,
                                  const int16_t *b, int16_t *out) {
    for (int32_t n0 = 0; n0 < p->batches_0; n0++) {
        for (int32_t n1 = 0; n1 < p->batches_1; n1++) {
            for (int32_t n2 = 0; n2 < p->batches_2; n2++) {
                lotor_batch_matmul_int16_one(
                    p, a + n0 * p->a_step_0 + n1 * p->a_step_1 + n2 * p->a_step_2,
                    b + n0 * p->b_step_0 + n1 * p->b_step_1 + n2 * p->b_step_2, out);
                out += p->rows * p->columns;
            }
        }
    }
}

static inline void lotor_batch_matmul_float_one(const struct lotor_batch_matmul_float_params *p,
                                                const float *a, const float *b, float *out) {
    for (int32_t row = 0; row < p->rows; row++) {
        for (int32_t column = 0; column < p->columns; column++) {
            const float *left = a + row * p->a_row;
            const float *right = b + column * p->b_column;
            float sum = 0.0f;
            for (int32_t k = 0; k < p->depth; k++) {
                sum += left[k * p->a_depth] * right[k * p->b_depth];
            }
            *out++ = sum;
        }
    }
}

static inline void
lotor_batch_matmul_float_portable(const struct lotor_batch_matmul_float_params *p, const float *a,
                                  const float *b, float *out) {
    for (int32_t n0 = 0; n0 < p->batches_0; n0++) {
        for (int32_t n1 = 0; n1 < p->batches_1; n1++) {
            for (int32_t n2 = 0; n2 < p->batches_2; n2++) {
                lotor_batch_matmul_float_one(
                    p, a + n0 * p->a_step_0 + n1 * p->a_step_1 + n2 * p->a_step_2,
                    b + n0 * p->b_step_0 + n1 * p->b_step_1 + n2 * p->b_step_2, out);
                out += p->rows * p->columns;
            }
        }
    }
}

#endif

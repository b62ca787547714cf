/* SELECT and SELECT_V2: the first where the condition holds, else the second; with broadcasting. */
#ifndef LOTOR_SELECT_PORTABLE_H
#define LOTOR_SELECT_PORTABLE_H

#include "../common/broadcast.h"

struct lotor_select_uint8_params {
    int32_t row, condition_step, a_step, b_step;
};

struct lotor_select_int8_params {
    int32_t row, condition_step, a_step, b_step;
};

struct lotor_select_int16_params {
    int32_t row, condition_step, a_step, b_step;
};

struct lotor_select_int32_params {
    int32_t row, condition_step, a_step, b_step;
};

struct lotor_select_float_params {
    int32_t row, condition_step, a_step, b_step;
};

static inline void lotor_select_uint8_portable(const struct lotor_select_uint8_params *p,
                                               const uint8_t *condition, const uint8_t *a,
                                               const uint8_t *b, const int32_t *loops,
                                               uint8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const uint8_t *choice = condition + rows.at[0];
        const uint8_t *left = a + rows.at[1];
        const uint8_t *right = b + rows.at[2];
        uint8_t *to = out + rows.at[3];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = choice[i * p->condition_step] ? left[i * p->a_step] : right[i * p->b_step];
        }
    } while (lotor_next_row(&rows, loops, 4));
}

static inline void lotor_select_int8_portable(const struct lotor_select_int8_params *p,
                                              const uint8_t *condition, const int8_t *a,
                                              const int8_t *b, const int32_t *loops, int8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const uint8_t *choice = condition + rows.at[0];
        const int8_t *left = a + rows.at[1];
        const int8_t *right = b + rows.at[2];
        int8_t *to = out + rows.at[3];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = choice[i * p->condition_step] ? left[i * p->a_step] : right[i * p->b_step];
        }
    } while (lotor_next_row(&rows, loops, 4));
}

static inline void lotor_select_int16_portable(const struct lotor_select_int16_params *p,
                                               const uint8_t *condition, const int16_t *a,
                                               const int16_t *b, const int32_t *loops,
                                               int16_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const uint8_t *choice = condition + rows.at[0];
        const int16_t *left = a + rows.at[1];
        const int16_t *right = b + rows.at[2];
        int16_t *to = out + rows.at[3];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = choice[i * p->condition_step] ? left[i * p->a_step] : right[i * p->b_step];
        }
    } while (lotor_next_row(&rows, loops, 4));
}

static inline void lotor_select_int32_portable(const struct lotor_select_int32_params *p,
                                               const uint8_t *condition, const int32_t *a,
                                               const int32_t *b, const int32_t *loops,
                                               int32_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const uint8_t *choice = condition + rows.at[0];
        const int32_t *left = a + rows.at[1];
        const int32_t *right = b + rows.at[2];
        int32_t *to = out + rows.at[3];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = choice[i * p->condition_step] ? left[i * p->a_step] : right[i * p->b_step];
        }
    } while (lotor_next_row(&rows, loops, 4));
}

static inline void lotor_select_float_portable(const struct lotor_select_float_params *p,
                                               const uint8_t *condition, const float *a,
                                               const float *b, const int32_t *loops, float *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const uint8_t *choice = condition + rows.at[0];
        const float *left = a + rows.at[1];
        const float *right = b + rows.at[2];
        float *to = out + rows.at[3];
        for (int32_t i = 0; i < p->row; i++) {
            to[i] = choice[i * p->condition_step] ? left[i * p->a_step] : right[i * p->b_step];
        }
    } while (lotor_next_row(&rows, loops, 4));
}

#endif

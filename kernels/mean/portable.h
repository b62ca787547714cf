/* Means and sums over any axes. Those of int8 and int16 are a factor times the sum of distances to
 * the zero point. */
#ifndef LOTOR_MEAN_PORTABLE_H
#define LOTOR_MEAN_PORTABLE_H

#include "../common/fixed_point.h"
#include "../common/reduction.h"
#include "../common/wrap.h"

struct lotor_mean_params {
    struct lotor_reduction at;
    int32_t in_zero_points; /* the zero point times the number of inputs of one output */
    int32_t out_offset, multiplier, shift, out_min, out_max;
};

struct lotor_mean_int16_params {
    struct lotor_reduction at;
    int32_t in_zero_points; /* the zero point times the number of inputs of one output */
    int32_t out_offset, multiplier, shift, out_min, out_max;
};

struct lotor_mean_int32_params {
    struct lotor_reduction at;
    int32_t count; /* inputs of one mean; 1 for sums, which wrap */
};

struct lotor_mean_float_params {
    struct lotor_reduction at;
    float count;
    float initial; /* zero; the sum of no inputs */
};

static inline void lotor_mean_portable(const struct lotor_mean_params *p, const int8_t *in,
                                       int8_t *out) {
    const struct lotor_reduction *at = &p->at;
    for (int32_t o = 0; o < at->outputs; o++) {
        const int8_t *first = in + lotor_reduction_start(at, o);
        int32_t sum = 0;
        for (int32_t a = 0; a < at->size_0; a++) {
            for (int32_t b = 0; b < at->size_1; b++) {
                for (int32_t c = 0; c < at->size_2; c++) {
                    const int8_t *line = first + a * at->step_0 + b * at->step_1 + c * at->step_2;
                    for (int32_t d = 0; d < at->size_3; d++) {
                        sum += line[d * at->step_3];
                    }
                }
            }
        }
        const int32_t scaled = lotor_requantize(sum - p->in_zero_points, p->multiplier, p->shift);
        out[o] =
            (int8_t)lotor_clamp(lotor_wrapping_add(scaled, p->out_offset), p->out_min, p->out_max);
    }
}

static inline void lotor_mean_int16_portable(const struct lotor_mean_int16_params *p,
                                             const int16_t *in, int16_t *out) {
    const struct lotor_reduction *at = &p->at;
    for (int32_t o = 0; o < at->outputs; o++) {
        const int16_t *first = in + lotor_reduction_start(at, o);
        int32_t sum = 0;
        for (int32_t a = 0; a < at->size_0; a++) {
            for (int32_t b = 0; b < at->size_1; b++) {
                for (int32_t c = 0; c < at->size_2; c++) {
                    const int16_t *line = first + a * at->step_0 + b * at->step_1 + c * at->step_2;
                    for (int32_t d = 0; d < at->size_3; d++) {
                        sum += line[d * at->step_3];
                    }
                }
            }
        }
        const int32_t scaled = lotor_requantize(sum - p->in_zero_points, p->multiplier, p->shift);
        out[o] =
            (int16_t)lotor_clamp(lotor_wrapping_add(scaled, p->out_offset), p->out_min, p->out_max);
    }
}

/* Rounded towards zero. */
static inline void lotor_mean_int32_portable(const struct lotor_mean_int32_params *p,
                                             const int32_t *in, int32_t *out) {
    const struct lotor_reduction *at = &p->at;
    for (int32_t o = 0; o < at->outputs; o++) {
        const int32_t *first = in + lotor_reduction_start(at, o);
        int64_t sum = 0;
        for (int32_t a = 0; a < at->size_0; a++) {
            for (int32_t b = 0; b < at->size_1; b++) {
                for (int32_t c = 0; c < at->size_2; c++) {
                    const int32_t *line = first + a * at->step_0 + b * at->step_1 + c * at->step_2;
                    for (int32_t d = 0; d < at->size_3; d++) {
                        sum += line[d * at->step_3];
                    }
                }
            }
        }
        out[o] = (int32_t)(uint32_t)(sum / p->count);
    }
}

static inline void lotor_mean_float_portable(const struct lotor_mean_float_params *p,
                                             const float *in, float *out) {
    const struct lotor_reduction *at = &p->at;
    for (int32_t o = 0; o < at->outputs; o++) {
        const float *first = in + lotor_reduction_start(at, o);
        float sum = p->initial;
        for (int32_t a = 0; a < at->size_0; a++) {
            for (int32_t b = 0; b < at->size_1; b++) {
                for (int32_t c = 0; c < at->size_2; c++) {
                    const float *line = first + a * at->step_0 + b * at->step_1 + c * at->step_2;
                    for (int32_t d = 0; d < at->size_3; d++) {
                        sum += line[d * at->step_3];
                    }
                }
            }
        }
        out[o] = sum / p->count;
    }
}

#endif

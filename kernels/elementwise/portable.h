/* Functions of one input, element by element, for types whose values are too many for a table. */
#ifndef LOTOR_ELEMENTWISE_PORTABLE_H
#define LOTOR_ELEMENTWISE_PORTABLE_H

#include "../common/fixed_point.h"
#include "../common/float_math.h"

struct lotor_abs_float_params {
    int32_t elements;
};

struct lotor_neg_float_params {
    int32_t elements;
};

struct lotor_square_float_params {
    int32_t elements;
};

struct lotor_sign_float_params {
    int32_t elements;
};

struct lotor_floor_float_params {
    int32_t elements;
};

struct lotor_sqrt_float_params {
    int32_t elements;
};

struct lotor_rsqrt_float_params {
    int32_t elements;
};

struct lotor_exp_float_params {
    int32_t elements;
};

struct lotor_log_float_params {
    int32_t elements;
};

struct lotor_tanh_float_params {
    int32_t elements;
};

struct lotor_logistic_float_params {
    int32_t elements;
};

struct lotor_gelu_float_params {
    int32_t elements;
};

struct lotor_sin_float_params {
    int32_t elements;
};

struct lotor_cos_float_params {
    int32_t elements;
};

struct lotor_gelu_tanh_float_params {
    int32_t elements;
};

struct lotor_neg_int16_params {
    int32_t elements;
};

struct lotor_neg_int32_params {
    int32_t elements;
};

struct lotor_neg_int64_params {
    int32_t elements;
};

struct lotor_abs_int32_params {
    int32_t elements;
};

struct lotor_sign_int32_params {
    int32_t elements;
};

struct lotor_abs_int16_params {
    int32_t elements;
    int32_t multiplier, shift;
};

struct lotor_sqrt_int16_params {
    int32_t elements;
    float in_scale, out_scale;
};

struct lotor_logistic_int16_params {
    int32_t elements;
    int32_t multiplier, shift; /* x multiplier / 2^shift is the input in units of 1 / 12288 */
};

struct lotor_tanh_int16_params {
    int32_t elements;
    int32_t multiplier, shift; /* as of the logistic */
};

/* |x| */
static inline void lotor_abs_float_portable(const struct lotor_abs_float_params *p, const float *in,
                                            float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = in[i] == 0.0f ? 0.0f : (in[i] < 0.0f ? -in[i] : in[i]);
    }
}

/* -x */
static inline void lotor_neg_float_portable(const struct lotor_neg_float_params *p, const float *in,
                                            float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = -in[i];
    }
}

/* x x */
static inline void lotor_square_float_portable(const struct lotor_square_float_params *p,
                                               const float *in, float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = in[i] * in[i];
    }
}

/* -1, 0 or 1; not-a-number stays. */
static inline void lotor_sign_float_portable(const struct lotor_sign_float_params *p,
                                             const float *in, float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = in[i] > 0.0f ? 1.0f : (in[i] < 0.0f ? -1.0f : (in[i] == 0.0f ? 0.0f : in[i]));
    }
}

static inline void lotor_floor_float_portable(const struct lotor_floor_float_params *p,
                                              const float *in, float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = lotor_floor(in[i]);
    }
}

static inline void lotor_sqrt_float_portable(const struct lotor_sqrt_float_params *p,
                                             const float *in, float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = lotor_sqrt(in[i]);
    }
}

static inline void lotor_rsqrt_float_portable(const struct lotor_rsqrt_float_params *p,
                                              const float *in, float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        /* Zero, of either sign, gives infinity of that sign. */
        const uint32_t infinity = 0x7f800000u | (lotor_bits_of_float(in[i]) & 0x80000000u);
        out[i] = in[i] == 0.0f ? lotor_float_of_bits(infinity) : 1.0f / lotor_sqrt(in[i]);
    }
}

static inline void lotor_exp_float_portable(const struct lotor_exp_float_params *p, const float *in,
                                            float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = lotor_exp(in[i]);
    }
}

static inline void lotor_log_float_portable(const struct lotor_log_float_params *p, const float *in,
                                            float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = lotor_log(in[i]);
    }
}

static inline void lotor_tanh_float_portable(const struct lotor_tanh_float_params *p,
                                             const float *in, float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = lotor_tanh(in[i]);
    }
}

static inline void lotor_logistic_float_portable(const struct lotor_logistic_float_params *p,
                                                 const float *in, float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = lotor_logistic(in[i]);
    }
}

/* x times the normal distribution function of x. */
static inline void lotor_gelu_float_portable(const struct lotor_gelu_float_params *p,
                                             const float *in, float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = 0.5f * in[i] * lotor_erfc(in[i] * -0.707106769f);
    }
}

static inline void lotor_sin_float_portable(const struct lotor_sin_float_params *p, const float *in,
                                            float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = lotor_sine(in[i], 0);
    }
}

static inline void lotor_cos_float_portable(const struct lotor_cos_float_params *p, const float *in,
                                            float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = lotor_sine(in[i], 1);
    }
}

/* The approximation by a hyperbolic tangent. */
static inline void lotor_gelu_tanh_float_portable(const struct lotor_gelu_tanh_float_params *p,
                                                  const float *in, float *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        const float x = in[i];
        const float cube = x * x * x;
        out[i] = 0.5f * x * (1.0f + lotor_tanh(0.797884583f * (x + 0.044715f * cube)));
    }
}

/* The lowest value has no opposite and stays. */
static inline void lotor_neg_int16_portable(const struct lotor_neg_int16_params *p,
                                            const int16_t *in, int16_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = (int16_t)(uint16_t)-in[i];
    }
}

static inline void lotor_neg_int32_portable(const struct lotor_neg_int32_params *p,
                                            const int32_t *in, int32_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = (int32_t)(0u - (uint32_t)in[i]);
    }
}

static inline void lotor_neg_int64_portable(const struct lotor_neg_int64_params *p,
                                            const int64_t *in, int64_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = (int64_t)(0u - (uint64_t)in[i]);
    }
}

static inline void lotor_abs_int32_portable(const struct lotor_abs_int32_params *p,
                                            const int32_t *in, int32_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = in[i] < 0 ? (int32_t)(0u - (uint32_t)in[i]) : in[i];
    }
}

static inline void lotor_sign_int32_portable(const struct lotor_sign_int32_params *p,
                                             const int32_t *in, int32_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        out[i] = (in[i] > 0 ? 1 : 0) - (in[i] < 0 ? 1 : 0);
    }
}

static inline void lotor_abs_int16_portable(const struct lotor_abs_int16_params *p,
                                            const int16_t *in, int16_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        const int32_t magnitude = in[i] < 0 ? -in[i] : in[i];
        const int32_t value = lotor_requantize(magnitude, p->multiplier, p->shift);
        out[i] = (int16_t)lotor_clamp(value, INT16_MIN, INT16_MAX);
    }
}

/* Rounded down; negative inputs, at which the reference stops, count as zero. */
static inline void lotor_sqrt_int16_portable(const struct lotor_sqrt_int16_params *p,
                                             const int16_t *in, int16_t *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        const float root = lotor_sqrt(p->in_scale * (float)lotor_max(in[i], 0));
        const float value = root / p->out_scale;
        out[i] = value < 32767.0f ? (int16_t)value : INT16_MAX;
    }
}

/* table: 65536 / (1 + e^(-i / 24)) for i = 0 ... 255, between which is interpolated. */
static inline void lotor_logistic_int16_portable(const struct lotor_logistic_int16_params *p,
                                                 const int16_t *in, const uint16_t *table,
                                                 int16_t *out) {
    const int32_t round = p->shift > 0 ? 1 << (p->shift - 1) : 0;
    for (int32_t i = 0; i < p->elements; i++) {
        const int32_t x = (in[i] * p->multiplier + round) >> p->shift;
        const uint32_t magnitude = (uint32_t)(x < 0 ? -x : x);
        const uint32_t index = magnitude >> 9;
        uint32_t result = UINT32_C(0x7fff) << 10;
        if (index < 255) {
            const uint32_t step = (uint32_t)(table[index + 1] - table[index]);
            result = ((uint32_t)table[index] << 9) + (magnitude & 0x1ff) * step;
        }
        result = x >= 0 ? result + (1 << 9) : (1 << 25) - result + (1 << 9) - 1;
        out[i] = (int16_t)(result >> 10);
    }
}

/* tanh(x) = 2 logistic(2 x) - 1, by the table of the logistic. */
static inline void lotor_tanh_int16_portable(const struct lotor_tanh_int16_params *p,
                                             const int16_t *in, const uint16_t *table,
                                             int16_t *out) {
    const int32_t round = p->shift > 0 ? 1 << (p->shift - 1) : 0;
    for (int32_t i = 0; i < p->elements; i++) {
        const int32_t x = (in[i] * p->multiplier + round) >> p->shift;
        const uint32_t magnitude = (uint32_t)(x < 0 ? -x : x);
        const uint32_t index = magnitude >> 8;
        int32_t result = 0xffff << 8;
        if (index < 255) {
            const int32_t step = table[index + 1] - table[index];
            result = (table[index] << 8) + (int32_t)(magnitude & 0xff) * step;
        }
        result -= 1 << 23;
        out[i] = (int16_t)((x >= 0 ? result + (1 << 7) : -result + (1 << 7) - 1) >> 8);
    }
}

#endif

/* Extremes, products and logic over any axes. */
#ifndef LOTOR_REDUCE_PORTABLE_H
#define LOTOR_REDUCE_PORTABLE_H

#include "../common/reduction.h"
#include "../common/wrap.h"

#include <stdint.h>

struct lotor_extreme_params {
    struct lotor_reduction at;
    int32_t largest; /* else smallest */
};

struct lotor_extreme_int16_params {
    struct lotor_reduction at;
    int32_t largest;
};

struct lotor_extreme_int32_params {
    struct lotor_reduction at;
    int32_t largest;
};

struct lotor_extreme_float_params {
    struct lotor_reduction at;
    int32_t largest;
    int32_t whole; /* everything is reduced to one number */
};

struct lotor_product_int32_params {
    struct lotor_reduction at;
};

struct lotor_product_float_params {
    struct lotor_reduction at;
};

struct lotor_logical_params {
    struct lotor_reduction at;
    int32_t every; /* whether all are true, else whether any is */
};

static inline void lotor_extreme_portable(const struct lotor_extreme_params *p, const int8_t *in,
                                          int8_t *out) {
    const struct lotor_reduction *at = &p->at;
    for (int32_t o = 0; o < at->outputs; o++) {
        const int8_t *first = in + lotor_reduction_start(at, o);
        int8_t held = p->largest ? INT8_MIN : INT8_MAX;
        for (int32_t a = 0; a < at->size_0; a++) {
            for (int32_t b = 0; b < at->size_1; b++) {
                for (int32_t c = 0; c < at->size_2; c++) {
                    const int8_t *line = first + a * at->step_0 + b * at->step_1 + c * at->step_2;
                    for (int32_t d = 0; d < at->size_3; d++) {
                        const int8_t value = line[d * at->step_3];
                        if (p->largest ? value > held : value < held) {
                            held = value;
                        }
                    }
                }
            }
        }
        out[o] = held;
    }
}

static inline void lotor_extreme_int16_portable(const struct lotor_extreme_int16_params *p,
                                                const int16_t *in, int16_t *out) {
    const struct lotor_reduction *at = &p->at;
    for (int32_t o = 0; o < at->outputs; o++) {
        const int16_t *first = in + lotor_reduction_start(at, o);
        int16_t held = p->largest ? INT16_MIN : INT16_MAX;
        for (int32_t a = 0; a < at->size_0; a++) {
            for (int32_t b = 0; b < at->size_1; b++) {
                for (int32_t c = 0; c < at->size_2; c++) {
                    const int16_t *line = first + a * at->step_0 + b * at->step_1 + c * at->step_2;
                    for (int32_t d = 0; d < at->size_3; d++) {
                        const int16_t value = line[d * at->step_3];
                        if (p->largest ? value > held : value < held) {
                            held = value;
                        }
                    }
                }
            }
        }
        out[o] = held;
    }
}

static inline void lotor_extreme_int32_portable(const struct lotor_extreme_int32_params *p,
                                                const int32_t *in, int32_t *out) {
    const struct lotor_reduction *at = &p->at;
    for (int32_t o = 0; o < at->outputs; o++) {
        const int32_t *first = in + lotor_reduction_start(at, o);
        int32_t held = p->largest ? INT32_MIN : INT32_MAX;
        for (int32_t a = 0; a < at->size_0; a++) {
            for (int32_t b = 0; b < at->size_1; b++) {
                for (int32_t c = 0; c < at->size_2; c++) {
                    const int32_t *line = first + a * at->step_0 + b * at->step_1 + c * at->step_2;
                    for (int32_t d = 0; d < at->size_3; d++) {
                        const int32_t value = line[d * at->step_3];
                        if (p->largest ? value > held : value < held) {
                            held = value;
                        }
                    }
                }
            }
        }
        out[o] = held;
    }
}

/* Not-a-number and infinities beyond the limit are no input, but for the first of a reduction to
 * one number: so does the reference. */
static inline void lotor_extreme_float_portable(const struct lotor_extreme_float_params *p,
                                                const float *in, float *out) {
    const struct lotor_reduction *at = &p->at;
    for (int32_t o = 0; o < at->outputs; o++) {
        const float *first = in + lotor_reduction_start(at, o);
        const float limit = p->largest ? -3.4028235e+38f : 3.4028235e+38f;
        float held = p->whole ? first[0] : limit;
        for (int32_t a = 0; a < at->size_0; a++) {
            for (int32_t b = 0; b < at->size_1; b++) {
                for (int32_t c = 0; c < at->size_2; c++) {
                    const float *line = first + a * at->step_0 + b * at->step_1 + c * at->step_2;
                    for (int32_t d = 0; d < at->size_3; d++) {
                        const float value = line[d * at->step_3];
                        if (p->largest ? value > held : value < held) {
                            held = value;
                        }
                    }
                }
            }
        }
        out[o] = held;
    }
}

/* Wraps. */
static inline void lotor_product_int32_portable(const struct lotor_product_int32_params *p,
                                                const int32_t *in, int32_t *out) {
    const struct lotor_reduction *at = &p->at;
    for (int32_t o = 0; o < at->outputs; o++) {
        const int32_t *first = in + lotor_reduction_start(at, o);
        int32_t product = 1;
        for (int32_t a = 0; a < at->size_0; a++) {
            for (int32_t b = 0; b < at->size_1; b++) {
                for (int32_t c = 0; c < at->size_2; c++) {
                    const int32_t *line = first + a * at->step_0 + b * at->step_1 + c * at->step_2;
                    for (int32_t d = 0; d < at->size_3; d++) {
                        product = lotor_wrapping_mul(product, line[d * at->step_3]);
                    }
                }
            }
        }
        out[o] = product;
    }
}

static inline void lotor_product_float_portable(const struct lotor_product_float_params *p,
                                                const float *in, float *out) {
    const struct lotor_reduction *at = &p->at;
    for (int32_t o = 0; o < at->outputs; o++) {
        const float *first = in + lotor_reduction_start(at, o);
        float product = 1.0f;
        for (int32_t a = 0; a < at->size_0; a++) {
            for (int32_t b = 0; b < at->size_1; b++) {
                for (int32_t c = 0; c < at->size_2; c++) {
                    const float *line = first + a * at->step_0 + b * at->step_1 + c * at->step_2;
                    for (int32_t d = 0; d < at->size_3; d++) {
                        product *= line[d * at->step_3];
                    }
                }
            }
        }
        out[o] = product;
    }
}

static inline void lotor_logical_portable(const struct lotor_logical_params *p, const uint8_t *in,
                                          uint8_t *out) {
    const struct lotor_reduction *at = &p->at;
    for (int32_t o = 0; o < at->outputs; o++) {
        const uint8_t *first = in + lotor_reduction_start(at, o);
        uint8_t held = p->every ? 1 : 0;
        for (int32_t a = 0; a < at->size_0; a++) {
            for (int32_t b = 0; b < at->size_1; b++) {
                for (int32_t c = 0; c < at->size_2; c++) {
                    const uint8_t *line = first + a * at->step_0 + b * at->step_1 + c * at->step_2;
                    for (int32_t d = 0; d < at->size_3; d++) {
                        const uint8_t value = line[d * at->step_3] != 0;
                        held = p->every ? held & value : held | value;
                    }
                }
            }
        }
        out[o] = held;
    }
}

#endif

/* Numbers of one type as numbers of another. */
#ifndef LOTOR_CAST_PORTABLE_H
#define LOTOR_CAST_PORTABLE_H

#include <stdint.h>

enum lotor_number {
    LOTOR_BOOL,
    LOTOR_INT8,
    LOTOR_UINT8,
    LOTOR_INT16,
    LOTOR_INT32,
    LOTOR_INT64,
    LOTOR_FLOAT32
};

struct lotor_cast_params {
    int32_t elements;
    enum lotor_number from, to;
};

/* Floats lose their fraction and saturate between low and high; not-a-number is the highest. */
static inline int64_t lotor_saturate(float x, int64_t low, int64_t high) {
    if (x < (float)low) {
        return low;
    }
    /* The float next to the limit, or the limit: nothing between them is a float. */
    if (x >= (float)high || x != x) {
        return high;
    }
    return (int64_t)x;
}

static inline int64_t lotor_integer(enum lotor_number type, const void *in, int32_t i) {
    switch (type) {
    case LOTOR_INT8:
        return ((const int8_t *)in)[i];
    case LOTOR_INT16:
        return ((const int16_t *)in)[i];
    case LOTOR_INT32:
        return ((const int32_t *)in)[i];
    case LOTOR_INT64:
        return ((const int64_t *)in)[i];
    default:
        return ((const uint8_t *)in)[i];
    }
}

/* Integers keep their lowest bits. */
static inline void lotor_store(enum lotor_number type, int64_t value, void *out, int32_t i) {
    switch (type) {
    case LOTOR_BOOL:
        ((uint8_t *)out)[i] = value != 0;
        break;
    case LOTOR_INT8:
    case LOTOR_UINT8:
        ((uint8_t *)out)[i] = (uint8_t)value;
        break;
    case LOTOR_INT16:
        ((int16_t *)out)[i] = (int16_t)(uint16_t)value;
        break;
    case LOTOR_INT32:
        ((int32_t *)out)[i] = (int32_t)(uint32_t)value;
        break;
    case LOTOR_INT64:
        ((int64_t *)out)[i] = value;
        break;
    default:
        ((float *)out)[i] = (float)value;
        break;
    }
}

static inline int64_t lotor_from_float(enum lotor_number type, float x) {
    switch (type) {
    case LOTOR_BOOL:
        return x != 0.0f;
    case LOTOR_INT8:
        return lotor_saturate(x, INT8_MIN, INT8_MAX);
    case LOTOR_UINT8:
        return lotor_saturate(x, 0, UINT8_MAX);
    case LOTOR_INT16:
        return lotor_saturate(x, INT16_MIN, INT16_MAX);
    case LOTOR_INT32:
        return lotor_saturate(x, INT32_MIN, INT32_MAX);
    default:
        return lotor_saturate(x, INT64_MIN, INT64_MAX);
    }
}

static inline void lotor_cast_portable(const struct lotor_cast_params *p, const void *in,
                                       void *out) {
    for (int32_t i = 0; i < p->elements; i++) {
        const int64_t value = p->from == LOTOR_FLOAT32
                                  ? lotor_from_float(p->to, ((const float *)in)[i])
                                  : lotor_integer(p->from, in, i);
        lotor_store(p->to, value, out, i);
    }
}

#endif

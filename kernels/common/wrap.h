/* Arithmetic of 32 bits that wraps, as two's complement machines do. */
#ifndef LOTOR_COMMON_WRAP_H
#define LOTOR_COMMON_WRAP_H

#include <stdint.h>

static inline int32_t lotor_wrapping_add(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

static inline int32_t lotor_wrapping_sub(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a - (uint32_t)b);
}

static inline int32_t lotor_wrapping_mul(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a * (uint32_t)b);
}

#endif

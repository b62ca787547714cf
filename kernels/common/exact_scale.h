/* Requantization by integers that were proved, for one layer, to round as its float64 factor. */
#ifndef LOTOR_COMMON_EXACT_SCALE_H
#define LOTOR_COMMON_EXACT_SCALE_H

#include <stdint.h>

/* x * multiplier / 2^shift, rounded half away from zero; 1 <= shift <= 62, fits int32. */
static inline int32_t lotor_scale_exactly(int32_t x, int32_t multiplier, int32_t shift) {
    const int64_t half = INT64_C(1) << (shift - 1);
    return (int32_t)(((int64_t)x * multiplier + half - (x < 0 ? 1 : 0)) >> shift);
}

#endif

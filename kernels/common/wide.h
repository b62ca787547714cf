/* Sums of int8 products for processors with wide vector registers: sixteen channels at a time.
 *
 * Products are of int16, two of them are added as one (`vpmaddwd`, `vpdpwssd`) where the processor
 * has that; all sums are of integers, so that their order does not matter. Elsewhere compilers turn
 * the plain loops into vectors.
 */
#ifndef LOTOR_COMMON_WIDE_H
#define LOTOR_COMMON_WIDE_H

#include "inline.h"

#include <stdint.h>
#include <string.h>

enum {
    LOTOR_WIDE = 16,       /* channels */
    LOTOR_WIDE_PIXELS = 4, /* pixels that share a load of weights */
};

typedef int32_t lotor_wide_int32 __attribute__((vector_size(32)));

/* sums + (numbers + offset) * weights, for each of eight. Vectors are passed by their addresses, as
 * not every processor that takes them has registers of that size. */
static inline LOTOR_SPECIALISED void lotor_wide_multiply(const int8_t *numbers, int32_t offset,
                                                         const int32_t *weights,
                                                         lotor_wide_int32 *sums) {
    typedef int8_t bytes __attribute__((vector_size(8)));
    typedef int16_t halfwords __attribute__((vector_size(16)));
    bytes eight;
    lotor_wide_int32 factors;
    memcpy(&eight, numbers, sizeof eight);
    memcpy(&factors, weights, sizeof factors);
    /* In two steps, for which there are instructions. */
    const halfwords wider = __builtin_convertvector(eight, halfwords);
    *sums += (__builtin_convertvector(wider, lotor_wide_int32) + offset) * factors;
}

#if defined(__AVX2__)
/* sums + a[0] * b[0] + a[1] * b[1], for each of eight pairs of int16. */
static inline LOTOR_SPECIALISED lotor_wide_int32 lotor_wide_dot(lotor_wide_int32 sums,
                                                                lotor_wide_int32 a,
                                                                lotor_wide_int32 b) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sums) : "v"(a), "v"(b));
    return sums;
#else
    lotor_wide_int32 both;
    __asm__("vpmaddwd %2, %1, %0" : "=x"(both) : "x"(a), "x"(b));
    return sums + both;
#endif
}
#endif

/* Adds up sixteen filters on four windows.
 *
 * windows: int16 [4][pitch], of which 2 * pairs count; weights: int16 [pairs][16][2];
 * sums: int32 [4][16]. */
static LOTOR_SHARED void lotor_wide_windows(const int16_t *windows, int32_t pitch, int32_t pairs,
                                            const int16_t *weights, int32_t *sums) {
#if defined(__AVX2__)
    lotor_wide_int32 low[LOTOR_WIDE_PIXELS] = {{0}};
    lotor_wide_int32 high[LOTOR_WIDE_PIXELS] = {{0}};
    for (int32_t k = 0; k < pairs; k++) {
        lotor_wide_int32 first;
        lotor_wide_int32 second;
        memcpy(&first, weights + k * 2 * LOTOR_WIDE, sizeof first);
        memcpy(&second, weights + k * 2 * LOTOR_WIDE + LOTOR_WIDE, sizeof second);
        for (int32_t p = 0; p < LOTOR_WIDE_PIXELS; p++) {
            int32_t pair;
            memcpy(&pair, windows + p * pitch + 2 * k, sizeof pair);
            const lotor_wide_int32 both = pair - (lotor_wide_int32){0};
            low[p] = lotor_wide_dot(low[p], both, first);
            high[p] = lotor_wide_dot(high[p], both, second);
        }
    }
    for (int32_t p = 0; p < LOTOR_WIDE_PIXELS; p++) {
        memcpy(sums + p * LOTOR_WIDE, &low[p], sizeof low[p]);
        memcpy(sums + p * LOTOR_WIDE + LOTOR_WIDE / 2, &high[p], sizeof high[p]);
    }
#else
    memset(sums, 0, LOTOR_WIDE_PIXELS * LOTOR_WIDE * sizeof *sums);
    for (int32_t k = 0; k < pairs; k++) {
        const int16_t *two = weights + k * 2 * LOTOR_WIDE;
        for (int32_t p = 0; p < LOTOR_WIDE_PIXELS; p++) {
            const int32_t a = windows[p * pitch + 2 * k];
            const int32_t b = windows[p * pitch + 2 * k + 1];
            for (int32_t j = 0; j < LOTOR_WIDE; j++) {
                sums[p * LOTOR_WIDE + j] += a * two[2 * j] + b * two[2 * j + 1];
            }
        }
    }
#endif
}

/* What becomes of sixteen sums; table: int32 [4][channels], bias, multiplier, shift to the left and
 * to the right. Equals `lotor_requantize`. One function for all layers: compilers take seconds over
 * a copy for each, which is no faster. */
static LOTOR_SHARED void lotor_wide_output(const int32_t *sums, const int32_t *table,
                                           int32_t channels, int32_t offset, int32_t low,
                                           int32_t high, int8_t *values) {
    const int32_t *bias = table;
    const int32_t *multiplier = table + channels;
    const int32_t *left = table + 2 * channels;
    const int32_t *right = table + 3 * channels;
    for (int32_t j = 0; j < LOTOR_WIDE; j++) {
        const uint32_t sum = ((uint32_t)sums[j] + (uint32_t)bias[j]) << left[j];
        const int64_t product = (int64_t)(int32_t)sum * multiplier[j] + (INT64_C(1) << 30);
        const int32_t scaled = (int32_t)((uint64_t)product >> 31);
        const int32_t mask = (int32_t)((UINT32_C(1) << right[j]) - 1);
        const int32_t limit = (mask >> 1) + (int32_t)((uint32_t)scaled >> 31);
        const int32_t rounded = (scaled >> right[j]) + ((scaled & mask) > limit ? 1 : 0);
        int32_t value = (int32_t)((uint32_t)rounded + (uint32_t)offset);
        value = value < low ? low : value;
        value = value > high ? high : value;
        values[j] = (int8_t)value;
    }
}

#endif

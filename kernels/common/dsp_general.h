/* Products of int16 and requantization in C, for the kernels that take layers of any shape. The
 * requantization serves Armv7-M, too, which lacks the DSP instructions. */
#ifndef LOTOR_COMMON_DSP_GENERAL_H
#define LOTOR_COMMON_DSP_GENERAL_H

#include "exact_scale.h"
#include "fixed_point.h"
#include "inline.h"
#include "wrap.h"

#include <stdint.h>
#include <string.h>

/* How sums become outputs. */
enum {
    LOTOR_DSP_LINE,      /* on a line; of a channel: bias, multiplier, addend */
    LOTOR_DSP_TWICE,     /* rounded twice; bias, multiplier, addend, shift to the right */
    LOTOR_DSP_REFERENCE, /* the same in any range; bias, multiplier, shift to the left */
    LOTOR_DSP_ONCE       /* rounded once; bias, multiplier, shift to the right */
};

#ifdef __ARM_FEATURE_DSP

/* Two products, added to a sum that wraps. */
static inline int32_t lotor_dsp_smlad(uint32_t a, uint32_t b, int32_t sum) {
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
}

/* The upper word of a product, and an addend. */
static inline int32_t lotor_dsp_smmla(int32_t a, int32_t b, int32_t addend) {
    int32_t sum;
    __asm__("smmla %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(addend));
    return sum;
}

static inline int32_t lotor_dsp_smmlar(int32_t a, int32_t b, int32_t addend) {
    int32_t sum;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(addend));
    return sum;
}

#else

/* The upper word of a product, and an addend. */
static inline int32_t lotor_dsp_smmla(int32_t a, int32_t b, int32_t addend) {
    int32_t low, high;
    __asm__("smull %0, %1, %2, %3" : "=&r"(low), "=&r"(high) : "r"(a), "r"(b));
    return high + addend;
}

static inline int32_t lotor_dsp_smmlar(int32_t a, int32_t b, int32_t addend) {
    int32_t low = INT32_MIN, high = addend;
    __asm__("smlal %0, %1, %2, %3" : "+&r"(low), "+&r"(high) : "r"(a), "r"(b));
    return high;
}

#endif

/* What a channel's sums are scaled with; a copy, as gcc would read the table after every store. */
struct lotor_dsp_channel {
    int32_t bias, numbers[3];
};

static inline LOTOR_SPECIALISED struct lotor_dsp_channel lotor_dsp_channel(const int32_t *table,
                                                                           int32_t way) {
    const struct lotor_dsp_channel scale = {
        table[0], {table[1], table[2], way == LOTOR_DSP_TWICE ? table[3] : 0}};
    return scale;
}

/* A sum becomes an output. */
static inline LOTOR_SPECIALISED int8_t lotor_dsp_requantize(int32_t sum,
                                                            const struct lotor_dsp_channel *scale,
                                                            int32_t way, int32_t lift,
                                                            int32_t shift, int32_t out_offset,
                                                            int32_t low, int32_t high) {
    const int32_t *const with = scale->numbers;
    int32_t value;
    if (way == LOTOR_DSP_LINE) {
        value = lotor_dsp_smmla(lotor_shift_left(sum, lift), with[0], with[1]);
        __asm__("ssat %0, #8, %1, asr %2" : "=r"(value) : "r"(value), "i"(shift));
    } else if (way == LOTOR_DSP_TWICE) {
        value = lotor_dsp_smmlar(lotor_shift_left(sum, 1), with[0], with[1]) - (sum < 0 ? 1 : 0);
        value >>= with[2];
        __asm__("ssat %0, #8, %1" : "=r"(value) : "r"(value));
    } else {
        value = way == LOTOR_DSP_ONCE ? lotor_scale_exactly(sum, with[0], with[1])
                                      : lotor_requantize(sum, with[0], with[1]);
        value = lotor_wrapping_add(value, out_offset);
    }
    const int wide = way >= LOTOR_DSP_REFERENCE;
    if (wide || low > INT8_MIN) {
        value = lotor_max(value, low);
    }
    if (wide || high < INT8_MAX) {
        value = lotor_min(value, high);
    }
    return (int8_t)value;
}

#endif

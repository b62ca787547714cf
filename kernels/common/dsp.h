/* Products of pairs of int16 with the DSP instructions of Armv7E-M and Armv8-M. */
#ifndef LOTOR_COMMON_DSP_H
#define LOTOR_COMMON_DSP_H

#include "inline.h"

#include <stdint.h>
#include <string.h>

/* Bytes 0 and 2 of a word as int16. */
static inline uint32_t lotor_dsp_even(uint32_t bytes) {
    uint32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(bytes));
    return pair;
}

/* Bytes 1 and 3. */
static inline uint32_t lotor_dsp_odd(uint32_t bytes) {
    uint32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(bytes));
    return pair;
}

static inline uint32_t lotor_dsp_load(const int8_t *from) {
    uint32_t bytes;
    memcpy(&bytes, from, sizeof bytes);
    return bytes;
}

/* Writes `count` bytes as int16 to one lane of four: pairs (0, 2), (1, 3), (4, 6), ... of which
 * every fourth word is this lane's. What is left of the last four bytes becomes 0. */
static inline LOTOR_SPECIALISED uint32_t *lotor_dsp_expand(const int8_t *from, int32_t count,
                                                           uint32_t *lane) {
#pragma GCC unroll 4
    for (int32_t i = count / 4; i > 0; i--) {
        const uint32_t bytes = lotor_dsp_load(from);
        lane[0] = lotor_dsp_even(bytes);
        lane[4] = lotor_dsp_odd(bytes);
        from += 4;
        lane += 8;
    }
    const int32_t rest = count % 4;
    if (rest) {
        lane[0] = (uint32_t)(uint16_t)from[0] | (rest > 2 ? (uint32_t)from[2] << 16 : 0);
        lane[4] = rest > 1 ? (uint32_t)(uint16_t)from[1] : 0;
        lane += 8;
    }
    return lane;
}

/* Writes `count` times the same pair to one lane. */
static inline LOTOR_SPECIALISED uint32_t *lotor_dsp_fill(uint32_t pair, int32_t count,
                                                         uint32_t *lane) {
    for (int32_t i = 0; i < count; i++) {
        lane[4 * i] = pair;
    }
    return lane + 4 * count;
}

#endif

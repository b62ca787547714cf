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

/* Two int16 in a word. */
static inline uint32_t lotor_dsp_pair(int32_t low, int32_t high) {
    uint32_t pair;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(low), "r"(high));
    return pair;
}

/* Writes four bytes each `words` times as int16 to one lane of four: pairs (0, 2), (1, 3),
 * (4, 6), ... of which every fourth word is this lane's. */
static inline LOTOR_SPECIALISED uint32_t *lotor_dsp_expand(const int8_t *from, int32_t words,
                                                           uint32_t *lane) {
    const int8_t *const end = from + 4 * words;
    uint32_t even, odd;
    if (words > 0) {
        __asm__ volatile(
            "1:\n"
            "ldr %[odd], [%[from]], #4\n"
            "sxtb16 %[even], %[odd]\n"
            "sxtb16 %[odd], %[odd], ror #8\n"
            "str %[even], [%[lane]], #16\n"
            "str %[odd], [%[lane]], #16\n"
            "cmp %[from], %[end]\n"
            "bne 1b\n"
            : [from] "+r"(from), [lane] "+r"(lane), [even] "=&r"(even), [odd] "=&r"(odd)
            : [end] "r"(end)
            : "cc", "memory");
    }
    return lane;
}

/* Writes the same pair `count` times to one lane. */
static inline LOTOR_SPECIALISED uint32_t *lotor_dsp_fill(uint32_t pair, int32_t count,
                                                         uint32_t *lane) {
    for (int32_t i = 0; i < count; i++) {
        *lane = pair;
        lane += 4;
    }
    return lane;
}

/* Writes up to three bytes to a lane, and zeros. */
static inline LOTOR_SPECIALISED void lotor_dsp_expand_rest(const int8_t *from, int32_t count,
                                                           uint32_t *lane) {
    if (count) {
        lane[0] = lotor_dsp_pair(from[0], count > 2 ? from[2] : 0);
        lane[4] = lotor_dsp_pair(count > 1 ? from[1] : 0, 0);
    }
}

/* The same for the four lanes at once, whose bytes lie `step` apart; `words` is more than 0. */
static inline LOTOR_SPECIALISED uint32_t *lotor_dsp_expand_four(const int8_t *from, int32_t step,
                                                                int32_t words, uint32_t *lanes) {
    const int8_t *const end = from + 4 * words;
    /* Both stores need registers in ascending order, which compilers cannot be told. */
    __asm__ volatile("sub r4, %[end], %[from]\n"
                     "tst r4, #4\n"
                     "bne 2f\n" /* an odd number */
                     ".p2align 2\n"
                     "1:\n"
                     "ldr r5, [%[from], %[step]]\n"
                     "ldr r6, [%[from], %[step], lsl #1]\n"
                     "ldr r8, [%[from], %[third]]\n"
                     "ldr r4, [%[from]], #4\n"
                     "sxtb16 r9, r4\n sxtb16 r10, r5\n sxtb16 r11, r6\n sxtb16 r12, r8\n"
                     "stmia %[lanes]!, {r9, r10, r11, r12}\n"
                     "sxtb16 r4, r4, ror #8\n sxtb16 r5, r5, ror #8\n"
                     "sxtb16 r6, r6, ror #8\n sxtb16 r8, r8, ror #8\n"
                     "stmia %[lanes]!, {r4, r5, r6, r8}\n"
                     "2:\n"
                     "ldr r5, [%[from], %[step]]\n"
                     "ldr r6, [%[from], %[step], lsl #1]\n"
                     "ldr r8, [%[from], %[third]]\n"
                     "ldr r4, [%[from]], #4\n"
                     "sxtb16 r9, r4\n sxtb16 r10, r5\n sxtb16 r11, r6\n sxtb16 r12, r8\n"
                     "stmia %[lanes]!, {r9, r10, r11, r12}\n"
                     "sxtb16 r4, r4, ror #8\n sxtb16 r5, r5, ror #8\n"
                     "sxtb16 r6, r6, ror #8\n sxtb16 r8, r8, ror #8\n"
                     "stmia %[lanes]!, {r4, r5, r6, r8}\n"
                     "cmp %[from], %[end]\n"
                     "bne 1b\n"
                     : [from] "+r"(from), [lanes] "+r"(lanes)
                     : [step] "r"(step), [third] "r"(3 * step), [end] "r"(end)
                     : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "cc", "memory");
    return lanes;
}

#endif

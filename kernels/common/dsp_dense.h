/* Sums of products of four pixels with any number of filters, two of them at a time.
 *
 * A halfword of the weights is A + 256 * B, of two filters A and B. SMLAD with the whole of it adds
 * up A + 256 * B, with its low byte alone A; 256 * B is their difference, as long as the sum of B
 * fits 24 bits. So four weights take one instruction to unpack, and no more memory than int8.
 */
#ifndef LOTOR_COMMON_DSP_DENSE_H
#define LOTOR_COMMON_DSP_DENSE_H

#include "dsp_output.h"
#include "inline.h"

#include <stdint.h>

/* r0: inputs; r1: weights; r2: a word of weights; r3: those of A in it; r12, lr: two pixels each;
 * r4 to r7: sums of A, r8 to r11: sums of A + 256 * B. */
#define LOTOR_DSP_PRODUCTS                                                                         \
    "smlad r8, r2, r12, r8\n smlad r4, r3, r12, r4\n"                                              \
    "smlad r9, r2, lr, r9\n smlad r5, r3, lr, r5\n"                                                \
    "ldmia r0!, {r12, lr}\n"                                                                       \
    "smlad r10, r2, r12, r10\n smlad r6, r3, r12, r6\n"                                            \
    "smlad r11, r2, lr, r11\n smlad r7, r3, lr, r7\n"

#define LOTOR_DSP_PAIR                                                                             \
    "ldr r2, [r1], #4\n"                                                                           \
    "ldmia r0!, {r12, lr}\n"                                                                       \
    "sxtb16 r3, r2\n" LOTOR_DSP_PRODUCTS

/* The first pair of a filter, with the bias of A in r7, of A + 256 * B in r11. */
#define LOTOR_DSP_FIRST_PAIR                                                                       \
    "ldmia r1!, {r2, r7, r11}\n"                                                                   \
    "ldmia r0!, {r12, lr}\n"                                                                       \
    "sxtb16 r3, r2\n"                                                                              \
    "smlad r8, r2, r12, r11\n smlad r4, r3, r12, r7\n"                                             \
    "smlad r9, r2, lr, r11\n smlad r5, r3, lr, r7\n"                                               \
    "ldmia r0!, {r12, lr}\n"                                                                       \
    "smlad r10, r2, r12, r11\n smlad r6, r3, r12, r7\n"                                            \
    "smlad r11, r2, lr, r11\n smlad r7, r3, lr, r7\n"

/* All pairs of a filter but the first: some, then rounds of eight. */
#define LOTOR_DSP_PAIRS                                                                            \
    ".rept (%c[pairs] - 1) %% 8\n" LOTOR_DSP_PAIR ".endr\n"                                        \
    ".if %c[pairs] > 16\n"                                                                         \
    "2:\n"                                                                                         \
    ".endif\n"                                                                                     \
    ".if %c[pairs] > 8\n"                                                                          \
    ".rept 8\n" LOTOR_DSP_PAIR ".endr\n"                                                           \
    ".endif\n"                                                                                     \
    ".if %c[pairs] > 16\n"                                                                         \
    "ldr r2, [sp, #8]\n"                                                                           \
    "cmp r0, r2\n"                                                                                 \
    "bne.w 2b\n"                                                                                   \
    ".endif\n"

/* Of a filter. */
#define LOTOR_DSP_SCALE                                                                            \
    ".if %c[shift]\n"                                                                              \
    "ldmia r1!, {r2, r3}\n"                                                                        \
    ".else\n"                                                                                      \
    "ldmia r1!, {r2, r3, lr}\n"                                                                    \
    ".endif\n"

/* Writes the outputs of four pixels.
 *
 * inputs: `pairs` times four words, of each pixel a pair of int16.
 * weights: of every two filters a word, two biases, `pairs` - 1 words, then of each multiplier and
 *     addend, and where `shift` is 0, a shift of its own; up to `end`.
 * out: the first pixel's first channel.
 * step: bytes from one pixel to the next, below 1365.
 * odd: the first two filters end where the next two begin.
 */
static inline LOTOR_SPECIALISED void lotor_dsp_dense(const uint32_t *inputs,
                                                     const uint32_t *weights, const uint32_t *end,
                                                     int8_t *out, int32_t pairs, int32_t step,
                                                     int32_t odd, int32_t lift, int32_t shift,
                                                     int32_t low, int32_t high) {
    register const uint32_t *x __asm__("r0") = inputs;
    register const uint32_t *w __asm__("r1") = weights;
    register int8_t *y __asm__("r2") = out;
    register const uint32_t *last __asm__("r3") = end;
    __asm__ volatile(
        "sub sp, sp, #24\n"
        "str r7, [sp, #12]\n"
        "strd r2, r3, [sp]\n"
        ".if %c[pairs] > 16\n"
        "movw r4, %[row]\n add r4, r0, r4\n"
        "str r4, [sp, #8]\n"
        ".endif\n"
        ".if %c[odd]\n"
        "mov r4, #1\n"
        "str r4, [sp, #16]\n"
        ".endif\n"
        "1:\n" LOTOR_DSP_FIRST_PAIR LOTOR_DSP_PAIRS
        "sub r8, r8, r4\n sub r9, r9, r5\n sub r10, r10, r6\n sub r11, r11, r7\n" LOTOR_DSP_SCALE
            LOTOR_DSP_OUTPUT("r4", "0", "r2", "r3", "lr") LOTOR_DSP_OUTPUT(
                "r5", "0", "r2", "r3", "lr") LOTOR_DSP_OUTPUT("r6", "0", "r2", "r3", "lr")
                LOTOR_DSP_OUTPUT("r7", "0", "r2", "r3", "lr") LOTOR_DSP_SCALE LOTOR_DSP_OUTPUT(
                    "r8", "8", "r2", "r3", "lr") LOTOR_DSP_OUTPUT("r9", "8", "r2", "r3", "lr")
                    LOTOR_DSP_OUTPUT("r10", "8", "r2", "r3", "lr") LOTOR_DSP_OUTPUT(
                        "r11", "8", "r2", "r3",
                        "lr") "ldrd r12, lr, [sp]\n"
                              "strb r8, [r12, #1]\n"
                              "strb r5, [r12, %[step]]\n strb r9, [r12, %[step] + 1]\n"
                              "strb r6, [r12, 2 * %c[step]]\n strb r10, [r12, 2 * %c[step] + 1]\n"
                              "strb r7, [r12, 3 * %c[step]]\n strb r11, [r12, 3 * %c[step] + 1]\n"
                              ".if %c[odd]\n"
                              "strb r4, [r12]\n"
                              "ldr r4, [sp, #16]\n"
                              "add r12, r12, r4\n"
                              "mov r4, #2\n"
                              "str r4, [sp, #16]\n"
                              ".else\n"
                              "strb r4, [r12], #2\n"
                              ".endif\n"
                              "str r12, [sp]\n"
                              ".if %c[row] < 4096\n"
                              "sub r0, r0, %[row]\n"
                              ".else\n"
                              "movw r4, %[row]\n sub r0, r0, r4\n"
                              ".endif\n"
                              "cmp r1, lr\n"
                              "bne.w 1b\n"
                              "ldr r7, [sp, #12]\n"
                              "add sp, sp, #24\n"
        : "+r"(x), "+r"(w), "+r"(y), "+r"(last)
        : [pairs] "i"(pairs), [row] "i"(pairs * 16), [step] "i"(step), [odd] "i"(odd),
          [lift] "i"(lift), [shift] "i"(shift), [low] "i"(low), [high] "i"(high)
        : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

#endif

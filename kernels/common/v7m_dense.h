/* Sums of products of up to six pixels with any number of filters, one at a time.
 *
 * A word holds the same input of two pixels, x + 65536 * y, so that one multiply serves both. The
 * sums of two such products fit 16 bits, as weights are at least -127. 0x8000 more and the lower
 * half is not negative; then the upper half is y's part, and the lower one is what it leaves of the
 * sum of all words: x's part is that, less 65536 times y's. So two inputs of two pixels take five
 * instructions and seven cycles of a Cortex-M3 without their loads, with sums of 32 bits. Four
 * MLA take eight cycles, and SMLAL, which could do without the sums of halves, takes 4 to 7 each.
 */
#ifndef LOTOR_COMMON_V7M_DENSE_H
#define LOTOR_COMMON_V7M_DENSE_H

#include "inline.h"
#include "v7m_output.h"

#include <stdint.h>

enum { LOTOR_V7M_LANES = 6 };

/* r0: inputs; r1: weights; r2, r3: two inputs of two pixels; r12, lr: their weights; r4 to r9: of
 * two pixels each the sum of words, and of upper halves; r10: 0x8000; r11: the inputs' end. */
#define LOTOR_V7M_WORDS(WORDS, UPPER, OLD_WORDS, OLD_UPPER)                                        \
    "ldmia r0!, {r2, r3}\n"                                                                        \
    "mla r2, r12, r2, r10\n"                                                                       \
    "mla r2, lr, r3, r2\n"                                                                         \
    "add " WORDS ", " OLD_WORDS ", r2\n"                                                           \
    "add " UPPER ", " OLD_UPPER ", r2, asr #16\n"

/* Two inputs of all pixels. The first ones come with the bias in r8 and r9. */
#define LOTOR_V7M_INPUTS(WORDS_0, UPPER_0, WORDS_1, UPPER_1)                                       \
    "ldrsb r12, [r1, #lotor_at]\n"                                                                 \
    "ldrsb lr, [r1, #lotor_at + 1]\n"                                                              \
    ".set lotor_at, lotor_at + 2\n" LOTOR_V7M_WORDS(                                               \
        "r4", "r5", WORDS_0,                                                                       \
        UPPER_0) ".if %c[lanes] > 2\n" LOTOR_V7M_WORDS("r6", "r7", WORDS_1,                        \
                                                       UPPER_1) ".endif\n"                         \
                                                                ".if %c[lanes] > "                 \
                                                                "4\n" LOTOR_V7M_WORDS(             \
                                                                    "r8", "r9", "r8",              \
                                                                    "r9") ".endif\n"

#define LOTOR_V7M_STORE(SUM, LANE)                                                                 \
    ".if %c[lanes] > " LANE "\n"                                                                   \
    "strb " SUM ", [r2, #" LANE " * %c[step]]\n"                                                   \
    ".endif\n"

#define LOTOR_V7M_SCALED(SUM, LANE)                                                                \
    ".if %c[lanes] > " LANE "\n" LOTOR_V7M_OUTPUT(SUM, "r2", "r3", "lr", "r12", "r11") ".endif\n"

/* Writes the outputs of 1 to 6 pixels.
 *
 * inputs: `pairs` times for every two pixels two words.
 * weights: of every filter two words that the sums begin with, 2 * `pairs` weights up to a multiple
 *     of four bytes, multiplier and addend, and where `shift` is 0, a shift of its own; up to
 *     `end`.
 * out: the first pixel's first channel.
 * step: bytes from one pixel to the next, below 820.
 */
static inline LOTOR_SPECIALISED void lotor_v7m_dense(const int32_t *inputs, const uint32_t *weights,
                                                     const uint32_t *end, int8_t *out,
                                                     int32_t pairs, int32_t lanes, int32_t step,
                                                     int32_t lift, int32_t shift, int32_t low,
                                                     int32_t high) {
    register const int32_t *x __asm__("r0") = inputs;
    register const uint32_t *w __asm__("r1") = weights;
    register int8_t *y __asm__("r2") = out;
    register const uint32_t *last __asm__("r3") = end;
    __asm__ volatile(
        "sub sp, sp, #16\n"
        "str r7, [sp, #8]\n"
        "strd r2, r3, [sp]\n"
        "mov r10, #0x8000\n"
        "movw r11, %[row]\n"
        "add r11, r0, r11\n"
        "1:\n"
        ".set lotor_at, 0\n"
        "ldmia r1!, {r8, r9}\n" LOTOR_V7M_INPUTS(
            "r8", "r9", "r8",
            "r9") ".rept (%c[pairs] - 1) %% 8\n" LOTOR_V7M_INPUTS("r4", "r5", "r6",
                                                                  "r7") ".endr\n"
                                                                        ".if %c[pairs] > 8\n"
                                                                        "add r1, r1, #lotor_at\n"
                                                                        "2:\n"
                                                                        ".set lotor_at, 0\n"
                                                                        ".rept "
                                                                        "8\n" LOTOR_V7M_INPUTS(
                                                                            "r4", "r5", "r6",
                                                                            "r7") ".endr\n"
                                                                                  "add r1, r1, "
                                                                                  "#16\n"
                                                                                  ".if %c[pairs] > "
                                                                                  "16\n"
                                                                                  "cmp r0, r11\n"
                                                                                  "bne.w 2b\n"
                                                                                  ".endif\n"
                                                                                  ".if %c[pairs] "
                                                                                  "%% 2\n"
                                                                                  "add r1, r1, #2\n"
                                                                                  ".endif\n"
                                                                                  ".else\n"
                                                                                  "add r1, r1, "
                                                                                  "#(lotor_at + 3) "
                                                                                  "/ 4 * 4\n"
                                                                                  ".endif\n"
                                                                                  "sub r4, r4, r5, "
                                                                                  "lsl #16\n"
                                                                                  ".if %c[lanes] > "
                                                                                  "2\n"
                                                                                  "sub r6, r6, r7, "
                                                                                  "lsl #16\n"
                                                                                  ".endif\n"
                                                                                  ".if %c[lanes] > "
                                                                                  "4\n"
                                                                                  "sub r8, r8, r9, "
                                                                                  "lsl #16\n"
                                                                                  ".endif\n"
                                                                                  ".if %c[shift]\n"
                                                                                  "ldmia r1!, {r2, "
                                                                                  "r3}\n"
                                                                                  ".else\n"
                                                                                  "ldmia r1!, {r2, "
                                                                                  "r3, lr}\n"
                                                                                  ".endif"
                                                                                  "\n" LOTOR_V7M_SCALED(
                                                                                      "r4",
                                                                                      "0") LOTOR_V7M_SCALED("r5",
                                                                                                            "1")
                                                                                      LOTOR_V7M_SCALED("r6", "2") LOTOR_V7M_SCALED(
                                                                                          "r7",
                                                                                          "3") LOTOR_V7M_SCALED("r8",
                                                                                                                "4")
                                                                                          LOTOR_V7M_SCALED("r9", "5") "ldrd r2, r3, [sp]\n" LOTOR_V7M_STORE(
                                                                                              "r5",
                                                                                              "1") LOTOR_V7M_STORE("r6",
                                                                                                                   "2")
                                                                                              LOTOR_V7M_STORE(
                                                                                                  "r7",
                                                                                                  "3") LOTOR_V7M_STORE("r8",
                                                                                                                       "4")
                                                                                                  LOTOR_V7M_STORE(
                                                                                                      "r9",
                                                                                                      "5") "strb r4, [r2], #1\n"
                                                                                                           "str r2, [sp]\n"
                                                                                                           ".if %c[shift] == 0\n"
                                                                                                           "mov r11, r0\n"
                                                                                                           ".endif\n"
                                                                                                           ".if %c[row] < 4096\n"
                                                                                                           "sub r0, r0, %[row]\n"
                                                                                                           ".else\n"
                                                                                                           "movw r2, %[row]\n sub r0, r0, r2\n"
                                                                                                           ".endif\n"
                                                                                                           "cmp r1, r3\n"
                                                                                                           "bne.w 1b\n"
                                                                                                           "ldr r7, [sp, #8]\n"
                                                                                                           "add sp, sp, #16\n"
        : "+r"(x), "+r"(w), "+r"(y), "+r"(last)
        : [pairs] "i"(pairs), [row] "i"(pairs * 8 * ((lanes + 1) / 2)), [lanes] "i"(lanes),
          [step] "i"(step), [lift] "i"(lift), [shift] "i"(shift), [low] "i"(low), [high] "i"(high)
        : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

#endif

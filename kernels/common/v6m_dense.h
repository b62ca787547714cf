/* Products of the windows of four or six pixels with filters, for Armv6-M: one filter at a time.
 *
 * Four words hold what the windows have at one place. Of sixteen filters the weights for this place
 * lie side by side as bytes: as far from those for the next one as the next four words from these,
 * so that one register goes through both.
 *
 * Four pixels have a word each, six share the four words. Of three pixels with inputs x, y and z
 * one word is x + 2^16 * y and one is z + 2^5 * x + 2^10 * y. Sums of products with them are exact
 * modulo 2^32, and the pixels' sums X, Y and Z follow from both if each is below 2^20 - 2^15:
 * - the first word has X modulo 2^16, which is X - 2^16 * h, and above it Y + h - 2^16 * g;
 * - when these are taken from the second, Z + h * (2^21 - 2^10) + g * 2^26 is left.
 * Of larger windows they are the sums of some parts. */
#ifndef LOTOR_COMMON_V6M_DENSE_H
#define LOTOR_COMMON_V6M_DENSE_H

#include "v6m.h"

#define LOTOR_V6M_DENSE_FILTERS 16

/* r0: inputs; r1: the filter's weights, less r0; sums in r8 to r11. */
#define LOTOR_V6M_DENSE_INPUT                                                                      \
    "ldmia r0!, {r2, r3, r4, r5}\n"                                                                \
    "ldrsb r6, [r1, r0]\n"                                                                         \
    "muls r2, r6, r2\n add r8, r2\n"                                                               \
    "muls r3, r6, r3\n add r9, r3\n"                                                               \
    "muls r4, r6, r4\n add r10, r4\n"                                                              \
    "muls r5, r6, r5\n add r11, r5\n"

/* From the sums of two words those of three pixels, at AT in the stack. */
#define LOTOR_V6M_DENSE_SUMS(FIRST, SECOND, AT)                                                    \
    "mov r2, " FIRST "\n mov r3, " SECOND "\n"                                                     \
    "sxth r4, r2\n"                                                                                \
    "subs r2, r2, r4\n asrs r2, r2, #16\n"                                                         \
    "lsls r5, r4, #5\n subs r3, r3, r5\n"                                                          \
    "lsls r5, r2, #10\n subs r3, r3, r5\n"                                                         \
    "movs r6, #0\n"                                                                                \
    "lsls r5, r3, #6\n asrs r5, r5, #27\n adcs r5, r6\n" /* h, rounded */                          \
    "lsls r6, r5, #21\n subs r3, r3, r6\n"                                                         \
    "lsls r6, r5, #10\n adds r3, r3, r6\n"                                                         \
    "lsls r6, r3, #6\n asrs r6, r6, #6\n"                                                          \
    "subs r3, r3, r6\n asrs r3, r3, #26\n" /* g */                                                 \
    "subs r2, r2, r5\n lsls r3, r3, #16\n adds r2, r2, r3\n"                                       \
    "lsls r5, r5, #16\n adds r4, r4, r5\n"                                                         \
    ".if %c[parts] > 1\n"                                                                          \
    "ldr r3, [sp, #" AT "]\n adds r4, r4, r3\n"                                                    \
    "ldr r3, [sp, #" AT " + 4]\n adds r2, r2, r3\n"                                                \
    "ldr r3, [sp, #" AT " + 8]\n adds r6, r6, r3\n"                                                \
    ".endif\n"                                                                                     \
    "str r4, [sp, #" AT "]\n str r2, [sp, #" AT " + 4]\n str r6, [sp, #" AT " + 8]\n"

#define LOTOR_V6M_DENSE_OUTPUT(LOAD, OUTSIDE, INSIDE, ABOVE)                                       \
    ".if %c[deep]\n"                                                                               \
    "ldr r3, [sp, #56]\n"                                                                          \
    ".endif\n" LOAD "\n" LOTOR_V6M_OUTPUT("52", OUTSIDE, INSIDE, ABOVE) "strb r2, [r0]\n"

#define LOTOR_V6M_DENSE_STEP LOTOR_V6M_STEP("%c[step]")

/* Writes the sums of four words' columns times `factor`, and behind them the words.
 *
 * words: `count` times four, a constant; they may lie where they are written, or behind it.
 */
static inline LOTOR_SPECIALISED void lotor_v6m_total(const int32_t *words, int32_t count,
                                                     int32_t factor, int32_t *total) {
    register const int32_t *x __asm__("r0") = words;
    register int32_t *to __asm__("r1") = total;
    register const int32_t *end __asm__("r2") = words + 4 * count;
    register int32_t times __asm__("r3") = factor;
    /* clang-format off */
    __asm__ volatile(
        LOTOR_V6M_SYNTAX
        "mov r12, r1\n mov lr, r3\n"
        "movs r3, #0\n"
        "mov r8, r3\n mov r9, r3\n mov r10, r3\n mov r11, r3\n"
        "adds r1, #16\n"
        "1:\n"
        "ldmia r0!, {r3, r4, r5, r6}\n"
        "stmia r1!, {r3, r4, r5, r6}\n"
        "add r8, r3\n add r9, r4\n add r10, r5\n add r11, r6\n"
        "cmp r0, r2\n"
        "bne 1b\n"
        "mov r1, r12\n mov r2, lr\n"
        "mov r3, r8\n mov r4, r9\n mov r5, r10\n mov r6, r11\n"
        "muls r3, r2, r3\n muls r4, r2, r4\n muls r5, r2, r5\n muls r6, r2, r6\n"
        "stmia r1!, {r3, r4, r5, r6}\n"
        : "+r"(x), "+r"(to), "+r"(end), "+r"(times)
        :
        : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
    /* clang-format on */
}

/* Writes one output of each of some filters for four pixels, or six if there are `parts`.
 *
 * inputs: four words for each place of a window.
 * weights: sixteen bytes for each, one of each filter.
 * table: of each filter the sum to begin with (of six pixels both words), then what `v6m_scale.py`
 *     has; up to `end`.
 * out: the first pixel's output of the first filter.
 * step: bytes from one pixel to the next.
 */
static inline LOTOR_SPECIALISED void lotor_v6m_dense(const int32_t *inputs, const int8_t *weights,
                                                     const uint32_t *table, const uint32_t *end,
                                                     int8_t *out, int32_t parts, int32_t count,
                                                     int32_t step, int32_t bent, int32_t deep,
                                                     int32_t low, int32_t high) {
    register const int32_t *x __asm__("r0") = inputs;
    register const int8_t *w __asm__("r1") = weights;
    register const uint32_t *t __asm__("r2") = table;
    register const uint32_t *last __asm__("r3") = end;
    register int8_t *y __asm__("r4") = out;
    register const int32_t *full __asm__("r5") = inputs + 4 * count;
    /* Stack: inputs, their end, end of the table, r7, weights, table, output, six sums, the
     * third part of a deep line, its reach. */
    __asm__ volatile(
        LOTOR_V6M_SYNTAX
        "sub sp, #60\n"
        "str r7, [sp, #12]\n"
        "str r0, [sp]\n str r5, [sp, #4]\n str r3, [sp, #8]\n"
        "str r2, [sp, #20]\n str r4, [sp, #24]\n"
        "subs r1, r1, r0\n"
        "subs r1, #16\n"
        "1:\n"
        ".if %c[parts]\n"
        "ldmia r2!, {r3, r4}\n"
        "mov r8, r3\n mov r9, r4\n mov r10, r3\n mov r11, r4\n"
        ".else\n"
        "ldmia r2!, {r3}\n"
        "mov r8, r3\n mov r9, r3\n mov r10, r3\n mov r11, r3\n"
        ".endif\n"
        "str r2, [sp, #20]\n"
        "ldr r0, [sp]\n"
        ".if %c[parts] > 1\n"
        "movs r3, #0\n"
        "str r3, [sp, #28]\n str r3, [sp, #32]\n str r3, [sp, #36]\n"
        "str r3, [sp, #40]\n str r3, [sp, #44]\n str r3, [sp, #48]\n"
        "5:\n"
        "movs r7, #%c[part]\n lsls r7, r7, #4\n adds r7, r7, r0\n"
        ".elseif %c[part] > 16\n"
        "ldr r7, [sp, #4]\n"
        ".endif\n"
        ".if %c[part] > 16\n"
        ".rept %c[part] %% 8\n" LOTOR_V6M_DENSE_INPUT ".endr\n"
        "2:\n"
        ".rept 8\n" LOTOR_V6M_DENSE_INPUT ".endr\n"
        "cmp r0, r7\n"
        "bne 2b\n"
        ".else\n"
        ".rept %c[part]\n" LOTOR_V6M_DENSE_INPUT ".endr\n"
        ".endif\n"
        ".if %c[parts]\n" LOTOR_V6M_DENSE_SUMS("r8", "r9", "28") LOTOR_V6M_DENSE_SUMS(
            "r10", "r11",
            "40") ".endif\n"
                  ".if %c[parts] > 1\n"
                  "ldr r2, [sp, #4]\n"
                  "cmp r0, r2\n"
                  "beq 6f\n"
                  "movs r2, #0\n"
                  "mov r8, r2\n mov r9, r2\n mov r10, r2\n mov r11, r2\n"
                  "b 5b\n"
                  "6:\n"
                  ".endif\n"
                  "str r1, [sp, #16]\n"
                  "ldr r1, [sp, #20]\n"
                  "ldmia r1!, {r3, r4, r5, r6, r7}\n"
                  ".if %c[bent]\n"
                  "ldmia r1!, {r0, r2}\n"
                  "mov r12, r0\n mov lr, r2\n"
                  ".endif\n"
                  ".if %c[deep]\n"
                  "ldmia r1!, {r0}\n"
                  "str r0, [sp, #52]\n str r3, [sp, #56]\n"
                  ".endif\n"

                  "str r1, [sp, #20]\n"
                  "ldr r0, [sp, #24]\n"
                  "adds r1, r0, #1\n"
                  "str r1, [sp, #24]\n"
                  ".if %c[parts]\n" LOTOR_V6M_DENSE_OUTPUT("ldr r2, [sp, #28]", "10", "20", "30")
                      LOTOR_V6M_DENSE_STEP LOTOR_V6M_DENSE_OUTPUT("ldr r2, [sp, #32]", "11", "21",
                                                                  "31")
                          LOTOR_V6M_DENSE_STEP LOTOR_V6M_DENSE_OUTPUT(
                              "ldr r2, [sp, #36]", "12", "22", "32") LOTOR_V6M_DENSE_STEP
        "b 4f\n" LOTOR_V6M_OUTSIDE("10", "20") LOTOR_V6M_OUTSIDE("11", "21") LOTOR_V6M_OUTSIDE(
            "12", "22") "4:\n" LOTOR_V6M_DENSE_OUTPUT("ldr r2, [sp, #40]", "13", "23", "33")
            LOTOR_V6M_DENSE_STEP LOTOR_V6M_DENSE_OUTPUT("ldr r2, [sp, #44]", "14", "24", "34")
                LOTOR_V6M_DENSE_STEP LOTOR_V6M_DENSE_OUTPUT(
                    "ldr r2, [sp, #48]", "15", "25",
                    "35") ".else\n" LOTOR_V6M_DENSE_OUTPUT("mov r2, r8", "10", "20", "30")
                    LOTOR_V6M_DENSE_STEP LOTOR_V6M_DENSE_OUTPUT("mov r2, r9", "11", "21", "31")
                        LOTOR_V6M_DENSE_STEP LOTOR_V6M_DENSE_OUTPUT("mov r2, r10", "12", "22", "32")
                            LOTOR_V6M_DENSE_STEP LOTOR_V6M_DENSE_OUTPUT(
                                "mov r2, r11", "13", "23",
                                "33") ".endif\n"
                                      "ldr r1, [sp, #16]\n"
                                      "adds r1, #1\n"
                                      "ldr r2, [sp, #20]\n"
                                      "ldr r3, [sp, #8]\n"
                                      "cmp r2, r3\n"
                                      "beq 3f\n"
                                      "b 1b\n"
                                      ".if %c[parts]\n" LOTOR_V6M_OUTSIDE("13", "23")
                                          LOTOR_V6M_OUTSIDE("14", "24") LOTOR_V6M_OUTSIDE(
                                              "15", "25") ".else\n" LOTOR_V6M_OUTSIDE("10", "20")
                                              LOTOR_V6M_OUTSIDE("11", "21")
                                                  LOTOR_V6M_OUTSIDE("12", "22") LOTOR_V6M_OUTSIDE(
                                                      "13", "23") ".endif\n"
                                                                  "3:\n"
                                                                  "ldr r7, [sp, #12]\n"
                                                                  "add sp, #60\n"
        : "+r"(x), "+r"(w), "+r"(t), "+r"(last), "+r"(y), "+r"(full)
        : [parts] "i"(parts), [part] "i"(parts ? count / parts : count), [count] "i"(count),
          [step] "i"(step), [bent] "i"(bent), [deep] "i"(deep), [low] "i"(low), [high] "i"(high)
        : "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

#endif

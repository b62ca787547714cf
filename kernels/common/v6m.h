/* What the kernels for Armv6-M share: from counts to int8, and bytes to words.
 *
 * Products have 32 bits here, and only r0 to r7 take part in them; gcc 12 keeps spilling these. */
#ifndef LOTOR_COMMON_V6M_H
#define LOTOR_COMMON_V6M_H

#ifndef __OPTIMIZE__
#error "kernels for Armv6-M take constants into their assembly: compile with -O1 or more"
#endif

#include "inline.h"

#include <stdint.h>
#include <string.h>

/* gcc reads assembly for Armv6-M in the old syntax. */
#define LOTOR_V6M_SYNTAX ".syntax unified\n"

/* The count in r2 becomes an output (`v6m_scale.py`), where r3 is its reach, r4 and r6 the lower
 * and upper part of the multiplier, r5 the addend and r7 the lower part's bits; with a bend r12 is
 * the count of zero and lr what is added below; the third part of a deep line is at LOWEST in the
 * stack, and r3 is lost. Uses r1. OUTSIDE, INSIDE and ABOVE are numbers of labels. */
#define LOTOR_V6M_OUTPUT(LOWEST, OUTSIDE, INSIDE, ABOVE)                                           \
    "cmp r2, r3\n"                                                                                 \
    "bhs " OUTSIDE "f\n"                                                                           \
    ".if %c[deep]\n"                                                                               \
    "ldr r1, [sp, #" LOWEST "]\n"                                                                  \
    "muls r1, r2, r1\n"                                                                            \
    "lsrs r1, r7\n"                                                                                \
    "mov r3, r2\n"                                                                                 \
    "muls r3, r4, r3\n"                                                                            \
    "adds r1, r1, r3\n"                                                                            \
    ".else\n"                                                                                      \
    "mov r1, r2\n"                                                                                 \
    "muls r1, r4, r1\n"                                                                            \
    ".endif\n"                                                                                     \
    "adds r1, r1, r5\n"                                                                            \
    ".if %c[bent]\n"                                                                               \
    "cmp r2, r12\n"                                                                                \
    "bhs " ABOVE "f\n"                                                                             \
    "add r1, lr\n" ABOVE ":\n"                                                                     \
    ".endif\n"                                                                                     \
    "lsrs r1, r7\n"                                                                                \
    "muls r2, r6, r2\n"                                                                            \
    "adds r2, r2, r1\n"                                                                            \
    "lsrs r2, r2, #24\n"                                                                           \
    ".if %c[low] < -1\n"                                                                           \
    "subs r2, #-(%c[low] + 1)\n"                                                                   \
    ".elseif %c[low] > -1\n"                                                                       \
    "adds r2, #%c[low] + 1\n"                                                                      \
    ".endif\n" INSIDE ":\n"

/* The lowest output of what was below 0, the highest of what had reached it. */
#define LOTOR_V6M_OUTSIDE(OUTSIDE, INSIDE)                                                         \
    OUTSIDE ":\n"                                                                                  \
            "asrs r2, r2, #31\n"                                                                   \
            "movs r1, #%c[high] - %c[low]\n"                                                       \
            ".if %c[high] - %c[low] == 255\n"                                                      \
            "lsrs r1, r1, #1\n"                                                                    \
            "eors r2, r1\n"                                                                        \
            ".else\n"                                                                              \
            "ands r2, r1\n"                                                                        \
            "movs r1, #%c[high] & 255\n"                                                           \
            "subs r2, r1, r2\n"                                                                    \
            ".endif\n"                                                                             \
            "b " INSIDE "b\n"

/* r0 += STEP, a constant. */
#define LOTOR_V6M_STEP(STEP)                                                                       \
    ".if " STEP " > 255\n"                                                                         \
    "movs r1, #(" STEP ") >> 8\n"                                                                  \
    "lsls r1, r1, #8\n"                                                                            \
    "adds r0, r0, r1\n"                                                                            \
    ".endif\n"                                                                                     \
    ".if (" STEP ") & 255\n"                                                                       \
    "adds r0, #(" STEP ") & 255\n"                                                                 \
    ".endif\n"

#define LOTOR_V6M_BYTE(INDEX, AT)                                                                  \
    "ldrsb r6, [r0, " INDEX "]\n"                                                                  \
    "str r6, [r1, #16 * (" AT ")]\n"

#define LOTOR_V6M_FOUR(AT)                                                                         \
    LOTOR_V6M_BYTE("r2", AT)                                                                       \
    LOTOR_V6M_BYTE("r3", AT " + 1")                                                                \
    LOTOR_V6M_BYTE("r4", AT " + 2")                                                                \
    LOTOR_V6M_BYTE("r5", AT " + 3")                                                                \
    "adds r0, #4\n"

/* Writes `count` bytes as words to one lane of four; `count` is a constant. */
static inline LOTOR_SPECIALISED int32_t *lotor_v6m_expand(const int8_t *from, int32_t count,
                                                          int32_t *lane) {
    register const int8_t *x __asm__("r0") = from;
    register int32_t *to __asm__("r1") = lane;
    register const int8_t *end __asm__("r2") = from + count / 8 * 8;
    __asm__ volatile(
        LOTOR_V6M_SYNTAX
        ".if %c[count] >= 16\n"
        "mov r12, r2\n"
        ".endif\n"
        "movs r2, #0\n movs r3, #1\n movs r4, #2\n movs r5, #3\n"
        ".if %c[count] >= 8\n"
        "1:\n" LOTOR_V6M_FOUR("0") LOTOR_V6M_FOUR(
            "4") "adds r1, #128\n"
                 ".endif\n"
                 ".if %c[count] >= 16\n"
                 "cmp r0, r12\n"
                 "bne 1b\n"
                 ".endif\n"
                 ".if %c[count] & 4\n" LOTOR_V6M_FOUR(
                     "0") "adds r1, #64\n"
                          ".endif\n"
                          ".if %c[count] & 3\n" LOTOR_V6M_BYTE(
                              "r2", "0") ".endif\n"
                                         ".if (%c[count] & 3) > 1\n" LOTOR_V6M_BYTE(
                                             "r3", "1") ".endif\n"
                                                        ".if (%c[count] & 3) > 2\n" LOTOR_V6M_BYTE(
                                                            "r4",
                                                            "2") ".endif\n"
                                                                 ".if %c[count] & 3\n"
                                                                 "adds r1, #16 * (%c[count] & 3)\n"
                                                                 ".endif\n"
        : "+r"(x), "+r"(to), "+r"(end)
        : [count] "i"(count)
        : "r3", "r4", "r5", "r6", "r12", "cc", "memory");
    return to;
}

#define LOTOR_V6M_THIRD(INDEX, AT)                                                                 \
    "ldr r2, [r1, #16 * (" AT ")]\n"                                                               \
    "ldr r3, [r1, #16 * (" AT ") + 4]\n"                                                           \
    "ldrsb r4, [r0, " INDEX "]\n"                                                                  \
    "lsls r5, r2, #5\n adds r4, r4, r5\n"                                                          \
    "lsls r5, r3, #10\n adds r4, r4, r5\n"                                                         \
    "lsls r3, r3, #16\n adds r2, r2, r3\n"                                                         \
    "str r2, [r1, #16 * (" AT ")]\n"                                                               \
    "str r4, [r1, #16 * (" AT ") + 4]\n"

#define LOTOR_V6M_THIRDS                                                                           \
    LOTOR_V6M_THIRD("r6", "0")                                                                     \
    LOTOR_V6M_THIRD("r7", "1")                                                                     \
    "adds r0, #2\n" LOTOR_V6M_THIRD("r6", "2") LOTOR_V6M_THIRD("r7", "3") "adds r0, #2\n"          \
                                                                          "adds r1, #64\n"

/* Packs `count` bytes with the words of two lanes before them into these, see `v6m_dense.h`. */
static inline LOTOR_SPECIALISED int32_t *lotor_v6m_third(const int8_t *from, int32_t count,
                                                         int32_t *lane) {
    register const int8_t *x __asm__("r0") = from;
    register int32_t *to __asm__("r1") = lane;
    register const int8_t *end __asm__("r2") = from + count / 4 * 4;
    __asm__ volatile(LOTOR_V6M_SYNTAX
                     "mov r8, r7\n"
                     "mov r12, r2\n"
                     "movs r6, #0\n movs r7, #1\n"
                     ".if %c[count] >= 4\n"
                     "1:\n" LOTOR_V6M_THIRDS ".endif\n"
                     ".if %c[count] >= 8\n"
                     "cmp r0, r12\n"
                     "bne 1b\n"
                     ".endif\n"
                     ".if %c[count] & 3\n" LOTOR_V6M_THIRD(
                         "r6", "0") ".endif\n"
                                    ".if (%c[count] & 3) > 1\n" LOTOR_V6M_THIRD(
                                        "r7", "1") ".endif\n"
                                                   ".if (%c[count] & 3) > 2\n"
                                                   "adds r0, #2\n" LOTOR_V6M_THIRD(
                                                       "r6", "2") ".endif\n"
                                                                  ".if %c[count] & 3\n"
                                                                  "adds r1, #16 * (%c[count] & 3)\n"
                                                                  ".endif\n"
                                                                  "mov r7, r8\n"
                     : "+r"(x), "+r"(to), "+r"(end)
                     : [count] "i"(count)
                     : "r3", "r4", "r5", "r6", "r8", "r12", "cc", "memory");
    return to;
}

#endif

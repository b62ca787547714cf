/* Sums of products of int8 for four pixels and all filters, with Helium instructions.
 *
 * VMLADAVA adds sixteen products to a number in a register. The inputs of the four pixels lie one
 * after the other, or if they are more than 128 each, in blocks of sixteen of each; filters go in
 * fours, two and two of them at the same time.
 */
#ifndef LOTOR_COMMON_HELIUM_DENSE_H
#define LOTOR_COMMON_HELIUM_DENSE_H

#include "helium_output.h"
#include "inline.h"

#include <stdint.h>

/* clang-format off */
/* r1: inputs; r3: weights; r5: output of the first pixel; r7: end of the inputs; r9: end of the
 * weights; r11: inputs; r0, r2, r4, r6: sums of one filter for the four pixels; r8, r10, r12, lr:
 * of the other; q4, q5: their weights; q0 to q3: inputs; q6: outputs; q7: places of the outputs. */
#define LOTOR_HELIUM_BLOCK(ACCUMULATE, PLACE)                                                      \
    "vldrw.u32 q4, [r3], #16\n"                                                                    \
    "vldrw.u32 q0, " PLACE("0") "\n"                                                               \
    "vmladav" ACCUMULATE ".s8 r0, q0, q4\n"                                                        \
    "vldrw.u32 q5, [r3], #16\n"                                                                    \
    "vmladav" ACCUMULATE ".s8 r8, q0, q5\n"                                                        \
    "vldrw.u32 q1, " PLACE("16") "\n"                                                              \
    "vmladav" ACCUMULATE ".s8 r2, q1, q4\n"                                                        \
    "vmladav" ACCUMULATE ".s8 r10, q1, q5\n"                                                       \
    "vldrw.u32 q2, " PLACE("32") "\n"                                                              \
    "vmladav" ACCUMULATE ".s8 r4, q2, q4\n"                                                        \
    "vmladav" ACCUMULATE ".s8 r12, q2, q5\n"                                                       \
    "vldrw.u32 q3, " PLACE("48") "\n"                                                              \
    "vmladav" ACCUMULATE ".s8 r6, q3, q4\n"                                                        \
    "vmladav" ACCUMULATE ".s8 lr, q3, q5\n"

#define LOTOR_HELIUM_AT(BYTES) "[r1, #16 * lotor_block + " BYTES " * %c[blocks]]"
#define LOTOR_HELIUM_NEXT(BYTES) "[r1], #16"

/* All sums of two filters become what is to be narrowed, in q4 and q5. A single block stays in q0
 * to q3; up to eight have offsets; more go in rounds of eight after the rest. */
#define LOTOR_HELIUM_SUMS                                                                          \
    ".if %c[blocks] == 1\n"                                                                        \
    "vldrw.u32 q4, [r3], #16\n"                                                                    \
    "vmladav.s8 r0, q0, q4\n vmladav.s8 r2, q1, q4\n"                                              \
    "vldrw.u32 q5, [r3], #16\n"                                                                    \
    "vmladav.s8 r4, q2, q4\n vmladav.s8 r6, q3, q4\n"                                              \
    "vmladav.s8 r8, q0, q5\n vmladav.s8 r10, q1, q5\n"                                             \
    "vmladav.s8 r12, q2, q5\n vmladav.s8 lr, q3, q5\n"                                             \
    ".elseif %c[blocks] <= 8\n"                                                                    \
    ".set lotor_block, 0\n"                                                                        \
    LOTOR_HELIUM_BLOCK("", LOTOR_HELIUM_AT)                                                        \
    ".rept %c[blocks] - 1\n"                                                                       \
    ".set lotor_block, lotor_block + 1\n"                                                          \
    LOTOR_HELIUM_BLOCK("a", LOTOR_HELIUM_AT)                                                       \
    ".endr\n"                                                                                      \
    ".else\n"                                                                                      \
    "mov r1, r11\n"                                                                                \
    LOTOR_HELIUM_BLOCK("", LOTOR_HELIUM_NEXT)                                                      \
    ".rept (%c[blocks] - 1) %% 8\n"                                                                \
    LOTOR_HELIUM_BLOCK("a", LOTOR_HELIUM_NEXT)                                                     \
    ".endr\n"                                                                                      \
    "2:\n"                                                                                         \
    ".rept 8\n"                                                                                    \
    LOTOR_HELIUM_BLOCK("a", LOTOR_HELIUM_NEXT)                                                     \
    ".endr\n"                                                                                      \
    ".if %c[blocks] > 16\n"                                                                        \
    "cmp r1, r7\n"                                                                                 \
    "bne.w 2b\n"                                                                                   \
    ".endif\n"                                                                                     \
    ".endif\n"                                                                                     \
    "vmov q4[2], q4[0], r0, r4\n vmov q4[3], q4[1], r2, r6\n"                                      \
    "vmov q5[2], q5[0], r8, r12\n vmov q5[3], q5[1], r10, lr\n"                                    \
    ".if %c[shift] && !%c[bias]\n"                                                                 \
    "ldmia r3!, {r0, r2, r4, r6}\n"                                                                \
    LOTOR_HELIUM_LINE("q4", "r0", "r2")                                                            \
    LOTOR_HELIUM_LINE("q5", "r4", "r6")                                                            \
    ".elseif %c[shift]\n"                                                                          \
    "ldmia r3!, {r0, r2, r4, r6, r8, r10}\n"                                                       \
    "vadd.i32 q4, q4, r0\n vadd.i32 q5, q5, r6\n"                                                  \
    LOTOR_HELIUM_LINE("q4", "r2", "r4")                                                            \
    LOTOR_HELIUM_LINE("q5", "r8", "r10")                                                           \
    ".else\n"                                                                                      \
    "ldmia r3!, {r0, r2, r4, r6, r8, r10, r12, lr}\n"                                              \
    LOTOR_HELIUM_TWICE("q4", "q7", "r0", "r2", "r4", "r6")                                         \
    LOTOR_HELIUM_TWICE("q5", "q7", "r8", "r10", "r12", "lr")                                       \
    ".endif\n"

/* Whether a vector holds the places of the outputs: it takes words that are aligned, and the sums
 * that are rounded twice leave it free. */
#define LOTOR_HELIUM_SCATTERS "%c[aligned] && %c[shift]"

/* Four channels of four pixels from q6, to r5 or to the places in q7. */
#define LOTOR_HELIUM_STORE                                                                         \
    ".if " LOTOR_HELIUM_SCATTERS "\n"                                                              \
    "vstrw.32 q6, [q7, #4]!\n"                                                                     \
    ".else\n"                                                                                      \
    "vmov r0, r4, q6[2], q6[0]\n vmov r2, r6, q6[3], q6[1]\n"                                      \
    ".if %c[filters] >= 4\n"                                                                       \
    "str r0, [r5]\n str r2, [r5, %[step]]\n"                                                       \
    "str r4, [r5, 2 * %c[step]]\n str r6, [r5, 3 * %c[step]]\n"                                    \
    ".elseif %c[filters] >= 2\n"                                                                   \
    "strh r0, [r5]\n strh r2, [r5, %[step]]\n"                                                     \
    "strh r4, [r5, 2 * %c[step]]\n strh r6, [r5, 3 * %c[step]]\n"                                  \
    ".if %c[filters] == 3\n"                                                                       \
    "lsr r0, r0, #16\n lsr r2, r2, #16\n lsr r4, r4, #16\n lsr r6, r6, #16\n"                      \
    "strb r0, [r5, #2]\n strb r2, [r5, 2 + %c[step]]\n"                                            \
    "strb r4, [r5, 2 + 2 * %c[step]]\n strb r6, [r5, 2 + 3 * %c[step]]\n"                          \
    ".endif\n"                                                                                     \
    ".else\n"                                                                                      \
    "strb r0, [r5]\n strb r2, [r5, %[step]]\n"                                                     \
    "strb r4, [r5, 2 * %c[step]]\n strb r6, [r5, 3 * %c[step]]\n"                                  \
    ".endif\n"                                                                                     \
    ".if %c[filters] %% 4\n"                                                                       \
    "ldr r0, [sp, #4]\n"                                                                           \
    "add r5, r5, r0\n"                                                                             \
    "mov r0, #4\n"                                                                                 \
    "str r0, [sp, #4]\n"                                                                           \
    ".else\n"                                                                                      \
    "add r5, r5, #4\n"                                                                             \
    ".endif\n"                                                                                     \
    ".endif\n"

/* Stack: r7, how far the next four outputs are. */
#define LOTOR_HELIUM_DENSE                                                                         \
    "sub sp, sp, #8\n"                                                                             \
    "str r7, [sp]\n"                                                                               \
    ".if %c[blocks] == 1\n"                                                                        \
    "vldrw.u32 q0, [r1]\n vldrw.u32 q1, [r1, #16]\n"                                               \
    "vldrw.u32 q2, [r1, #32]\n vldrw.u32 q3, [r1, #48]\n"                                          \
    ".elseif %c[blocks] > 8\n"                                                                     \
    "mov r11, r1\n"                                                                                \
    "movw r7, #64 * %c[blocks]\n"                                                                  \
    "add r7, r7, r1\n"                                                                             \
    ".endif\n"                                                                                     \
    ".if " LOTOR_HELIUM_SCATTERS "\n"                                                              \
    "mov r0, #0\n"                                                                                 \
    "movw r2, %[step]\n"                                                                           \
    "vidup.u32 q7, r0, #1\n"                                                                       \
    "vmul.i32 q7, q7, r2\n"                                                                        \
    "sub r0, r5, #4\n"                                                                             \
    "vadd.i32 q7, q7, r0\n"                                                                        \
    ".elseif %c[filters] %% 4\n"                                                                   \
    "mov r0, %c[filters] %% 4\n"                                                                   \
    "str r0, [sp, #4]\n"                                                                           \
    ".endif\n"                                                                                     \
    "1:\n"                                                                                         \
    LOTOR_HELIUM_SUMS                                                                              \
    LOTOR_HELIUM_HALVE("q6", "b", "q4")                                                            \
    LOTOR_HELIUM_HALVE("q6", "t", "q5")                                                            \
    LOTOR_HELIUM_SUMS                                                                              \
    LOTOR_HELIUM_HALVE("q4", "b", "q4")                                                            \
    LOTOR_HELIUM_HALVE("q4", "t", "q5")                                                            \
    LOTOR_HELIUM_NARROW("q6", "b", "q6")                                                           \
    LOTOR_HELIUM_NARROW("q6", "t", "q4")                                                           \
    LOTOR_HELIUM_CLAMP("q6", "q5")                                                                 \
    LOTOR_HELIUM_STORE                                                                             \
    "cmp r3, r9\n"                                                                                 \
    "bne.w 1b\n"                                                                                   \
    "ldr r7, [sp]\n"                                                                               \
    "add sp, sp, #8\n"
/* clang-format on */

/* Writes the outputs of four pixels.
 *
 * inputs: of the four pixels, `blocks` times sixteen bytes each.
 * weights: of every four filters `blocks` times sixteen of the first and the third with what makes
 *     outputs of their sums (biases if `bias`, multipliers, addends, negative shifts if `shift` is
 *     0), then the same of the second and the fourth; up to `end`.
 * out: the first pixel's first channel.
 * step: bytes from one pixel to the next, at most 1364.
 * filters: those beyond a multiple of four are in the first four, and the second four begin after
 *     them, so that they overlap.
 * aligned: whether outputs are at multiples of four bytes.
 */
static inline LOTOR_SPECIALISED void
lotor_helium_dense(const int8_t *inputs, const uint32_t *weights, const uint32_t *end, int8_t *out,
                   int32_t blocks, int32_t step, int32_t filters, int32_t aligned, int32_t bias,
                   int32_t lift, int32_t shift, int32_t low, int32_t high) {
    register const int8_t *x __asm__("r1") = inputs;
    register const uint32_t *w __asm__("r3") = weights;
    register int8_t *y __asm__("r5") = out;
    register const uint32_t *last __asm__("r9") = end;
    __asm__ volatile(
        LOTOR_HELIUM_DENSE
        : "+r"(x), "+r"(w), "+r"(y), "+r"(last)
        : [blocks] "i"(blocks), [step] "i"(step), [filters] "i"(filters), [aligned] "i"(aligned),
          [bias] "i"(bias), [lift] "i"(lift), [shift] "i"(shift), [low] "i"(low), [high] "i"(high)
        : "r0", "r2", "r4", "r6", "r8", "r10", "r11", "r12", "lr", "q0", "q1", "q2", "q3", "q4",
          "q5", "q6", "q7", "cc", "memory");
}

#endif

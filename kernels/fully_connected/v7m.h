/* Dense layer of int8 for Armv7-M: eight outputs at a time. Bias and the input's zero point are in
 * the packed weights. */
#ifndef LOTOR_FULLY_CONNECTED_V7M_H
#define LOTOR_FULLY_CONNECTED_V7M_H

#include "../common/inline.h"
#include "../common/v7m_output.h"

#include <stdint.h>

struct lotor_fully_connected_v7m_params {
    int32_t batches, inputs, outputs;
    int32_t weights_offset;
    int32_t rest;        /* outputs that are no eight */
    int32_t words, last; /* of packed weights: all, and of this rest */
    int32_t lift, shift; /* of the sums, see `v7m_output.h` */
    int32_t out_min, out_max;
};

enum { LOTOR_V7M_OUTPUTS = 8 };

/* r0: inputs; r1: weights; r2: an input; r3, r12, lr: weights; r4 to r11: sums. Three weights are
 * loaded one after the other, as each load but the first then takes one cycle. */
#define LOTOR_V7M_LOAD(WEIGHT, OUTPUT)                                                             \
    ".if %c[outputs] > " OUTPUT "\n"                                                               \
    ".if lotor_weight + " OUTPUT " == -8 * %c[outputs]\n"                                          \
    "ldrsb " WEIGHT ", [r1], #8 * %c[outputs]\n"                                                   \
    ".else\n"                                                                                      \
    "ldrsb " WEIGHT ", [r1, #lotor_weight + " OUTPUT "]\n"                                         \
    ".endif\n"                                                                                     \
    ".endif\n"

#define LOTOR_V7M_MULTIPLY(WEIGHT, SUM, OUTPUT)                                                    \
    ".if %c[outputs] > " OUTPUT "\n"                                                               \
    "mla " SUM ", " WEIGHT ", r2, " SUM "\n"                                                       \
    ".endif\n"

#define LOTOR_V7M_BIAS(SUM, OUTPUT)                                                                \
    ".if %c[outputs] > " OUTPUT "\n"                                                               \
    "ldr " SUM ", [r1], #4\n"                                                                      \
    ".endif\n"

#define LOTOR_V7M_INPUT                                                                            \
    ".if lotor_input == -8\n"                                                                      \
    "ldrsb r2, [r0], #8\n"                                                                         \
    ".else\n"                                                                                      \
    "ldrsb r2, [r0, #lotor_input]\n"                                                               \
    ".endif\n" LOTOR_V7M_LOAD("r3", "0") LOTOR_V7M_LOAD("r12", "1") LOTOR_V7M_LOAD(                \
        "lr", "2") LOTOR_V7M_MULTIPLY("r3", "r4", "0") LOTOR_V7M_MULTIPLY("r12", "r5", "1")        \
        LOTOR_V7M_MULTIPLY("lr", "r6", "2") LOTOR_V7M_LOAD("r3", "3") LOTOR_V7M_LOAD("r12", "4")   \
            LOTOR_V7M_LOAD("lr", "5") LOTOR_V7M_MULTIPLY("r3", "r7", "3")                          \
                LOTOR_V7M_MULTIPLY("r12", "r8", "4") LOTOR_V7M_MULTIPLY("lr", "r9", "5")           \
                    LOTOR_V7M_LOAD("r3", "6") LOTOR_V7M_LOAD("r12", "7")                           \
                        LOTOR_V7M_MULTIPLY("r3", "r10", "6") LOTOR_V7M_MULTIPLY(                   \
                            "r12", "r11", "7") ".set lotor_input, lotor_input + 1\n"               \
                                               ".set lotor_weight, lotor_weight + %c[outputs]\n"

#define LOTOR_V7M_DENSE_OUTPUT(SUM, OUTPUT)                                                        \
    ".if %c[outputs] > " OUTPUT "\n"                                                               \
    ".if %c[offset]\n"                                                                             \
    "add " SUM ", " SUM ", r12\n"                                                                  \
    ".endif\n"                                                                                     \
    "ldmia r1!, {r2, r3}\n" LOTOR_V7M_LINE(SUM, "r2", "add " SUM ", " SUM ", r3\n",                \
                                           "r2") "strb " SUM ", [lr], #1\n"                        \
                                                 ".endif\n"

/* Writes some groups of 1 to 8 outputs.
 *
 * weights: of each group the biases, its weights of each input, up to a multiple of four bytes, and
 *     of each output multiplier and addend.
 * same: what the weights' zero point adds to all sums.
 */
static inline LOTOR_SPECIALISED void
lotor_fully_connected_v7m_groups(const struct lotor_fully_connected_v7m_params *p, const int8_t *in,
                                 const uint32_t *weights, const uint32_t *end, int32_t outputs,
                                 int32_t same, int8_t *out) {
    register const int8_t *x __asm__("r0") = in;
    register const uint32_t *w __asm__("r1") = weights;
    register int8_t *y __asm__("r2") = out;
    register const uint32_t *last __asm__("r3") = end;
    register int32_t total __asm__("r4") = same;
    __asm__ volatile(
        "sub sp, sp, #24\n"
        "strd r7, r4, [sp, #16]\n"
        "strd r2, r3, [sp]\n"
        "movw r4, %[inputs]\n"
        "add r4, r0, r4\n"
        "strd r0, r4, [sp, #8]\n"
        "1:\n"
        ".if %c[outputs] == 8\n"
        "ldmia r1!, {r4, r5, r6, r7, r8, r9, r10, r11}\n"
        ".else\n" LOTOR_V7M_BIAS("r4", "0") LOTOR_V7M_BIAS("r5", "1") LOTOR_V7M_BIAS(
            "r6", "2") LOTOR_V7M_BIAS("r7", "3") LOTOR_V7M_BIAS("r8", "4") LOTOR_V7M_BIAS("r9", "5")
            LOTOR_V7M_BIAS(
                "r10",
                "6") ".endif\n"
                     ".set lotor_input, 0\n"
                     ".set lotor_weight, 0\n"
                     ".rept %c[inputs] %% 8\n" LOTOR_V7M_INPUT ".endr\n"
                     ".if %c[inputs] > 7\n"
                     ".if lotor_input\n"
                     "add r0, r0, #lotor_input\n"
                     "add r1, r1, #lotor_weight\n"
                     ".endif\n"
                     "2:\n" /* the first loads of a turn move on by a turn */
                     ".set lotor_input, -8\n"
                     ".set lotor_weight, -8 * %c[outputs]\n"
                     ".rept 8\n" LOTOR_V7M_INPUT ".endr\n"
                     "ldr r2, [sp, #12]\n"
                     "cmp r0, r2\n"
                     "bne.w 2b\n"
                     ".endif\n"
                     ".set lotor_weight, lotor_weight + (4 - %c[inputs] * %c[outputs] %% 4) %% 4\n"
                     ".if lotor_weight\n"
                     "add r1, r1, #lotor_weight\n"
                     ".endif\n"
                     ".if %c[offset]\n"
                     "ldr r12, [sp, #20]\n"
                     ".endif\n"
                     "ldr lr, [sp]\n" LOTOR_V7M_DENSE_OUTPUT("r4", "0") LOTOR_V7M_DENSE_OUTPUT(
                         "r5", "1") LOTOR_V7M_DENSE_OUTPUT("r6", "2")
                         LOTOR_V7M_DENSE_OUTPUT("r7", "3") LOTOR_V7M_DENSE_OUTPUT("r8", "4")
                             LOTOR_V7M_DENSE_OUTPUT("r9", "5") LOTOR_V7M_DENSE_OUTPUT("r10", "6")
                                 LOTOR_V7M_DENSE_OUTPUT("r11", "7") "str lr, [sp]\n"
                                                                    "ldrd r3, r0, [sp, #4]\n"
                                                                    "cmp r1, r3\n"
                                                                    "bne.w 1b\n"
                                                                    "ldr r7, [sp, #16]\n"
                                                                    "add sp, sp, #24\n"
        : "+r"(x), "+r"(w), "+r"(y), "+r"(last), "+r"(total)
        : [inputs] "i"(p->inputs), [outputs] "i"(outputs), [lift] "i"(p->lift),
          [shift] "i"(p->shift), [low] "i"(p->out_min), [high] "i"(p->out_max),
          [offset] "i"(p->weights_offset)
        : "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

/* The sum of `count` bytes. */
static inline LOTOR_SPECIALISED int32_t lotor_v7m_total(const int8_t *in, int32_t count) {
    int32_t total = 0;
#pragma GCC unroll 4
    for (int32_t i = 0; i < count; i++) {
        total += in[i];
    }
    return total;
}

static inline LOTOR_SPECIALISED void
lotor_fully_connected_v7m(const struct lotor_fully_connected_v7m_params *p, const int8_t *in,
                          const uint32_t *weights, int8_t *out) {
    const uint32_t *const middle = weights + p->words - p->last;
    for (int32_t n = 0; n < p->batches; n++) {
        const int32_t same =
            p->weights_offset == 0 ? 0 : p->weights_offset * lotor_v7m_total(in, p->inputs);
        if (p->outputs >= LOTOR_V7M_OUTPUTS) {
            lotor_fully_connected_v7m_groups(p, in, weights, middle, LOTOR_V7M_OUTPUTS, same, out);
        }
        if (p->rest > 0) {
            lotor_fully_connected_v7m_groups(p, in, middle, weights + p->words, p->rest, same,
                                             out + p->outputs - p->rest);
        }
        in += p->inputs;
        out += p->outputs;
    }
}

#endif

/* Sums of products with plain weights for layers of any shape, some filters at a time. Sums wrap
 * as the reference's do, so that nothing has to be proved of them.
 *
 * weights: the filters' biases, then for every four inputs a word of each filter.
 */
#ifndef LOTOR_COMMON_DSP_SUMS_H
#define LOTOR_COMMON_DSP_SUMS_H

#include "dsp.h"
#include "dsp_general.h"

#define LOTOR_DSP_ONES UINT32_C(0x10001)

/* The last one to three bytes, as a word. */
static inline uint32_t lotor_dsp_rest(const int8_t *from, int32_t count) {
    uint32_t bytes = (uint8_t)from[0];
    if (count > 1) {
        bytes |= (uint32_t)(uint8_t)from[1] << 8;
    }
    if (count > 2) {
        bytes |= (uint32_t)(uint8_t)from[2] << 16;
    }
    return bytes;
}

/* Writes `count` bytes to one lane of four, as int16 of the pairs (0, 2), (1, 3), (4, 6), ...;
 * returns their sum. */
static inline int32_t lotor_dsp_spread(const int8_t *from, int32_t count, uint32_t *lane) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i += 4) {
        const uint32_t bytes =
            count - i < 4 ? lotor_dsp_rest(from + i, count - i) : lotor_dsp_load(from + i);
        lane[0] = lotor_dsp_even(bytes);
        lane[4] = lotor_dsp_odd(bytes);
        sum = lotor_dsp_smlad(lane[0], LOTOR_DSP_ONES, sum);
        sum = lotor_dsp_smlad(lane[4], LOTOR_DSP_ONES, sum);
        lane += 8;
    }
    return sum;
}

/* The sum of `count` bytes. */
static inline int32_t lotor_dsp_total(const int8_t *from, int32_t count) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i += 4) {
        const uint32_t bytes =
            count - i < 4 ? lotor_dsp_rest(from + i, count - i) : lotor_dsp_load(from + i);
        sum = lotor_dsp_smlad(lotor_dsp_even(bytes), LOTOR_DSP_ONES, sum);
        sum = lotor_dsp_smlad(lotor_dsp_odd(bytes), LOTOR_DSP_ONES, sum);
    }
    return sum;
}

/* r0: inputs; r1: weights; r2, r3: pairs of weights of A and B; r12, lr: of inputs of two lanes;
 * r4 to r7: sums of A, r8 to r11: sums of B. */
#define LOTOR_DSP_TWO_TAPS(NEXT, ROTATED)                                                          \
    "ldrd r2, r3, [r1]" NEXT "\n"                                                                  \
    "ldmia r0!, {r12, lr}\n"                                                                       \
    "sxtb16 r2, r2" ROTATED "\n sxtb16 r3, r3" ROTATED "\n"                                        \
    "smlad r4, r2, r12, r4\n smlad r8, r3, r12, r8\n"                                              \
    "smlad r5, r2, lr, r5\n smlad r9, r3, lr, r9\n"                                                \
    "ldmia r0!, {r12, lr}\n"                                                                       \
    "smlad r6, r2, r12, r6\n smlad r10, r3, r12, r10\n"                                            \
    "smlad r7, r2, lr, r7\n smlad r11, r3, lr, r11\n"
#define LOTOR_DSP_FOUR_TAPS LOTOR_DSP_TWO_TAPS("", "") LOTOR_DSP_TWO_TAPS(", #8", ", ror #8")

/* Sums of A in four lanes, then those of B. One function for all layers, in assembly as gcc would
 * spill the sums. */
static LOTOR_SHARED __attribute__((unused)) void
lotor_dsp_eight_sums(const uint32_t *lanes, const uint32_t *weights, int32_t words, int32_t *sums) {
    register const uint32_t *x __asm__("r0") = lanes;
    register const uint32_t *w __asm__("r1") = weights;
    register int32_t count __asm__("r2") = words;
    register int32_t *y __asm__("r3") = sums;
    __asm__ volatile("add r12, r0, r2, lsl #5\n" /* the end of the lanes */
                     "push {r3, r7, r12}\n"
                     "ldmia r1!, {r4, r8}\n"
                     "mov r5, r4\n mov r6, r4\n mov r7, r4\n"
                     "mov r9, r8\n mov r10, r8\n mov r11, r8\n"
                     "lsls r2, r2, #31\n"
                     "beq.w 1f\n" LOTOR_DSP_FOUR_TAPS "b.w 2f\n"
                     "1:\n" LOTOR_DSP_FOUR_TAPS LOTOR_DSP_FOUR_TAPS "2:\n"
                     "ldr r2, [sp, #8]\n"
                     "cmp r0, r2\n"
                     "bne.w 1b\n"
                     "pop {r2}\n"
                     "stmia r2, {r4, r5, r6, r7, r8, r9, r10, r11}\n"
                     "pop {r7, r12}\n"
                     : "+r"(x), "+r"(w), "+r"(count), "+r"(y)
                     :
                     : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

/* Four inputs: r4 their pair (0, 2), r5 (1, 3); r6, lr: words of weights; r12: a pair of them. */
#define LOTOR_DSP_FOUR_INPUTS(WORD, SUM)                                                           \
    "sxtb16 r12, " WORD "\n sxtb16 " WORD ", " WORD ", ror #8\n"                                   \
    "smlad %[" SUM "], r12, r4, %[" SUM "]\n smlad %[" SUM "], " WORD ", r5, %[" SUM "]\n"
#define LOTOR_DSP_FOUR_BY_FOUR                                                                     \
    "sxtb16 r5, r4, ror #8\n"                                                                      \
    "sxtb16 r4, r4\n"                                                                              \
    "ldrd r6, lr, [%[w]], #8\n" LOTOR_DSP_FOUR_INPUTS("r6", "a") LOTOR_DSP_FOUR_INPUTS(            \
        "lr", "b") "ldrd r6, lr, [%[w]], #8\n" LOTOR_DSP_FOUR_INPUTS("r6", "c")                    \
        LOTOR_DSP_FOUR_INPUTS("lr", "d")

/* The sums of four filters for `count` bytes; weights as above, but of four filters. */
static LOTOR_SHARED __attribute__((unused)) void
lotor_dsp_four_sums(const int8_t *in, const uint32_t *weights, int32_t count, int32_t *sums) {
    int32_t a = (int32_t)weights[0], b = (int32_t)weights[1];
    int32_t c = (int32_t)weights[2], d = (int32_t)weights[3];
    weights += 4;
#pragma GCC unroll 2
    for (int32_t i = count / 4; i > 0; i--) {
        __asm__ volatile(
            "ldr r4, [%[x]], #4\n" LOTOR_DSP_FOUR_BY_FOUR
            : [x] "+r"(in), [w] "+r"(weights), [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d)
            :
            : "r4", "r5", "r6", "r12", "lr", "memory");
    }
    if (count % 4) {
        __asm__ volatile("mov r4, %[rest]\n" LOTOR_DSP_FOUR_BY_FOUR
                         : [w] "+r"(weights), [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d)
                         : [rest] "r"(lotor_dsp_rest(in, count % 4))
                         : "r4", "r5", "r6", "r12", "lr", "memory");
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}

#endif

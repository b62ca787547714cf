/* Sums of products of six pixels with any number of filters, one at a time.
 *
 * A word holds the same input of two pixels, x + 65536 * y, so that one multiply serves both. The
 * sums of two such products fit 16 bits, with LOTOR_V7M_HALF more; then the upper half is y's part,
 * less one, and the lower one is what it leaves of the sum of all words: x's part is that, less
 * 65536 times y's. So two inputs of two pixels take four
 * instructions and six cycles of a Cortex-M3 without their loads, with sums of 32 bits. Four MLA
 * take eight cycles, and SMLAL, which could do without the sums of halves, takes 4 to 7 each.
 */
#ifndef LOTOR_COMMON_V7M_DENSE_H
#define LOTOR_COMMON_V7M_DENSE_H

#include "inline.h"
#include "v7m_output.h"
#include "wrap.h"

#include <stdint.h>
#include <string.h>

enum { LOTOR_V7M_LANES = 6 };

/* What layers that share the code differ in. */
struct lotor_v7m_dense {
    int32_t step;  /* bytes from one output pixel to the next */
    int32_t pairs; /* of inputs, 2 or more */
    int32_t lanes; /* pixels whose outputs are written, 1 to 6 */
};

/* r0: inputs; r1: weights; r2, r3: two inputs of two pixels; r12, lr: their weights; r4 to r9: of
 * two pixels each the sum of words, and of upper halves; r10: LOTOR_V7M_HALF; r11: the inputs' end.
 */
#define LOTOR_V7M_WORDS(WORDS, UPPER, OLD_WORDS, OLD_UPPER)                                        \
    "ldmia r0!, {r2, r3}\n"                                                                        \
    "mla r2, r12, r2, r10\n"                                                                       \
    "mla r2, lr, r3, r2\n"                                                                         \
    "add " WORDS ", " OLD_WORDS ", r2\n"                                                           \
    "add " UPPER ", " OLD_UPPER ", r2, asr #16\n"

/* Two inputs of all pixels. */
#define LOTOR_V7M_PAIR                                                                             \
    "ldrsb r12, [r1, #lotor_at]\n"                                                                 \
    "ldrsb lr, [r1, #lotor_at + 1]\n"                                                              \
    ".set lotor_at, lotor_at + 2\n" LOTOR_V7M_WORDS("r4", "r5", "r4", "r5")                        \
        LOTOR_V7M_WORDS("r6", "r7", "r6", "r7") LOTOR_V7M_WORDS("r8", "r9", "r8", "r9")
#define LOTOR_V7M_PAIR_BYTES 56 /* of this */
#define LOTOR_V7M_TURN 8        /* pairs in one turn of the loop */

/* The first ones, with what the sums begin with in r8 and r9. */
#define LOTOR_V7M_FIRST_PAIR                                                                       \
    "ldmia r1!, {r8, r9}\n"                                                                        \
    "ldrsb r12, [r1]\n"                                                                            \
    "ldrsb lr, [r1, #1]\n" LOTOR_V7M_WORDS("r4", "r5", "r8", "r9")                                 \
        LOTOR_V7M_WORDS("r6", "r7", "r8", "r9") LOTOR_V7M_WORDS("r8", "r9", "r8", "r9")

/* clang-format off */
/* What the weights' zero point adds to the sums of six pixels. */
#define LOTOR_V7M_TOTALS                                                                           \
    ".if %c[totals]\n"                                                                             \
    "ldrd r2, r3, [r0]\n add r4, r4, r2\n add r5, r5, r3\n"                                        \
    "ldrd r2, r3, [r0, #8]\n add r6, r6, r2\n add r7, r7, r3\n"                                    \
    "ldrd r2, r3, [r0, #16]\n add r8, r8, r2\n add r9, r9, r3\n"                                   \
    ".endif\n"
/* clang-format on */

#define LOTOR_V7M_LANE(SUM) LOTOR_V7M_OUTPUT(SUM, "r2", "r3", "lr", "r12", "r11")

/* Writes the outputs of up to six pixels.
 *
 * inputs: `pairs` times for every two pixels two words; where `totals`, then six sums, one for each
 *     pixel, which are added to those of all filters.
 * weights: of every filter two words that the sums begin with, 2 * `pairs` weights up to a multiple
 *     of four bytes, multiplier and addend, and where `shift` is 0, a shift of its own; up to
 *     `end`.
 * out: the first pixel's first channel.
 * lift, shift, low, high: constants, see `v7m_output.h`.
 * totals: a constant, whether the weights have a zero point.
 */
static inline LOTOR_SPECIALISED void
lotor_v7m_dense_run(const struct lotor_v7m_dense *p, const int32_t *inputs, const uint32_t *weights,
                    const uint32_t *end, int8_t *out, int32_t lift, int32_t shift, int32_t low,
                    int32_t high, int32_t totals) {
    /* Pairs that are left out of the first turn. */
    const int32_t skipped = LOTOR_V7M_TURN - 1 - (p->pairs - 2) % LOTOR_V7M_TURN;
    register const int32_t *x __asm__("r0") = inputs;
    register const uint32_t *w __asm__("r1") = weights;
    register int8_t *y __asm__("r2") = out;
    register int32_t step __asm__("r3") = p->step;
    register int32_t skip __asm__("r4") = skipped;
    register int32_t unused __asm__("r5") = LOTOR_V7M_LANES - p->lanes;
    register const uint32_t *last __asm__("r6") = end;
    register const int32_t *row __asm__("r11") = inputs + LOTOR_V7M_LANES * p->pairs;
    /* On the stack: output, step, place in the turn, bytes left out, place among the stores,
     * inputs, end of weights, r7. */
    __asm__ volatile(
        "sub sp, sp, #32\n"
        "strd r2, r3, [sp]\n"
        "strd r0, r6, [sp, #20]\n"
        "str r7, [sp, #28]\n"
        "mov r10, %[bytes]\n"
        "adr.w r12, 2f\n"
        "mla r12, r4, r10, r12\n"
        "orr r12, r12, #1\n"
        "lsl r4, r4, #1\n"
        "strd r12, r4, [sp, #8]\n"
        "adr.w r12, 3f\n"
        "add r12, r12, r5, lsl #2\n"
        "orr r12, r12, #1\n"
        "str r12, [sp, #16]\n"
        "mvn r10, #0x8000\n"
        ".p2align 2\n"
        "1:\n" LOTOR_V7M_FIRST_PAIR "ldr r2, [sp, #12]\n"
        "sub r1, r1, r2\n"
        "ldr pc, [sp, #8]\n"
        ".p2align 2\n"
        "2:\n"
        ".set lotor_at, 2\n"
        ".rept %c[turn]\n" LOTOR_V7M_PAIR ".endr\n"
        "add r1, r1, #2 * %c[turn]\n"
        "cmp r0, r11\n"
        "bne.w 2b\n"
        "add r1, r1, #4\n"
        "bic r1, r1, #3\n"
        "sub r4, r4, r5, lsl #16\n"
        "sub r6, r6, r7, lsl #16\n"
        "sub r8, r8, r9, lsl #16\n" LOTOR_V7M_TOTALS ".if %c[shift]\n"
        "ldmia r1!, {r2, r3}\n"
        ".else\n"
        "ldmia r1!, {r2, r3, lr}\n"
        ".endif\n" LOTOR_V7M_LANE("r4") LOTOR_V7M_LANE("r5") LOTOR_V7M_LANE("r6")
            LOTOR_V7M_LANE("r7") LOTOR_V7M_LANE("r8")
                LOTOR_V7M_LANE("r9") "ldrd r2, r3, [sp]\n"
                                     "add r12, r3, r3, lsl #1\n"
                                     "add r12, r12, r2\n"
                                     "ldr pc, [sp, #16]\n"
                                     ".p2align 2\n"
                                     "3:\n"
                                     "strb.w r9, [r12, r3, lsl #1]\n"
                                     "strb.w r8, [r12, r3]\n"
                                     "strb.w r7, [r12]\n"
                                     "strb.w r6, [r2, r3, lsl #1]\n"
                                     "strb.w r5, [r2, r3]\n"
                                     "strb r4, [r2], #1\n"
                                     "str r2, [sp]\n"
                                     ".if %c[shift] == 0\n"
                                     "mov r11, r0\n"
                                     ".endif\n"
                                     "ldrd r0, r3, [sp, #20]\n"
                                     "cmp r1, r3\n"
                                     "bne.w 1b\n"
                                     "ldr r7, [sp, #28]\n"
                                     "add sp, sp, #32\n"
        : "+r"(x), "+r"(w), "+r"(y), "+r"(step), "+r"(skip), "+r"(unused), "+r"(last), "+r"(row)
        : [lift] "i"(lift), [shift] "i"(shift), [low] "i"(low), [high] "i"(high),
          [turn] "i"(LOTOR_V7M_TURN), [bytes] "i"(LOTOR_V7M_PAIR_BYTES), [totals] "i"(totals)
        : "r8", "r9", "r10", "r12", "lr", "cc", "memory");
}

typedef void lotor_v7m_dense_function(const struct lotor_v7m_dense *p, const int32_t *inputs,
                                      const uint32_t *weights, const uint32_t *end, int8_t *out);

/* Layers with equal constants share one function. */
#define LOTOR_V7M_DENSE(NAME, LIFT, SHIFT, LOW, HIGH, TOTALS)                                      \
    static LOTOR_SHARED void NAME(const struct lotor_v7m_dense *p, const int32_t *inputs,          \
                                  const uint32_t *weights, const uint32_t *end, int8_t *out) {     \
        lotor_v7m_dense_run(p, inputs, weights, end, out, LIFT, SHIFT, LOW, HIGH, TOTALS);         \
    }

/* Packs `count` inputs of two pixels, two of each at a time, for two of the lanes. */
static inline LOTOR_SPECIALISED int32_t *lotor_v7m_pack(const int8_t *a, const int8_t *b,
                                                        int32_t count, int32_t *to) {
    const int8_t *const end = a + count / 4 * 4;
    if (a != end) {
        uint32_t x, y, first, second, other;
        /* gcc does not use STRD here, and so takes a quarter more. */
        __asm__ volatile("1:\n"
                         "ldr %[x], [%[a]], #4\n"
                         "ldr %[y], [%[b]], #4\n"
                         "sxtb %[first], %[x]\n"
                         "sxtb %[other], %[y]\n"
                         "add %[first], %[first], %[other], lsl #16\n"
                         "sxtb %[second], %[x], ror #8\n"
                         "sxtb %[other], %[y], ror #8\n"
                         "add %[second], %[second], %[other], lsl #16\n"
                         "strd %[first], %[second], [%[to]], %[step]\n"
                         "sxtb %[first], %[x], ror #16\n"
                         "sxtb %[other], %[y], ror #16\n"
                         "add %[first], %[first], %[other], lsl #16\n"
                         "asr %[second], %[x], #24\n"
                         "asr %[other], %[y], #24\n"
                         "add %[second], %[second], %[other], lsl #16\n"
                         "strd %[first], %[second], [%[to]], %[step]\n"
                         "cmp %[a], %[end]\n"
                         "bne 1b\n"
                         : [a] "+&r"(a), [b] "+&r"(b), [to] "+&r"(to), [x] "=&r"(x), [y] "=&r"(y),
                           [first] "=&r"(first), [second] "=&r"(second), [other] "=&r"(other)
                         : [end] "r"(end), [step] "i"(4 * LOTOR_V7M_LANES)
                         : "cc", "memory");
    }
    for (int32_t left = count % 4; left > 0; left -= 2) {
        to[0] = a[0] + b[0] * 65536;
        to[1] = left > 1 ? a[1] + b[1] * 65536 : 0;
        to += LOTOR_V7M_LANES;
        a += 2;
        b += 2;
    }
    return to;
}

/* What the weights' zero point adds to the sums of two pixels: the sums of their inputs, which were
 * packed up to `end`, times `weights_offset`. */
static inline LOTOR_SPECIALISED void lotor_v7m_totals(const int32_t *inputs, const int32_t *end,
                                                      int32_t weights_offset, int32_t *totals) {
    uint32_t words = 0; /* as the sums of products are */
    int32_t upper = 0;
    for (; inputs != end; inputs += LOTOR_V7M_LANES) {
        const int32_t both = inputs[0] + inputs[1];
        words += (uint32_t)both;
        upper += (both + 0x8000) >> 16;
    }
    const int32_t lower = (int32_t)(words - ((uint32_t)upper << 16));
    totals[0] = lotor_wrapping_mul(weights_offset, lower);
    totals[1] = lotor_wrapping_mul(weights_offset, upper);
}

#endif

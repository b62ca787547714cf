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

/* What layers that share the code differ in. */
struct lotor_dsp_dense {
    uint32_t step;  /* bytes from one output pixel to the next */
    uint32_t pairs; /* of inputs, 2 or more */
};

/* r0: 8 before the inputs; r1: weights; r2: a word of weights; r3: those of A in it; r12, lr: two
 * pixels each; r4 to r7: sums of A, r8 to r11: sums of A + 256 * B. */
/* clang-format off */
#define LOTOR_DSP_PRODUCTS                                                                         \
    "sxtb16 r3, r2\n"                                                                              \
    "smlad r8, r2, r12, r8\n smlad r4, r3, r12, r4\n"                                              \
    "smlad r9, r2, lr, r9\n smlad r5, r3, lr, r5\n"                                                \
    "ldrd r12, lr, [r0, #16]!\n"                                                                   \
    "smlad r10, r2, r12, r10\n smlad r6, r3, r12, r6\n"                                            \
    "smlad r11, r2, lr, r11\n smlad r7, r3, lr, r7\n"

/* Of some pairs, all but the last take an instruction more and a cycle less than that one: three
 * loads in a row overlap. Long loops are made for cycles, others for both. */
#define LOTOR_DSP_GROUP(TURN) ((TURN) < 16 ? 2 : 4)
#define LOTOR_DSP_PAIRS                                                                            \
    ".rept %c[group] - 1\n"                                                                        \
    "ldr r2, [r1], #4\n"                                                                           \
    "ldr r12, [r0, #8]\n"                                                                          \
    "ldr lr, [r0, #12]\n"                                                                          \
    LOTOR_DSP_PRODUCTS                                                                             \
    ".endr\n"                                                                                      \
    "ldr r2, [r1], #4\n"                                                                           \
    "ldrd r12, lr, [r0, #8]\n"                                                                     \
    LOTOR_DSP_PRODUCTS
#define LOTOR_DSP_PAIR_BYTES 52 /* the last has 4 less */

/* The first pair of a filter, with the bias of A in r7, of A + 256 * B in r11. */
#define LOTOR_DSP_FIRST_PAIR                                                                       \
    "ldmia r1!, {r2, r7, r11}\n"                                                                   \
    "ldrd r12, lr, [r0]\n"                                                                         \
    "sxtb16 r3, r2\n"                                                                              \
    "smlad r8, r2, r12, r11\n smlad r4, r3, r12, r7\n"                                             \
    "smlad r9, r2, lr, r11\n smlad r5, r3, lr, r7\n"                                               \
    "ldrd r12, lr, [r0, #8]!\n"                                                                    \
    "smlad r10, r2, r12, r11\n smlad r6, r3, r12, r7\n"                                            \
    "smlad r11, r2, lr, r11\n smlad r7, r3, lr, r7\n"

/* Takes the scale of a filter. */
#define LOTOR_DSP_SCALE                                                                            \
    ".if %c[base]\n"                                                                               \
    "ldmia r1!, {r2}\n"                                                                            \
    LOTOR_DSP_ADDEND("r3", "r2")                                                                   \
    ".elseif %c[shift]\n"                                                                          \
    "ldmia r1!, {r2, r3}\n"                                                                        \
    ".else\n"                                                                                      \
    "ldmia r1!, {r2, r3, lr}\n"                                                                    \
    ".endif\n"

#define LOTOR_DSP_FOUR_OUTPUTS(A, B, C, D, SHIFTED)                                                \
    LOTOR_DSP_OUTPUT(A, SHIFTED, "r2", "r3", "lr")                                                 \
    LOTOR_DSP_OUTPUT(B, SHIFTED, "r2", "r3", "lr")                                                 \
    LOTOR_DSP_OUTPUT(C, SHIFTED, "r2", "r3", "lr")                                                 \
    LOTOR_DSP_OUTPUT(D, SHIFTED, "r2", "r3", "lr")
/* clang-format on */

/* Writes the outputs of four pixels.
 *
 * inputs: `pairs` times four words, of each pixel a pair of int16.
 * weights: of every two filters a word, two biases, `pairs` - 1 words, then of each multiplier and
 *     addend, and where `shift` is 0, a shift of its own; up to `end`. With a `base`, no addend.
 * out: the first pixel's first channel.
 * turn: pairs of inputs in one turn of the loop, a constant, 4, 8 or 16.
 * base: a constant, 0 for none.
 * lift, shift, low, high: constants, see `dsp_output.h`.
 */
static inline LOTOR_SPECIALISED void
lotor_dsp_dense_run(const struct lotor_dsp_dense *p, const uint32_t *inputs,
                    const uint32_t *weights, const uint32_t *end, int8_t *out, int32_t turn,
                    int32_t lift, int32_t shift, int32_t base, int32_t low, int32_t high) {
    /* The first turn is not whole: what of it is left out, in pairs and in bytes. */
    const uint32_t left = (uint32_t)turn - 1 - (p->pairs + (uint32_t)turn - 2) % (uint32_t)turn;
    const uint32_t group = LOTOR_DSP_GROUP(turn);
    const uint32_t skipped = left * LOTOR_DSP_PAIR_BYTES - left / group * 4;
    register const uint32_t *x __asm__("r0") = inputs;
    register const uint32_t *w __asm__("r1") = weights;
    register int8_t *y __asm__("r2") = out;
    register const uint32_t *last __asm__("r3") = end;
    register uint32_t skip __asm__("r4") = skipped;
    register uint32_t step __asm__("r5") = p->step;
    register const uint32_t *row __asm__("r6") = inputs + 4 * p->pairs - 2;
    /* Places: output, step, inputs, end of weights, end of inputs, r7. */
    /* clang-format off */
    __asm__ volatile(
        "sub sp, sp, #32\n"
        "adr.w r12, 2f\n"
        "add r12, r12, r4\n"
        "orr r12, r12, #1\n"
        "str r12, [sp, #28]\n" /* into the first turn */
        LOTOR_DSP_PUT("0", "r2")
        LOTOR_DSP_PUT("1", "r5")
        LOTOR_DSP_PUT("2", "r0")
        LOTOR_DSP_PUT("3", "r3")
        LOTOR_DSP_PUT("4", "r6")
        LOTOR_DSP_PUT("5", "r7")
        ".p2align 2\n"
        "1:\n"
        LOTOR_DSP_FIRST_PAIR
        "ldr pc, [sp, #28]\n"
        ".p2align 2\n"
        "2:\n"
        ".rept %c[turn] / %c[group]\n"
        LOTOR_DSP_PAIRS
        ".endr\n"
        LOTOR_DSP_GET("r2", "4")
        "cmp r0, r2\n"
        "bne.w 2b\n"
        "sub r8, r8, r4\n sub r9, r9, r5\n sub r10, r10, r6\n sub r11, r11, r7\n"
        LOTOR_DSP_SCALE
        LOTOR_DSP_FOUR_OUTPUTS("r4", "r5", "r6", "r7", "0")
        LOTOR_DSP_SCALE
        LOTOR_DSP_FOUR_OUTPUTS("r8", "r9", "r10", "r11", "8")
        LOTOR_DSP_GET_TWO("r12", "lr", "0", "1")
        "add r0, r12, lr\n" /* of the four pixels: r12, r0, r2, r3 */
        "add r2, r12, lr, lsl #1\n"
        "add r3, r0, lr, lsl #1\n"
        "strb r4, [r12]\n strb r8, [r12, #1]\n"
        "strb r5, [r0]\n strb r9, [r0, #1]\n"
        "strb r6, [r2]\n strb r10, [r2, #1]\n"
        "strb r7, [r3]\n strb r11, [r3, #1]\n"
        "add r12, r12, #2\n"
        LOTOR_DSP_PUT("0", "r12")
        LOTOR_DSP_GET_TWO("r0", "lr", "2", "3")
        "cmp r1, lr\n"
        "bne.w 1b\n"
        LOTOR_DSP_GET("r7", "5")
        "add sp, sp, #32\n"
        : "+r"(x), "+r"(w), "+r"(y), "+r"(last), "+r"(skip), "+r"(step), "+r"(row)
        : [lift] "i"(lift), [shift] "i"(shift), [low] "i"(low), [high] "i"(high), [turn] "i"(turn),
          [group] "i"(LOTOR_DSP_GROUP(turn)),
          [base] "i"(base)
        : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory", LOTOR_DSP_PLACES);
    /* clang-format on */
}

typedef void lotor_dsp_dense_function(const struct lotor_dsp_dense *p, const uint32_t *inputs,
                                      const uint32_t *weights, const uint32_t *end, int8_t *out);

/* Layers with equal constants share one function. */
#define LOTOR_DSP_DENSE(NAME, TURN, LIFT, SHIFT, BASE, LOW, HIGH)                                  \
    static LOTOR_SHARED void NAME(const struct lotor_dsp_dense *p, const uint32_t *inputs,         \
                                  const uint32_t *weights, const uint32_t *end, int8_t *out) {     \
        lotor_dsp_dense_run(p, inputs, weights, end, out, TURN, LIFT, SHIFT, BASE, LOW, HIGH);     \
    }

/* The same for any number of filters: an odd one has the first filter twice, in `first` words. */
static inline LOTOR_SPECIALISED void lotor_dsp_dense_four(lotor_dsp_dense_function *dense,
                                                          const uint32_t *inputs, int32_t pairs,
                                                          const uint32_t *weights, int32_t words,
                                                          int32_t first, int8_t *out,
                                                          int32_t step) {
    const struct lotor_dsp_dense shape = {.step = (uint32_t)step, .pairs = (uint32_t)pairs};
    const uint32_t *const end = weights + words;
    if (first) {
        dense(&shape, inputs, weights, weights + first, out);
        weights += first;
        out++;
    }
    dense(&shape, inputs, weights, end, out);
}

/* At the end of an image, the last `kept` lanes become the first: their pixels are computed once
 * more, but their inputs may be overwritten. */
static inline LOTOR_SPECIALISED void lotor_dsp_keep(uint32_t *lanes, int32_t pairs, int32_t kept) {
    if (kept > 0) {
        for (int32_t i = 0; i < pairs; i++) {
            for (int32_t k = 0; k < kept; k++) {
                lanes[4 * i + k] = lanes[4 * i + k + 4 - kept];
            }
        }
    }
}

#endif

/* Dense layer of int8 with the DSP instructions: four outputs at a time, see `dsp_dense.h` for the
 * way in which two of them share their weights' words. Bias and zero points are in the weights. */
#ifndef LOTOR_FULLY_CONNECTED_DSP_H
#define LOTOR_FULLY_CONNECTED_DSP_H

#include "../common/dsp_output.h"
#include "../common/inline.h"

#include <stdint.h>

struct lotor_fully_connected_dsp_params {
    int32_t batches, inputs, outputs; /* inputs: a multiple of 4 */
    int32_t words;                    /* of packed weights */
    int32_t lift, shift;              /* of the sums, see `dsp_output.h` */
    int32_t out_min, out_max;
};

/* r0: inputs; r1: weights; r4, r6: sums of A and C, r5, r7: of A + 256 * B and C + 256 * D;
 * r2, r3: pairs of inputs; r8 to r11: words of weights; lr: the low bytes of one. */
#define LOTOR_DSP_DENSE_WORD(X, W, A, AB)                                                          \
    "sxtb16 lr, " W "\n"                                                                           \
    "smlad " AB ", " W ", " X ", " AB "\n"                                                         \
    "smlad " A ", lr, " X ", " A "\n"

#define LOTOR_DSP_DENSE_FOUR                                                                       \
    "ldmia r1!, {r8, r9, r10, r11}\n" LOTOR_DSP_DENSE_WORD("r2", "r8", "r4", "r5")                 \
        LOTOR_DSP_DENSE_WORD("r2", "r9", "r6", "r7") LOTOR_DSP_DENSE_WORD("r3", "r10", "r4", "r5") \
            LOTOR_DSP_DENSE_WORD("r3", "r11", "r6", "r7")

#define LOTOR_DSP_DENSE_EIGHT                                                                      \
    "ldrd r2, r12, [r0], #8\n"                                                                     \
    "sxtb16 r3, r2, ror #8\n"                                                                      \
    "sxtb16 r2, r2\n" LOTOR_DSP_DENSE_FOUR "sxtb16 r3, r12, ror #8\n"                              \
    "sxtb16 r2, r12\n" LOTOR_DSP_DENSE_FOUR

#define LOTOR_DSP_DENSE_OUTPUT(SUM, SHIFTED, MULTIPLIER, ADDEND)                                   \
    LOTOR_DSP_OUTPUT(SUM, SHIFTED, MULTIPLIER, ADDEND, "lr")                                       \
    "strb " SUM ", [r3], #1\n"

/* A row of outputs. If their number is no multiple of four, the first four end where the next
 * begin. */
static inline LOTOR_SPECIALISED void
lotor_fully_connected_dsp_row(const struct lotor_fully_connected_dsp_params *p, const int8_t *in,
                              const uint32_t *weights, int8_t *out) {
    register const int8_t *x __asm__("r0") = in;
    register const uint32_t *w __asm__("r1") = weights;
    register int8_t *y __asm__("r2") = out;
    register const uint32_t *last __asm__("r3") = weights + p->words;
    __asm__ volatile(
        "sub sp, sp, #24\n"
        "str r7, [sp, #12]\n"
        "strd r2, r3, [sp]\n"
        "movw r4, %[count]\n"
        "add r4, r0, r4\n"
        "str r4, [sp, #20]\n"
        "str r0, [sp, #8]\n"
        ".set lotor_eights, %c[count] / 8\n"
        ".set lotor_rounds, 0\n"
        ".set lotor_round, 4\n"
        ".if lotor_eights >= 16\n"
        ".set lotor_round, 8\n"
        ".endif\n"
        ".if lotor_eights > 5\n"
        ".set lotor_rounds, lotor_eights / lotor_round\n"
        ".endif\n"
        ".if %c[left]\n"
        "mov r4, %[left]\n"
        "str r4, [sp, #16]\n"
        ".endif\n"
        "1:\n"
        "ldmia r1!, {r4, r5, r6, r7}\n"
        ".if %c[count] %% 8\n"
        "ldr r2, [r0], #4\n"
        "sxtb16 r3, r2, ror #8\n"
        "sxtb16 r2, r2\n" LOTOR_DSP_DENSE_FOUR ".endif\n"
        ".rept lotor_eights - lotor_round * lotor_rounds\n" LOTOR_DSP_DENSE_EIGHT ".endr\n"
        ".if lotor_rounds\n"
        "2:\n"
        ".rept lotor_round\n" LOTOR_DSP_DENSE_EIGHT ".endr\n"
        "ldr r2, [sp, #20]\n"
        "cmp r0, r2\n"
        "bne.w 2b\n"
        ".endif\n"
        "sub r5, r5, r4\n"
        "sub r7, r7, r6\n"
        "ldr r3, [sp]\n"
        "ldmia r1!, {r8, r9, r10, r11}\n" LOTOR_DSP_DENSE_OUTPUT("r4", "0", "r8", "r9")
            LOTOR_DSP_DENSE_OUTPUT(
                "r5", "8", "r10",
                "r11") "ldmia r1!, {r8, r9, r10, r11}\n" LOTOR_DSP_DENSE_OUTPUT("r6", "0", "r8",
                                                                                "r9")
                LOTOR_DSP_DENSE_OUTPUT("r7", "8", "r10", "r11") ".if %c[left]\n" /* once */
                                                                "ldr r4, [sp, #16]\n"
                                                                "sub r3, r3, r4\n"
                                                                "mov r4, #0\n"
                                                                "str r4, [sp, #16]\n"
                                                                ".endif\n"
                                                                "ldrd r4, r0, [sp, #4]\n"
                                                                "str r3, [sp]\n"
                                                                "cmp r1, r4\n"
                                                                "bne.w 1b\n"
                                                                "ldr r7, [sp, #12]\n"
                                                                "add sp, sp, #24\n"
        : "+r"(x), "+r"(w), "+r"(y), "+r"(last)
        : [count] "i"(p->inputs), [left] "i"((4 - p->outputs % 4) % 4), [lift] "i"(p->lift),
          [shift] "i"(p->shift), [low] "i"(p->out_min), [high] "i"(p->out_max)
        : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

static inline LOTOR_SPECIALISED void
lotor_fully_connected_dsp(const struct lotor_fully_connected_dsp_params *p, const int8_t *in,
                          const uint32_t *weights, int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        lotor_fully_connected_dsp_row(p, in, weights, out);
        in += p->inputs;
        out += p->outputs;
    }
}

#endif

/* Dense layer of int8 with the DSP instructions: four outputs at a time, see `dsp_dense.h` for the
 * way in which two of them share their weights' words. Bias and zero points are in the weights. */
#ifndef LOTOR_FULLY_CONNECTED_DSP_H
#define LOTOR_FULLY_CONNECTED_DSP_H

#include "../common/dsp_output.h"
#include "../common/inline.h"

#include <stdint.h>

struct lotor_fully_connected_dsp_params {
    int32_t batches, inputs, outputs; /* inputs: a multiple of 4 */
    int32_t back;                     /* outputs that are written twice, to have whole fours */
    int32_t words;                    /* of packed weights */
    int32_t turn;                     /* steps of eight inputs in one turn of the loop */
    int32_t multiplier, addend;       /* of all outputs, if they are `scaled_alike` */
    int32_t scaled_alike;
    int32_t lift, shift; /* of the sums, see `dsp_output.h` */
    int32_t out_min, out_max;
};

/* r0: inputs; r1: weights; r4, r6: sums of A and C, r5, r7: of A + 256 * B and C + 256 * D;
 * r2, r3: pairs of inputs; r8 to r11: words of weights; lr: the low bytes of one. */
/* clang-format off */
#define LOTOR_DSP_DENSE_WORD(X, W, A, AB)                                                          \
    "sxtb16 lr, " W "\n"                                                                           \
    "smlad " AB ", " W ", " X ", " AB "\n"                                                         \
    "smlad " A ", lr, " X ", " A "\n"

#define LOTOR_DSP_DENSE_FOUR                                                                       \
    "ldmia r1!, {r8, r9, r10, r11}\n"                                                              \
    LOTOR_DSP_DENSE_WORD("r2", "r8", "r4", "r5")                                                   \
    LOTOR_DSP_DENSE_WORD("r2", "r9", "r6", "r7")                                                   \
    LOTOR_DSP_DENSE_WORD("r3", "r10", "r4", "r5")                                                  \
    LOTOR_DSP_DENSE_WORD("r3", "r11", "r6", "r7")

/* 124 bytes. */
#define LOTOR_DSP_DENSE_EIGHT                                                                      \
    "ldrd r2, r12, [r0], #8\n"                                                                     \
    "sxtb16 r3, r2, ror #8\n"                                                                      \
    "sxtb16 r2, r2\n"                                                                              \
    LOTOR_DSP_DENSE_FOUR                                                                           \
    "sxtb16 r3, r12, ror #8\n"                                                                     \
    "sxtb16 r2, r12\n"                                                                             \
    LOTOR_DSP_DENSE_FOUR

#define LOTOR_DSP_DENSE_OUTPUT(SUM, SHIFTED, MULTIPLIER, ADDEND)                                   \
    LOTOR_DSP_OUTPUT(SUM, SHIFTED, MULTIPLIER, ADDEND, "lr")                                       \
    "strb " SUM ", [r3], #1\n"
/* clang-format on */

/* A row of outputs. If their number is no multiple of four, the first four end where the next
 * begin. */
static inline LOTOR_SPECIALISED void
lotor_fully_connected_dsp_row(const struct lotor_fully_connected_dsp_params *p, const int8_t *in,
                              const uint32_t *weights, int8_t *out) {
    const int32_t eights = p->inputs / 8;
    register const int8_t *x __asm__("r0") = in;
    register const uint32_t *w __asm__("r1") = weights;
    register int8_t *y __asm__("r2") = out;
    register const uint32_t *last __asm__("r3") = weights + p->words;
    register int32_t skipped __asm__("r4") =
        eights > 0 ? (p->turn - eights % p->turn) % p->turn * 124 : -1;
    register int32_t back __asm__("r5") = p->back;
    register const int8_t *end __asm__("r6") = in + p->inputs;
    register int32_t four __asm__("r8") = p->inputs % 8;
    register int32_t multiplier __asm__("r9") = p->multiplier;
    register int32_t addend __asm__("r10") = p->addend;
    /* Places: scale of all outputs, r7. Stack: output, end of weights, inputs, -, end of inputs,
     * into the first turn, where a row begins, outputs that are written twice. */
    /* clang-format off */
    __asm__ volatile(
        "sub sp, sp, #72\n"
        LOTOR_DSP_PUT("0", "r9")
        LOTOR_DSP_PUT("1", "r10")
        LOTOR_DSP_PUT("2", "r7")
        "strd r2, r3, [sp, #32]\n"
        "str r0, [sp, #40]\n"
        "str r6, [sp, #48]\n"
        "str r5, [sp, #60]\n"
        "adr.w r6, 3f\n"
        "add r6, r6, r4\n"
        "cmp r4, #0\n it lt\n adrlt.w r6, 5f\n"
        "orr r6, r6, #1\n"
        "mov r4, r6\n"
        "cmp r8, #0\n itt ne\n adrne.w r6, 2f\n orrne r6, r6, #1\n"
        "strd r4, r6, [sp, #52]\n"
        "1:\n"
        "ldmia r1!, {r4, r5, r6, r7}\n"
        "ldr pc, [sp, #56]\n"
        ".p2align 2\n"
        "2:\n" /* four inputs */
        "ldr r2, [r0], #4\n"
        "sxtb16 r3, r2, ror #8\n"
        "sxtb16 r2, r2\n"
        LOTOR_DSP_DENSE_FOUR
        "ldr pc, [sp, #52]\n"
        ".p2align 2\n"
        "3:\n"
        ".rept %c[turn]\n"
        LOTOR_DSP_DENSE_EIGHT
        ".endr\n"
        "ldr r2, [sp, #48]\n"
        "cmp r0, r2\n"
        "bne.w 3b\n"
        ".p2align 2\n"
        "5:\n"
        "ldr r3, [sp, #32]\n"
        "sub r5, r5, r4\n"
        "sub r7, r7, r6\n"
        ".if %c[alike]\n"
        LOTOR_DSP_GET_TWO("r8", "r9", "0", "1")
        LOTOR_DSP_DENSE_OUTPUT("r4", "0", "r8", "r9")
        LOTOR_DSP_DENSE_OUTPUT("r5", "8", "r8", "r9")
        LOTOR_DSP_DENSE_OUTPUT("r6", "0", "r8", "r9")
        LOTOR_DSP_DENSE_OUTPUT("r7", "8", "r8", "r9")
        ".else\n"
        "ldmia r1!, {r8, r9, r10, r11}\n"
        LOTOR_DSP_DENSE_OUTPUT("r4", "0", "r8", "r9")
        LOTOR_DSP_DENSE_OUTPUT("r5", "8", "r10", "r11")
        "ldmia r1!, {r8, r9, r10, r11}\n"
        LOTOR_DSP_DENSE_OUTPUT("r6", "0", "r8", "r9")
        LOTOR_DSP_DENSE_OUTPUT("r7", "8", "r10", "r11")
        ".endif\n"
        ".if %c[back]\n"
        "ldr r4, [sp, #60]\n" /* once, then 0 */
        "sub r3, r3, r4\n"
        "mov r4, #0\n"
        "str r4, [sp, #60]\n"
        ".endif\n"
        "ldrd r4, r0, [sp, #36]\n"
        "str r3, [sp, #32]\n"
        "cmp r1, r4\n"
        "bne.w 1b\n"
        LOTOR_DSP_GET("r7", "2")
        "add sp, sp, #72\n"
        : "+r"(x), "+r"(w), "+r"(y), "+r"(last), "+r"(skipped), "+r"(back), "+r"(end), "+r"(four),
          "+r"(multiplier), "+r"(addend)
        : [turn] "i"(p->turn), [back] "i"(p->back), [alike] "i"(p->scaled_alike),
          [lift] "i"(p->lift), [shift] "i"(p->shift), [low] "i"(p->out_min), [high] "i"(p->out_max)
        : "r11", "r12", "lr", "cc", "memory", LOTOR_DSP_PLACES);
    /* clang-format on */
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

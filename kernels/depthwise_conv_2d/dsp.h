/* Depthwise 3x3 convolution of int8 with the DSP instructions, strides 1 and 2, channel by channel.
 *
 * A channel's rows are gathered as int16 with their border, so that two neighbours are a word. Its
 * weights stay in registers, shifted to the left by 8 bits, and every step gives two outputs. What
 * lies outside the input counts as its zero point, which is in the bias.
 */
#ifndef LOTOR_DEPTHWISE_CONV_2D_DSP_H
#define LOTOR_DEPTHWISE_CONV_2D_DSP_H

#include "../common/dsp.h"
#include "../common/dsp_output.h"
#include "../common/inline.h"

#include <stdint.h>

struct lotor_depthwise_conv_2d_dsp_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t stride, pad_h, pad_w;
    int32_t in_zero_point;
    int32_t pitch;       /* elements of a gathered row, even */
    int32_t rows;        /* of outputs that are computed from the rows gathered at once */
    int32_t words;       /* of packed weights of a channel */
    int32_t turn;        /* steps in one turn of the loop */
    int32_t lift, shift; /* of the sums, see `dsp_output.h` */
    int32_t base;        /* of the addends that follow from the multipliers; 0 if they are kept */
    int32_t out_min, out_max;
};

/* r0: gathered row; r1: output; r2, r3: sums; r12, lr, r9: inputs; r10: multiplier; r11: addend.
 * Places: bias, step, end of the row, bytes back from there, rows left, shift to the right, r7. The
 * stack: entry into the first turn, end of the loop.
 * Stride 1: r4, r6, r8: weights 1 and 0 of each row, r5, r7, r9: 1 and 2. Two inputs and two
 * neighbours give two outputs. */
/* clang-format off */
#define LOTOR_DSP_DEPTHWISE_ROW(ROW, W01, W12, FIRST_0, FIRST_1)                                   \
    "ldrd r12, lr, [r0, #4 * lotor_step + " ROW " * 2 * %c[pitch]]\n"                              \
    "smlatt r3, r12, " W01 ", " FIRST_1 "\n"                                                       \
    "smladx r2, r12, " W01 ", " FIRST_0 "\n"                                                       \
    "smlabt r2, lr, " W12 ", r2\n"                                                                 \
    "smlad r3, lr, " W12 ", r3\n"

#define LOTOR_DSP_DEPTHWISE_RIGHT ".if !%c[shift]\n" LOTOR_DSP_GET("lr", "5") ".endif\n"

#define LOTOR_DSP_DEPTHWISE_OUTPUT(SUM) LOTOR_DSP_OUTPUT(SUM, "8", "r10", "r11", "lr")

#define LOTOR_DSP_DEPTHWISE_OUTPUTS                                                                \
    LOTOR_DSP_DEPTHWISE_RIGHT                                                                      \
    LOTOR_DSP_DEPTHWISE_OUTPUT("r2")                                                               \
    ".if %c[step]\n"                                                                               \
    LOTOR_DSP_DEPTHWISE_OUTPUT("r3")                                                               \
    "strb r2, [r1, #2 * lotor_step * %c[step]]\n"                                                  \
    "strb r3, [r1, #(2 * lotor_step + 1) * %c[step]]\n"                                            \
    ".else\n"                                                                                      \
    "strb r2, [r1]\n"                                                                              \
    LOTOR_DSP_GET("r2", "1")                                                                       \
    "add r1, r1, r2\n"                                                                             \
    LOTOR_DSP_DEPTHWISE_OUTPUT("r3")                                                               \
    "strb r3, [r1]\n"                                                                              \
    "add r1, r1, r2\n"                                                                             \
    ".endif\n"                                                                                     \
    ".set lotor_step, lotor_step + 1\n"

/* The last output of an odd row. */
#define LOTOR_DSP_DEPTHWISE_LAST                                                                   \
    LOTOR_DSP_DEPTHWISE_RIGHT                                                                      \
    LOTOR_DSP_DEPTHWISE_OUTPUT("r2")                                                               \
    ".if %c[step]\n"                                                                               \
    "strb r2, [r1, #2 * lotor_step * %c[step]]\n"                                                  \
    ".else\n"                                                                                      \
    "strb r2, [r1]\n"                                                                              \
    LOTOR_DSP_GET("r2", "1")                                                                       \
    "add r1, r1, r2\n"                                                                             \
    ".endif\n"

#define LOTOR_DSP_DEPTHWISE_STEP_1                                                                 \
    LOTOR_DSP_GET("r2", "0")                                                                       \
    LOTOR_DSP_DEPTHWISE_ROW("0", "r4", "r5", "r2", "r2")                                           \
    LOTOR_DSP_DEPTHWISE_ROW("1", "r6", "r7", "r2", "r3")                                           \
    LOTOR_DSP_DEPTHWISE_ROW("2", "r8", "r9", "r2", "r3")                                           \
    LOTOR_DSP_DEPTHWISE_OUTPUTS

#define LOTOR_DSP_DEPTHWISE_HALF_1                                                                 \
    LOTOR_DSP_GET("r2", "0")                                                                       \
    "ldrd r12, lr, [r0, #4 * lotor_step]\n"                                                        \
    "smladx r2, r12, r4, r2\n smlabt r2, lr, r5, r2\n"                                              \
    "ldrd r12, lr, [r0, #4 * lotor_step + 2 * %c[pitch]]\n"                                        \
    "smladx r2, r12, r6, r2\n smlabt r2, lr, r7, r2\n"                                              \
    "ldrd r12, lr, [r0, #4 * lotor_step + 4 * %c[pitch]]\n"                                        \
    "smladx r2, r12, r8, r2\n smlabt r2, lr, r9, r2\n"                                              \
    LOTOR_DSP_DEPTHWISE_LAST

/* Stride 2: r4, r5, r6: weights 1 and 0 of each row, r7, r8: 2 of the three rows. Three loads in a
 * row overlap. */
#define LOTOR_DSP_DEPTHWISE_ROW_2(ROW, W01, SMLA, W2, FIRST)                                       \
    "ldr r12, [r0, #8 * lotor_step + " ROW " * 2 * %c[pitch]]\n"                                   \
    "ldr lr, [r0, #8 * lotor_step + " ROW " * 2 * %c[pitch] + 4]\n"                                \
    "ldr r9, [r0, #8 * lotor_step + " ROW " * 2 * %c[pitch] + 8]\n"                                \
    "smladx r3, lr, " W01 ", " FIRST "\n"                                                          \
    "smladx r2, r12, " W01 ", r2\n"                                                                \
    SMLA " r2, lr, " W2 ", r2\n"                                                                   \
    SMLA " r3, r9, " W2 ", r3\n"

#define LOTOR_DSP_DEPTHWISE_STEP_2                                                                 \
    LOTOR_DSP_GET("r2", "0")                                                                       \
    LOTOR_DSP_DEPTHWISE_ROW_2("0", "r4", "smlabb", "r7", "r2")                                     \
    LOTOR_DSP_DEPTHWISE_ROW_2("1", "r5", "smlabt", "r7", "r3")                                     \
    LOTOR_DSP_DEPTHWISE_ROW_2("2", "r6", "smlabb", "r8", "r3")                                     \
    LOTOR_DSP_DEPTHWISE_OUTPUTS

#define LOTOR_DSP_DEPTHWISE_HALF_2                                                                 \
    LOTOR_DSP_GET("r2", "0")                                                                       \
    "ldrd r12, lr, [r0, #8 * lotor_step]\n"                                                        \
    "smladx r2, r12, r4, r2\n smlabb r2, lr, r7, r2\n"                                              \
    "ldrd r12, lr, [r0, #8 * lotor_step + 2 * %c[pitch]]\n"                                        \
    "smladx r2, r12, r5, r2\n smlabt r2, lr, r7, r2\n"                                              \
    "ldrd r12, lr, [r0, #8 * lotor_step + 4 * %c[pitch]]\n"                                        \
    "smladx r2, r12, r6, r2\n smlabb r2, lr, r8, r2\n"                                              \
    LOTOR_DSP_DEPTHWISE_LAST

/* What layers that share the code differ in. */
struct lotor_dsp_depthwise_row {
    int32_t length;  /* bytes of the gathered row that whole steps use */
    int32_t back;    /* from there to where the first turn begins */
    int32_t skipped; /* steps of the first turn; less than 0 if there is no step */
    int32_t step;    /* bytes from one output to the next */
    int32_t half;    /* whether half a step follows */
};

/* Takes what stays of a channel: its weights and bias, packed in three words as
 * `depthwise_conv_2d_dsp.py` has them, and scale. */
#define LOTOR_DSP_DEPTHWISE_MASK(TO, FROM) "and " TO ", " FROM ", #0xFF00FF00\n"
#define LOTOR_DSP_DEPTHWISE_CHANNEL(STRIDE)                                                        \
    LOTOR_DSP_PUT("4", "r3")                                                                       \
    LOTOR_DSP_PUT("6", "r7")                                                                       \
    ".if " STRIDE " == 1\n"                                                                        \
    "ldmia r2!, {r6, r8, r9, r10}\n"                                                               \
    LOTOR_DSP_DEPTHWISE_MASK("r4", "r6")                                                           \
    "lsl r6, r6, #8\n"                                                                             \
    LOTOR_DSP_DEPTHWISE_MASK("r6", "r6")                                                           \
    "lsl r7, r8, #8\n"                                                                             \
    LOTOR_DSP_DEPTHWISE_MASK("r7", "r7") /* weights 2 of two rows */                               \
    LOTOR_DSP_DEPTHWISE_MASK("r8", "r8")                                                           \
    "pkhbt r5, r4, r7, lsl #16\n"                                                                  \
    "pkhbt r7, r6, r7\n"                                                                           \
    "bic r3, r9, #0xFF\n"                                                                          \
    "pkhbt r9, r8, r9, lsl #24\n"                                                                  \
    ".else\n"                                                                                      \
    "ldmia r2!, {r5, r6, r8, r10}\n"                                                               \
    LOTOR_DSP_DEPTHWISE_MASK("r4", "r5")                                                           \
    "lsl r5, r5, #8\n"                                                                             \
    LOTOR_DSP_DEPTHWISE_MASK("r5", "r5")                                                           \
    "lsl r7, r6, #8\n"                                                                             \
    LOTOR_DSP_DEPTHWISE_MASK("r7", "r7")                                                           \
    LOTOR_DSP_DEPTHWISE_MASK("r6", "r6")                                                           \
    "bic r3, r8, #0xFF\n"                                                                          \
    "lsl r8, r8, #8\n"                                                                             \
    ".endif\n"                                                                                     \
    ".if %c[base]\n"                                                                               \
    LOTOR_DSP_ADDEND("r11", "r10")                                                                 \
    ".else\n"                                                                                      \
    "ldr r11, [r2]\n"                                                                              \
    ".endif\n"                                                                                     \
    LOTOR_DSP_PUT("0", "r3")                                                                       \
    ".if !%c[shift]\n"                                                                             \
    "ldr r3, [r2, #4]\n"                                                                           \
    LOTOR_DSP_PUT("5", "r3")                                                                       \
    ".endif\n"

/* A row has turns of `turn` steps, of which the first is entered in the middle, so that r0 begins
 * before the row; then perhaps half a step. */
#define LOTOR_DSP_DEPTHWISE(STEP, HALF, STRIDE)                                                    \
    "sub sp, sp, #40\n"                                                                            \
    LOTOR_DSP_PUT("6", "r7")                                                                       \
    "ldmia r4, {r4, r5, r6, r7, r8}\n" /* of `struct lotor_dsp_depthwise_row` */                   \
    LOTOR_DSP_PUT("1", "r7")                                                                       \
    "add r4, r0, r4\n"                                                                             \
    "sub r0, r4, r5\n"                                                                             \
    LOTOR_DSP_PUT("2", "r4")                                                                       \
    LOTOR_DSP_PUT("3", "r5")                                                                       \
    "adr.w r4, 2f\n"                                                                               \
    "ldr.w r5, 6f\n"                                                                               \
    "mla r4, r6, r5, r4\n"                                                                         \
    "cmp r6, #0\n it lt\n adrlt.w r4, 4f\n"                                                        \
    "orr r4, r4, #1\n"                                                                             \
    "adr.w r5, 3f\n"                                                                               \
    "cmp r8, #0\n it ne\n adrne.w r5, 4f\n"                                                        \
    "orr r5, r5, #1\n"                                                                             \
    "strd r4, r5, [sp, #32]\n"                                                                     \
    LOTOR_DSP_GET("r7", "6")                                                                       \
    LOTOR_DSP_DEPTHWISE_CHANNEL(STRIDE)                                                            \
    ".p2align 2\n"                                                                                 \
    "1:\n"                                                                                         \
    "ldr pc, [sp, #32]\n"                                                                          \
    ".p2align 2\n"                                                                                 \
    "2:\n"                                                                                         \
    ".set lotor_step, 0\n"                                                                         \
    ".rept %c[turn]\n"                                                                             \
    STEP                                                                                           \
    ".endr\n"                                                                                      \
    "5:\n"                                                                                         \
    LOTOR_DSP_GET("r12", "2")                                                                      \
    "add r0, r0, #4 * " STRIDE " * %c[turn]\n"                                                     \
    "cmp r0, r12\n"                                                                                \
    "bne.w 2b\n"                                                                                   \
    "ldr pc, [sp, #36]\n"                                                                          \
    ".p2align 2\n"                                                                                 \
    ".set lotor_step, 0\n"                                                                         \
    "6:\n"                                                                                         \
    ".word (5b - 2b) / %c[turn]\n"                                                                 \
    "4:\n"                                                                                         \
    HALF                                                                                           \
    ".p2align 2\n"                                                                                 \
    "3:\n"                                                                                         \
    LOTOR_DSP_GET_TWO("r12", "lr", "2", "3")                                                       \
    "add r12, r12, #" STRIDE " * 2 * %c[pitch]\n"                                                  \
    "sub r0, r12, lr\n"                                                                            \
    LOTOR_DSP_PUT("2", "r12")                                                                      \
    LOTOR_DSP_GET("r12", "4")                                                                      \
    "subs r12, r12, #1\n"                                                                          \
    LOTOR_DSP_PUT("4", "r12")                                                                      \
    "bne.w 1b\n"                                                                                   \
    LOTOR_DSP_GET("r7", "6")                                                                       \
    "add sp, sp, #40\n"

/* The same where all is constant: a short row straight on, else turns after the odd steps. */
#define LOTOR_DSP_DEPTHWISE_FIXED(STEP, HALF, STRIDE)                                              \
    "sub sp, sp, #40\n"                                                                            \
    LOTOR_DSP_DEPTHWISE_CHANNEL(STRIDE)                                                            \
    ".set lotor_turns, 0\n"                                                                        \
    ".if %c[width] / 2 > 6\n"                                                                      \
    ".set lotor_turns, %c[width] / 2 / %c[turn]\n"                                                 \
    ".endif\n"                                                                                     \
    ".set lotor_single, %c[width] / 2 - %c[turn] * lotor_turns\n"                                  \
    ".p2align 2\n"                                                                                 \
    "1:\n"                                                                                         \
    ".set lotor_step, 0\n"                                                                         \
    ".rept lotor_single\n"                                                                         \
    STEP                                                                                           \
    ".endr\n"                                                                                      \
    ".if lotor_turns\n"                                                                            \
    "add r12, r0, #4 * " STRIDE " * (%c[width] / 2)\n"                                             \
    LOTOR_DSP_PUT("2", "r12")                                                                      \
    ".if lotor_single\n"                                                                           \
    "add r0, r0, #4 * " STRIDE " * lotor_single\n"                                                 \
    "add r1, r1, #2 * lotor_single * %c[step]\n"                                                   \
    ".endif\n"                                                                                     \
    ".p2align 2\n"                                                                                 \
    "2:\n"                                                                                         \
    ".set lotor_step, 0\n"                                                                         \
    ".rept %c[turn]\n"                                                                             \
    STEP                                                                                           \
    ".endr\n"                                                                                      \
    LOTOR_DSP_GET("r12", "2")                                                                      \
    "add r0, r0, #4 * " STRIDE " * %c[turn]\n"                                                     \
    "add r1, r1, #2 * %c[turn] * %c[step]\n"                                                       \
    "cmp r0, r12\n"                                                                                \
    "bne.w 2b\n"                                                                                   \
    ".set lotor_step, 0\n"                                                                         \
    ".endif\n"                                                                                     \
    ".if %c[width] %% 2\n"                                                                         \
    HALF                                                                                           \
    ".endif\n"                                                                                     \
    ".if lotor_turns\n"                                                                            \
    "add r0, r0, #" STRIDE " * (2 * %c[pitch] - 4 * (%c[width] / 2))\n"                            \
    "add r1, r1, #(%c[width] %% 2) * %c[step]\n"                                                   \
    ".else\n"                                                                                      \
    "add r0, r0, #" STRIDE " * 2 * %c[pitch]\n"                                                    \
    "add r1, r1, #%c[width] * %c[step]\n"                                                          \
    ".endif\n"                                                                                     \
    LOTOR_DSP_GET("r12", "4")                                                                      \
    "subs r12, r12, #1\n"                                                                          \
    LOTOR_DSP_PUT("4", "r12")                                                                      \
    "bne.w 1b\n"                                                                                   \
    LOTOR_DSP_GET("r7", "6")                                                                       \
    "add sp, sp, #40\n"
/* clang-format on */

#define LOTOR_DSP_DEPTHWISE_RUN(TEXT, STEP, WIDTH)                                                 \
    __asm__ volatile(TEXT                                                                          \
                     : "+r"(x), "+r"(y), "+r"(w), "+r"(count), "+r"(row)                           \
                     : [turn] "i"(p->turn), [pitch] "i"(p->pitch), [lift] "i"(p->lift),            \
                       [shift] "i"(p->shift), [low] "i"(p->out_min), [high] "i"(p->out_max),       \
                       [base] "i"(p->base), [step] "i"(STEP), [width] "i"(WIDTH)                   \
                     : "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory",          \
                       LOTOR_DSP_PLACES)

/* Computes some rows of one channel's outputs from gathered rows. */
static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_dsp_rows(
    const struct lotor_depthwise_conv_2d_dsp_params *p, const struct lotor_dsp_depthwise_row *shape,
    const int16_t *gathered, const uint32_t *weights, int32_t rows, int8_t *out) {
    register const int16_t *x __asm__("r0") = gathered;
    register int8_t *y __asm__("r1") = out;
    register const uint32_t *w __asm__("r2") = weights;
    register int32_t count __asm__("r3") = rows;
    register const struct lotor_dsp_depthwise_row *row __asm__("r4") = shape;
    /* Where it is compiled for one width and step only, which fit into instructions. */
    const int fixed = __builtin_constant_p(p->out_w) && __builtin_constant_p(p->out_step) &&
                      (p->out_w < 14 ? p->out_w : 2 * p->turn) * p->out_step < 4096;
    if (fixed && p->stride == 1) {
        LOTOR_DSP_DEPTHWISE_RUN(
            LOTOR_DSP_DEPTHWISE_FIXED(LOTOR_DSP_DEPTHWISE_STEP_1, LOTOR_DSP_DEPTHWISE_HALF_1, "1"),
            fixed ? p->out_step : 0, fixed ? p->out_w : 0);
    } else if (fixed) {
        LOTOR_DSP_DEPTHWISE_RUN(
            LOTOR_DSP_DEPTHWISE_FIXED(LOTOR_DSP_DEPTHWISE_STEP_2, LOTOR_DSP_DEPTHWISE_HALF_2, "2"),
            fixed ? p->out_step : 0, fixed ? p->out_w : 0);
    } else if (p->stride == 1) {
        LOTOR_DSP_DEPTHWISE_RUN(
            LOTOR_DSP_DEPTHWISE(LOTOR_DSP_DEPTHWISE_STEP_1, LOTOR_DSP_DEPTHWISE_HALF_1, "1"), 0, 0);
    } else {
        LOTOR_DSP_DEPTHWISE_RUN(
            LOTOR_DSP_DEPTHWISE(LOTOR_DSP_DEPTHWISE_STEP_2, LOTOR_DSP_DEPTHWISE_HALF_2, "2"), 0, 0);
    }
}

/* Gathers one channel of some rows, one or more, each behind its left border; what is right of it
 * is there already. Four elements at a time become two words. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_dsp_gather(const struct lotor_depthwise_conv_2d_dsp_params *p,
                                   const int8_t *from, int32_t rows, int16_t *to) {
    const int32_t single = p->pad_w % 2; /* pairs begin at even places */
    const int32_t fours = (p->in_w - single) / 4;
    register const int8_t *x __asm__("r0") = from;
    register int16_t *y __asm__("r1") = to;
    register int32_t count __asm__("r2") = rows;
    register int32_t step __asm__("r3") = p->in_step;
    register int32_t third __asm__("r4") = 3 * p->in_step;
    register int32_t bytes __asm__("r5") = 8 * fours;
    register int32_t pitch __asm__("r6") = 2 * (p->pitch - p->in_w);
    register int32_t rest __asm__("r8") = p->in_w - single - 4 * fours;
    __asm__ volatile("1:\n"
                     ".if %c[single]\n"
                     "ldrsb r9, [r0]\n"
                     "add r0, r0, r3\n"
                     "strh r9, [r1], #2\n"
                     ".endif\n"
                     "add r12, r1, r5\n"
                     "cbz r5, 3f\n"
                     "tst r5, #8\n"
                     "bne 6f\n" /* an odd number of fours */
                     "2:\n"
                     "ldrsb r10, [r0, r3]\n ldrsb r11, [r0, r3, lsl #1]\n"
                     "ldrsb lr, [r0, r4]\n ldrsb r9, [r0]\n"
                     "add r0, r0, r3, lsl #2\n"
                     "pkhbt r9, r9, r10, lsl #16\n pkhbt r11, r11, lr, lsl #16\n"
                     "str r9, [r1], #8\n str r11, [r1, #-4]\n"
                     "6:\n"
                     "ldrsb r10, [r0, r3]\n ldrsb r11, [r0, r3, lsl #1]\n"
                     "ldrsb lr, [r0, r4]\n ldrsb r9, [r0]\n"
                     "add r0, r0, r3, lsl #2\n"
                     "pkhbt r9, r9, r10, lsl #16\n pkhbt r11, r11, lr, lsl #16\n"
                     "str r9, [r1], #8\n str r11, [r1, #-4]\n"
                     "cmp r1, r12\n"
                     "bne 2b\n"
                     "3:\n"
                     "add r12, r1, r8, lsl #1\n"
                     "cmp r1, r12\n"
                     "beq 5f\n"
                     "4:\n"
                     "ldrsb r9, [r0]\n"
                     "add r0, r0, r3\n"
                     "strh r9, [r1], #2\n"
                     "cmp r1, r12\n"
                     "bne 4b\n"
                     "5:\n"
                     "add r1, r1, r6\n"
                     "subs r2, r2, #1\n"
                     "bne 1b\n"
                     : "+r"(x), "+r"(y), "+r"(count), "+r"(step), "+r"(third), "+r"(bytes),
                       "+r"(pitch), "+r"(rest)
                     : [single] "i"(p->pad_w % 2)
                     : "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

/* Fills an even number of elements, `count` or one more, with the input's zero point. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_dsp_fill(const struct lotor_depthwise_conv_2d_dsp_params *p, int16_t *to,
                                 int32_t count) {
    const uint32_t zeros = (uint16_t)p->in_zero_point * UINT32_C(0x10001);
    for (int32_t i = 0; i < count; i += 2) {
        memcpy(to + i, &zeros, sizeof zeros);
    }
}

/* Fills the rows above and below the `inside` ones. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_dsp_borders(const struct lotor_depthwise_conv_2d_dsp_params *p,
                                    int16_t *row, int32_t above, int32_t inside, int32_t rows) {
    for (int32_t i = 0; i < rows; i++) {
        if (i < above || i >= above + inside) {
            lotor_depthwise_conv_2d_dsp_fill(p, row + i * p->pitch, p->in_w + 2);
        }
    }
}

/* Moves `count` elements, an even number, down to `to`. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_dsp_move(int16_t *to, const int16_t *from, int32_t count) {
    for (int32_t i = 0; i < count; i += 2) {
        uint32_t pair;
        memcpy(&pair, from + i, sizeof pair);
        memcpy(to + i, &pair, sizeof pair);
    }
}

static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_dsp(const struct lotor_depthwise_conv_2d_dsp_params *p, const int8_t *in,
                            const uint32_t *weights, int8_t *out, int16_t *gathered) {
    const int32_t steps = p->out_w / 2;
    const int32_t skipped = (p->turn - steps % p->turn) % p->turn;
    const struct lotor_dsp_depthwise_row shape = {
        .length = steps * 4 * p->stride,
        .back = steps > 0 ? (steps + skipped) * 4 * p->stride : 0,
        .skipped = steps > 0 ? skipped : -1,
        .step = p->out_step,
        .half = p->out_w % 2,
    };
    const int32_t kept = 2; /* rows that the next outputs need again */
    lotor_depthwise_conv_2d_dsp_fill(p, gathered, ((p->rows - 1) * p->stride + 3) * p->pitch);
    for (int32_t n = 0; n < p->batches; n++) {
        const int8_t *const from = in + n * p->in_h * p->in_w * p->in_step;
        int8_t *const to = out + n * p->out_h * p->out_w * p->out_step;
        /* Stride 1: a channel after the other, so that the output can replace the input. Stride 2:
         * some rows of all channels, so that it can follow behind what is used up. */
        int32_t c = 0, first = 0;
        while (c < p->in_c && first < p->out_h) {
            const int32_t rows = p->rows < p->out_h - first ? p->rows : p->out_h - first;
            const int32_t end = (first + rows - 1) * p->stride - p->pad_h + 3;
            int32_t y = first * p->stride - p->pad_h;
            int16_t *row = gathered;
            if (p->stride == 1 && first > 0) {
                lotor_depthwise_conv_2d_dsp_move(row, row + p->rows * p->pitch, kept * p->pitch);
                row += kept * p->pitch;
                y += kept;
            }
            const int32_t above = y < 0 ? -y : 0;
            const int32_t inside = (end < p->in_h ? end : p->in_h) - y - above;
            if (p->rows < p->out_h) { /* else nobody writes to the rows above and below */
                lotor_depthwise_conv_2d_dsp_borders(p, row, above, inside, end - y);
            }
            if (inside > 0) {
                lotor_depthwise_conv_2d_dsp_gather(p,
                                                   from + ((y + above) * p->in_w * p->in_step + c),
                                                   inside, row + above * p->pitch + p->pad_w);
            }
            lotor_depthwise_conv_2d_dsp_rows(p, &shape, gathered, weights + c * p->words, rows,
                                             to + first * p->out_w * p->out_step + c);
            if (p->stride == 1) {
                first = first + rows < p->out_h ? first + rows : 0;
                c += first == 0;
            } else {
                c = c + 1 < p->in_c ? c + 1 : 0;
                first += c == 0 ? rows : 0;
            }
        }
    }
}

#endif

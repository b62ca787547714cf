/* Depthwise 3x3 convolution of int8 with the DSP instructions, strides 1 and 2, channel by channel.
 *
 * A channel's rows are gathered as int16 with their border, so that two neighbours are a word. Its
 * weights stay in registers, shifted to the left by 8 bits, and every step gives two outputs. What
 * lies outside the input counts as its zero point, which is in the bias.
 */
#ifndef LOTOR_DEPTHWISE_CONV_2D_DSP_H
#define LOTOR_DEPTHWISE_CONV_2D_DSP_H

#include "../common/dsp_output.h"
#include "../common/inline.h"

#include <stdint.h>
#include <string.h>

struct lotor_depthwise_conv_2d_dsp_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t stride, pad_h, pad_w;
    int32_t in_zero_point;
    int32_t pitch;       /* elements of a gathered row, even */
    int32_t rows;        /* of outputs that are computed from the rows gathered at once */
    int32_t words;       /* of packed weights of a channel */
    int32_t lift, shift; /* of the sums, see `dsp_output.h` */
    int32_t out_min, out_max;
};

/* r0: gathered row; r1: output; r2, r3: sums; r12, lr, r9: inputs; r10: multiplier; r11: addend;
 * stack: rows left, bias, end of the row, -, shift to the right, r7.
 * Stride 1: r4, r6, r8: weights 0 and 1 of each row, r5, r7, r9: 1 and 2. Two inputs and two
 * neighbours give two outputs. */
#define LOTOR_DSP_DEPTHWISE_ROW(ROW, W01, W12, FIRST_0, FIRST_1)                                   \
    "ldrd r12, lr, [r0, #4 * lotor_step + " ROW " * 2 * %c[pitch]]\n"                              \
    "smlatb r3, r12, " W01 ", " FIRST_1 "\n"                                                       \
    "smlad r2, r12, " W01 ", " FIRST_0 "\n"                                                        \
    "smlabt r2, lr, " W12 ", r2\n"                                                                 \
    "smlad r3, lr, " W12 ", r3\n"

#define LOTOR_DSP_DEPTHWISE_OUTPUTS                                                                \
    ".if !%c[shift]\n"                                                                             \
    "ldr lr, [sp, #16]\n"                                                                          \
    ".endif\n" LOTOR_DSP_OUTPUT("r2", "8", "r10", "r11", "lr") LOTOR_DSP_OUTPUT(                   \
        "r3", "8", "r10", "r11", "lr") "strb r2, [r1, #2 * lotor_step * %c[step]]\n"               \
                                       "strb r3, [r1, #(2 * lotor_step + 1) * %c[step]]\n"         \
                                       ".set lotor_step, lotor_step + 1\n"

/* The last output of an odd row. */
#define LOTOR_DSP_DEPTHWISE_LAST                                                                   \
    ".if !%c[shift]\n"                                                                             \
    "ldr lr, [sp, #16]\n"                                                                          \
    ".endif\n" LOTOR_DSP_OUTPUT("r2", "8", "r10", "r11",                                           \
                                "lr") "strb r2, [r1, #2 * lotor_step * %c[step]]\n"

#define LOTOR_DSP_DEPTHWISE_STEP_1                                                                 \
    "ldr r2, [sp, #4]\n" LOTOR_DSP_DEPTHWISE_ROW("0", "r4", "r5", "r2", "r2")                      \
        LOTOR_DSP_DEPTHWISE_ROW("1", "r6", "r7", "r2", "r3")                                       \
            LOTOR_DSP_DEPTHWISE_ROW("2", "r8", "r9", "r2", "r3") LOTOR_DSP_DEPTHWISE_OUTPUTS

#define LOTOR_DSP_DEPTHWISE_HALF_1                                                                 \
    "ldr r2, [sp, #4]\n"                                                                           \
    "ldrd r12, lr, [r0, #4 * lotor_step]\n"                                                        \
    "smlad r2, r12, r4, r2\n smlabt r2, lr, r5, r2\n"                                              \
    "ldrd r12, lr, [r0, #4 * lotor_step + 2 * %c[pitch]]\n"                                        \
    "smlad r2, r12, r6, r2\n smlabt r2, lr, r7, r2\n"                                              \
    "ldrd r12, lr, [r0, #4 * lotor_step + 4 * %c[pitch]]\n"                                        \
    "smlad r2, r12, r8, r2\n smlabt r2, lr, r9, r2\n" LOTOR_DSP_DEPTHWISE_LAST

/* Stride 2: r4, r5, r6: weights 0 and 1 of each row, r7, r8: 2 of the three rows. */
#define LOTOR_DSP_DEPTHWISE_ROW_2(ROW, W01, SMLA, W2, FIRST)                                       \
    "ldrd r12, lr, [r0, #8 * lotor_step + " ROW " * 2 * %c[pitch]]\n"                              \
    "ldr r9, [r0, #8 * lotor_step + " ROW " * 2 * %c[pitch] + 8]\n"                                \
    "smlad r3, lr, " W01 ", " FIRST "\n"                                                           \
    "smlad r2, r12, " W01 ", r2\n" SMLA " r2, lr, " W2 ", r2\n" SMLA " r3, r9, " W2 ", r3\n"

#define LOTOR_DSP_DEPTHWISE_STEP_2                                                                 \
    "ldr r2, [sp, #4]\n" LOTOR_DSP_DEPTHWISE_ROW_2("0", "r4", "smlabb", "r7", "r2")                \
        LOTOR_DSP_DEPTHWISE_ROW_2("1", "r5", "smlabt", "r7", "r3")                                 \
            LOTOR_DSP_DEPTHWISE_ROW_2("2", "r6", "smlabb", "r8", "r3") LOTOR_DSP_DEPTHWISE_OUTPUTS

#define LOTOR_DSP_DEPTHWISE_HALF_2                                                                 \
    "ldr r2, [sp, #4]\n"                                                                           \
    "ldrd r12, lr, [r0, #8 * lotor_step]\n"                                                        \
    "smlad r2, r12, r4, r2\n smlabb r2, lr, r7, r2\n"                                              \
    "ldrd r12, lr, [r0, #8 * lotor_step + 2 * %c[pitch]]\n"                                        \
    "smlad r2, r12, r5, r2\n smlabt r2, lr, r7, r2\n"                                              \
    "ldrd r12, lr, [r0, #8 * lotor_step + 4 * %c[pitch]]\n"                                        \
    "smlad r2, r12, r6, r2\n smlabb r2, lr, r8, r2\n" LOTOR_DSP_DEPTHWISE_LAST

/* `width / 2` steps for a row: short rows straight on, else rounds of four after the odd steps. */
#define LOTOR_DSP_DEPTHWISE(STEP, HALF, STRIDE)                                                    \
    "sub sp, sp, #24\n"                                                                            \
    "str r7, [sp, #20]\n"                                                                          \
    "str r3, [sp]\n"                                                                               \
    "ldmia r2!, {r4, r5, r6, r7, r8, r9, r10, r11}\n"                                              \
    "ldr r3, [r2]\n"                                                                               \
    "str r3, [sp, #4]\n"                                                                           \
    ".if !%c[shift]\n"                                                                             \
    "ldr r3, [r2, #4]\n"                                                                           \
    "str r3, [sp, #16]\n"                                                                          \
    ".endif\n"                                                                                     \
    ".set lotor_rounds, 0\n"                                                                       \
    ".if %c[width] / 2 > 6\n"                                                                      \
    ".set lotor_rounds, %c[width] / 8\n"                                                           \
    ".endif\n"                                                                                     \
    ".set lotor_single, %c[width] / 2 - 4 * lotor_rounds\n"                                        \
    "1:\n"                                                                                         \
    ".set lotor_step, 0\n"                                                                         \
    ".rept lotor_single\n" STEP ".endr\n"                                                          \
    ".if lotor_rounds\n"                                                                           \
    "add r12, r0, #4 * " STRIDE " * (%c[width] / 2)\n"                                             \
    "str r12, [sp, #8]\n"                                                                          \
    ".if lotor_single\n"                                                                           \
    "add r0, r0, #4 * " STRIDE " * lotor_single\n"                                                 \
    "add r1, r1, #2 * lotor_single * %c[step]\n"                                                   \
    ".endif\n"                                                                                     \
    "2:\n"                                                                                         \
    ".set lotor_step, 0\n"                                                                         \
    ".rept 4\n" STEP ".endr\n"                                                                     \
    "ldr r12, [sp, #8]\n"                                                                          \
    "add r0, r0, #16 * " STRIDE "\n"                                                               \
    "add r1, r1, #8 * %c[step]\n"                                                                  \
    "cmp r0, r12\n"                                                                                \
    "bne.w 2b\n"                                                                                   \
    ".set lotor_step, 0\n"                                                                         \
    ".endif\n"                                                                                     \
    ".if %c[width] %% 2\n" HALF ".endif\n"                                                         \
    "ldr r12, [sp]\n"                                                                              \
    ".if lotor_rounds\n"                                                                           \
    "add r0, r0, #" STRIDE " * (2 * %c[pitch] - 4 * (%c[width] / 2))\n"                            \
    "add r1, r1, #(%c[width] %% 2) * %c[step]\n"                                                   \
    ".else\n"                                                                                      \
    "add r0, r0, #" STRIDE " * 2 * %c[pitch]\n"                                                    \
    "add r1, r1, #%c[width] * %c[step]\n"                                                          \
    ".endif\n"                                                                                     \
    "subs r12, r12, #1\n"                                                                          \
    "str r12, [sp]\n"                                                                              \
    "bne.w 1b\n"                                                                                   \
    "ldr r7, [sp, #20]\n"                                                                          \
    "add sp, sp, #24\n"

/* Computes some rows of one channel's outputs from gathered rows. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_dsp_rows(const struct lotor_depthwise_conv_2d_dsp_params *p,
                                 const int16_t *gathered, const uint32_t *weights, int32_t rows,
                                 int8_t *out) {
    register const int16_t *x __asm__("r0") = gathered;
    register int8_t *y __asm__("r1") = out;
    register const uint32_t *w __asm__("r2") = weights;
    register int32_t count __asm__("r3") = rows;
    if (p->stride == 1) {
        __asm__ volatile(
            LOTOR_DSP_DEPTHWISE(LOTOR_DSP_DEPTHWISE_STEP_1, LOTOR_DSP_DEPTHWISE_HALF_1, "1")
            : "+r"(x), "+r"(y), "+r"(w), "+r"(count)
            : [width] "i"(p->out_w), [pitch] "i"(p->pitch), [step] "i"(p->out_step),
              [lift] "i"(p->lift), [shift] "i"(p->shift), [low] "i"(p->out_min),
              [high] "i"(p->out_max)
            : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
    } else {
        __asm__ volatile(
            LOTOR_DSP_DEPTHWISE(LOTOR_DSP_DEPTHWISE_STEP_2, LOTOR_DSP_DEPTHWISE_HALF_2, "2")
            : "+r"(x), "+r"(y), "+r"(w), "+r"(count)
            : [width] "i"(p->out_w), [pitch] "i"(p->pitch), [step] "i"(p->out_step),
              [lift] "i"(p->lift), [shift] "i"(p->shift), [low] "i"(p->out_min),
              [high] "i"(p->out_max)
            : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
    }
}

/* Gathers one channel of a row; its border is there already. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_dsp_gather(const struct lotor_depthwise_conv_2d_dsp_params *p,
                                   const int8_t *from, int16_t *row) {
#pragma GCC unroll 8
    for (int32_t x = 0; x < p->in_w; x++) {
        row[x] = from[x * p->in_step];
    }
}

static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_dsp_fill(const struct lotor_depthwise_conv_2d_dsp_params *p, int16_t *from,
                                 int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        from[i] = (int16_t)p->in_zero_point;
    }
}

/* Gathers the rows of one channel from `y` up to `end`. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_dsp_gather_rows(const struct lotor_depthwise_conv_2d_dsp_params *p,
                                        const int8_t *from, int32_t y, int32_t end, int16_t *row) {
    for (; y < end; y++) {
        if (y >= 0 && y < p->in_h) {
            lotor_depthwise_conv_2d_dsp_gather(p, from + y * p->in_w * p->in_step, row + p->pad_w);
        } else {
            lotor_depthwise_conv_2d_dsp_fill(p, row, p->pitch);
        }
        row += p->pitch;
    }
}

static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_dsp(const struct lotor_depthwise_conv_2d_dsp_params *p, const int8_t *in,
                            const uint32_t *weights, int8_t *out, int16_t *gathered) {
    const int32_t kept = 2; /* rows that the next outputs need again */
    const int32_t blocks = (p->out_h + p->rows - 1) / p->rows;
    lotor_depthwise_conv_2d_dsp_fill(p, gathered, ((p->rows - 1) * p->stride + 3) * p->pitch);
    for (int32_t n = 0; n < p->batches; n++) {
        const int8_t *const from = in + n * p->in_h * p->in_w * p->in_step;
        int8_t *const to = out + n * p->out_h * p->out_w * p->out_step;
        /* Stride 1: a channel after the other, so that the output can replace the input. Stride 2:
         * some rows of all channels, so that it can follow behind what is used up. */
        for (int32_t i = 0; i < blocks * p->in_c; i++) {
            const int32_t c = p->stride == 1 ? i / blocks : i % p->in_c;
            const int32_t first = (p->stride == 1 ? i % blocks : i / p->in_c) * p->rows;
            const int32_t rows = p->rows < p->out_h - first ? p->rows : p->out_h - first;
            const int32_t end = (first + rows - 1) * p->stride - p->pad_h + 3;
            int32_t y = first * p->stride - p->pad_h;
            int16_t *row = gathered;
            if (p->stride == 1 && first > 0) {
                memmove(row, row + p->rows * p->pitch, (size_t)(kept * p->pitch) * sizeof *row);
                row += kept * p->pitch;
                y += kept;
            }
            lotor_depthwise_conv_2d_dsp_gather_rows(p, from + c, y, end, row);
            lotor_depthwise_conv_2d_dsp_rows(p, gathered, weights + c * p->words, rows,
                                             to + first * p->out_w * p->out_step + c);
        }
    }
}

#endif

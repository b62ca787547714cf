/* Depthwise 3x3 convolution of int8 for Armv7-M, with equal strides of 1 or 2.
 *
 * Rows of one channel are gathered with their border. A word holds a column of the left half of the
 * outputs and one of the right half, so that one multiply serves both, as in `v7m_dense.h`.
 */
#ifndef LOTOR_DEPTHWISE_CONV_2D_V7M_H
#define LOTOR_DEPTHWISE_CONV_2D_V7M_H

#include "../common/inline.h"
#include "../common/v7m_gather.h"
#include "../common/v7m_output.h"

#include <stdint.h>
#include <string.h>

struct lotor_depthwise_conv_2d_v7m_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t stride, pad_h, pad_w;
    int32_t in_zero_point;
    int32_t pitch;       /* words from one gathered row to the next */
    int32_t rows;        /* of the output at once */
    int32_t words;       /* of each channel's weights */
    int32_t lift, shift; /* of the sums, see `v7m_output.h` */
    int32_t out_min, out_max;
};

/* r0: gathered rows; r1: outputs; r2, r3, r12, lr: a row's words; r11: a weight; r8, r9: sums of
 * two products; r4, r6: their sums, r5, r7: those of their upper halves; r10: LOTOR_V7M_HALF.
 * On the stack: nine weights up to twelve bytes, two words that the sums begin with, multiplier,
 * addend, and where `shift` is 0, a shift of its own; rows to go, r7. */
#define LOTOR_V7M_TAP(WEIGHT, A, B, SUM_A, SUM_B)                                                  \
    "ldrsb r11, [sp, #" WEIGHT "]\n"                                                               \
    "mla r8, r11, " A ", " SUM_A "\n"                                                              \
    ".if lotor_both\n"                                                                             \
    "mla r9, r11, " B ", " SUM_B "\n"                                                              \
    ".endif\n"

#define LOTOR_V7M_FIRST_TAP(WEIGHT, A, B) LOTOR_V7M_TAP(WEIGHT, A, B, "r10", "r10")
#define LOTOR_V7M_SECOND_TAP(WEIGHT, A, B) LOTOR_V7M_TAP(WEIGHT, A, B, "r8", "r9")

#define LOTOR_V7M_ADD(WORDS_B, UPPER_B)                                                            \
    ".if lotor_both\n"                                                                             \
    "add r6, " WORDS_B ", r9\n add r7, " UPPER_B ", r9, asr #16\n"                                 \
    ".endif\n"                                                                                     \
    "add r4, r4, r8\n add r5, r5, r8, asr #16\n"

#define LOTOR_V7M_ROW(ROW)                                                                         \
    "ldrd r2, r3, [r0, #4 * %c[pitch] * " ROW "]\n"                                                \
    ".if lotor_both\n"                                                                             \
    "ldrd r12, lr, [r0, #4 * %c[pitch] * " ROW " + 8]\n"                                           \
    ".else\n"                                                                                      \
    "ldr r12, [r0, #4 * %c[pitch] * " ROW " + 8]\n"                                                \
    ".endif\n"

#define LOTOR_V7M_LAST_TAP_1(WEIGHT, ROW, TAP) TAP(WEIGHT, "r12", "lr")
#define LOTOR_V7M_LAST_TAP_2(WEIGHT, ROW, TAP)                                                     \
    ".if lotor_both\n"                                                                             \
    "ldr r2, [r0, #4 * %c[pitch] * " ROW " + 16]\n"                                                \
    ".endif\n" TAP(WEIGHT, "r12", "r2")

/* The sums of one or two columns of words; MIDDLE: a column's middle word, NEXT and AFTER: the
 * first and the middle one of the next column. */
#define LOTOR_V7M_COLUMNS(NEXT, AFTER, LAST_TAP)                                                   \
    LOTOR_V7M_ROW("0")                                                                             \
    "ldrd r4, r5, [sp, #12]\n" LOTOR_V7M_FIRST_TAP("0", "r2", NEXT) LOTOR_V7M_SECOND_TAP(          \
        "1", "r3", AFTER) LOTOR_V7M_ADD("r4", "r5") LAST_TAP("2", "0", LOTOR_V7M_FIRST_TAP)        \
        LOTOR_V7M_ROW("1") LOTOR_V7M_SECOND_TAP("3", "r2", NEXT) LOTOR_V7M_ADD("r6", "r7")         \
            LOTOR_V7M_FIRST_TAP("4", "r3", AFTER) LAST_TAP("5", "1", LOTOR_V7M_SECOND_TAP)         \
                LOTOR_V7M_ADD("r6", "r7") LOTOR_V7M_ROW("2") LOTOR_V7M_FIRST_TAP("6", "r2", NEXT)  \
                    LOTOR_V7M_SECOND_TAP("7", "r3", AFTER) LOTOR_V7M_ADD("r6", "r7")               \
                        LAST_TAP("8", "2", LOTOR_V7M_FIRST_TAP) LOTOR_V7M_ADD("r6", "r7")

#define LOTOR_V7M_COLUMNS_1 LOTOR_V7M_COLUMNS("r3", "r12", LOTOR_V7M_LAST_TAP_1)
#define LOTOR_V7M_COLUMNS_2 LOTOR_V7M_COLUMNS("r12", "lr", LOTOR_V7M_LAST_TAP_2)

#define LOTOR_V7M_COLUMN_OUTPUT(SUM) LOTOR_V7M_OUTPUT(SUM, "r2", "r3", "r8", "r12", "lr")

/* The outputs of one or two columns of words, of which `lotor_whole` says whether the last one's
 * right half is inside the image. */
#define LOTOR_V7M_STEP(COLUMNS, STRIDE)                                                            \
    COLUMNS                                                                                        \
    "sub r4, r4, r5, lsl #16\n"                                                                    \
    "ldrd r2, r3, [sp, #20]\n"                                                                     \
    ".if %c[shift] == 0\n"                                                                         \
    "ldr r8, [sp, #28]\n"                                                                          \
    ".endif\n" LOTOR_V7M_COLUMN_OUTPUT(                                                            \
        "r4") "strb r4, [r1]\n"                                                                    \
              ".if lotor_both\n"                                                                   \
              "sub r6, r6, r7, lsl #16\n" LOTOR_V7M_COLUMN_OUTPUT("r5") LOTOR_V7M_COLUMN_OUTPUT(   \
                  "r6") "strb r5, [r1, #%c[half] * %c[step]]\n strb r6, [r1, %[step]]\n"           \
                        ".if lotor_whole\n" LOTOR_V7M_COLUMN_OUTPUT(                               \
                            "r7") "strb r7, [r1, #(%c[half] + 1) * %c[step]]\n"                    \
                                  ".endif\n"                                                       \
                                  ".elseif lotor_whole\n" LOTOR_V7M_COLUMN_OUTPUT(                 \
                                      "r5") "strb r5, [r1, #%c[half] * %c[step]]\n"                \
                                            ".endif\n"                                             \
                                            "add r0, r0, #4 * " STRIDE " * (1 + lotor_both)\n"     \
                                            "add r1, r1, #%c[step] * (1 + lotor_both)\n"

#define LOTOR_V7M_DEPTHWISE(COLUMNS, STRIDE)                                                       \
    "sub sp, sp, #48\n"                                                                            \
    "strd r3, r7, [sp, #32]\n"                                                                     \
    "ldmia r2, {r4, r5, r6, r7, r8, r9, r10}\n"                                                    \
    ".if %c[shift] == 0\n"                                                                         \
    "ldr r11, [r2, #28]\n"                                                                         \
    ".endif\n"                                                                                     \
    "stmia sp, {r4, r5, r6, r7, r8, r9, r10, r11}\n"                                               \
    "mvn r10, #0x8000\n"                                                                           \
    ".set lotor_odd, %c[width] %% 2\n"                                                             \
    ".set lotor_single, %c[half] %% 2\n"                                                           \
    ".set lotor_steps, %c[half] / 2\n"                                                             \
    ".if lotor_odd && !lotor_single\n"                                                             \
    ".set lotor_steps, lotor_steps - 1\n"                                                          \
    ".endif\n"                                                                                     \
    "1:\n"                                                                                         \
    ".set lotor_both, 1\n"                                                                         \
    ".set lotor_whole, 1\n"                                                                        \
    ".if lotor_steps > 1\n"                                                                        \
    "add r2, r0, #lotor_steps * 8 * " STRIDE "\n"                                                  \
    "str r2, [sp, #40]\n"                                                                          \
    "2:\n"                                                                                         \
    ".endif\n"                                                                                     \
    ".if lotor_steps\n" LOTOR_V7M_STEP(                                                            \
        COLUMNS,                                                                                   \
        STRIDE) ".endif\n"                                                                         \
                ".if lotor_steps > 1\n"                                                            \
                "ldr r2, [sp, #40]\n"                                                              \
                "cmp r0, r2\n"                                                                     \
                "bne.w 2b\n"                                                                       \
                ".endif\n"                                                                         \
                ".set lotor_whole, !lotor_odd\n"                                                   \
                ".if lotor_odd && !lotor_single\n" LOTOR_V7M_STEP(                                 \
                    COLUMNS,                                                                       \
                    STRIDE) ".endif\n"                                                             \
                            ".set lotor_both, 0\n"                                                 \
                            ".if lotor_single\n" LOTOR_V7M_STEP(                                   \
                                COLUMNS,                                                           \
                                STRIDE) ".endif\n"                                                 \
                                        "ldr r2, [sp, #32]\n"                                      \
                                        "add r0, r0, #4 * " STRIDE " * (%c[pitch] - %c[half])\n"   \
                                        "add r1, r1, #(%c[width] - %c[half]) * %c[step]\n"         \
                                        "subs r2, r2, #1\n"                                        \
                                        "str r2, [sp, #32]\n"                                      \
                                        "bne.w 1b\n"                                               \
                                        "ldr r7, [sp, #36]\n"                                      \
                                        "add sp, sp, #48\n"

/* Computes some rows of one channel's outputs from gathered rows. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_v7m_rows(const struct lotor_depthwise_conv_2d_v7m_params *p,
                                 const int32_t *gathered, const uint32_t *weights, int32_t rows,
                                 int8_t *out) {
    register const int32_t *x __asm__("r0") = gathered;
    register int8_t *y __asm__("r1") = out;
    register const uint32_t *w __asm__("r2") = weights;
    register int32_t count __asm__("r3") = rows;
    if (p->stride == 1) {
        __asm__ volatile(LOTOR_V7M_DEPTHWISE(LOTOR_V7M_COLUMNS_1, "1")
                         : "+r"(x), "+r"(y), "+r"(w), "+r"(count)
                         : [width] "i"(p->out_w), [half] "i"((p->out_w + 1) / 2),
                           [pitch] "i"(p->pitch), [step] "i"(p->out_step), [lift] "i"(p->lift),
                           [shift] "i"(p->shift), [low] "i"(p->out_min), [high] "i"(p->out_max)
                         : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
    } else {
        __asm__ volatile(LOTOR_V7M_DEPTHWISE(LOTOR_V7M_COLUMNS_2, "2")
                         : "+r"(x), "+r"(y), "+r"(w), "+r"(count)
                         : [width] "i"(p->out_w), [half] "i"((p->out_w + 1) / 2),
                           [pitch] "i"(p->pitch), [step] "i"(p->out_step), [lift] "i"(p->lift),
                           [shift] "i"(p->shift), [low] "i"(p->out_min), [high] "i"(p->out_max)
                         : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
    }
}

static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_v7m(const struct lotor_depthwise_conv_2d_v7m_params *p, const int8_t *in,
                            const uint32_t *weights, int8_t *out, int32_t *gathered) {
    const struct lotor_v7m_row line = {
        .in_w = p->in_w,
        .in_step = p->in_step,
        .pad_w = p->pad_w,
        .zero_point = p->in_zero_point,
        .right = (p->out_w + 1) / 2 * p->stride,
        .pitch = p->pitch,
    };
    const int32_t kept = 2; /* rows that the next outputs need again */
    const int32_t blocks = (p->out_h + p->rows - 1) / p->rows;
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
            int32_t *row = gathered;
            if (p->stride == 1 && first > 0) {
                memmove(row, row + p->rows * p->pitch, (size_t)(kept * p->pitch) * sizeof *row);
                row += kept * p->pitch;
                y += kept;
            }
            for (; y < end; y++) {
                lotor_v7m_gather(&line, from + c + y * p->in_w * p->in_step, y >= 0 && y < p->in_h,
                                 row);
                row += p->pitch;
            }
            lotor_depthwise_conv_2d_v7m_rows(p, gathered, weights + c * p->words, rows,
                                             to + first * p->out_w * p->out_step + c);
        }
    }
}

#endif

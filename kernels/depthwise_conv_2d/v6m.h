/* Depthwise 3x3 convolution of int8 for Armv6-M, row by row and in each channel by channel.
 *
 * The three rows that a row of outputs needs are gathered as words with their border: three words
 * for every column. What lies outside the input counts as its zero point, which is in the table.
 */
#ifndef LOTOR_DEPTHWISE_CONV_2D_V6M_H
#define LOTOR_DEPTHWISE_CONV_2D_V6M_H

#include "../common/v6m.h"

struct lotor_depthwise_conv_2d_v6m_params {
    int32_t batches, in_h, in_w, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t stride_h, stride_w, pad_h, pad_w;
    int32_t depth_multiplier;
    int32_t in_zero_point;
    int32_t columns;    /* that are gathered */
    int32_t words;      /* of a channel in the table */
    int32_t bent, deep; /* see `v6m_scale.py` */
    int32_t out_min, out_max;
};

#define LOTOR_V6M_DEPTHWISE_COLUMN                                                                 \
    "ldrsb r2, [r0, r5]\n ldrsb r3, [r0, r6]\n ldrsb r4, [r0, r7]\n"                               \
    "stmia r1!, {r2, r3, r4}\n"                                                                    \
    "add r0, r8\n"

/* Writes one channel of three rows, `top`, `middle` and `bottom` bytes from `from`. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_v6m_gather(const struct lotor_depthwise_conv_2d_v6m_params *p,
                                   const int8_t *from, int32_t top, int32_t middle, int32_t bottom,
                                   int32_t *to) {
    register const int8_t *x __asm__("r0") = from;
    register int32_t *y __asm__("r1") = to;
    register int32_t a __asm__("r2") = top;
    register int32_t b __asm__("r3") = middle;
    register int32_t c __asm__("r4") = bottom;
    register int32_t step __asm__("r5") = p->in_step;
    register int32_t *end __asm__("r6") = to + 3 * p->in_w;
    __asm__ volatile(LOTOR_V6M_SYNTAX "mov r10, r7\n"
                                      "mov r8, r5\n mov r9, r6\n"
                                      "mov r5, r2\n mov r6, r3\n mov r7, r4\n"
                                      ".rept %c[width] %% 4\n" LOTOR_V6M_DEPTHWISE_COLUMN ".endr\n"
                                      ".if %c[width] >= 4\n"
                                      "1:\n"
                                      ".rept 4\n" LOTOR_V6M_DEPTHWISE_COLUMN ".endr\n"
                                      ".endif\n"
                                      ".if %c[width] >= 8\n"
                                      "cmp r1, r9\n"
                                      "bne 1b\n"
                                      ".endif\n"
                                      "mov r7, r10\n"
                     : "+r"(x), "+r"(y), "+r"(a), "+r"(b), "+r"(c), "+r"(step), "+r"(end)
                     : [width] "i"(p->in_w)
                     : "r8", "r9", "r10", "cc", "memory");
}

#define LOTOR_V6M_DEPTHWISE_THREE                                                                  \
    "ldmia r0!, {r2, r3, r4}\n"                                                                    \
    "ldmia r1!, {r5, r6, r7}\n"                                                                    \
    "muls r2, r5, r2\n add r8, r2\n"                                                               \
    "muls r3, r6, r3\n add r8, r3\n"                                                               \
    "muls r4, r7, r4\n add r8, r4\n"

/* Writes a row of one channel.
 *
 * table: nine weights column by column, the line, and the count to begin with. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_v6m_row(const struct lotor_depthwise_conv_2d_v6m_params *p,
                                const int32_t *gathered, const uint32_t *table, int8_t *out) {
    register const int32_t *x __asm__("r0") = gathered;
    register const uint32_t *t __asm__("r1") = table;
    register int8_t *y __asm__("r2") = out;
    register const int32_t *end __asm__("r3") = gathered + 3 * p->stride_w * p->out_w;
    register int32_t step __asm__("r4") = p->out_step;
    /* r8: sum; r9: first count; r10: table; r11: output; r12: end, lr: step, or with a bend count
     * of zero and what is added below. Stack: end, step, r7, the third
     * part of a deep line. */
    __asm__ volatile(
        LOTOR_V6M_SYNTAX
        "sub sp, #16\n"
        "str r7, [sp, #8]\n"
        "mov r10, r1\n"
        "mov r11, r2\n"
        ".if %c[bent]\n"
        "str r3, [sp]\n str r4, [sp, #4]\n"
        "ldr r2, [r1, #56]\n ldr r3, [r1, #60]\n"
        "mov r12, r2\n mov lr, r3\n"
        ".else\n"
        "mov r12, r3\n mov lr, r4\n"
        ".endif\n"
        ".if %c[deep]\n"
        "ldr r2, [r1, #56 + 8 * %c[bent]]\n str r2, [sp, #12]\n"
        ".endif\n"
        "ldr r2, [r1, #56 + 8 * %c[bent] + 4 * %c[deep]]\n"
        "mov r9, r2\n"
        "1:\n"
        "mov r8, r9\n"
        ".rept 3\n" LOTOR_V6M_DEPTHWISE_THREE ".endr\n"
        ".if %c[back] > 0\n"
        "subs r0, #%c[back]\n"
        ".elseif %c[back] < 0\n"
        "adds r0, #-(%c[back])\n"
        ".endif\n"
        "ldmia r1!, {r3, r4, r5, r6, r7}\n"
        "mov r2, r8\n" LOTOR_V6M_OUTPUT("12", "10", "20", "30") "mov r1, r11\n"
                                                                "strb r2, [r1]\n"
                                                                ".if %c[bent]\n"
                                                                "ldr r2, [sp, #4]\n"
                                                                "add r11, r2\n"
                                                                "mov r1, r10\n"
                                                                "ldr r2, [sp]\n"
                                                                "cmp r0, r2\n"
                                                                ".else\n"
                                                                "add r11, lr\n"
                                                                "mov r1, r10\n"
                                                                "cmp r0, r12\n"
                                                                ".endif\n"
                                                                "bne 1b\n"
                                                                "b 2f\n" LOTOR_V6M_OUTSIDE(
                                                                    "10", "20") "2:\n"
                                                                                "ldr r7, [sp, #8]\n"
                                                                                "add sp, #16\n"
        : "+r"(x), "+r"(t), "+r"(y), "+r"(end), "+r"(step)
        : [back] "i"(36 - 12 * p->stride_w), [bent] "i"(p->bent), [deep] "i"(p->deep),
          [low] "i"(p->out_min), [high] "i"(p->out_max)
        : "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_v6m(const struct lotor_depthwise_conv_2d_v6m_params *p, const int8_t *in,
                            const uint32_t *table, int8_t *out, int32_t *gathered) {
    const int32_t pitch = p->in_w * p->in_step;
    for (int32_t i = 0; i < 3 * p->columns; i++) {
        gathered[i] = p->in_zero_point;
    }
    const int8_t *image = in;
    int32_t top = -p->pad_h; /* Armv6-M cannot divide */
    for (int32_t i = 0; i < p->batches * p->out_h; i++) {
        int32_t row[3], inside[3]; /* where each row begins, and whether there is one */
        for (int32_t k = 0; k < 3; k++) {
            inside[k] = top + k >= 0 && top + k < p->in_h;
            row[k] = inside[k] ? (top + k) * pitch : 0;
        }
        int32_t *const to = gathered + 3 * p->pad_w;
        for (int32_t c = 0; c < p->out_c; c++) {
            if (c % p->depth_multiplier == 0) {
                lotor_depthwise_conv_2d_v6m_gather(p, image + c / p->depth_multiplier, row[0],
                                                   row[1], row[2], to);
                for (int32_t k = 0; k < 3; k++) {
                    for (int32_t x = k; !inside[k] && x < 3 * p->in_w; x += 3) {
                        to[x] = p->in_zero_point;
                    }
                }
            }
            lotor_depthwise_conv_2d_v6m_row(p, gathered, table + c * p->words,
                                            out + i * p->out_w * p->out_step + c);
        }
        top += p->stride_h;
        if (top == p->out_h * p->stride_h - p->pad_h) {
            top = -p->pad_h;
            image += p->in_h * pitch;
        }
    }
}

#endif

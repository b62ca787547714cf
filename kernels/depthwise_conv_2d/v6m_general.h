/* Depthwise 2-D convolution of int8 of any window, stride and dilation for Armv6-M.
 *
 * A row of outputs falls in three parts, and three outputs are computed at a time, one of each
 * part. The rows of one channel are gathered with their border, for each column the inputs of the
 * three parts in two words (`v6m_dense.h`); so are sums of products, from which those of the three
 * follow. What lies outside the input counts as its zero point, which is in the table.
 */
#ifndef LOTOR_DEPTHWISE_CONV_2D_V6M_GENERAL_H
#define LOTOR_DEPTHWISE_CONV_2D_V6M_GENERAL_H

#include "../common/fixed_point.h"
#include "../common/v6m_dense.h"

struct lotor_depthwise_conv_2d_v6m_general_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t depth_multiplier;
    int32_t in_zero_point, weights_offset;
    int32_t part;       /* outputs of a row that are computed together with those of the others */
    int32_t pitch;      /* columns of gathered rows */
    int32_t rows;       /* of the output, for which inputs are gathered at once */
    int32_t by_channel; /* a channel after the other, so that the output can replace the input */
    int32_t columns;    /* of the table */
    int32_t bent, deep; /* see `v6m_scale.py` */
    int32_t out_min, out_max;
};

/* r0: inputs; r1: weights; sums in r8 and r9. */
#define LOTOR_V6M_DEPTHWISE_PAIR(WEIGHT)                                                           \
    "muls r2, " WEIGHT ", r2\n add r8, r2\n"                                                       \
    "muls r3, " WEIGHT ", r3\n add r9, r3\n"
#define LOTOR_V6M_DEPTHWISE_TWO_TAPS                                                               \
    "ldmia r1!, {r6, r7}\n"                                                                        \
    ".if %c[gap]\n"                                                                                \
    "ldmia r0!, {r2, r3}\n" LOTOR_V6M_DEPTHWISE_PAIR(                                              \
        "r6") "adds r0, #%c[gap]\n"                                                                \
              "ldmia r0!, {r2, r3}\n" LOTOR_V6M_DEPTHWISE_PAIR(                                    \
                  "r7") "adds r0, #%c[gap]\n"                                                      \
                        ".else\n"                                                                  \
                        "ldmia r0!, {r2, r3, r4, r5}\n" LOTOR_V6M_DEPTHWISE_PAIR(                  \
                            "r6") "muls r4, r7, r4\n add r8, r4\n"                                 \
                                  "muls r5, r7, r5\n add r9, r5\n"                                 \
                                  ".endif\n"
#define LOTOR_V6M_DEPTHWISE_ROW                                                                    \
    ".rept %c[width] / 2\n" LOTOR_V6M_DEPTHWISE_TWO_TAPS ".endr\n"                                 \
    ".if %c[width] %% 2\n"                                                                         \
    "ldmia r1!, {r6}\n"                                                                            \
    "ldmia r0!, {r2, r3}\n" LOTOR_V6M_DEPTHWISE_PAIR("r6") ".if %c[gap]\n"                         \
                                                           "adds r0, #%c[gap]\n"                   \
                                                           ".endif\n"                              \
                                                           ".endif\n"                              \
                                                           "add r0, r10\n"

#define LOTOR_V6M_DEPTHWISE_OUTPUT(AT, OUTSIDE, INSIDE, ABOVE)                                     \
    "ldr r2, [sp, #" AT                                                                            \
    "]\n add r2, r11\n" LOTOR_V6M_OUTPUT("52", OUTSIDE, INSIDE, ABOVE) "strb r2, [r0]\n"
#define LOTOR_V6M_DEPTHWISE_RELOAD                                                                 \
    ".if %c[deep]\n"                                                                               \
    "ldr r3, [sp, #24]\n"                                                                          \
    ".endif\n"

/* Writes a row of one channel of the output.
 *
 * gathered: two words for each column.
 * weights: a word each, row by row.
 * table: the count to begin with, and the line.
 */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_v6m_general_row(const struct lotor_depthwise_conv_2d_v6m_general_params *p,
                                        const int32_t *gathered, const int32_t *weights,
                                        const uint32_t *table, int8_t *out) {
    register const int32_t *x __asm__("r0") = gathered;
    register const int32_t *w __asm__("r1") = weights;
    register const uint32_t *t __asm__("r2") = table;
    register int8_t *y __asm__("r3") = out;
    register const int32_t *end __asm__("r4") = gathered + 2 * p->part * p->stride_w;
    register int32_t down __asm__("r5") =
        8 * (p->dilation_h * p->pitch - p->kernel_w * p->dilation_w);
    register const int32_t *last __asm__("r6") = weights + p->kernel_h * p->kernel_w;
    /* r10: from the end of a row of the filter to the next; r11: count to begin with; r12, lr: with
     * a bend. Stack: inputs, their end, weights, their end, table, output, reach, three sums, r7,
     * and the third part of a deep line. */
    /* clang-format off */
    __asm__ volatile(
        LOTOR_V6M_SYNTAX
        "sub sp, #56\n"
        "str r7, [sp, #40]\n"
        "str r4, [sp, #4]\n str r1, [sp, #8]\n str r6, [sp, #12]\n str r3, [sp, #20]\n"
        "mov r10, r5\n"
        "ldmia r2!, {r3}\n"
        "mov r11, r3\n"
        "str r2, [sp, #16]\n"
        ".if %c[bent]\n"
        "ldr r3, [r2, #20]\n mov r12, r3\n"
        "ldr r3, [r2, #24]\n mov lr, r3\n"
        ".endif\n"
        ".if %c[deep]\n"
        "ldr r3, [r2, #20 + 8 * %c[bent]]\n str r3, [sp, #52]\n"
        "ldr r3, [r2]\n str r3, [sp, #24]\n"
        ".endif\n"
        "1:\n"
        "str r0, [sp]\n"
        "movs r2, #0\n mov r8, r2\n mov r9, r2\n"
        ".if %c[height] * %c[width] <= 32\n"
        ".rept %c[height]\n" LOTOR_V6M_DEPTHWISE_ROW ".endr\n"
        ".else\n"
        "2:\n" LOTOR_V6M_DEPTHWISE_ROW
        "ldr r2, [sp, #12]\n"
        "cmp r1, r2\n"
        "beq 3f\n"
        "b 2b\n"
        "3:\n"
        ".endif\n"
        LOTOR_V6M_DENSE_SUMS("r8", "r9", "28")
        "ldr r0, [sp, #16]\n"
        "ldmia r0!, {r3, r4, r5, r6, r7}\n"
        "ldr r0, [sp, #20]\n"
        LOTOR_V6M_DEPTHWISE_OUTPUT("28", "10", "20", "30")
        LOTOR_V6M_STEP("%c[second]") LOTOR_V6M_DEPTHWISE_RELOAD
        LOTOR_V6M_DEPTHWISE_OUTPUT("32", "11", "21", "31")
        LOTOR_V6M_STEP("%c[third]") LOTOR_V6M_DEPTHWISE_RELOAD
        LOTOR_V6M_DEPTHWISE_OUTPUT("36", "12", "22", "32")
        "ldr r0, [sp, #20]\n"
        LOTOR_V6M_STEP("%c[step]")
        "str r0, [sp, #20]\n"
        "ldr r0, [sp]\n"
        LOTOR_V6M_STEP("8 * %c[stride]")
        "ldr r1, [sp, #8]\n"
        "ldr r2, [sp, #4]\n"
        "cmp r0, r2\n"
        "beq 4f\n"
        "b 1b\n"
        LOTOR_V6M_OUTSIDE("10", "20") LOTOR_V6M_OUTSIDE("11", "21") LOTOR_V6M_OUTSIDE("12", "22")
        "4:\n"
        "ldr r7, [sp, #40]\n"
        "add sp, #56\n"
        : "+r"(x), "+r"(w), "+r"(t), "+r"(y), "+r"(end), "+r"(down), "+r"(last)
        : [parts] "i"(1), [height] "i"(p->kernel_h), [width] "i"(p->kernel_w),
          [gap] "i"(8 * (p->dilation_w - 1)), [stride] "i"(p->stride_w), [step] "i"(p->out_step),
          [second] "i"(lotor_min(p->part, p->out_w - p->part) * p->out_step),
          [third] "i"((p->out_w - p->part - lotor_min(p->part, p->out_w - p->part)) * p->out_step),
          [bent] "i"(p->bent), [deep] "i"(p->deep), [low] "i"(p->out_min), [high] "i"(p->out_max)
        : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
    /* clang-format on */
}

/* Unpacks the filter of an output channel. */
static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_v6m_general_filter(
    const struct lotor_depthwise_conv_2d_v6m_general_params *p, const int8_t *from, int32_t *to) {
    for (int32_t i = 0; i < p->kernel_h * p->kernel_w; i++) {
        to[i] = *from + p->weights_offset;
        from += p->out_c;
    }
}

/* The input in column `start + i`, or what lies outside; `i` is from `begin` up to `end`. */
static inline LOTOR_SPECIALISED int32_t lotor_depthwise_conv_2d_v6m_general_input(
    const struct lotor_depthwise_conv_2d_v6m_general_params *p, const int8_t *pixel, int32_t start,
    int32_t i, int32_t begin, int32_t end) {
    const int all = start + begin >= 0 && start + end <= p->in_w; /* of them are inside */
    const int none = start + end <= 0 || start + begin >= p->in_w;
    if (none || (!all && (start + i < 0 || start + i >= p->in_w))) {
        return p->in_zero_point;
    }
    return *pixel;
}

/* Gathers some columns of the three parts, which begin in the columns `at`. */
static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_v6m_general_columns(
    const struct lotor_depthwise_conv_2d_v6m_general_params *p, const int8_t *row,
    const int32_t at[3], int32_t begin, int32_t end, int32_t *to) {
    const int8_t *first = row + (at[0] + begin) * p->in_step;
    const int32_t between = (at[1] - at[0]) * p->in_step, farther = (at[2] - at[0]) * p->in_step;
    to += 2 * begin;
    for (int32_t i = begin; i < end; i++) {
        const int32_t x = lotor_depthwise_conv_2d_v6m_general_input(p, first, at[0], i, begin, end);
        const int32_t y =
            lotor_depthwise_conv_2d_v6m_general_input(p, first + between, at[1], i, begin, end);
        const int32_t z =
            lotor_depthwise_conv_2d_v6m_general_input(p, first + farther, at[2], i, begin, end);
        to[0] = x + y * 65536;
        to[1] = z + x * 32 + y * 1024;
        first += p->in_step;
        to += 2;
    }
}

/* Gathers the rows of one channel from `y` up to `end`. */
static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_v6m_general_gather(
    const struct lotor_depthwise_conv_2d_v6m_general_params *p, const int8_t *from, int32_t y,
    int32_t end, int32_t *to) {
    const int32_t last = p->out_w - p->part; /* the output that the third part begins with */
    const int32_t at[3] = {-p->pad_w, lotor_min(p->part, last) * p->stride_w - p->pad_w,
                           last * p->stride_w - p->pad_w};
    /* Between these columns all parts are inside. */
    const int32_t left = lotor_min(p->pad_w, p->pitch);
    const int32_t right = lotor_max(lotor_min(p->in_w - at[2], p->pitch), left);
    for (; y < end; y++) {
        if (y >= 0 && y < p->in_h) {
            const int8_t *const row = from + y * p->in_w * p->in_step;
            lotor_depthwise_conv_2d_v6m_general_columns(p, row, at, 0, left, to);
            lotor_depthwise_conv_2d_v6m_general_columns(p, row, at, left, right, to);
            lotor_depthwise_conv_2d_v6m_general_columns(p, row, at, right, p->pitch, to);
        } else {
            for (int32_t i = 0; i < p->pitch; i++) {
                to[2 * i] = p->in_zero_point * 65537;
                to[2 * i + 1] = p->in_zero_point * 1057;
            }
        }
        to += 2 * p->pitch;
    }
}

static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_v6m_general(const struct lotor_depthwise_conv_2d_v6m_general_params *p,
                                    const int8_t *in, const int8_t *weights, const uint32_t *table,
                                    int8_t *out, int32_t *filter) {
    int32_t *const gathered = filter + p->kernel_h * p->kernel_w;
    const int32_t reach = (p->kernel_h - 1) * p->dilation_h + 1; /* rows of a filter */
    for (int32_t n = 0; n < p->batches; n++) {
        int32_t first = 0; /* row; then channel by channel, or row by row */
        for (int32_t c = 0; c < p->in_c && first < p->out_h;) {
            const int32_t rows = lotor_min(p->rows, p->out_h - first);
            const int32_t top = first * p->stride_h - p->pad_h;
            int32_t kept = 0; /* rows that were gathered already and may be overwritten */
            if (p->by_channel && first > 0) {
                kept = reach - 1;
                memmove(gathered, gathered + 2 * p->rows * p->pitch,
                        (size_t)(2 * kept * p->pitch) * sizeof *gathered);
            }
            lotor_depthwise_conv_2d_v6m_general_gather(p, in + c, top + kept,
                                                       top + (rows - 1) * p->stride_h + reach,
                                                       gathered + 2 * kept * p->pitch);
            for (int32_t m = 0; m < p->depth_multiplier; m++) {
                const int32_t channel = c * p->depth_multiplier + m;
                lotor_depthwise_conv_2d_v6m_general_filter(p, weights + channel, filter);
                for (int32_t y = 0; y < rows; y++) {
                    lotor_depthwise_conv_2d_v6m_general_row(
                        p, gathered + 2 * y * p->stride_h * p->pitch, filter,
                        table + channel * p->columns,
                        out + (first + y) * p->out_w * p->out_step + channel);
                }
            }
            if (p->by_channel) {
                first += p->rows;
                if (first >= p->out_h) {
                    first = 0;
                    c++;
                }
            } else if (++c == p->in_c) {
                c = 0;
                first += p->rows;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
        out += p->out_h * p->out_w * p->out_step;
    }
}

#endif

/* Depthwise 2-D convolution of int8 of any shape for Armv7-M.
 *
 * Rows of one channel are gathered with their border. A word holds a column of the left half of the
 * outputs and one of the right half, so that one multiply serves both, as in `v7m_dense.h`. Runs of
 * two products of int8 fit half a word, or one where the weights have a zero point.
 */
#ifndef LOTOR_DEPTHWISE_CONV_2D_V7M_GENERAL_H
#define LOTOR_DEPTHWISE_CONV_2D_V7M_GENERAL_H

#include "../common/dsp_general.h"
#include "../common/v7m_gather.h"
#include "../common/v7m_output.h"

#include <string.h>

struct lotor_depthwise_conv_2d_v7m_general_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t depth_multiplier;
    int32_t in_zero_point, weights_offset;
    int32_t run;        /* products, 1 or 2, before their halves are taken */
    int32_t joint;      /* whether the last weights of two rows are a run */
    int32_t runs;       /* of a filter */
    int32_t pitch;      /* words from one gathered row to the next */
    int32_t row_step;   /* words from one row of a filter to the next, where it is a constant */
    int32_t rows;       /* of the output, for which inputs are gathered at once */
    int32_t by_channel; /* a channel after the other, so that the output can replace the input */
    int32_t rest;       /* words of a row of outputs beyond a multiple of three */
    int32_t entries;    /* of `scales` for a channel */
    int32_t way, lift, shift, out_offset, out_min, out_max; /* see `dsp_general.h` */
};

enum { LOTOR_V7M_COLUMNS_AT_ONCE = 3 };

/* clang-format off */
/* Two products for column N, with the second input so many bytes behind the first. */
#define LOTOR_V7M_RUN(N, BEHIND)                                                                   \
    ".if %c[columns] > " #N "\n"                                                                   \
    ".if " BEHIND " == 4\n"                                                                        \
    "ldrd %[x], %[t], [%[in], #lotor_at + 4 * %c[stride] * " #N "]\n"                              \
    "mla %[x], %[a], %[x], %[half]\n"                                                              \
    "mla %[t], %[b], %[t], %[x]\n"                                                                 \
    ".else\n"                                                                                      \
    "ldr %[x], [%[in], #lotor_at + 4 * %c[stride] * " #N "]\n"                                     \
    "mla %[t], %[a], %[x], %[half]\n"                                                              \
    "ldr %[x], [%[in], #lotor_at + " BEHIND " + 4 * %c[stride] * " #N "]\n"                        \
    "mla %[t], %[b], %[x], %[t]\n"                                                                 \
    ".endif\n" LOTOR_V7M_TAKE(N) ".endif\n"

#define LOTOR_V7M_SINGLE(N)                                                                        \
    ".if %c[columns] > " #N "\n"                                                                   \
    "ldr %[x], [%[in], #lotor_at + 4 * %c[stride] * " #N "]\n"                                     \
    "mla %[t], %[a], %[x], %[half]\n" LOTOR_V7M_TAKE(N) ".endif\n"

#define LOTOR_V7M_TAKE(N)                                                                          \
    "add %[words" #N "], %[words" #N "], %[t]\n"                                                   \
    "add %[upper" #N "], %[upper" #N "], %[t], asr #16\n"

#define LOTOR_V7M_RUNS(BEHIND)                                                                     \
    "ldrd %[a], %[b], [%[w]], #8\n"                                                                \
    LOTOR_V7M_RUN(0, BEHIND) LOTOR_V7M_RUN(1, BEHIND) LOTOR_V7M_RUN(2, BEHIND)

/* The pairs of weights of a row. */
#define LOTOR_V7M_PAIRS                                                                            \
    ".set lotor_at, 0\n"                                                                           \
    ".if %c[run] > 1\n"                                                                            \
    ".rept %c[width] / 2\n"                                                                        \
    LOTOR_V7M_RUNS("4 * %c[dilation]")                                                             \
    ".set lotor_at, lotor_at + 8 * %c[dilation]\n"                                                 \
    ".endr\n"                                                                                      \
    ".endif\n"

/* One row, or two with a run of the last weights of both. */
#define LOTOR_V7M_ROWS                                                                             \
    LOTOR_V7M_PAIRS                                                                                \
    ".if %c[rows] > 1\n"                                                                           \
    LOTOR_V7M_RUNS("4 * %c[row_step]")                                                             \
    "add %[in], %[in], #4 * %c[row_step]\n"                                                        \
    LOTOR_V7M_PAIRS                                                                                \
    ".else\n"                                                                                      \
    ".rept %c[width] - lotor_at / 4 / %c[dilation]\n"                                              \
    "ldr %[a], [%[w]], #4\n"                                                                       \
    LOTOR_V7M_SINGLE(0) LOTOR_V7M_SINGLE(1) LOTOR_V7M_SINGLE(2)                                    \
    ".set lotor_at, lotor_at + 4 * %c[dilation]\n"                                                 \
    ".endr\n"                                                                                      \
    ".endif\n"
/* clang-format on */

/* Of three columns of words the sums of words and of upper halves. */
struct lotor_v7m_columns {
    int32_t words[3], upper[3];
};

/* Adds the products of one or two rows of a filter; returns the weights after them. In assembly, as
 * gcc would load all of a row first and spill. */
static inline LOTOR_SPECIALISED const int32_t *
lotor_depthwise_conv_2d_v7m_general_sums(const struct lotor_depthwise_conv_2d_v7m_general_params *p,
                                         const int32_t *in, const int32_t *weights, int32_t rows,
                                         int32_t columns, struct lotor_v7m_columns *sums) {
    int32_t a, b, x, t;
    __asm__ volatile(
        LOTOR_V7M_ROWS
        : [in] "+r"(in), [w] "+r"(weights), [words0] "+r"(sums->words[0]),
          [words1] "+r"(sums->words[1]), [words2] "+r"(sums->words[2]),
          [upper0] "+r"(sums->upper[0]), [upper1] "+r"(sums->upper[1]),
          [upper2] "+r"(sums->upper[2]), [a] "=&r"(a), [b] "=&r"(b), [x] "=&r"(x), [t] "=&r"(t)
        : [half] "r"(LOTOR_V7M_HALF), [rows] "i"(rows), [columns] "i"(columns), [run] "i"(p->run),
          [width] "i"(p->kernel_w), [stride] "i"(p->stride_w), [dilation] "i"(p->dilation_w),
          [row_step] "i"(p->row_step)
        : "memory");
    return weights;
}

static inline LOTOR_SPECIALISED int8_t lotor_depthwise_conv_2d_v7m_general_output(
    const struct lotor_depthwise_conv_2d_v7m_general_params *p, int32_t sum,
    const struct lotor_dsp_channel *scale) {
    return lotor_dsp_requantize(sum, scale, p->way, p->lift, p->shift, p->out_offset, p->out_min,
                                p->out_max);
}

/* Writes the outputs of up to three words, in both halves of a row. whole: whether the last word's
 * right half is inside the image. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_v7m_general_step(const struct lotor_depthwise_conv_2d_v7m_general_params *p,
                                         const int32_t *x, const int32_t *weights,
                                         const struct lotor_dsp_channel *scale, int32_t columns,
                                         int32_t whole, int8_t *out) {
    const int32_t row = p->pitch * p->dilation_h;
    const int32_t half = (p->out_w + 1) / 2;
    /* Words that begin with the bias in both halves, and with what the runs add. */
    const int32_t words = lotor_wrapping_sub(lotor_wrapping_mul(scale->bias, 65537),
                                             lotor_wrapping_mul(p->runs, LOTOR_V7M_HALF));
    const int32_t upper = lotor_wrapping_add(scale->bias, p->runs);
    struct lotor_v7m_columns sums = {{words, words, words}, {upper, upper, upper}};
    if (p->joint) {
#pragma GCC unroll 1
        for (int32_t ky = p->kernel_h / 2; ky > 0; ky--) {
            weights = lotor_depthwise_conv_2d_v7m_general_sums(p, x, weights, 2, columns, &sums);
            x += 2 * row;
        }
        if (p->kernel_h % 2) {
            lotor_depthwise_conv_2d_v7m_general_sums(p, x, weights, 1, columns, &sums);
        }
    } else {
#pragma GCC unroll 1
        for (int32_t ky = p->kernel_h; ky > 0; ky--) {
            weights = lotor_depthwise_conv_2d_v7m_general_sums(p, x, weights, 1, columns, &sums);
            x += row;
        }
    }
#pragma GCC unroll 3
    for (int32_t i = 0; i < columns; i++) {
        const int32_t left = lotor_wrapping_sub(sums.words[i], lotor_shift_left(sums.upper[i], 16));
        out[i * p->out_step] = lotor_depthwise_conv_2d_v7m_general_output(p, left, scale);
        if (i < columns - 1 || whole) {
            out[(half + i) * p->out_step] =
                lotor_depthwise_conv_2d_v7m_general_output(p, sums.upper[i], scale);
        }
    }
}

/* Writes rows of one channel of the output. */
static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_v7m_general_rows(
    const struct lotor_depthwise_conv_2d_v7m_general_params *p, const int32_t *gathered,
    const int32_t *weights, const struct lotor_dsp_channel *scale, int32_t rows, int8_t *out) {
    const int32_t turns = (p->out_w + 1) / 2 / LOTOR_V7M_COLUMNS_AT_ONCE;
    for (int32_t y = 0; y < rows; y++) {
        const int32_t *x = gathered + y * p->stride_h * p->pitch;
        int8_t *to = out + y * p->out_w * p->out_step;
        for (int32_t i = turns; i > 0; i--) {
            const int32_t whole = p->out_w % 2 == 0 || p->rest > 0 || i > 1;
            lotor_depthwise_conv_2d_v7m_general_step(p, x, weights, scale,
                                                     LOTOR_V7M_COLUMNS_AT_ONCE, whole, to);
            x += LOTOR_V7M_COLUMNS_AT_ONCE * p->stride_w;
            to += LOTOR_V7M_COLUMNS_AT_ONCE * p->out_step;
        }
        if (p->rest > 0) {
            lotor_depthwise_conv_2d_v7m_general_step(p, x, weights, scale, p->rest,
                                                     p->out_w % 2 == 0, to);
        }
    }
}

/* Unpacks the filter of an output channel, in the order in which its weights are taken. */
static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_v7m_general_filter(
    const struct lotor_depthwise_conv_2d_v7m_general_params *p, const int8_t *from, int32_t *to) {
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        int32_t *row = to;
        if (p->joint && ky % 2) { /* its last weight comes first, beside that of the row before */
            *row++ = from[(p->kernel_w - 1) * p->out_c] + p->weights_offset;
        }
        while (row < to + p->kernel_w) {
            *row++ = *from + p->weights_offset;
            from += p->out_c;
        }
        from += p->joint && ky % 2 ? p->out_c : 0;
        to += p->kernel_w;
    }
}

static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_v7m_general(const struct lotor_depthwise_conv_2d_v7m_general_params *p,
                                    const int8_t *in, const int8_t *weights, const int32_t *scales,
                                    int8_t *out, int32_t *filter) {
    const struct lotor_v7m_row line = {
        .in_w = p->in_w,
        .in_step = p->in_step,
        .pad_w = p->pad_w,
        .zero_point = p->in_zero_point,
        .right = (p->out_w + 1) / 2 * p->stride_w,
        .pitch = p->pitch,
    };
    int32_t *const gathered = filter + p->kernel_h * p->kernel_w;
    const int32_t reach = (p->kernel_h - 1) * p->dilation_h + 1; /* rows of a filter */
    const int32_t blocks = (p->out_h + p->rows - 1) / p->rows;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t i = 0; i < blocks * p->in_c; i++) {
            const int32_t c = p->by_channel ? i / blocks : i % p->in_c;
            const int32_t first = (p->by_channel ? i % blocks : i / p->in_c) * p->rows;
            const int32_t rows = lotor_min(p->rows, p->out_h - first);
            const int32_t top = first * p->stride_h - p->pad_h;
            const int32_t end = top + (rows - 1) * p->stride_h + reach;
            int32_t y = top;
            int32_t *row = gathered;
            if (p->by_channel &&
                first > 0) { /* rows that may be overwritten were gathered before */
                const int32_t kept = reach - 1;
                memmove(row, row + p->rows * p->pitch, (size_t)(kept * p->pitch) * sizeof *row);
                row += kept * p->pitch;
                y += kept;
            }
            for (; y < end; y++) {
                lotor_v7m_gather(&line, in + c + y * p->in_w * p->in_step, y >= 0 && y < p->in_h,
                                 row);
                row += p->pitch;
            }
            for (int32_t m = 0; m < p->depth_multiplier; m++) {
                const int32_t channel = c * p->depth_multiplier + m;
                const struct lotor_dsp_channel scale =
                    lotor_dsp_channel(scales + channel * p->entries, p->way);
                lotor_depthwise_conv_2d_v7m_general_filter(p, weights + channel, filter);
                lotor_depthwise_conv_2d_v7m_general_rows(p, gathered, filter, &scale, rows,
                                                         out + first * p->out_w * p->out_step +
                                                             channel);
            }
        }
        in += p->in_h * p->in_w * p->in_step;
        out += p->out_h * p->out_w * p->out_step;
    }
}

#endif

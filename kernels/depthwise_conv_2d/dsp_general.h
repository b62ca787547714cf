/* Depthwise 2-D convolution of int8 of any shape with the DSP instructions.
 *
 * Rows of one channel are gathered as int16 with their border; each step multiplies them with a row
 * of a filter for four neighbouring outputs. As pairs of inputs lie in words, there are two forms
 * of the filter: for outputs that begin with a word, and one that is shifted by an input for those
 * that begin inside. Columns that a dilation leaves out have weights of 0.
 */
#ifndef LOTOR_DEPTHWISE_CONV_2D_DSP_GENERAL_H
#define LOTOR_DEPTHWISE_CONV_2D_DSP_GENERAL_H

#include "../common/dsp_general.h"

#include <string.h>

struct lotor_depthwise_conv_2d_dsp_general_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t depth_multiplier;
    int32_t in_zero_point, weights_offset;
    int32_t weights_lift; /* bits that weights and biases are shifted to the left */
    int32_t words;        /* of weights in a row of a filter */
    int32_t pitch;        /* of gathered rows, even */
    int32_t rows;         /* of the output, for which inputs are gathered at once */
    int32_t by_channel;   /* a channel after the other, so that the output can replace the input */
    int32_t rest;         /* outputs of a row beyond a multiple of four */
    int32_t entries;      /* of `scales` for a channel */
    int32_t way, lift, shift, out_offset, out_min, out_max; /* see `dsp_general.h` */
};

/* The products of a row of the filter; gcc would load all of it first and spill. */
#define LOTOR_DSP_LANE(N, WEIGHT)                                                                  \
    ".if %c[lanes] > " #N "\n"                                                                     \
    ".if %c[stride] > 1 && " #N "\n"                                                               \
    "ldr %[pair], [%[x], #lotor_at + %c[stride] * " #N " / 2 * 4]\n"                               \
    ".endif\n"                                                                                     \
    "smlad %[sum" #N "], %[" WEIGHT "], %[pair], %[sum" #N "]\n"                                   \
    ".endif\n"

/* Writes up to four outputs, side by side in a row. */
static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_dsp_general_step(
    const struct lotor_depthwise_conv_2d_dsp_general_params *p, const int16_t *x,
    const int16_t *weights, const struct lotor_dsp_channel *scale, int32_t lanes, int8_t *out) {
    int32_t sum0 = scale->bias, sum1 = sum0, sum2 = sum0, sum3 = sum0;
#pragma GCC unroll 3
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        uint32_t even, inside, pair;
        __asm__ volatile(
            ".set lotor_at, 0\n"
            ".if %c[stride] == 1\n"
            "ldr %[pair], [%[x]]\n"
            ".endif\n"
            ".rept %c[words]\n"
            ".if %c[stride] %% 2\n"
            "ldrd %[even], %[inside], [%[w]], #8\n"
            ".else\n"
            "ldr %[even], [%[w]], #4\n"
            ".endif\n"
            ".if %c[stride] > 1\n"
            "ldr %[pair], [%[x], #lotor_at]\n"
            ".endif\n" LOTOR_DSP_LANE(0, "even") ".if %c[stride] %% 2\n" LOTOR_DSP_LANE(1, "inside") ".else\n" LOTOR_DSP_LANE(
                1,
                "even") ".endif\n"
                        ".if %c[stride] == 1\n"
                        "ldr %[pair], [%[x], #lotor_at + 4]\n"
                        ".endif\n" LOTOR_DSP_LANE(2, "even") ".if %c[stride] %% 2\n" LOTOR_DSP_LANE(
                            3, "inside") ".else\n" LOTOR_DSP_LANE(3, "even") ".endif\n"
                                                                             ".set lotor_at, "
                                                                             "lotor_at + 4\n"
                                                                             ".endr\n"
            : [w] "+r"(weights), [sum0] "+r"(sum0), [sum1] "+r"(sum1), [sum2] "+r"(sum2),
              [sum3] "+r"(sum3), [even] "=&r"(even), [inside] "=&r"(inside), [pair] "=&r"(pair)
            : [x] "r"(x), [lanes] "i"(lanes), [stride] "i"(p->stride_w), [words] "i"(p->words)
            : "memory");
        x += p->pitch * p->dilation_h;
    }
    const int32_t sums[4] = {sum0, sum1, sum2, sum3};
#pragma GCC unroll 4
    for (int32_t i = 0; i < lanes; i++) {
        out[i * p->out_step] = lotor_dsp_requantize(sums[i], scale, p->way, p->lift, p->shift,
                                                    p->out_offset, p->out_min, p->out_max);
    }
}

/* Writes rows of one channel of the output. */
static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_dsp_general_rows(
    const struct lotor_depthwise_conv_2d_dsp_general_params *p, const int16_t *gathered,
    const int16_t *weights, const struct lotor_dsp_channel *scale, int32_t rows, int8_t *out) {
    for (int32_t y = 0; y < rows; y++) {
        const int16_t *x = gathered + y * p->stride_h * p->pitch;
        for (int32_t i = p->out_w / 4; i > 0; i--) {
            lotor_depthwise_conv_2d_dsp_general_step(p, x, weights, scale, 4, out);
            x += 4 * p->stride_w;
            out += 4 * p->out_step;
        }
        if (p->rest > 0) {
            lotor_depthwise_conv_2d_dsp_general_step(p, x, weights, scale, p->rest, out);
            out += p->rest * p->out_step;
        }
    }
}

/* Unpacks the filter of an output channel. */
static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_dsp_general_filter(
    const struct lotor_depthwise_conv_2d_dsp_general_params *p, const int8_t *from, int16_t *to) {
    const int32_t odd = p->stride_w % 2;
    const int32_t row = p->words * (odd ? 4 : 2);
    memset(to, 0, (size_t)(p->kernel_h * row) * sizeof *to);
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
#pragma GCC unroll 8
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t x = kx * p->dilation_w;
            const int16_t weight = (int16_t)((*from + p->weights_offset) * (1 << p->weights_lift));
            if (odd) { /* a word of each form in turn */
                to[x / 2 * 4 + x % 2] = weight;
                to[(x + 1) / 2 * 4 + 2 + (x + 1) % 2] = weight;
            } else {
                to[x] = weight;
            }
            from += p->out_c;
        }
        to += row;
    }
}

/* Gathers the rows of one channel from `y` up to `end`. */
static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_dsp_general_gather(
    const struct lotor_depthwise_conv_2d_dsp_general_params *p, const int8_t *from, int32_t y,
    int32_t end, int16_t *row) {
    for (; y < end; y++) {
        int32_t x = 0;
        if (y >= 0 && y < p->in_h) {
            const int8_t *pixel = from + y * p->in_w * p->in_step;
            for (; x < p->pad_w; x++) {
                row[x] = (int16_t)p->in_zero_point;
            }
#pragma GCC unroll 4
            for (int32_t i = 0; i < p->in_w; i++) {
                row[x + i] = *pixel;
                pixel += p->in_step;
            }
            x += p->in_w;
        }
        for (; x < p->pitch; x++) {
            row[x] = (int16_t)p->in_zero_point;
        }
        row += p->pitch;
    }
}

static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_dsp_general(const struct lotor_depthwise_conv_2d_dsp_general_params *p,
                                    const int8_t *in, const int8_t *weights, const int32_t *scales,
                                    int8_t *out, int16_t *filter) {
    int16_t *const gathered = filter + p->kernel_h * p->words * (p->stride_w % 2 ? 4 : 2);
    const int32_t reach = (p->kernel_h - 1) * p->dilation_h + 1; /* rows of a filter */
    const int32_t blocks = (p->out_h + p->rows - 1) / p->rows;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t i = 0; i < blocks * p->in_c; i++) {
            const int32_t c = p->by_channel ? i / blocks : i % p->in_c;
            const int32_t first = (p->by_channel ? i % blocks : i / p->in_c) * p->rows;
            const int32_t rows = lotor_min(p->rows, p->out_h - first);
            const int32_t top = first * p->stride_h - p->pad_h;
            int32_t kept = 0; /* rows that were gathered already and may be overwritten */
            if (p->by_channel && first > 0) {
                kept = reach - 1;
                memmove(gathered, gathered + p->rows * p->pitch,
                        (size_t)(kept * p->pitch) * sizeof *gathered);
            }
            lotor_depthwise_conv_2d_dsp_general_gather(p, in + c, top + kept,
                                                       top + (rows - 1) * p->stride_h + reach,
                                                       gathered + kept * p->pitch);
            for (int32_t m = 0; m < p->depth_multiplier; m++) {
                const int32_t channel = c * p->depth_multiplier + m;
                const struct lotor_dsp_channel scale =
                    lotor_dsp_channel(scales + channel * p->entries, p->way);
                lotor_depthwise_conv_2d_dsp_general_filter(p, weights + channel, filter);
                lotor_depthwise_conv_2d_dsp_general_rows(p, gathered, filter, &scale, rows,
                                                         out + first * p->out_w * p->out_step +
                                                             channel);
            }
        }
        in += p->in_h * p->in_w * p->in_step;
        out += p->out_h * p->out_w * p->out_step;
    }
}

#endif

/* 2-D convolution of int8 with Helium instructions: four pixels and four filters at a time.
 *
 * The windows of four pixels are copied side by side once for all filters. They come from a ring of
 * the input's rows with their border, which counts as its zero point; pixels come from the input.
 * Bias and zero points are in the packed weights, see `helium_dense.h`.
 */
#ifndef LOTOR_CONV_2D_HELIUM_H
#define LOTOR_CONV_2D_HELIUM_H

#include "../common/helium.h"
#include "../common/helium_dense.h"

#include <string.h>

struct lotor_conv_2d_helium_params {
    int32_t groups; /* which have nothing in common but the image */
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c; /* channels: of a group */
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h;
    int32_t in_zero_point;
    int32_t rows, columns; /* of the ring; 0 where pixels come from the input */
    int32_t blocks;        /* of sixteen inputs in a window */
    int32_t words;         /* of packed weights */
    int32_t aligned;       /* whether outputs are at multiples of four bytes */
    int32_t bias;          /* whether it comes to the sums */
    int32_t lift, shift;   /* of the sums, see `helium_output.h` */
    int32_t out_min, out_max;
};

/* Where windows are: `next` is the first of a pixel, its blocks are `step` apart, and `lane` is
 * from one pixel to the next. More than eight blocks take turns with those of the other pixels. */
static inline int32_t lotor_conv_2d_helium_step(int32_t blocks) { return blocks > 8 ? 64 : 16; }

static inline int32_t lotor_conv_2d_helium_lane(int32_t blocks) {
    return blocks > 8 ? 16 : 16 * blocks;
}

/* Copies a run of bytes, in blocks that go to places `step` apart. Reads and writes up to fifteen
 * bytes more. Returns the place after the run. */
static inline LOTOR_SPECIALISED int8_t *lotor_conv_2d_helium_run(int8_t *to, const int8_t *from,
                                                                 int32_t count, int32_t step) {
    __asm__ volatile(".set lotor_block, 0\n"
                     ".rept %c[count] / 16\n"
                     ".if %c[count] <= 128\n"
                     "vldrb.u8 q0, [%[from], #16 * lotor_block]\n"
                     ".else\n"
                     "vldrb.u8 q0, [%[from]], #16\n"
                     ".endif\n"
                     "vstrb.8 q0, [%[to]], %[step]\n"
                     ".set lotor_block, lotor_block + 1\n"
                     ".endr\n"
                     ".if %c[count] %% 16\n"
                     ".if %c[count] <= 128\n"
                     "vldrb.u8 q0, [%[from], #16 * lotor_block]\n"
                     ".else\n"
                     "vldrb.u8 q0, [%[from]]\n"
                     ".endif\n"
                     "vstrb.8 q0, [%[to]], %c[count] %% 16\n"
                     ".endif\n"
                     : [to] "+&r"(to), [from] "+&r"(from)
                     : [count] "i"(count), [step] "i"(step)
                     : "q0", "memory");
    return to;
}

/* Copies windows of `count` pixels in a row, whose lanes follow one another. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_helium_windows(const struct lotor_conv_2d_helium_params *p, const int8_t *const *rows,
                             int32_t left, int32_t count, int8_t *to, int32_t lane, int32_t step) {
    const int8_t *from[3] = {rows[0] + left, p->kernel_h > 1 ? rows[1] + left : 0,
                             p->kernel_h > 2 ? rows[2] + left : 0};
#pragma GCC unroll 4
    for (int32_t i = 0; i < count; i++) {
        int8_t *next = to + i * lane;
#pragma GCC unroll 16
        for (int32_t ky = 0; ky < p->kernel_h; ky++) {
            const int8_t *run = ky < 3 ? from[ky] + i * p->stride_w * p->in_c
                                       : rows[ky] + (left + i * p->stride_w * p->in_c);
            next = lotor_conv_2d_helium_run(next, run, p->kernel_w * p->in_c, step);
        }
    }
}

/* Copies row `y` of an image into the ring. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_helium_row(const struct lotor_conv_2d_helium_params *p, const int8_t *image,
                         int32_t y, int8_t *row) {
    const int32_t room = p->columns - p->pad_w;
    const int32_t width = room < p->in_w ? room : p->in_w;
    const int8_t *from = image + y * p->in_w * p->in_step;
    int8_t *to = row + p->pad_w * p->in_c;
    if (y < 0 || y >= p->in_h) {
        lotor_helium_fill(to, p->in_zero_point, width * p->in_c, 16);
    } else if (p->in_step == p->in_c) {
        lotor_helium_copy(to, from, width * p->in_c, 16);
    } else {
        for (int32_t x = 0; x < width; x++) {
            lotor_helium_copy(to + x * p->in_c, from + x * p->in_step, p->in_c, 16);
        }
    }
}

/* Returns the first lane to fill. At the end some pixels come once more, whose input may have been
 * overwritten: they stay. */
static inline LOTOR_SPECIALISED int32_t lotor_conv_2d_helium_begin(
    const struct lotor_conv_2d_helium_params *p, int8_t *lanes, int32_t left) {
    const int32_t kept = left < 4 ? 4 - left : 0;
    const int32_t lane = lotor_conv_2d_helium_lane(p->blocks);
    if (kept > 0) {
        for (int32_t i = 0; i < p->blocks * 64; i += lane * 4) {
            memmove(lanes + i, lanes + i + lane * left, (size_t)(kept * lane));
        }
    }
    return kept;
}

/* end: of the input. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_helium_group(const struct lotor_conv_2d_helium_params *p, const int8_t *in,
                           const int8_t *end, const uint32_t *weights, int8_t *out, int8_t *lanes) {
    const int32_t pixels = p->batches * p->out_h * p->out_w;
    const int32_t step = lotor_conv_2d_helium_step(p->blocks);
    const int32_t lane = lotor_conv_2d_helium_lane(p->blocks);
    const int32_t count = p->kernel_w * p->in_c;
    const int32_t whole = step == 16 || count % 16 == 0; /* rows go straight to their lane */
    const int32_t pitch = p->columns * p->in_c;
    /* Behind the lanes a window as it comes, the places of its rows, the ring. */
    int8_t *const window = lanes + p->blocks * 64 + 16;
    const int8_t **const places = (const int8_t **)(void *)(window + p->blocks * 16 + 16);
    int8_t *const ring = (int8_t *)(void *)(places + p->kernel_h);
    int32_t next = 0, i = 0;
    if (p->rows == 0) {
        for (; next < pixels;) {
            i = lotor_conv_2d_helium_begin(p, lanes, pixels - next);
            /* Whole blocks, where they end in the input. */
            if ((next + 3) * p->in_step + p->blocks * 16 <= end - in) {
#pragma GCC unroll 4
                for (int32_t k = 0; k < 4; k++) {
                    lotor_conv_2d_helium_run(lanes + k * lane, in + (next + k) * p->in_step,
                                             p->in_c, step);
                }
                next += 4;
            } else {
                for (; i < 4; i++, next++) {
                    lotor_helium_copy(lanes + i * lane, in + next * p->in_step, p->in_c, step);
                }
            }
            lotor_helium_dense(lanes, weights, weights + p->words, out + (next - 4) * p->out_step,
                               p->blocks, p->out_step, p->out_c, p->aligned, p->bias, p->lift,
                               p->shift, p->out_min, p->out_max);
        }
        return;
    }
    lotor_helium_fill(ring, p->in_zero_point, p->rows * pitch, 16);
    for (int32_t n = 0; n < p->batches; n++) {
        int32_t filled = -p->pad_h; /* the next row that is not in the ring */
        for (int32_t y = 0; y < p->out_h; y++) {
            const int32_t top = y * p->stride_h - p->pad_h;
            for (filled = filled < top ? top : filled; filled < top + p->rows; filled++) {
                const int32_t slot = (filled + p->pad_h) % p->rows;
                lotor_conv_2d_helium_row(p, in, filled, ring + slot * pitch);
            }
            for (int32_t ky = 0; ky < p->kernel_h; ky++) {
                const int32_t slot = (top + p->pad_h + ky * p->dilation_h) % p->rows;
                places[ky] = ring + slot * pitch;
            }
            for (int32_t x = 0; x < p->out_w;) {
                int8_t *const to = lanes + i * lane;
                const int32_t left = x * p->stride_w * p->in_c;
                const int32_t many = whole && i == 0 && x + 4 <= p->out_w ? 4 : 1;
                if (many == 4) {
                    lotor_conv_2d_helium_windows(p, places, left, 4, to, lane, step);
                } else {
                    lotor_conv_2d_helium_windows(p, places, left, 1, whole ? to : window, lane,
                                                 whole ? step : 16);
                    if (!whole) {
                        lotor_helium_copy(to, window, p->blocks * 16, step);
                    }
                }
                x += many;
                next += many;
                i += many;
                if (i == 4) {
                    lotor_helium_dense(lanes, weights, weights + p->words,
                                       out + (next - 4) * p->out_step, p->blocks, p->out_step,
                                       p->out_c, p->aligned, p->bias, p->lift, p->shift, p->out_min,
                                       p->out_max);
                    i = lotor_conv_2d_helium_begin(p, lanes, pixels - next);
                }
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

static inline LOTOR_SPECIALISED void
lotor_conv_2d_helium(const struct lotor_conv_2d_helium_params *p, const int8_t *in,
                     const uint32_t *weights, int8_t *out, int8_t *lanes) {
    const int8_t *const end = in + p->batches * p->in_h * p->in_w * p->in_step;
    for (int32_t group = 0; group < p->groups; group++) {
        lotor_conv_2d_helium_group(p, in, end, weights, out, lanes);
        in += p->in_c;
        weights += p->words;
        out += p->out_c;
    }
}

#endif

/* 2-D convolution of int8 as Winograd's F(4x4, 3x3) or F(2x4, 3x3), exactly and with little RAM.
 *
 * The arithmetic is that of `dsp_winograd.h`, for one tile of 4x4 or 2x4 outputs (rows and columns)
 * at a time. As soon as the sums of a column of points are complete, they become those of 4 or 2
 * rows, so that there is no room for the sums of all points. The inputs count 128 more than they
 * are.
 *
 * The output may replace the input: the last row of all tiles side by side and the last column of a
 * tile are kept for the next ones.
 */
#ifndef LOTOR_CONV_2D_DSP_WINOGRAD_TILE_H
#define LOTOR_CONV_2D_DSP_WINOGRAD_TILE_H

#include "dsp_winograd.h"

struct lotor_conv_2d_dsp_winograd_tile_params {
    int32_t size;     /* rows of a tile's outputs, 2 or 4; it has four columns */
    int32_t in_place; /* whether the output replaces the input */
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t pad_h, pad_w;
    int32_t in_zero_point;
    int32_t words; /* of packed weights */
    int32_t shift; /* of the sums, see `dsp_output.h` */
    int32_t out_min, out_max;
};

/* Transforms a tile.
 *
 * at: for each column, the pixels of each row.
 * channels: a multiple of four.
 * rows: room for a word for each pixel and two pairs of channels.
 * tile: for each column of points, for each point in it, a word for each pair of channels (0 and 2,
 *     1 and 3, 4 and 6, ...).
 */
static inline LOTOR_SPECIALISED void lotor_winograd_inputs_tile(const int8_t *const *at,
                                                                int32_t channels, int32_t size,
                                                                uint32_t *rows, uint32_t *tile) {
    const int32_t height = size + 2, pairs = channels / 2;
    for (int32_t c = 0; c < channels; c += 4) {
        const int8_t *const *pixels = at;
        for (int32_t x = 0; x < 6; x++) {
            uint32_t even[6], odd[6];
#pragma GCC unroll 6
            for (int32_t y = 0; y < height; y++) {
                const uint32_t bytes = lotor_dsp_load(*pixels++ + c) ^ UINT32_C(0x80808080);
                even[y] = bytes & UINT32_C(0x00FF00FF);
                odd[y] = lotor_winograd_odd(bytes);
            }
            if (size == 4) {
                lotor_winograd_line_4(even, 0, rows + x, 6);
                lotor_winograd_line_4(odd, 0, rows + x + 36, 6);
            } else {
                /* Pairs are numbers here, see `lotor_winograd_line_4`. */
                uint32_t *const to = rows + x;
                to[0] = even[0] - even[2], to[24] = odd[0] - odd[2];
                to[6] = even[1] + even[2], to[30] = odd[1] + odd[2];
                to[12] = even[2] - even[1], to[36] = odd[2] - odd[1];
                to[18] = even[1] - even[3], to[42] = odd[1] - odd[3];
            }
        }
        const uint32_t *row = rows;
        for (int32_t pair = 0; pair < 2; pair++) {
            for (int32_t y = 0; y < height; y++) {
                lotor_winograd_line_4(row, 0x8000, tile + y * pairs, height * pairs);
                row += 6;
            }
            tile++;
        }
    }
}

static LOTOR_SHARED void lotor_winograd_inputs_tile_2(const int8_t *const *at, int32_t channels,
                                                      uint32_t *rows, uint32_t *tile) {
    lotor_winograd_inputs_tile(at, channels, 2, rows, tile);
}

static LOTOR_SHARED void lotor_winograd_inputs_tile_4(const int8_t *const *at, int32_t channels,
                                                      uint32_t *rows, uint32_t *tile) {
    lotor_winograd_inputs_tile(at, channels, 4, rows, tile);
}

/* r0: weights of four filters; r1: the tile; r12, lr: two words of it; r2, r3, r8, r9: four
 * weights; r4 to r7: sums. */
#define LOTOR_WINOGRAD_QUAD_BYTES 44
/* clang-format off */
#define LOTOR_WINOGRAD_QUAD_LAST                                                                   \
    "ldmia.w r0!, {r2, r3, r8, r9}\n"                                                              \
    "smlad r4, lr, r2, r4\n smlad r5, lr, r3, r5\n"                                                \
    "smlad r6, lr, r8, r6\n smlad r7, lr, r9, r7\n"
#define LOTOR_WINOGRAD_QUAD                                                                        \
    "ldmia.w r1!, {r12, lr}\n"                                                                     \
    "ldmia.w r0!, {r2, r3, r8, r9}\n"                                                              \
    "smlad r4, r12, r2, r4\n smlad r5, r12, r3, r5\n"                                              \
    "smlad r6, r12, r8, r6\n smlad r7, r12, r9, r7\n" LOTOR_WINOGRAD_QUAD_LAST
#define LOTOR_WINOGRAD_FIRST_QUAD                                                                  \
    "ldmia.w r1!, {r12, lr}\n"                                                                     \
    "ldmia.w r0!, {r2, r3, r8, r9}\n"                                                              \
    "smuad r4, r12, r2\n smuad r5, r12, r3\n"                                                      \
    "smuad r6, r12, r8\n smuad r7, r12, r9\n" LOTOR_WINOGRAD_QUAD_LAST
/* clang-format on */

/* The products of a column of a tile's points with four filters.
 *
 * weights: for each point and pair of channels, a word for each filter.
 * tile: the same, one word.
 * end: of the column.
 * pairs: of channels, an even number.
 * sums: for each point, one for each filter.
 */
static inline LOTOR_SPECIALISED void lotor_winograd_column(const uint32_t *weights,
                                                           const uint32_t *tile,
                                                           const uint32_t *end, int32_t pairs,
                                                           int32_t *sums) {
    /* The first turn of four quads is not whole. */
    const uint32_t rest = (uint32_t)pairs / 2 - 1, left_out = rest ? (0 - rest) % 4 : 4;
    register const uint32_t *w __asm__("r0") = weights;
    register const uint32_t *x __asm__("r1") = tile;
    register int32_t *to __asm__("r2") = sums;
    register const uint32_t *row __asm__("r3") = tile + pairs; /* end of a point's */
    register int32_t bytes __asm__("r4") = 4 * pairs;
    register const uint32_t *last __asm__("r5") = end;
    register uint32_t skip __asm__("r6") = left_out * LOTOR_WINOGRAD_QUAD_BYTES;
    /* r10: end of a point; r11: sums. Stack: bytes of a point, end, into the first turn, r7. */
    __asm__ volatile("adr.w r12, 2f\n"
                     "add r12, r12, r6\n"
                     "orr r12, r12, #1\n"
                     "mov r10, r3\n"
                     "mov r11, r2\n"
                     "sub sp, sp, #16\n"
                     "strd r4, r5, [sp]\n"
                     "strd r12, r7, [sp, #8]\n"
                     "1:\n" LOTOR_WINOGRAD_FIRST_QUAD "ldr pc, [sp, #8]\n"
                     ".p2align 2\n"
                     "2:\n"
                     ".rept 4\n" LOTOR_WINOGRAD_QUAD ".endr\n"
                     "cmp r1, r10\n"
                     "bne.w 2b\n"
                     "stmia r11!, {r4, r5, r6, r7}\n"
                     "ldrd r2, r3, [sp]\n"
                     "add r10, r10, r2\n"
                     "cmp r1, r3\n"
                     "bne.w 1b\n"
                     "ldr r7, [sp, #12]\n"
                     "add sp, sp, #16\n"
                     : "+r"(w), "+r"(x), "+r"(to), "+r"(row), "+r"(bytes), "+r"(last), "+r"(skip)
                     :
                     : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

/* Finds the pixels of a tile, column by column; for those outside the image, `outside`.
 *
 * line, column: where the output replaces the input, copies of the image's row `top` and of the
 *     tile's first column; else NULL.
 */
static LOTOR_SHARED void lotor_winograd_tile_pixels(const int8_t *image, int32_t height,
                                                    int32_t width, int32_t step, int32_t top,
                                                    int32_t left, int32_t rows,
                                                    const int8_t *outside, const int8_t *line,
                                                    const int8_t *column, const int8_t **at) {
    for (int32_t x = left; x < left + 6; x++) {
        const int8_t *pixel = image + (top * width + x) * step;
        for (int32_t y = top; y < top + rows; y++) {
            const int8_t *from = pixel;
            if (x < 0 || x >= width || y < 0 || y >= height) {
                from = outside;
            } else if (line && x == left) {
                from = column + (y - top) * step;
            } else if (line && y == top) {
                from = line + x * step;
            }
            *at++ = from;
            pixel += width * step;
        }
    }
}

/* Keeps what the output of a tile replaces and the next ones need. */
static LOTOR_SHARED void lotor_winograd_keep(const int8_t *const *at, int32_t channels,
                                             int32_t rows, int32_t width, int8_t *line,
                                             int8_t *column) {
    for (int32_t y = 0; y < rows; y++) {
        memcpy(column + y * channels, at[4 * rows + y], (size_t)channels);
    }
    for (int32_t x = 0; x < width; x++) {
        memcpy(line + x * channels, at[(x + 1) * rows + rows - 2], (size_t)channels);
    }
}

/* Writes the outputs of a tile for a filter; `columns` has four filters' sums of each column. */
static inline LOTOR_SPECIALISED void
lotor_winograd_tile_outputs(const uint32_t *columns, const uint32_t *scale, int8_t *out,
                            int32_t size, int32_t height, int32_t width, int32_t step, int32_t row,
                            int32_t shift, int32_t low, int32_t high) {
    const uint32_t multiplier = scale[1], addend = scale[2], right = shift ? 0 : scale[3];
#pragma GCC unroll 4
    for (int32_t y = 0; y < height; y++) {
        uint32_t line[4];
        lotor_winograd_outputs_4(columns + y, 4 * size, line);
#pragma GCC unroll 4
        for (int32_t x = 0; x < 4; x++) {
            if (x < width) {
                out[x * step] = lotor_winograd_output(line[x], multiplier, addend, right, 4 * size,
                                                      shift, low, high);
            }
        }
        out += row;
    }
}

static inline LOTOR_SPECIALISED void
lotor_conv_2d_dsp_winograd_tile(const struct lotor_conv_2d_dsp_winograd_tile_params *p,
                                const int8_t *in, const uint32_t *weights, int8_t *out,
                                int32_t *scratch) {
    const int32_t rows = p->size + 2, pairs = p->in_c / 2, each = p->shift ? 3 : 4;
    uint32_t *const tile = (uint32_t *)scratch;
    uint32_t *const columns = tile + 6 * rows * pairs;
    int8_t *const outside = (int8_t *)(columns + 6 * p->size * 4);
    int8_t *const column = p->in_place ? outside + p->in_c : NULL;
    int8_t *const line = p->in_place ? column + rows * p->in_c : NULL;
    const int32_t row = p->out_w * p->out_step;
    memset(outside, p->in_zero_point, (size_t)p->in_c);
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y += p->size) {
            const int32_t below = p->out_h - y;
            const int32_t height = p->out_h % p->size == 0 || below >= p->size ? p->size : below;
            for (int32_t x = 0; x < p->out_w; x += 4) {
                const int32_t right = p->out_w - x;
                const int32_t width = p->out_w % 4 == 0 || right >= 4 ? 4 : right;
                union { /* one after the other */
                    const int8_t *at[6 * 6];
                    int32_t sums[6 * 4];
                } room;
                lotor_winograd_tile_pixels(in, p->in_h, p->in_w, p->in_step, y - p->pad_h,
                                           x - p->pad_w, rows, outside, line, column, room.at);
                if (p->size == 2) {
                    lotor_winograd_inputs_tile_2(room.at, p->in_c, columns, tile);
                } else {
                    lotor_winograd_inputs_tile_4(room.at, p->in_c, columns, tile);
                }
                if (p->in_place) {
                    lotor_winograd_keep(room.at, p->in_c, rows, width, line + x * p->in_c, column);
                }
                int8_t *to = out + y * row + x * p->out_step;
                /* Where filters are left over, the first ones are some of the next ones too. */
                int32_t ahead = p->out_c % 4 ? p->out_c % 4 : 4;
                for (const uint32_t *w = weights; w != weights + p->words;) {
                    const uint32_t *const scale = w + 6 * rows * pairs * 4;
                    for (int32_t i = 0; i < 6; i++) {
                        const uint32_t *const points = tile + i * rows * pairs;
                        lotor_winograd_column(w, points, points + rows * pairs, pairs, room.sums);
                        w += rows * pairs * 4;
#pragma GCC unroll 4
                        for (int32_t f = 0; f < 4; f++) {
                            uint32_t *const sums = (uint32_t *)room.sums + f;
                            uint32_t *const column_sums = columns + (i * 4 + f) * p->size;
                            if (i == 1) { /* the point (1, 1) is in all outputs */
                                sums[4] += scale[f * each];
                            }
                            if (p->size == 2) {
                                lotor_winograd_outputs_2(sums, 4, column_sums);
                            } else {
                                lotor_winograd_outputs_4(sums, 4, column_sums);
                            }
                        }
                    }
                    for (int32_t f = 0; f < 4; f++) {
                        lotor_winograd_tile_outputs(columns + f * p->size, scale + f * each, to + f,
                                                    p->size, height, width, p->out_step, row,
                                                    p->shift, p->out_min, p->out_max);
                    }
                    w = scale + each * 4;
                    to += ahead;
                    ahead = 4;
                }
            }
        }
        in += p->in_h * p->in_w * p->in_step;
        out += p->out_h * row;
    }
}

#endif

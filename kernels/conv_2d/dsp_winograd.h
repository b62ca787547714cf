/* 2-D convolution of int8 with filters of 3x3 and stride 1, as Winograd's F(2x2, 3x3) or
 * F(4x4, 3x3), exactly.
 *
 * "Fast Algorithms for Convolutional Neural Networks" (Lavin and Gray, 2015): for each channel 2x2
 * outputs take 16 products in place of 36, 4x4 outputs 36 in place of 144. A tile d of inputs
 * becomes BdB', a filter g becomes GgG' as it is packed, and AmA' of the products m are the
 * outputs. For 2x2 outputs, of tiles of 4x4:
 *
 *     B = 1  0 -1  0    G = 2  0  0    A = 1  1  1  0
 *         0  1  1  0        1  1  1        0  1 -1 -1
 *         0 -1  1  0        1 -1  1
 *         0  1  0 -1        0  0  2
 *
 * For 4x4 outputs, of tiles of 6x6:
 *
 *     B = 4  0 -5  0  1  0    G =  6  0  0    A = 1  1  1  1  1  0
 *         0 -4 -4  1  1  0        -4 -4 -4        0  1 -1  2 -2  0
 *         0  4 -4 -1  1  0        -4  4 -4        0  1  1  4  4  0
 *         0 -2 -1  2  1  0         1  2  4        0  1 -1  8 -8  4
 *         0  2 -1 -2  1  0         1 -2  4
 *         0  4  0 -5  0  1         0  0  6
 *
 * These are the paper's G times 2, and times 24 (with a quarter of its last row, which A makes up
 * for), so that all numbers are whole and sums are 4 or 576 times what they should be. Tiles and
 * filters fit int16. Sums may wrap before the last step, as long as the last one fits int32.
 *
 * What lies outside the input counts as its zero point; bias and zero points are in the packed
 * bias.
 */
#ifndef LOTOR_CONV_2D_DSP_WINOGRAD_H
#define LOTOR_CONV_2D_DSP_WINOGRAD_H

#include "../common/dsp.h"
#include "../common/dsp_output.h"

/* A block is `size` rows of eight outputs: four tiles of 2x2 or two of 4x4, and as many filters at
 * a time as `size`. Its inputs have two rows and two columns more. */
enum { LOTOR_WINOGRAD_WIDTH = 10 };

struct lotor_conv_2d_dsp_winograd_params {
    int32_t size; /* of tiles of outputs, 2 or 4 */
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t pad_h, pad_w;
    int32_t in_zero_point;
    int32_t words; /* of packed weights */
    int32_t shift; /* of the sums, see `dsp_output.h` */
    int32_t out_min, out_max;
};

static inline uint32_t lotor_winograd_add(uint32_t a, uint32_t b) {
    uint32_t sums;
    __asm__("sadd16 %0, %1, %2" : "=r"(sums) : "r"(a), "r"(b));
    return sums;
}

static inline uint32_t lotor_winograd_sub(uint32_t a, uint32_t b) {
    uint32_t differences;
    __asm__("ssub16 %0, %1, %2" : "=r"(differences) : "r"(a), "r"(b));
    return differences;
}

/* B times a column or row of a pair of channels, for tiles of 2x2; writes every `step`-th word. */
static inline LOTOR_SPECIALISED void lotor_winograd_line_2(uint32_t d0, uint32_t d1, uint32_t d2,
                                                           uint32_t d3, uint32_t *to,
                                                           int32_t step) {
    to[0] = lotor_winograd_sub(d0, d2);
    to[step] = lotor_winograd_add(d1, d2);
    to[2 * step] = lotor_winograd_sub(d2, d1);
    to[3 * step] = lotor_winograd_sub(d1, d3);
}

/* Transforms a block.
 *
 * at: for each column, the pixels of each row.
 * channels: a multiple of four.
 * rows: room for a word for each row, column and two pairs of channels.
 * tiles: for each point, for each pair of channels (0 and 2, 1 and 3, 4 and 6, ...), a word for
 *     each tile.
 */
static LOTOR_SHARED void lotor_winograd_inputs_2(const int8_t *const *at, int32_t channels,
                                                 uint32_t *rows, uint32_t *tiles) {
    const int32_t point = channels / 2 * 4; /* words from one to the next */
    for (int32_t c = 0; c < channels; c += 4) {
        const int8_t *const *pixels = at;
        for (int32_t x = 0; x < LOTOR_WINOGRAD_WIDTH; x++) {
            const uint32_t d0 = lotor_dsp_load(pixels[0] + c), d1 = lotor_dsp_load(pixels[1] + c);
            const uint32_t d2 = lotor_dsp_load(pixels[2] + c), d3 = lotor_dsp_load(pixels[3] + c);
            lotor_winograd_line_2(lotor_dsp_even(d0), lotor_dsp_even(d1), lotor_dsp_even(d2),
                                  lotor_dsp_even(d3), rows + x, LOTOR_WINOGRAD_WIDTH);
            lotor_winograd_line_2(lotor_dsp_odd(d0), lotor_dsp_odd(d1), lotor_dsp_odd(d2),
                                  lotor_dsp_odd(d3), rows + x + 4 * LOTOR_WINOGRAD_WIDTH,
                                  LOTOR_WINOGRAD_WIDTH);
            pixels += 4;
        }
        const uint32_t *row = rows;
        for (int32_t pair = 0; pair < 2; pair++) {
            for (int32_t i = 0; i < 4; i++) {
                uint32_t *to = tiles + 4 * i * point;
#pragma GCC unroll 4
                for (int32_t x = 0; x < 8; x += 2) {
                    lotor_winograd_line_2(row[x], row[x + 1], row[x + 2], row[x + 3], to++, point);
                }
                row += LOTOR_WINOGRAD_WIDTH;
            }
            tiles += 4;
        }
    }
}

/* Bytes 1 and 3 of a word, as 0 to 255. */
static inline uint32_t lotor_winograd_odd(uint32_t bytes) {
    uint32_t pair;
    __asm__("uxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(bytes));
    return pair;
}

/* The same for tiles of 4x4. A pair is one number here, the upper half times 2^16 plus the lower
 * half, so that shifts cost nothing; `offset` is added to the results. */
static inline LOTOR_SPECIALISED void lotor_winograd_line_4(const uint32_t *d, uint32_t offset,
                                                           uint32_t *to, int32_t step) {
    const uint32_t a = d[4] - d[2] + offset, b = d[3] - d[1];
    const uint32_t c = d[4] - (d[2] << 2) + offset, e = d[3] - (d[1] << 2);
    /* With the offset, the lower half is above zero and takes nothing from the upper one. */
    to[0] = (a + ((d[0] - d[2]) << 2)) ^ offset;
    to[step] = (c + e) ^ offset;
    to[2 * step] = (c - e) ^ offset;
    to[3 * step] = (a + (b << 1)) ^ offset;
    to[4 * step] = (a - (b << 1)) ^ offset;
    to[5 * step] = (d[5] - d[3] - (b << 2) + offset) ^ offset;
}

/* The inputs count 128 more than they are, so that they are not below zero. */
static LOTOR_SHARED void lotor_winograd_inputs_4(const int8_t *const *at, int32_t channels,
                                                 uint32_t *rows, uint32_t *tiles) {
    const int32_t point = channels / 2 * 2;
    for (int32_t c = 0; c < channels; c += 4) {
        const int8_t *const *pixels = at;
        for (int32_t x = 0; x < LOTOR_WINOGRAD_WIDTH; x++) {
            uint32_t even[6], odd[6];
#pragma GCC unroll 6
            for (int32_t y = 0; y < 6; y++) {
                const uint32_t bytes = lotor_dsp_load(*pixels++ + c) ^ UINT32_C(0x80808080);
                even[y] = bytes & UINT32_C(0x00FF00FF);
                odd[y] = lotor_winograd_odd(bytes);
            }
            lotor_winograd_line_4(even, 0, rows + x, LOTOR_WINOGRAD_WIDTH);
            lotor_winograd_line_4(odd, 0, rows + x + 6 * LOTOR_WINOGRAD_WIDTH,
                                  LOTOR_WINOGRAD_WIDTH);
        }
        const uint32_t *row = rows;
        for (int32_t pair = 0; pair < 2; pair++) {
            for (int32_t i = 0; i < 6; i++) {
                uint32_t *const to = tiles + 6 * i * point;
                lotor_winograd_line_4(row, 0x8000, to, point);
                lotor_winograd_line_4(row + 4, 0x8000, to + 1, point);
                row += LOTOR_WINOGRAD_WIDTH;
            }
            tiles += 2;
        }
    }
}

/* r0: words by four; r1: words by two; r12, lr: two of the latter; r2, r3: two of the former;
 * r4 to r7: sums of the first of two, r8 to r11: of the second. */
#define LOTOR_WINOGRAD_PAIR_BYTES 40
#define LOTOR_WINOGRAD_PAIR                                                                        \
    "ldmia.w r1!, {r12, lr}\n"                                                                     \
    "ldmia.n r0!, {r2, r3}\n"                                                                      \
    "smlad r4, r12, r2, r4\n smlad r8, lr, r2, r8\n"                                               \
    "smlad r5, r12, r3, r5\n smlad r9, lr, r3, r9\n"                                               \
    "ldmia.n r0!, {r2, r3}\n"                                                                      \
    "smlad r6, r12, r2, r6\n smlad r10, lr, r2, r10\n"                                             \
    "smlad r7, r12, r3, r7\n smlad r11, lr, r3, r11\n"

#define LOTOR_WINOGRAD_FIRST_PAIR                                                                  \
    "ldmia.w r1!, {r12, lr}\n"                                                                     \
    "ldmia.n r0!, {r2, r3}\n"                                                                      \
    "smuad r4, r12, r2\n smuad r8, lr, r2\n"                                                       \
    "smuad r5, r12, r3\n smuad r9, lr, r3\n"                                                       \
    "ldmia.n r0!, {r2, r3}\n"                                                                      \
    "smuad r6, r12, r2\n smuad r10, lr, r2\n"                                                      \
    "smuad r7, r12, r3\n smuad r11, lr, r3\n"

/* The products of a block's tiles with some filters: either are four, the others two.
 *
 * fours: for each point and pair of channels, four words.
 * twos: the same of two words.
 * end: of `fours`.
 * pairs: of channels, 2 or more.
 * sums: for each point, of the first of two with each of four, then of the second.
 */
static LOTOR_SHARED void lotor_winograd_products(const uint32_t *fours, const uint32_t *twos,
                                                 const uint32_t *end, int32_t pairs,
                                                 int32_t *sums) {
    register const uint32_t *x __asm__("r0") = fours;
    register const uint32_t *w __asm__("r1") = twos;
    register int32_t *to __asm__("r2") = sums;
    register const uint32_t *row __asm__("r3") = fours + 4 * pairs; /* end of a point's */
    register int32_t bytes __asm__("r4") = 16 * pairs;
    register const uint32_t *last __asm__("r5") = end;
    /* The first turn of eight pairs is not whole: what of it is left out, in bytes. */
    register uint32_t skip __asm__("r6") = (9 - (uint32_t)pairs) % 8 * LOTOR_WINOGRAD_PAIR_BYTES;
    /* Stack: end of a point's fours, sums, bytes of a point, end of fours, into the first turn. */
    __asm__ volatile("adr.w r12, 2f\n"
                     "add r12, r12, r6\n"
                     "orr r12, r12, #1\n"
                     "sub sp, sp, #24\n"
                     "strd r3, r2, [sp]\n"
                     "strd r4, r5, [sp, #8]\n"
                     "strd r12, r7, [sp, #16]\n"
                     "1:\n" LOTOR_WINOGRAD_FIRST_PAIR "ldr pc, [sp, #16]\n"
                     ".p2align 2\n"
                     "2:\n"
                     ".rept 8\n" LOTOR_WINOGRAD_PAIR ".endr\n"
                     "ldr r2, [sp]\n"
                     "cmp r0, r2\n"
                     "bne.w 2b\n"
                     "ldr r2, [sp, #4]\n"
                     "stmia r2!, {r4, r5, r6, r7, r8, r9, r10, r11}\n"
                     "ldrd r3, r12, [sp, #8]\n"
                     "add r3, r3, r0\n"
                     "strd r3, r2, [sp]\n"
                     "cmp r0, r12\n"
                     "bne.w 1b\n"
                     "ldr r7, [sp, #20]\n"
                     "add sp, sp, #24\n"
                     : "+r"(x), "+r"(w), "+r"(to), "+r"(row), "+r"(bytes), "+r"(last), "+r"(skip)
                     :
                     : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

/* A times a column of products of 2x2, of which every `step`-th is one; writes as many outputs. */
static inline LOTOR_SPECIALISED void lotor_winograd_outputs_2(const uint32_t *m, int32_t step,
                                                              uint32_t *to) {
    const uint32_t m1 = m[step], m2 = m[2 * step];
    to[0] = m[0] + m1 + m2;
    to[1] = m1 - m2 - m[3 * step];
}

static inline LOTOR_SPECIALISED void lotor_winograd_outputs_4(const uint32_t *m, int32_t step,
                                                              uint32_t *to) {
    const uint32_t a = m[step] + m[2 * step], b = m[step] - m[2 * step];
    const uint32_t c = m[3 * step] + m[4 * step], d = m[3 * step] - m[4 * step];
    to[0] = m[0] + a + c;
    to[1] = b + (d << 1);
    to[2] = a + (c << 2);
    to[3] = b + (d << 3) + (m[5 * step] << 2);
}

/* Twice what a sum should be, whose rest is 0: with 4 outputs in a tile it is a quarter, with 8 a
 * 48th, with 16 a 576th. */
static inline LOTOR_SPECIALISED uint32_t lotor_winograd_twice(uint32_t sum, int32_t outputs) {
    const int32_t half = outputs == 4 ? 1 : outputs == 8 ? 3 : 5;
    /* The inverses of 3 and 9 modulo 2^32. */
    const uint32_t odd = outputs == 4 ? 1 : outputs == 8 ? 0xAAAAAAAB : 0x38E38E39;
    return (uint32_t)((int32_t)sum >> half) * odd;
}

/* From a sum, as it comes, to its output. */
static inline LOTOR_SPECIALISED int8_t lotor_winograd_output(uint32_t sum, uint32_t multiplier,
                                                             uint32_t addend, uint32_t right,
                                                             int32_t outputs, int32_t shift,
                                                             int32_t low, int32_t high) {
    uint32_t value;
    if (shift) {
        __asm__("smmla %[value], %[sum], %[multiplier], %[addend]\n"
                "ssat %[value], #8, %[value], asr %[shift]\n" LOTOR_DSP_CLAMP("%[value]")
                : [value] "=&r"(value)
                : [sum] "r"(sum), [multiplier] "r"(multiplier), [addend] "r"(addend),
                  [shift] "i"(shift), [low] "i"(low), [high] "i"(high)
                : "cc");
    } else { /* rounded twice, as the reference does */
        value = lotor_winograd_twice(sum, outputs);
        __asm__("smmlar %[value], %[value], %[multiplier], %[addend]\n"
                "add %[value], %[value], %[sum], asr #31\n"
                "asr %[value], %[value], %[right]\n"
                "ssat %[value], #8, %[value]\n" LOTOR_DSP_CLAMP("%[value]")
                : [value] "+&r"(value)
                : [sum] "r"(sum), [multiplier] "r"(multiplier), [addend] "r"(addend),
                  [right] "r"(right), [low] "i"(low), [high] "i"(high)
                : "cc");
    }
    return (int8_t)value;
}

/* Writes the outputs of a tile for a filter.
 *
 * sums: of all points, eight words from one to the next.
 * scale: a bias, multiplier and addend, and where `shift` is 0, a shift of its own.
 * step: bytes from one pixel to the next.
 * row: from one row to the next.
 */
static inline LOTOR_SPECIALISED void lotor_winograd_tile(int32_t *sums, const uint32_t *scale,
                                                         int8_t *out, int32_t size, int32_t step,
                                                         int32_t row, int32_t shift, int32_t low,
                                                         int32_t high) {
    uint32_t *const m = (uint32_t *)sums;
    uint32_t columns[6 * 4], line[4];
    const uint32_t multiplier = scale[1], addend = scale[2], right = shift ? 0 : scale[3];
    m[8 * (size + 3)] += scale[0]; /* the point (1, 1) is in all outputs */
    if (size == 2) {
#pragma GCC unroll 4
        for (int32_t x = 0; x < 4; x++) {
            lotor_winograd_outputs_2(m + 8 * x, 8 * 4, columns + 4 * x);
        }
#pragma GCC unroll 2
        for (int32_t y = 0; y < 2; y++) {
            lotor_winograd_outputs_2(columns + y, 4, line);
            out[y * row] = lotor_winograd_output(line[0], multiplier, addend, right, size * size,
                                                 shift, low, high);
            out[y * row + step] = lotor_winograd_output(line[1], multiplier, addend, right,
                                                        size * size, shift, low, high);
        }
    } else {
#pragma GCC unroll 6
        for (int32_t x = 0; x < 6; x++) {
            lotor_winograd_outputs_4(m + 8 * x, 8 * 6, columns + 4 * x);
        }
#pragma GCC unroll 2
        for (int32_t y = 0; y < 4; y++) {
            lotor_winograd_outputs_4(columns + y, 4, line);
#pragma GCC unroll 4
            for (int32_t x = 0; x < 4; x++) {
                out[x * step] = lotor_winograd_output(line[x], multiplier, addend, right,
                                                      size * size, shift, low, high);
            }
            out += row;
        }
    }
}

/* Finds the pixels of a block, column by column; for those outside the image, `outside`. */
static LOTOR_SHARED void lotor_winograd_pixels(const int8_t *image, int32_t height, int32_t width,
                                               int32_t step, int32_t top, int32_t left,
                                               int32_t rows, const int8_t *outside,
                                               const int8_t **at) {
    const int8_t *column = image + (top * width + left) * step;
    for (int32_t x = left; x < left + LOTOR_WINOGRAD_WIDTH; x++) {
        const int8_t *pixel = column;
        for (int32_t y = top; y < top + rows; y++) {
            *at++ = x >= 0 && x < width && y >= 0 && y < height ? pixel : outside;
            pixel += width * step;
        }
        column += step;
    }
}

/* Copies what is inside the output of a block that was computed aside. */
static LOTOR_SHARED void lotor_winograd_copy(const int8_t *from, int32_t channels, int32_t height,
                                             int32_t width, int8_t *to, int32_t step, int32_t row) {
    for (int32_t y = 0; y < height; y++) {
        for (int32_t x = 0; x < width; x++) {
            memcpy(to + y * row + x * step, from + (y * 8 + x) * channels, (size_t)channels);
        }
    }
}

/* Computes the block whose pixels are `at`, with all filters. */
static inline LOTOR_SPECIALISED void
lotor_winograd_block(const struct lotor_conv_2d_dsp_winograd_params *p, const int8_t *const *at,
                     const uint32_t *weights, int8_t *out, int32_t step, int32_t row,
                     uint32_t *tiles, int32_t *sums) {
    const int32_t pairs = p->in_c / 2, points = (p->size + 2) * (p->size + 2);
    if (p->size == 2) {
        lotor_winograd_inputs_2(at, p->in_c, (uint32_t *)sums, tiles);
    } else {
        lotor_winograd_inputs_4(at, p->in_c, (uint32_t *)sums, tiles);
    }
    /* Where filters are left over, the first ones are some of the next ones too. */
    int32_t ahead = p->out_c % p->size ? p->out_c % p->size : p->size;
    for (const uint32_t *w = weights; w != weights + p->words;) {
        const uint32_t *const scale = w + points * pairs * p->size;
        if (p->size == 2) {
            lotor_winograd_products(tiles, w, tiles + points * pairs * 4, pairs, sums);
        } else {
            lotor_winograd_products(w, tiles, scale, pairs, sums);
        }
        const int32_t each = p->shift ? 3 : 4;
        for (int32_t i = 0; i < 8; i++) {
            const int32_t filter = p->size == 2 ? i / 4 : i % 4;
            const int32_t tile = p->size == 2 ? i % 4 : i / 4;
            lotor_winograd_tile(sums + i, scale + filter * each,
                                out + filter + tile * p->size * step, p->size, step, row, p->shift,
                                p->out_min, p->out_max);
        }
        w = scale + each * p->size;
        out += ahead;
        ahead = p->size;
    }
}

static inline LOTOR_SPECIALISED void
lotor_conv_2d_dsp_winograd(const struct lotor_conv_2d_dsp_winograd_params *p, const int8_t *in,
                           const uint32_t *weights, int8_t *out, int32_t *scratch) {
    const int32_t points = (p->size + 2) * (p->size + 2);
    uint32_t *const tiles = (uint32_t *)scratch;
    int32_t *const sums = scratch + points * (8 / p->size) * (p->in_c / 2);
    int8_t *const outside = (int8_t *)(sums + points * 8);
    int8_t *const aside = outside + p->in_c;
    const int32_t row = p->out_w * p->out_step;
    memset(outside, p->in_zero_point, (size_t)p->in_c);
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y += p->size) {
            for (int32_t x = 0; x < p->out_w; x += 8) {
                const int8_t *at[6 * LOTOR_WINOGRAD_WIDTH];
                lotor_winograd_pixels(in, p->in_h, p->in_w, p->in_step, y - p->pad_h, x - p->pad_w,
                                      p->size + 2, outside, at);
                const int32_t height = p->out_h - y < p->size ? p->out_h - y : p->size;
                const int32_t width = p->out_w - x < 8 ? p->out_w - x : 8;
                const int whole = height == p->size && width == 8;
                int8_t *const to = out + y * row + x * p->out_step;
                lotor_winograd_block(p, at, weights, whole ? to : aside,
                                     whole ? p->out_step : p->out_c, whole ? row : 8 * p->out_c,
                                     tiles, sums);
                if (!whole) {
                    lotor_winograd_copy(aside, p->out_c, height, width, to, p->out_step, row);
                }
            }
        }
        in += p->in_h * p->in_w * p->in_step;
        out += p->out_h * row;
    }
}

#endif

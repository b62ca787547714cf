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
                odd[y] = bytes >> 8 & UINT32_C(0x00FF00FF);
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

/* What sums should be: a quarter, or a 576th, which is whole. */
static inline LOTOR_SPECIALISED int32_t lotor_winograd_sum(int32_t sum, int32_t size) {
    /* The inverse of 9 modulo 2^32. */
    return size == 2 ? sum >> 2 : (int32_t)((uint32_t)(sum >> 6) * UINT32_C(0x38E38E39));
}

/* Writes the outputs of a tile for a filter.
 *
 * sums: of all points, eight words from one to the next.
 * scale: a bias, multiplier and addend, and where `shift` is 0, a shift of its own.
 * step: bytes from one pixel to the next.
 * row: from one row to the next.
 */
static inline LOTOR_SPECIALISED void lotor_winograd_tile(const int32_t *sums, const uint32_t *scale,
                                                         int8_t *out, int32_t size, int32_t step,
                                                         int32_t row, int32_t shift, int32_t low,
                                                         int32_t high) {
    const int32_t width = size + 2;
    const uint32_t *const m = (const uint32_t *)sums;
    uint32_t columns[6 * 4];
#pragma GCC unroll 6
    for (int32_t i = 0; i < width; i++) {
        if (size == 2) {
            lotor_winograd_outputs_2(m + 8 * i, 8 * 4, columns + 4 * i);
        } else {
            lotor_winograd_outputs_4(m + 8 * i, 8 * 6, columns + 4 * i);
        }
        if (i == 1) { /* as if it were in the sum of the point (1, 1), which is in all outputs */
            for (int32_t y = 0; y < size; y++) {
                columns[4 + y] += scale[0];
            }
        }
    }
    const uint32_t multiplier = scale[1], addend = scale[2], right = shift ? 0 : scale[3];
#pragma GCC unroll 4
    for (int32_t y = 0; y < size; y++) {
        uint32_t line[4];
        if (size == 2) {
            lotor_winograd_outputs_2(columns + y, 4, line);
        } else {
            lotor_winograd_outputs_4(columns + y, 4, line);
        }
#pragma GCC unroll 4
        for (int32_t x = 0; x < size; x++) {
            int32_t value = (int32_t)line[x];
            value = shift ? value : lotor_winograd_sum(value, size);
            __asm__(LOTOR_DSP_OUTPUT("%[value]", "0", "%[multiplier]", "%[addend]", "%[right]")
                    : [value] "+r"(value)
                    : [multiplier] "r"(multiplier), [addend] "r"(addend), [right] "r"(right),
                      [lift] "i"(0), [shift] "i"(shift), [low] "i"(low), [high] "i"(high)
                    : "r12", "cc");
            out[x * step] = (int8_t)value;
        }
        out += row;
    }
}

/* Finds the pixels of a block, column by column; for those outside the input, `outside`. */
static inline LOTOR_SPECIALISED void
lotor_winograd_pixels(const struct lotor_conv_2d_dsp_winograd_params *p, const int8_t *image,
                      int32_t top, int32_t left, const int8_t *outside, const int8_t **at) {
    for (int32_t x = left; x < left + LOTOR_WINOGRAD_WIDTH; x++) {
        for (int32_t y = top; y < top + p->size + 2; y++) {
            const int inside = x >= 0 && x < p->in_w && y >= 0 && y < p->in_h;
            *at++ = inside ? image + (y * p->in_w + x) * p->in_step : outside;
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
        w = scale;
        for (int32_t filter = 0; filter < p->size; filter++) {
#pragma GCC unroll 1
            for (int32_t tile = 0; tile < 8 / p->size; tile++) {
                const int32_t place = p->size == 2 ? 4 * filter + tile : 4 * tile + filter;
                lotor_winograd_tile(sums + place, w, out + filter + tile * p->size * step, p->size,
                                    step, row, p->shift, p->out_min, p->out_max);
            }
            w += p->shift ? 3 : 4;
        }
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
                lotor_winograd_pixels(p, in, y - p->pad_h, x - p->pad_w, outside, at);
                /* A block that is not whole is computed aside. */
                const int32_t height = p->out_h - y < p->size ? p->out_h - y : p->size;
                const int32_t width = p->out_w - x < 8 ? p->out_w - x : 8;
                const int whole = height == p->size && width == 8;
                int8_t *const to = out + y * row + x * p->out_step;
                lotor_winograd_block(p, at, weights, whole ? to : aside,
                                     whole ? p->out_step : p->out_c, whole ? row : 8 * p->out_c,
                                     tiles, sums);
                for (int32_t i = 0; !whole && i < height * width; i++) {
                    const int32_t line = i / width, column = i % width;
                    memcpy(to + line * row + column * p->out_step,
                           aside + (8 * line + column) * p->out_c, (size_t)p->out_c);
                }
            }
        }
        in += p->in_h * p->in_w * p->in_step;
        out += p->out_h * row;
    }
}

#endif

/* 2-D convolution of int8 with filters of 3x3 and stride 1, as Winograd's F(2x2, 3x3), exactly.
 *
 * "Fast Algorithms for Convolutional Neural Networks" (Lavin and Gray, 2015): 2x2 outputs take 16
 * products for each channel in place of 36. A tile d of 4x4 inputs becomes B'dB, a filter g becomes
 * GgG' as it is packed, and A'mA of the products m are the outputs, with
 *
 *     B' = 1  0 -1  0    G = 2  0  0    A' = 1  1  1  0
 *          0  1  1  0        1  1  1         0  1 -1 -1
 *          0 -1  1  0        1 -1  1
 *          0  1  0 -1        0  0  2
 *
 * G is twice that of the paper, so that all numbers are whole and sums are four times what they
 * should be. Inputs stay within 4 * 128 and filters within 9 * 128, which fit int16. Sums may wrap
 * before the last step, as the last one fits int32.
 *
 * What lies outside the input counts as its zero point; bias and zero points are in the packed
 * bias.
 */
#ifndef LOTOR_CONV_2D_DSP_WINOGRAD_H
#define LOTOR_CONV_2D_DSP_WINOGRAD_H

#include "../common/dsp.h"
#include "../common/dsp_output.h"

/* A block is four tiles side by side: 2x8 outputs of 4x10 inputs. */
enum {
    LOTOR_WINOGRAD_TILES = 4,
    LOTOR_WINOGRAD_POINTS = 16, /* products of a tile */
    LOTOR_WINOGRAD_WIDTH = 10,
    LOTOR_WINOGRAD_SUMS = LOTOR_WINOGRAD_POINTS * 2 * LOTOR_WINOGRAD_TILES
};

struct lotor_conv_2d_dsp_winograd_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t pad_h, pad_w;
    int32_t in_zero_point;
    int32_t words; /* of packed weights */
    int32_t shift; /* of the sums, see `dsp_output.h`; 0: they are four times what they should be */
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

/* B' times a column of a pair of channels; writes what belongs to its four rows. */
static inline LOTOR_SPECIALISED void lotor_winograd_column(uint32_t d0, uint32_t d1, uint32_t d2,
                                                           uint32_t d3, uint32_t *to) {
    to[0] = lotor_winograd_sub(d0, d2);
    to[LOTOR_WINOGRAD_WIDTH] = lotor_winograd_add(d1, d2);
    to[2 * LOTOR_WINOGRAD_WIDTH] = lotor_winograd_sub(d2, d1);
    to[3 * LOTOR_WINOGRAD_WIDTH] = lotor_winograd_sub(d1, d3);
}

/* Transforms a block.
 *
 * at: for each column, the pixels of four rows.
 * channels: a multiple of four.
 * rows: room for 80 words.
 * tiles: for each point, for each pair of channels (0 and 2, 1 and 3, 4 and 6, ...), four words.
 */
static LOTOR_SHARED void lotor_winograd_inputs(const int8_t *const *at, int32_t channels,
                                               uint32_t *rows, uint32_t *tiles) {
    const int32_t point = channels / 2 * LOTOR_WINOGRAD_TILES; /* words from one to the next */
    for (int32_t c = 0; c < channels; c += 4) {
        const int8_t *const *pixels = at;
        for (int32_t x = 0; x < LOTOR_WINOGRAD_WIDTH; x++) {
            const uint32_t d0 = lotor_dsp_load(pixels[0] + c), d1 = lotor_dsp_load(pixels[1] + c);
            const uint32_t d2 = lotor_dsp_load(pixels[2] + c), d3 = lotor_dsp_load(pixels[3] + c);
            lotor_winograd_column(lotor_dsp_even(d0), lotor_dsp_even(d1), lotor_dsp_even(d2),
                                  lotor_dsp_even(d3), rows + x);
            lotor_winograd_column(lotor_dsp_odd(d0), lotor_dsp_odd(d1), lotor_dsp_odd(d2),
                                  lotor_dsp_odd(d3), rows + x + 4 * LOTOR_WINOGRAD_WIDTH);
            pixels += 4;
        }
        const uint32_t *row = rows;
        for (int32_t pair = 0; pair < 2; pair++) {
            uint32_t *to = tiles;
            for (int32_t i = 0; i < 4; i++) {
                uint32_t c0 = row[0], c1 = row[1];
#pragma GCC unroll 4
                for (int32_t tile = 0; tile < LOTOR_WINOGRAD_TILES; tile++) {
                    const uint32_t c2 = row[2 * tile + 2], c3 = row[2 * tile + 3];
                    to[tile] = lotor_winograd_sub(c0, c2);
                    to[tile + point] = lotor_winograd_add(c1, c2);
                    to[tile + 2 * point] = lotor_winograd_sub(c2, c1);
                    to[tile + 3 * point] = lotor_winograd_sub(c1, c3);
                    c0 = c2;
                    c1 = c3;
                }
                to += 4 * point;
                row += LOTOR_WINOGRAD_WIDTH;
            }
            tiles += LOTOR_WINOGRAD_TILES;
        }
    }
}

/* r0: tiles; r1: weights; r12, lr: those of two filters; r2, r3: two tiles each;
 * r4 to r7: sums of one filter, r8 to r11: of the other. */
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

/* The products of a block with two filters; returns the end of their weights.
 *
 * tiles: see `lotor_winograd_inputs`.
 * pairs: of channels, 2 or more.
 * weights: for each point and pair of channels a word of either filter.
 * sums: for each point, of one filter's four tiles, then of the other's.
 */
static LOTOR_SHARED const uint32_t *lotor_winograd_products(const uint32_t *tiles, int32_t pairs,
                                                            const uint32_t *weights,
                                                            int32_t *sums) {
    register const uint32_t *x __asm__("r0") = tiles;
    register const uint32_t *w __asm__("r1") = weights;
    register int32_t *to __asm__("r2") = sums;
    register const uint32_t *row __asm__("r3") = tiles + 4 * pairs; /* end of a point's */
    register int32_t bytes __asm__("r4") = 16 * pairs;
    register const uint32_t *end __asm__("r5") = tiles + LOTOR_WINOGRAD_POINTS * 4 * pairs;
    /* The first turn of eight pairs is not whole: what of it is left out, in bytes. */
    register uint32_t skip __asm__("r6") = (9 - (uint32_t)pairs) % 8 * LOTOR_WINOGRAD_PAIR_BYTES;
    /* Stack: end of a point's tiles, sums, bytes of a point, end of tiles, into the first turn. */
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
                     : "+r"(x), "+r"(w), "+r"(to), "+r"(row), "+r"(bytes), "+r"(end), "+r"(skip)
                     :
                     : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
    return w;
}

/* Writes the outputs of a block for two filters; returns the end of their scale.
 *
 * scale: of each filter a bias, multiplier and addend, and where `shift` is 0, a shift of its own.
 * step: bytes from one pixel to the next.
 * row: from one row to the next.
 */
static inline LOTOR_SPECIALISED const uint32_t *
lotor_winograd_outputs(const int32_t *sums, const uint32_t *scale, int8_t *out, int32_t step,
                       int32_t row, int32_t shift, int32_t low, int32_t high) {
    for (int32_t filter = 0; filter < 2; filter++) {
        const uint32_t bias = scale[0], multiplier = scale[1], addend = scale[2];
        const uint32_t right = shift ? 0 : scale[3];
        int8_t *to = out++;
#pragma GCC unroll 1
        for (int32_t tile = 0; tile < LOTOR_WINOGRAD_TILES; tile++) {
            uint32_t top[4], bottom[4];
#pragma GCC unroll 4
            for (int32_t i = 0; i < 4; i++) {
                const int32_t *m = sums + i * 2 * LOTOR_WINOGRAD_TILES;
                const uint32_t m0 = (uint32_t)m[0], m3 = (uint32_t)m[96];
                const uint32_t m1 = (uint32_t)m[32] + (i == 1 ? bias : 0), m2 = (uint32_t)m[64];
                top[i] = m0 + m1 + m2;
                bottom[i] = m1 - m2 - m3;
            }
            const uint32_t y[4] = {top[0] + top[1] + top[2], top[1] - top[2] - top[3],
                                   bottom[0] + bottom[1] + bottom[2],
                                   bottom[1] - bottom[2] - bottom[3]};
#pragma GCC unroll 4
            for (int32_t i = 0; i < 4; i++) {
                int32_t value = shift ? (int32_t)y[i] : (int32_t)y[i] >> 2;
                __asm__(LOTOR_DSP_OUTPUT("%[value]", "0", "%[multiplier]", "%[addend]", "%[right]")
                        : [value] "+r"(value)
                        : [multiplier] "r"(multiplier), [addend] "r"(addend), [right] "r"(right),
                          [lift] "i"(0), [shift] "i"(shift), [low] "i"(low), [high] "i"(high)
                        : "r12", "cc");
                to[(i % 2 ? step : 0) + (i / 2 ? row : 0)] = (int8_t)value;
            }
            to += 2 * step;
            sums++;
        }
        scale += shift ? 3 : 4;
    }
    return scale;
}

/* Finds the pixels of a block; for those outside the input, `outside`. */
static inline LOTOR_SPECIALISED void
lotor_winograd_pixels(const struct lotor_conv_2d_dsp_winograd_params *p, const int8_t *image,
                      int32_t top, int32_t left, const int8_t *outside, const int8_t **at) {
    for (int32_t x = left; x < left + LOTOR_WINOGRAD_WIDTH; x++) {
        for (int32_t y = top; y < top + 4; y++) {
            const int inside = x >= 0 && x < p->in_w && y >= 0 && y < p->in_h;
            *at++ = inside ? image + (y * p->in_w + x) * p->in_step : outside;
        }
    }
}

static inline LOTOR_SPECIALISED void
lotor_conv_2d_dsp_winograd(const struct lotor_conv_2d_dsp_winograd_params *p, const int8_t *in,
                           const uint32_t *weights, int8_t *out, int32_t *scratch) {
    const int32_t pairs = p->in_c / 2;
    uint32_t *const tiles = (uint32_t *)scratch;
    int32_t *const sums = scratch + LOTOR_WINOGRAD_POINTS * LOTOR_WINOGRAD_TILES * pairs;
    int8_t *const outside = (int8_t *)(sums + LOTOR_WINOGRAD_SUMS);
    int8_t *const aside = outside + p->in_c;
    memset(outside, p->in_zero_point, (size_t)p->in_c);
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y += 2) {
            for (int32_t x = 0; x < p->out_w; x += 8) {
                const int8_t *at[4 * LOTOR_WINOGRAD_WIDTH];
                lotor_winograd_pixels(p, in, y - p->pad_h, x - p->pad_w, outside, at);
                lotor_winograd_inputs(at, p->in_c, (uint32_t *)sums, tiles);
                /* A block that is not whole is computed aside. */
                const int32_t height = p->out_h - y < 2 ? 1 : 2;
                const int32_t width = p->out_w - x < 8 ? p->out_w - x : 8;
                const int whole = height == 2 && width == 8;
                const int32_t row = p->out_w * p->out_step;
                int8_t *const to = out + (y * p->out_w + x) * p->out_step;
                int8_t *next = whole ? to : aside;
                int32_t ahead = p->out_c % 2 ? 1 : 2; /* the second two of an odd number */
                for (const uint32_t *w = weights; w != weights + p->words;) {
                    w = lotor_winograd_products(tiles, pairs, w, sums);
                    w = lotor_winograd_outputs(sums, w, next, whole ? p->out_step : p->out_c,
                                               whole ? row : 8 * p->out_c, p->shift, p->out_min,
                                               p->out_max);
                    next += ahead;
                    ahead = 2;
                }
                for (int32_t i = 0; !whole && i < height * width; i++) {
                    const int32_t line = i / width, column = i % width;
                    memcpy(to + line * row + column * p->out_step,
                           aside + (8 * line + column) * p->out_c, (size_t)p->out_c);
                }
            }
        }
        in += p->in_h * p->in_w * p->in_step;
        out += p->out_h * p->out_w * p->out_step;
    }
}

#endif

/* Depthwise 2-D convolution of int8 with Helium instructions, four channels at a time.
 *
 * Some rows of the input lie in a ring, with their border, which counts as the input's zero point.
 * A word there is four channels of a pixel. From a patch of 4x4 words every channel becomes a
 * vector of sixteen bytes, column by column; its products with a filter in the right places of a
 * vector add up to one output. A patch serves four outputs of a 3x3 filter with stride 1, else one.
 */
#ifndef LOTOR_DEPTHWISE_CONV_2D_HELIUM_H
#define LOTOR_DEPTHWISE_CONV_2D_HELIUM_H

#include "../common/helium.h"
#include "../common/helium_output.h"

struct lotor_depthwise_conv_2d_helium_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_w, stride_h, stride_w, pad_h, pad_w;
    int32_t in_zero_point;
    int32_t rows, columns; /* of the ring */
    int32_t outputs;       /* of a patch: 4 or 1 */
    int32_t words;         /* of packed weights of four channels */
    int32_t aligned;       /* whether outputs are at multiples of four bytes */
    int32_t bias;          /* whether it comes to the sums */
    int32_t lift, shift;   /* of the sums, see `helium_output.h` */
    int32_t out_min, out_max;
};

/* clang-format off */
/* r1: room for a patch, then the places of its rows in the ring; r3: weights; r5, r11: outputs of
 * the two rows; q7: places of the rows; q6: of the outputs. */

/* Sixteen bytes of four channels to q0 to q3. */
#define LOTOR_HELIUM_CHANNELS                                                                      \
    "vld40.8 {q0, q1, q2, q3}, [r1]\n vld41.8 {q0, q1, q2, q3}, [r1]\n"                            \
    "vld42.8 {q0, q1, q2, q3}, [r1]\n vld43.8 {q0, q1, q2, q3}, [r1]\n"

/* The columns of a patch; the next one is two further. */
#define LOTOR_HELIUM_PATCH                                                                         \
    ".if %c[pitch] <= 168\n"                                                                       \
    "vldrw.u32 q0, [q7]\n vldrw.u32 q1, [q7, %[pitch]]\n"                                          \
    "vldrw.u32 q2, [q7, 2 * %c[pitch]]!\n vldrw.u32 q3, [q7, %[pitch]]\n"                          \
    ".else\n"                                                                                      \
    "movw r8, %[pitch]\n"                                                                          \
    "vldrw.u32 q0, [q7]\n vadd.i32 q7, q7, r8\n"                                                   \
    "vldrw.u32 q1, [q7]\n vadd.i32 q7, q7, r8\n"                                                   \
    "vldrw.u32 q2, [q7]\n vadd.i32 q4, q7, r8\n"                                                   \
    "vldrw.u32 q3, [q4]\n"                                                                         \
    ".endif\n"                                                                                     \
    "vstrw.32 q0, [r1]\n vstrw.32 q1, [r1, #16]\n"                                                 \
    "vstrw.32 q2, [r1, #32]\n vstrw.32 q3, [r1, #48]\n"                                            \
    LOTOR_HELIUM_CHANNELS

/* Four outputs of a channel: its filter lies between zeros, so that it comes shifted by a row, a
 * column and both. */
#define LOTOR_HELIUM_CHANNEL(INPUTS, CHANNEL)                                                      \
    "vldrb.u8 q4, [r3, #16 * " CHANNEL " + 5]\n vmladav.s8 r0, " INPUTS ", q4\n"                   \
    "vldrb.u8 q5, [r3, #16 * " CHANNEL " + 4]\n vmladav.s8 r2, " INPUTS ", q5\n"                   \
    "vldrb.u8 q4, [r3, #16 * " CHANNEL " + 1]\n vmladav.s8 r4, " INPUTS ", q4\n"                   \
    "vldrb.u8 q5, [r3, #16 * " CHANNEL "]\n vmladav.s8 r6, " INPUTS ", q5\n"                       \
    "vmov " INPUTS "[2], " INPUTS "[0], r0, r4\n"                                                  \
    "vmov " INPUTS "[3], " INPUTS "[1], r2, r6\n"                                                  \
    ".if %c[shift] && !%c[bias]\n"                                                                 \
    "ldrd r8, r10, [r3, #72 + 8 * " CHANNEL "]\n"                                                  \
    LOTOR_HELIUM_LINE(INPUTS, "r8", "r10")                                                         \
    ".elseif %c[shift]\n"                                                                          \
    "ldrd r0, r8, [r3, #72 + 12 * " CHANNEL "]\n"                                                  \
    "ldr r10, [r3, #80 + 12 * " CHANNEL "]\n"                                                      \
    "vadd.i32 " INPUTS ", " INPUTS ", r0\n"                                                        \
    LOTOR_HELIUM_LINE(INPUTS, "r8", "r10")                                                         \
    ".else\n"                                                                                      \
    "ldrd r0, r2, [r3, #72 + 16 * " CHANNEL "]\n"                                                  \
    "ldrd r4, r6, [r3, #80 + 16 * " CHANNEL "]\n"                                                  \
    LOTOR_HELIUM_TWICE(INPUTS, "q4", "r0", "r2", "r4", "r6")                                       \
    ".endif\n"

/* Whether outputs go to the places in a vector, which takes words that are aligned. */
#define LOTOR_HELIUM_FOUR_SCATTER "%c[aligned] && %c[step] <= 252"

#define LOTOR_HELIUM_FOUR                                                                          \
    LOTOR_HELIUM_PATCH                                                                             \
    LOTOR_HELIUM_CHANNEL("q0", "0")                                                                \
    LOTOR_HELIUM_CHANNEL("q1", "1")                                                                \
    LOTOR_HELIUM_CHANNEL("q2", "2")                                                                \
    LOTOR_HELIUM_CHANNEL("q3", "3")                                                                \
    LOTOR_HELIUM_HALVE("q0", "b", "q0")                                                            \
    LOTOR_HELIUM_HALVE("q0", "t", "q2")                                                            \
    LOTOR_HELIUM_HALVE("q1", "b", "q1")                                                            \
    LOTOR_HELIUM_HALVE("q1", "t", "q3")                                                            \
    LOTOR_HELIUM_NARROW("q0", "b", "q0")                                                           \
    LOTOR_HELIUM_NARROW("q0", "t", "q1")                                                           \
    LOTOR_HELIUM_CLAMP("q0", "q1")                                                                 \
    ".if " LOTOR_HELIUM_FOUR_SCATTER "\n"                                                          \
    "vstrw.32 q0, [q6, 2 * %c[step]]!\n"                                                           \
    ".else\n"                                                                                      \
    "vmov r0, r4, q0[2], q0[0]\n vmov r2, r6, q0[3], q0[1]\n"                                      \
    "str r4, [r5, %[step]]\n str r6, [r11, %[step]]\n"                                             \
    "str r0, [r5]\n str r2, [r11]\n"                                                               \
    "add r5, r5, 2 * %c[step]\n add r11, r11, 2 * %c[step]\n"                                      \
    ".endif\n"

/* An odd row's first two outputs are followed by the second and third. */
#define LOTOR_HELIUM_FOURS                                                                         \
    "vldrw.u32 q7, [r1, #64]\n"                                                                    \
    "vadd.i32 q7, q7, r9\n"                                                                        \
    ".if " LOTOR_HELIUM_FOUR_SCATTER "\n"                                                          \
    "sub r0, r5, %[step]\n"                                                                        \
    "sub r2, r11, %[step]\n"                                                                       \
    "sub r4, r0, %[step]\n"                                                                        \
    "sub r6, r2, %[step]\n"                                                                        \
    "vmov q6[2], q6[0], r4, r0\n"                                                                  \
    "vmov q6[3], q6[1], r6, r2\n"                                                                  \
    ".endif\n"                                                                                     \
    ".if %c[width] %% 2\n"                                                                         \
    LOTOR_HELIUM_FOUR                                                                              \
    "movw r0, %[pitch]\n"                                                                          \
    "vsub.i32 q7, q7, r0\n"                                                                        \
    ".if " LOTOR_HELIUM_FOUR_SCATTER "\n"                                                          \
    "mov r0, %[step]\n"                                                                            \
    "vsub.i32 q6, q6, r0\n"                                                                        \
    ".else\n"                                                                                      \
    "sub r5, r5, %[step]\n sub r11, r11, %[step]\n"                                                \
    ".endif\n"                                                                                     \
    ".endif\n"                                                                                     \
    "movw lr, %c[width] / 2\n"                                                                     \
    "dls lr, lr\n"                                                                                 \
    "1:\n"                                                                                         \
    LOTOR_HELIUM_FOUR                                                                              \
    "le lr, 1b\n"

/* A column of a patch for one output. */
#define LOTOR_HELIUM_COLUMN(COLUMN)                                                                \
    ".if %c[kernel] > " COLUMN "\n"                                                                \
    ".if %c[pitch] <= 168\n"                                                                       \
    "vldrw.u32 q0, [q7, " COLUMN " * %c[pitch]]\n"                                                 \
    ".else\n"                                                                                      \
    "movw r0, " COLUMN " * %c[pitch]\n"                                                            \
    "vadd.i32 q1, q7, r0\n"                                                                        \
    "vldrw.u32 q0, [q1]\n"                                                                         \
    ".endif\n"                                                                                     \
    "vstrw.32 q0, [r1, #16 * " COLUMN "]\n"                                                        \
    ".endif\n"

/* A patch gives one output of each of the four channels, which are the lanes then. */
#define LOTOR_HELIUM_ONES                                                                          \
    "vldrw.u32 q7, [r1, #64]\n"                                                                    \
    "vadd.i32 q7, q7, r9\n"                                                                        \
    "movw r8, %c[stride] * %c[pitch]\n"                                                            \
    "vldrb.u8 q5, [r3, #5]\n"                                                                      \
    "vldrb.u8 q6, [r3, #21]\n"                                                                     \
    "movw lr, %[width]\n"                                                                          \
    "dls lr, lr\n"                                                                                 \
    "1:\n"                                                                                         \
    LOTOR_HELIUM_COLUMN("0")                                                                       \
    LOTOR_HELIUM_COLUMN("1")                                                                       \
    LOTOR_HELIUM_COLUMN("2")                                                                       \
    LOTOR_HELIUM_COLUMN("3")                                                                       \
    LOTOR_HELIUM_CHANNELS                                                                          \
    "vadd.i32 q7, q7, r8\n"                                                                        \
    "vmladav.s8 r0, q0, q5\n"                                                                      \
    "vldrb.u8 q0, [r3, #37]\n"                                                                     \
    "vmladav.s8 r2, q1, q6\n"                                                                      \
    "vldrb.u8 q4, [r3, #53]\n"                                                                     \
    "vmladav.s8 r4, q2, q0\n"                                                                      \
    "vmladav.s8 r6, q3, q4\n"                                                                      \
    "vmov q0[2], q0[0], r0, r4\n"                                                                  \
    "vmov q0[3], q0[1], r2, r6\n"                                                                  \
    "vldrw.u32 q1, [r3, #72]\n"                                                                    \
    "vldrw.u32 q2, [r3, #88]\n"                                                                    \
    ".if %c[shift] && !%c[bias]\n"                                                                 \
    LOTOR_HELIUM_LINE("q0", "q1", "q2")                                                            \
    ".elseif %c[shift]\n"                                                                          \
    "vldrw.u32 q3, [r3, #104]\n"                                                                   \
    "vadd.i32 q0, q0, q1\n"                                                                        \
    LOTOR_HELIUM_LINE("q0", "q2", "q3")                                                            \
    ".else\n"                                                                                      \
    "vldrw.u32 q3, [r3, #104]\n"                                                                   \
    "vldrw.u32 q4, [r3, #120]\n"                                                                   \
    "vadd.i32 q0, q0, q1\n"                                                                        \
    "vqrdmulh.s32 q0, q0, q2\n"                                                                    \
    "vshr.s32 q1, q0, #31\n"                                                                       \
    "vadd.i32 q0, q0, q3\n"                                                                        \
    "vadd.i32 q0, q0, q1\n"                                                                        \
    "vshl.s32 q0, q0, q4\n"                                                                        \
    ".endif\n"                                                                                     \
    LOTOR_HELIUM_HALVE("q0", "b", "q0")                                                            \
    LOTOR_HELIUM_NARROW("q0", "b", "q0")                                                           \
    LOTOR_HELIUM_CLAMP("q0", "q1")                                                                 \
    "vstrb.32 q0, [r5]\n"                                                                          \
    "add r5, r5, %[step]\n"                                                                        \
    "le lr, 1b\n"
/* clang-format on */

/* Four channels of a row of outputs, or of two rows. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_helium_channels(const struct lotor_depthwise_conv_2d_helium_params *p,
                                        int8_t *patch, int32_t channel, const uint32_t *weights,
                                        int8_t *out) {
    const int32_t pitch = (p->in_c + 3) / 4 * 4;
    register int8_t *room __asm__("r1") = patch;
    register const uint32_t *w __asm__("r3") = weights;
    register int8_t *y __asm__("r5") = out;
    register int32_t first __asm__("r9") = channel;
    register int8_t *below __asm__("r11") = out + p->out_w * p->out_step;
    if (p->outputs == 4) {
        __asm__ volatile(LOTOR_HELIUM_FOURS
                         : "+r"(room), "+r"(w), "+r"(y), "+r"(first), "+r"(below)
                         : [width] "i"(p->out_w), [pitch] "i"(pitch), [step] "i"(p->out_step),
                           [aligned] "i"(p->aligned), [bias] "i"(p->bias), [lift] "i"(p->lift),
                           [shift] "i"(p->shift), [low] "i"(p->out_min), [high] "i"(p->out_max)
                         : "r0", "r2", "r4", "r6", "r8", "r10", "lr", "q0", "q1", "q2", "q3", "q4",
                           "q5", "q6", "q7", "cc", "memory");
    } else {
        __asm__ volatile(
            LOTOR_HELIUM_ONES
            : "+r"(room), "+r"(w), "+r"(y), "+r"(first)
            : [width] "i"(p->out_w), [stride] "i"(p->stride_w), [kernel] "i"(p->kernel_w),
              [pitch] "i"(pitch), [step] "i"(p->out_step), [bias] "i"(p->bias), [lift] "i"(p->lift),
              [shift] "i"(p->shift), [low] "i"(p->out_min), [high] "i"(p->out_max)
            : "r0", "r2", "r4", "r6", "r8", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7",
              "cc", "memory");
    }
}

/* Copies row `y` of an image into the ring. Channels that are no multiple of four come in groups
 * that overlap, as the weights are. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_helium_row(const struct lotor_depthwise_conv_2d_helium_params *p,
                                   const int8_t *image, int32_t y, int8_t *row) {
    const int32_t pitch = (p->in_c + 3) / 4 * 4, rest = p->in_c % 4;
    const int32_t room = p->columns - p->pad_w;
    const int32_t width = room < p->in_w ? room : p->in_w;
    const int8_t *from = image + y * p->in_w * p->in_step;
    int8_t *to = row + p->pad_w * pitch;
    if (y < 0 || y >= p->in_h) {
        lotor_helium_fill(to, p->in_zero_point, width * pitch, 16);
    } else if (rest == 0 && p->in_step == p->in_c) {
        lotor_helium_copy(to, from, width * pitch, 16);
    } else {
        for (int32_t x = 0; x < width; x++) {
            if (rest != 0) {
                lotor_helium_copy(to, from, 4, 16);
                lotor_helium_copy(to + 4, from + rest, p->in_c - rest, 16);
            } else {
                lotor_helium_copy(to, from, p->in_c, 16);
            }
            to += pitch;
            from += p->in_step;
        }
    }
}

static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_helium(const struct lotor_depthwise_conv_2d_helium_params *p,
                               const int8_t *in, const uint32_t *weights, int8_t *out,
                               int8_t *ring) {
    const int32_t bytes = (p->in_c + 3) / 4 * 4 * p->columns; /* of a row */
    const int32_t turn = p->outputs == 4 ? 2 : 1;             /* rows of outputs */
    int8_t *const patch = ring + p->rows * bytes;
    uint32_t *const places = (uint32_t *)(void *)(patch + 64);
    lotor_helium_fill(ring, p->in_zero_point, p->rows * bytes, 16);
    for (int32_t n = 0; n < p->batches; n++) {
        int32_t filled = -p->pad_h; /* the next row that is not in the ring */
        for (int32_t next = 0; next < p->out_h; next += turn) {
            /* An odd number of rows ends with the last two. */
            const int32_t y = next + turn > p->out_h ? p->out_h - turn : next;
            const int32_t top = y * p->stride_h - p->pad_h;
            filled = filled < top ? top : filled;
            for (; filled < top + p->rows; filled++) {
                const int32_t slot = (filled + p->pad_h) % p->rows;
                lotor_depthwise_conv_2d_helium_row(p, in, filled, ring + slot * bytes);
            }
            for (int32_t i = 0; i < 4; i++) {
                const int32_t slot = (top + p->pad_h + i) % p->rows;
                places[i] = (uint32_t)(uintptr_t)(ring + slot * bytes);
            }
            int8_t *to = out + y * p->out_w * p->out_step;
            const uint32_t *filters = weights;
            for (int32_t c = 0; c < p->in_c; c += 4) {
                lotor_depthwise_conv_2d_helium_channels(p, patch, c, filters, to);
                to += c == 0 && p->in_c % 4 != 0 ? p->in_c % 4 : 4;
                filters += p->words;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
        out += p->out_h * p->out_w * p->out_step;
    }
}

#endif

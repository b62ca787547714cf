/* Depthwise 2-D convolution of int8 of any window with Helium instructions, eight channels at a
 * time.
 *
 * For some rows of the output the inputs of a channel are put together as a strip, column by column
 * and with their border. All inputs of a window follow each other there, as a column of it is a
 * part of one of the strip, and where the columns do not join the filter has zeros. The window of
 * the output below begins a few bytes later. Of a dilation, only the inputs that meet it are in a
 * strip, so that it takes several.
 */
#ifndef LOTOR_DEPTHWISE_CONV_2D_HELIUM_GENERAL_H
#define LOTOR_DEPTHWISE_CONV_2D_HELIUM_GENERAL_H

#include "../common/fixed_point.h"
#include "../common/helium.h"
#include "../common/helium_output.h"

struct lotor_depthwise_conv_2d_helium_general_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t depth_multiplier;
    int32_t in_zero_point;
    int32_t rows;         /* of outputs from one strip */
    int32_t pitch, plane; /* bytes of a column of a strip, and of a strip */
    int32_t room;         /* bytes of all strips, with what is read beyond the last one */
    int32_t at_once;      /* pixels of the input with at most eight channels together */
    int32_t lanes;        /* outputs at once: 8 or 4, or 1: up to 4 as there are */
    int32_t vectors;      /* of a filter */
    int32_t words;        /* of a filter with its scale */
    int32_t bias;         /* whether it comes to the sums */
    int32_t lift, shift;  /* of the sums, see `helium_output.h` */
    int32_t out_min, out_max;
};

/* clang-format off */
/* Eight bytes to as many strips, or several pixels of few channels to their columns. q0: bytes;
 * PLACES: of the eight. What is not loaded counts as the zero point in q0. */
#define LOTOR_HELIUM_STRIP_COLUMN(PLACES)                                                          \
    ".if %c[lanes] < 8\n"                                                                          \
    ".if %c[load]\n"                                                                               \
    "vpstt\n"                                                                                      \
    "vldrbt.u16 q0, [%[from]]\n"                                                                   \
    ".else\n"                                                                                      \
    "vpst\n"                                                                                       \
    ".endif\n"                                                                                     \
    "vstrbt.16 q0, [%[to], " PLACES "]\n"                                                          \
    ".if %c[load]\n"                                                                               \
    "add %[from], %[from], %[step]\n"                                                              \
    ".endif\n"                                                                                     \
    ".else\n"                                                                                      \
    ".if %c[load] && %c[near]\n"                                                                   \
    "vldrb.u16 q0, [%[from]], %[step]\n"                                                           \
    ".elseif %c[load]\n"                                                                           \
    "vldrb.u16 q0, [%[from]]\n"                                                                    \
    "add %[from], %[from], %[step]\n"                                                              \
    ".endif\n"                                                                                     \
    "vstrb.16 q0, [%[to], " PLACES "]\n"                                                           \
    ".endif\n"

/* A number of columns that is a constant goes in fours, after the rest. */
#define LOTOR_HELIUM_STRIP_COLUMNS                                                                 \
    "vldrw.u32 q1, [%[places]]\n"                                                                  \
    ".if !%c[load]\n"                                                                              \
    "vdup.16 q0, %[from]\n"                                                                        \
    ".endif\n"                                                                                     \
    ".if %c[lanes] < 8\n"                                                                          \
    "movs lr, %[lanes]\n"                                                                          \
    "vctp.16 lr\n"                                                                                 \
    ".endif\n"                                                                                     \
    ".if %c[rest] < 0\n"                                                                           \
    "dls lr, %[turns]\n"                                                                           \
    "1:\n"                                                                                         \
    LOTOR_HELIUM_STRIP_COLUMN("q1")                                                                \
    "add %[to], %[to], %[pitch]\n"                                                                 \
    "le lr, 1b\n"                                                                                  \
    ".else\n"                                                                                      \
    ".rept %c[rest]\n"                                                                             \
    LOTOR_HELIUM_STRIP_COLUMN("q1")                                                                \
    "add %[to], %[to], %[pitch]\n"                                                                 \
    ".endr\n"                                                                                      \
    ".if %c[fours]\n"                                                                              \
    "mov lr, %[pitch]\n"                                                                           \
    "vadd.i16 q2, q1, lr\n"                                                                        \
    "vadd.i16 q3, q2, lr\n"                                                                        \
    "vadd.i16 q4, q3, lr\n"                                                                        \
    "dls lr, %[turns]\n"                                                                           \
    "1:\n"                                                                                         \
    LOTOR_HELIUM_STRIP_COLUMN("q1")                                                                \
    LOTOR_HELIUM_STRIP_COLUMN("q2")                                                                \
    LOTOR_HELIUM_STRIP_COLUMN("q3")                                                                \
    LOTOR_HELIUM_STRIP_COLUMN("q4")                                                                \
    "add %[to], %[to], 4 * %c[pitch]\n"                                                            \
    "le lr, 1b\n"                                                                                  \
    ".endif\n"                                                                                     \
    ".endif\n"

/* r1: strip; r3: filter, then its scale; r5: outputs; r11: rows, or outputs; q0 to q3: filter;
 * q4: inputs; q5: places of the outputs; q6, q7: sums. */

/* The sum of one output; the strip's place goes on to the next. A filter of more than four vectors
 * keeps three in registers. */
#define LOTOR_HELIUM_STRIP(SUM)                                                                    \
    ".if %c[vectors] == 1\n"                                                                       \
    "vldrb.u8 q4, [r1], %[step]\n vmladav.s8 " SUM ", q4, q0\n"                                    \
    ".else\n"                                                                                      \
    "vldrb.u8 q4, [r1], #16\n vmladav.s8 " SUM ", q4, q0\n"                                        \
    ".if %c[vectors] == 2\n"                                                                       \
    "vldrb.u8 q4, [r1], %c[step] - 16\n vmladava.s8 " SUM ", q4, q1\n"                             \
    ".else\n"                                                                                      \
    "vldrb.u8 q4, [r1], #16\n vmladava.s8 " SUM ", q4, q1\n"                                       \
    ".if %c[vectors] == 3\n"                                                                       \
    "vldrb.u8 q4, [r1], %c[step] - 32\n vmladava.s8 " SUM ", q4, q2\n"                             \
    ".else\n"                                                                                      \
    "vldrb.u8 q4, [r1], #16\n vmladava.s8 " SUM ", q4, q2\n"                                       \
    ".set lotor_vector, 3\n"                                                                       \
    ".rept %c[vectors] - 4\n"                                                                      \
    "vldrw.u32 q3, [r3, 16 * lotor_vector]\n"                                                      \
    "vldrb.u8 q4, [r1], #16\n vmladava.s8 " SUM ", q4, q3\n"                                       \
    ".set lotor_vector, lotor_vector + 1\n"                                                        \
    ".endr\n"                                                                                      \
    ".if %c[vectors] > 4\n"                                                                        \
    "vldrw.u32 q3, [r3, 16 * lotor_vector]\n"                                                      \
    ".endif\n"                                                                                     \
    "vldrb.u8 q4, [r1], %c[step] - 16 * (%c[vectors] - 1)\n vmladava.s8 " SUM ", q4, q3\n"         \
    ".endif\n"                                                                                     \
    ".endif\n"                                                                                     \
    ".endif\n"

#define LOTOR_HELIUM_STRIP_SCALE(SUMS)                                                             \
    ".if %c[shift] && !%c[bias]\n"                                                                 \
    LOTOR_HELIUM_LINE(SUMS, "r8", "r10")                                                           \
    ".elseif %c[shift]\n"                                                                          \
    "vadd.i32 " SUMS ", " SUMS ", r8\n"                                                            \
    LOTOR_HELIUM_LINE(SUMS, "r9", "r10")                                                           \
    ".else\n"                                                                                      \
    LOTOR_HELIUM_TWICE(SUMS, "q4", "r8", "r9", "r10", "r12")                                       \
    ".endif\n"

#define LOTOR_HELIUM_STRIP_FOUR(SUMS)                                                              \
    LOTOR_HELIUM_STRIP("r0") LOTOR_HELIUM_STRIP("r2")                                              \
    LOTOR_HELIUM_STRIP("r4") LOTOR_HELIUM_STRIP("r6")                                              \
    "vmov " SUMS "[2], " SUMS "[0], r0, r4\n vmov " SUMS "[3], " SUMS "[1], r2, r6\n"

#define LOTOR_HELIUM_STRIP_SOME                                                                    \
    LOTOR_HELIUM_STRIP_FOUR("q6")                                                                  \
    ".if %c[lanes] == 8\n"                                                                         \
    LOTOR_HELIUM_STRIP_FOUR("q7")                                                                  \
    LOTOR_HELIUM_STRIP_SCALE("q7")                                                                 \
    ".endif\n"                                                                                     \
    LOTOR_HELIUM_STRIP_SCALE("q6")                                                                 \
    LOTOR_HELIUM_HALVE("q6", "b", "q6")                                                            \
    ".if %c[lanes] == 8\n"                                                                         \
    LOTOR_HELIUM_HALVE("q6", "t", "q7")                                                            \
    ".endif\n"                                                                                     \
    LOTOR_HELIUM_NARROW("q6", "b", "q6")                                                           \
    LOTOR_HELIUM_CLAMP("q6", "q4")                                                                 \
    ".if %c[lanes] == 8\n"                                                                         \
    "vstrb.16 q6, [r5, q5]\n"                                                                      \
    ".elseif %c[lanes] == 4\n"                                                                     \
    "vstrb.32 q6, [r5, q5]\n"                                                                      \
    ".else\n"                                                                                      \
    "vctp.32 r11\n"                                                                                \
    "vpst\n"                                                                                       \
    "vstrbt.32 q6, [r5, q5]\n"                                                                     \
    ".endif\n"                                                                                     \
    LOTOR_HELIUM_ADD_CONSTANT("r5", "%c[further]")

/* Adds a constant, with r0 if it is large. */
#define LOTOR_HELIUM_ADD_CONSTANT(TO, VALUE)                                                       \
    ".if " VALUE " < 4096\n"                                                                       \
    "addw " TO ", " TO ", " VALUE "\n"                                                             \
    ".else\n"                                                                                      \
    "movw r0, #(" VALUE ") & 65535\n"                                                              \
    "movt r0, #(" VALUE ") >> 16\n"                                                                \
    "add " TO ", " TO ", r0\n"                                                                     \
    ".endif\n"

/* Outputs that are no multiple of the lanes begin with all lanes, some of which come once more. */
#define LOTOR_HELIUM_STRIPS                                                                        \
    "vldrw.u32 q5, [r9]\n"                                                                         \
    "vldrw.u32 q0, [r3]\n"                                                                         \
    ".if %c[vectors] > 1\n vldrw.u32 q1, [r3, #16]\n .endif\n"                                     \
    ".if %c[vectors] > 2\n vldrw.u32 q2, [r3, #32]\n .endif\n"                                     \
    ".if %c[vectors] == 4\n vldrw.u32 q3, [r3, #48]\n .endif\n"                                    \
    ".if %c[shift] && !%c[bias]\n"                                                                 \
    "ldrd r8, r10, [r3, 16 * %c[vectors]]\n"                                                       \
    ".else\n"                                                                                      \
    "ldrd r8, r9, [r3, 16 * %c[vectors]]\n"                                                        \
    "ldr r10, [r3, 16 * %c[vectors] + 8]\n"                                                        \
    ".if !%c[shift]\n"                                                                             \
    "ldr r12, [r3, 16 * %c[vectors] + 12]\n"                                                       \
    ".endif\n"                                                                                     \
    ".endif\n"                                                                                     \
    ".if %c[lanes] == 1\n"                                                                         \
    "1:\n"                                                                                         \
    LOTOR_HELIUM_STRIP_SOME                                                                        \
    "subs r11, r11, #4\n"                                                                          \
    "bgt.w 1b\n"                                                                                   \
    ".else\n"                                                                                      \
    "2:\n"                                                                                         \
    ".if %c[width] %% %c[lanes]\n"                                                                 \
    LOTOR_HELIUM_STRIP_SOME                                                                        \
    "movw r0, (%c[lanes] - %c[width] %% %c[lanes]) * %c[step]\n"                                   \
    "sub r1, r1, r0\n"                                                                             \
    "movw r0, (%c[lanes] - %c[width] %% %c[lanes]) * (%c[further] / %c[lanes])\n"                  \
    "sub r5, r5, r0\n"                                                                             \
    ".endif\n"                                                                                     \
    "movw lr, %c[width] / %c[lanes]\n"                                                             \
    "dls lr, lr\n"                                                                                 \
    "1:\n"                                                                                         \
    LOTOR_HELIUM_STRIP_SOME                                                                        \
    "le lr, 1b\n"                                                                                  \
    "subs r11, r11, #1\n"                                                                          \
    ".if %c[rows] > 1\n"                                                                           \
    "movw r0, %c[width] * %c[step] - %c[below]\n"                                                  \
    "sub r1, r1, r0\n"                                                                             \
    "bne.w 2b\n"                                                                                   \
    ".endif\n"                                                                                     \
    ".endif\n"
/* clang-format on */

/* Where things are in the scratch memory: places of eight bytes in strips, of outputs, strips. */
struct lotor_depthwise_conv_2d_helium_strips {
    uint16_t into[8];
    union {
        uint16_t eight[8];
        uint32_t four[4];
    } outputs;
    int8_t bytes[];
};

/* Some columns of one row of strips, from an image or, without one, of the zero point. `fixed`:
 * their number is a constant. */
static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_helium_columns(
    const struct lotor_depthwise_conv_2d_helium_general_params *p, int32_t load, int32_t fixed,
    const uint16_t *places, const int8_t *from, int8_t *to, int32_t count) {
    const int32_t pixels = p->at_once, lanes = lotor_min(p->in_c, 8) * pixels;
    const int32_t step = p->in_step * p->dilation_w * pixels;
    const int32_t turns = fixed ? count / 4 : count;
#define LOTOR_HELIUM_STRIP_OPERANDS                                                                \
    [places] "r"(places), [turns] "r"(turns), [lanes] "i"(lanes), [pitch] "i"(p->pitch * pixels),  \
        [rest] "i"(fixed ? count % 4 : -1), [fours] "i"(fixed ? count / 4 : 0)
#define LOTOR_HELIUM_STRIP_CLOBBERS "lr", "q0", "q1", "q2", "q3", "q4", "cc", "memory"
    if (load && (step > 127 || lanes < 8)) {
        __asm__ volatile(LOTOR_HELIUM_STRIP_COLUMNS
                         : [from] "+&l"(from), [to] "+&r"(to)
                         : [step] "r"(step), [near] "i"(0), [load] "i"(1),
                           LOTOR_HELIUM_STRIP_OPERANDS
                         : LOTOR_HELIUM_STRIP_CLOBBERS);
    } else if (load) {
        __asm__ volatile(LOTOR_HELIUM_STRIP_COLUMNS
                         : [from] "+&l"(from), [to] "+&r"(to)
                         : [step] "i"(step), [near] "i"(1), [load] "i"(1),
                           LOTOR_HELIUM_STRIP_OPERANDS
                         : LOTOR_HELIUM_STRIP_CLOBBERS);
    } else {
        __asm__ volatile(
            LOTOR_HELIUM_STRIP_COLUMNS
            : [to] "+&r"(to)
            : [from] "r"(p->in_zero_point), [step] "i"(0), [near] "i"(0), [load] "i"(0),
              LOTOR_HELIUM_STRIP_OPERANDS
            : LOTOR_HELIUM_STRIP_CLOBBERS);
    }
#undef LOTOR_HELIUM_STRIP_OPERANDS
#undef LOTOR_HELIUM_STRIP_CLOBBERS
}

/* All columns of one row of strips without a dilation in width, from `row` or of the zero point. */
static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_helium_strip_columns(
    const struct lotor_depthwise_conv_2d_helium_general_params *p, int32_t load,
    const uint16_t *places, const int8_t *row, int8_t *to) {
    const int32_t count = lotor_min(p->in_w, p->plane / p->pitch - p->pad_w);
    const int32_t rest = count % p->at_once;
    if (rest > 0) { /* begins with a whole turn, a part of which comes once more */
        lotor_depthwise_conv_2d_helium_columns(p, load, 1, places, row, to, 1);
    }
    lotor_depthwise_conv_2d_helium_columns(p, load, 1, places, row + rest * p->in_step,
                                           to + rest * p->pitch, count / p->at_once);
}

/* One row of strips: row `y` of an image, from column `left` on. */
static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_helium_strip_row(
    const struct lotor_depthwise_conv_2d_helium_general_params *p, const uint16_t *places,
    const int8_t *image, int32_t y, int32_t left, int8_t *to) {
    const int8_t *const row = image + y * p->in_w * p->in_step;
    const int32_t inside = y >= 0 && y < p->in_h;
    if (p->dilation_w == 1) {
        to += p->pad_w * p->pitch;
        if (inside) {
            lotor_depthwise_conv_2d_helium_strip_columns(p, 1, places, row, to);
        } else {
            lotor_depthwise_conv_2d_helium_strip_columns(p, 0, places, row, to);
        }
        return;
    }
    /* Columns before the image, then those in it. */
    const int32_t before = left < 0 ? (p->dilation_w - 1 - left) / p->dilation_w : 0;
    const int32_t first = left + before * p->dilation_w;
    const int32_t rest = (p->in_w - first + p->dilation_w - 1) / p->dilation_w;
    const int32_t count = lotor_min(rest, p->plane / p->pitch - before);
    to += before * p->pitch;
    if (count > 0 && inside) {
        lotor_depthwise_conv_2d_helium_columns(p, 1, 0, places, row + first * p->in_step, to,
                                               count);
    } else if (count > 0) {
        lotor_depthwise_conv_2d_helium_columns(p, 0, 0, places, row, to, count);
    }
}

/* Rows of outputs of one channel, or if there are few or with a dilation, one row. */
static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_helium_outputs(
    const struct lotor_depthwise_conv_2d_helium_general_params *p, const int8_t *strip,
    const uint32_t *weights, int8_t *out, const void *places, int32_t count) {
    register const int8_t *x __asm__("r1") = strip;
    register const uint32_t *w __asm__("r3") = weights;
    register int8_t *y __asm__("r5") = out;
    register const void *at __asm__("r9") = places;
    register int32_t left __asm__("r11") = count;
    const int32_t lanes = p->lanes == 8 ? 8 : 4;
    __asm__ volatile(LOTOR_HELIUM_STRIPS
                     : "+r"(x), "+r"(w), "+r"(y), "+r"(at), "+r"(left)
                     : [width] "i"(p->out_w), [step] "i"(p->stride_w * p->pitch),
                       [below] "i"(p->stride_h), [rows] "i"(p->rows), [lanes] "i"(p->lanes),
                       [further] "i"(lanes * p->out_step * p->dilation_w),
                       [vectors] "i"(p->vectors), [bias] "i"(p->bias), [lift] "i"(p->lift),
                       [shift] "i"(p->shift), [low] "i"(p->out_min), [high] "i"(p->out_max)
                     : "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "q0", "q1", "q2", "q3",
                       "q4", "q5", "q6", "q7", "cc", "memory");
}

/* All channels of some rows of outputs, or with a dilation, of every so many rows and columns. */
static inline LOTOR_SPECIALISED void
lotor_depthwise_conv_2d_helium_some(const struct lotor_depthwise_conv_2d_helium_general_params *p,
                                    const int8_t *image, int32_t y, int32_t x,
                                    const uint32_t *weights, int8_t *out,
                                    struct lotor_depthwise_conv_2d_helium_strips *strips) {
    const int32_t channels = lotor_min(p->in_c, 8);
    const int32_t left_rows = (p->out_h - y + p->dilation_h - 1) / p->dilation_h;
    const int32_t rows = lotor_min(p->rows, left_rows);
    const int32_t width = (p->out_w - x + p->dilation_w - 1) / p->dilation_w;
    const int32_t filled = (rows - 1) * p->stride_h + p->kernel_h;
    int8_t *row = out + (y * p->out_w + x) * p->out_step;
    for (int32_t c = 0; c < p->in_c; c += channels) {
        /* The last channels that are no eight, with some before them. */
        const int32_t first = lotor_min(c, p->in_c - channels);
        if (p->dilation_w > 1) { /* the border is elsewhere each time */
            lotor_helium_fill(strips->bytes, p->in_zero_point, channels * p->plane, 16);
        }
        for (int32_t i = 0; i < filled; i++) {
            lotor_depthwise_conv_2d_helium_strip_row(p, strips->into, image + first,
                                                     y * p->stride_h - p->pad_h + i * p->dilation_h,
                                                     x - p->pad_w, strips->bytes + i);
        }
        for (int32_t i = c - first; i < channels; i++) {
            const int8_t *strip = strips->bytes + i * p->plane;
            for (int32_t m = 0; m < p->depth_multiplier; m++) {
                const int32_t channel = (first + i) * p->depth_multiplier + m;
                const uint32_t *filter = weights + channel * p->words;
                if (p->lanes > 1) {
                    lotor_depthwise_conv_2d_helium_outputs(p, strip, filter, row + channel,
                                                           &strips->outputs, rows);
                } else {
                    int8_t *to = row + channel;
                    for (int32_t r = 0; r < rows; r++) {
                        lotor_depthwise_conv_2d_helium_outputs(p, strip + r * p->stride_h, filter,
                                                               to, &strips->outputs, width);
                        to += p->dilation_h * p->out_w * p->out_step;
                    }
                }
            }
        }
    }
}

static inline LOTOR_SPECIALISED void lotor_depthwise_conv_2d_helium_general(
    const struct lotor_depthwise_conv_2d_helium_general_params *p, const int8_t *in,
    const uint32_t *weights, int8_t *out, int8_t *scratch) {
    struct lotor_depthwise_conv_2d_helium_strips *const strips =
        (struct lotor_depthwise_conv_2d_helium_strips *)(void *)scratch;
    const int32_t channels = lotor_min(p->in_c, 8);
    for (int32_t i = 0; i < 8; i++) {
        strips->into[i] = (uint16_t)(i / channels * p->pitch + i % channels * p->plane);
        /* As two vectors are merged. */
        const int32_t place = (i / 2 + i % 2 * 4) * p->out_step;
        if (p->lanes == 8) {
            strips->outputs.eight[i] = (uint16_t)place;
        } else if (i % 2 == 0) {
            strips->outputs.four[i / 2] = (uint32_t)(place * p->dilation_w);
        }
    }
    lotor_helium_fill(strips->bytes, p->in_zero_point, p->room, 16);
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t phase = 0; phase < p->dilation_h; phase++) {
            for (int32_t y = phase; y < p->out_h; y += p->rows * p->dilation_h) {
                for (int32_t x = 0; x < lotor_min(p->dilation_w, p->out_w); x++) {
                    lotor_depthwise_conv_2d_helium_some(p, in, y, x, weights, out, strips);
                }
            }
        }
        in += p->in_h * p->in_w * p->in_step;
        out += p->out_h * p->out_w * p->out_step;
    }
}

#endif

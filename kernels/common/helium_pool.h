/* Windows of pixels with Helium instructions: some channels at a time, in one vector. */
#ifndef LOTOR_COMMON_HELIUM_POOL_H
#define LOTOR_COMMON_HELIUM_POOL_H

#include "fixed_point.h"
#include "helium_output.h"
#include "inline.h"

/* A window. Channels that are no multiple of a vector's end with as many as it has, some of which
 * come once more; fewer than those of one vector leave a part of it out. */
struct lotor_helium_window {
    int32_t height, width;    /* pixels */
    int32_t line_gap;         /* elements from the end of a line to the next one */
    int32_t pixel_step;       /* elements from one pixel to the next */
    int32_t bias, multiplier, /* of a sum, see `helium_output.h` */
        addend, left;
};

/* clang-format off */
/* Some channels of a pixel, of TYPE, to the vector TO; %[in] goes on to the next pixel. */
#define LOTOR_HELIUM_PIXEL(TYPE, TO)                                                               \
    ".if %c[few]\n"                                                                                \
    "vpst\n"                                                                                       \
    "vldrbt." TYPE " " TO ", [%[in]]\n"                                                            \
    "add %[in], %[in], %[step]\n"                                                                  \
    ".elseif %c[near]\n"                                                                           \
    "vldrb." TYPE " " TO ", [%[in]], %[step]\n"                                                    \
    ".else\n"                                                                                      \
    "vldrb." TYPE " " TO ", [%[in]]\n"                                                             \
    "add %[in], %[in], %[step]\n"                                                                  \
    ".endif\n"

/* All pixels of a small window, combined in q0. */
#define LOTOR_HELIUM_SMALL_WINDOW(TYPE, COMBINE)                                                   \
    LOTOR_HELIUM_PIXEL(TYPE, "q0")                                                                 \
    ".set lotor_pixel, 1\n"                                                                        \
    ".rept %c[height] * %c[width] - 1\n"                                                           \
    ".if lotor_pixel %% %c[width] == 0\n"                                                          \
    "add %[in], %[in], %[gap]\n"                                                                   \
    ".endif\n"                                                                                     \
    LOTOR_HELIUM_PIXEL(TYPE, "q1")                                                                 \
    COMBINE " q0, q0, q1\n"                                                                        \
    ".set lotor_pixel, lotor_pixel + 1\n"                                                          \
    ".endr\n"

/* Those of any window, several in a turn; FIRST begins a window, LINE ends each of its lines. */
#define LOTOR_HELIUM_WINDOW(TYPE, COMBINE, FIRST, LINE)                                            \
    FIRST                                                                                          \
    "1:\n"                                                                                         \
    "dls lr, %[turns]\n"                                                                           \
    "2:\n"                                                                                         \
    ".rept %c[turn]\n"                                                                             \
    LOTOR_HELIUM_PIXEL(TYPE, "q1")                                                                 \
    COMBINE " q0, q0, q1\n"                                                                        \
    ".endr\n"                                                                                      \
    "le lr, 2b\n"                                                                                  \
    LINE                                                                                           \
    "add %[in], %[in], %[gap]\n"                                                                   \
    "subs %[height], %[height], #1\n"                                                              \
    "bne 1b\n"

/* Sums of more than 255 pixels leave 16 bits: those of a line go to q2 and q3. */
#define LOTOR_HELIUM_SUM_FIRST                                                                     \
    "vmov.i32 q0, #0\n"                                                                            \
    ".if %c[wide]\n"                                                                               \
    "vmov.i32 q2, #0\n vmov.i32 q3, #0\n"                                                          \
    ".endif\n"
#define LOTOR_HELIUM_SUM_LINE                                                                      \
    ".if %c[wide]\n"                                                                               \
    "vmovlb.s16 q1, q0\n vmovlt.s16 q0, q0\n"                                                      \
    "vadd.i32 q2, q2, q1\n vadd.i32 q3, q3, q0\n"                                                  \
    "vmov.i32 q0, #0\n"                                                                            \
    ".endif\n"

#define LOTOR_HELIUM_SUM_SCALE(SUMS)                                                               \
    ".if %c[shift] && %c[biased]\n"                                                                \
    "vadd.i32 " SUMS ", " SUMS ", %[bias]\n"                                                       \
    ".endif\n"                                                                                     \
    ".if %c[shift]\n"                                                                              \
    LOTOR_HELIUM_LINE(SUMS, "%[multiplier]", "%[addend]")                                          \
    ".else\n"                                                                                      \
    LOTOR_HELIUM_TWICE(SUMS, "q2", "%[bias]", "%[multiplier]", "%[addend]", "%[left]")             \
    ".endif\n"

/* Eight sums of 16 bits in q0, or of 32 bits in q2 and q3, to outputs. */
#define LOTOR_HELIUM_SUM_OUTPUTS                                                                   \
    ".if %c[wide]\n"                                                                               \
    "vmov q0, q2\n vmov q1, q3\n"                                                                  \
    ".else\n"                                                                                      \
    "vmovlt.s16 q1, q0\n vmovlb.s16 q0, q0\n"                                                      \
    ".endif\n"                                                                                     \
    LOTOR_HELIUM_SUM_SCALE("q0")                                                                   \
    LOTOR_HELIUM_SUM_SCALE("q1")                                                                   \
    LOTOR_HELIUM_HALVE("q0", "b", "q0")                                                            \
    LOTOR_HELIUM_HALVE("q0", "t", "q1")                                                            \
    LOTOR_HELIUM_NARROW("q0", "b", "q0")                                                           \
    LOTOR_HELIUM_CLAMP("q0", "q1")                                                                 \
    ".if %c[few]\n"                                                                                \
    "vpst\n"                                                                                       \
    "vstrbt.16 q0, [%[out]]\n"                                                                     \
    ".else\n"                                                                                      \
    "vstrb.16 q0, [%[out]]\n"                                                                      \
    ".endif\n"

#define LOTOR_HELIUM_FEW(BITS)                                                                     \
    ".if %c[few]\n"                                                                                \
    "mov lr, %[few]\n"                                                                             \
    "vctp." BITS " lr\n"                                                                           \
    ".endif\n"

/* How constants of a window come into the assembly: a step of up to 127 elements as one. */
#define LOTOR_HELIUM_WINDOW_NEAR(W, FEW) ((W)->pixel_step <= 127 && (FEW) == 0)
#define LOTOR_HELIUM_WINDOW_TURN(W)                                                                \
    ((W)->width % 8 == 0   ? 8                                                                     \
     : (W)->width % 7 == 0 ? 7                                                                     \
     : (W)->width % 6 == 0 ? 6                                                                     \
     : (W)->width % 5 == 0 ? 5                                                                     \
     : (W)->width % 4 == 0 ? 4                                                                     \
     : (W)->width % 3 == 0 ? 3                                                                     \
     : (W)->width % 2 == 0 ? 2                                                                     \
                           : 1)
#define LOTOR_HELIUM_WINDOW_SMALL(W) ((W)->height * (W)->width <= 16)
/* clang-format on */

/* How the sums of a window become outputs, with constants of `helium_output.h`. */
struct lotor_helium_mean {
    int32_t wide;   /* whether there are more than 255 pixels */
    int32_t biased; /* whether the bias comes to the sums */
    int32_t lift, shift, out_min, out_max;
};

/* Eight means, or `few` of them if that is not 0. `fixed`: the window's size is a constant. */
static inline LOTOR_SPECIALISED void lotor_helium_some_means(const struct lotor_helium_window *w,
                                                             const struct lotor_helium_mean *mean,
                                                             int32_t fixed, int32_t few,
                                                             const int8_t *in, int8_t *out) {
#define LOTOR_HELIUM_MEAN_OPERANDS                                                                 \
    [out] "l"(out), [gap] "r"(w->line_gap), [bias] "r"(w->bias), [multiplier] "r"(w->multiplier),  \
        [addend] "r"(w->addend), [left] "r"(w->left), [few] "i"(few), [wide] "i"(mean->wide),      \
        [biased] "i"(mean->biased), [lift] "i"(mean->lift), [shift] "i"(mean->shift),              \
        [low] "i"(mean->out_min), [high] "i"(mean->out_max)
    const int32_t turn = fixed ? LOTOR_HELIUM_WINDOW_TURN(w) : 1;
    int32_t height = w->height;
    if (fixed && LOTOR_HELIUM_WINDOW_SMALL(w) && LOTOR_HELIUM_WINDOW_NEAR(w, few)) {
        __asm__ volatile(LOTOR_HELIUM_SMALL_WINDOW("s16", "vadd.i16") LOTOR_HELIUM_SUM_OUTPUTS
                         : [in] "+&l"(in)
                         : [height] "i"(w->height), [width] "i"(w->width), [near] "i"(1),
                           [step] "i"(w->pixel_step), LOTOR_HELIUM_MEAN_OPERANDS
                         : "lr", "q0", "q1", "q2", "cc", "memory");
    } else if (LOTOR_HELIUM_WINDOW_NEAR(w, few)) {
        __asm__ volatile(LOTOR_HELIUM_WINDOW("s16", "vadd.i16", LOTOR_HELIUM_SUM_FIRST,
                                             LOTOR_HELIUM_SUM_LINE) LOTOR_HELIUM_SUM_OUTPUTS
                         : [in] "+&l"(in), [height] "+&r"(height)
                         : [turns] "r"(w->width / turn), [turn] "i"(turn), [near] "i"(1),
                           [step] "i"(w->pixel_step), LOTOR_HELIUM_MEAN_OPERANDS
                         : "lr", "q0", "q1", "q2", "q3", "cc", "memory");
    } else {
        __asm__ volatile(LOTOR_HELIUM_FEW("16")
                             LOTOR_HELIUM_WINDOW("s16", "vadd.i16", LOTOR_HELIUM_SUM_FIRST,
                                                 LOTOR_HELIUM_SUM_LINE) LOTOR_HELIUM_SUM_OUTPUTS
                         : [in] "+&l"(in), [height] "+&r"(height)
                         : [turns] "r"(w->width / turn), [turn] "i"(turn), [near] "i"(0),
                           [step] "r"(w->pixel_step), LOTOR_HELIUM_MEAN_OPERANDS
                         : "lr", "q0", "q1", "q2", "q3", "cc", "memory");
    }
#undef LOTOR_HELIUM_MEAN_OPERANDS
}

/* The means of all channels of a window. */
static inline LOTOR_SPECIALISED void lotor_helium_means(const struct lotor_helium_window *w,
                                                        const struct lotor_helium_mean *mean,
                                                        int32_t fixed, const int8_t *in,
                                                        int32_t channels, int8_t *out) {
    const int32_t few = channels < 8 ? channels : 0;
    for (int32_t i = 0; i < channels; i += 8) {
        const int32_t c = few != 0 ? 0 : lotor_min(i, channels - 8);
        lotor_helium_some_means(w, mean, fixed, few, in + c, out + c);
    }
}

#endif

/* Average pooling of int8 with Helium instructions, eight channels at a time; every window lies
 * inside the image. */
#ifndef LOTOR_AVERAGE_POOL_2D_HELIUM_H
#define LOTOR_AVERAGE_POOL_2D_HELIUM_H

#include "../common/helium_output.h"
#include "../common/inline.h"

#include <stdint.h>

struct lotor_average_pool_2d_helium_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w;
    int32_t multiplier, addend, lift, shift; /* of the sums, see `helium_output.h` */
    int32_t out_min, out_max;
};

/* clang-format off */
/* Eight sums of 16 bits in q0. */
#define LOTOR_HELIUM_AVERAGE                                                                       \
    "vmov.i32 q0, #0\n"                                                                            \
    "1:\n"                                                                                         \
    "dls lr, %[columns]\n"                                                                         \
    "2:\n"                                                                                         \
    "vldrb.s16 q1, [%[in]]\n"                                                                      \
    "add %[in], %[in], %[step]\n"                                                                  \
    "vadd.i16 q0, q0, q1\n"                                                                        \
    "le lr, 2b\n"                                                                                  \
    "add %[in], %[in], %[gap]\n"                                                                   \
    "subs %[rows], %[rows], #1\n"                                                                  \
    "bne 1b\n"                                                                                     \
    "vmovlt.s16 q1, q0\n"                                                                          \
    "vmovlb.s16 q0, q0\n"                                                                          \
    LOTOR_HELIUM_LINE("q0", "%[multiplier]", "%[addend]")                                          \
    LOTOR_HELIUM_LINE("q1", "%[multiplier]", "%[addend]")                                          \
    LOTOR_HELIUM_HALVE("q0", "b", "q0")                                                            \
    LOTOR_HELIUM_HALVE("q0", "t", "q1")                                                            \
    LOTOR_HELIUM_NARROW("q0", "b", "q0")                                                           \
    LOTOR_HELIUM_CLAMP("q0", "q1")                                                                 \
    "vstrb.16 q0, [%[out]]\n"
/* clang-format on */

/* The means of eight channels of one window. */
static inline LOTOR_SPECIALISED void
lotor_average_pool_2d_helium_window(const struct lotor_average_pool_2d_helium_params *p,
                                    const int8_t *in, int8_t *out) {
    int32_t rows = p->kernel_h;
    __asm__ volatile(
        LOTOR_HELIUM_AVERAGE
        : [in] "+&l"(in), [rows] "+&r"(rows)
        : [out] "l"(out), [columns] "r"(p->kernel_w), [step] "r"(p->in_step),
          [gap] "r"((p->in_w - p->kernel_w) * p->in_step), [multiplier] "r"(p->multiplier),
          [addend] "r"(p->addend), [lift] "i"(p->lift), [shift] "i"(p->shift),
          [low] "i"(p->out_min), [high] "i"(p->out_max)
        : "lr", "q0", "q1", "cc", "memory");
}

static inline LOTOR_SPECIALISED void
lotor_average_pool_2d_helium(const struct lotor_average_pool_2d_helium_params *p, const int8_t *in,
                             int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            for (int32_t x = 0; x < p->out_w; x++) {
                const int8_t *window =
                    in + (y * p->stride_h * p->in_w + x * p->stride_w) * p->in_step;
                for (int32_t c = 0; c < p->in_c; c += 8) {
                    /* The last channels that are no eight, once more with some before them. */
                    const int32_t at = c + 8 > p->in_c ? p->in_c - 8 : c;
                    lotor_average_pool_2d_helium_window(p, window + at, out + at);
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

#endif

/* Means of four channels at a time for Armv6-M. */
#ifndef LOTOR_COMMON_V6M_POOL_H
#define LOTOR_COMMON_V6M_POOL_H

#include "fixed_point.h"
#include "v6m.h"

/* A window of pixels. */
struct lotor_v6m_window {
    int32_t height, width;         /* pixels, one at least */
    int32_t line_step, pixel_step; /* elements from one line and pixel to the next */
};

/* r0 to r3: inputs of four channels; r4: index of the pixel. */
#define LOTOR_V6M_POOL_ADD(INPUT, SUM) "ldrsb r5, [" INPUT ", r4]\n add " SUM ", r5\n"
#define LOTOR_V6M_POOL_PIXEL                                                                       \
    LOTOR_V6M_POOL_ADD("r0", "r8")                                                                 \
    LOTOR_V6M_POOL_ADD("r1", "r9")                                                                 \
    LOTOR_V6M_POOL_ADD("r2", "r10")                                                                \
    LOTOR_V6M_POOL_ADD("r3", "r11") "adds r4, r4, r6\n"

/* The sums of four channels; height and width are constants. */
static inline LOTOR_SPECIALISED void lotor_v6m_pool(const struct lotor_v6m_window *w,
                                                    const int8_t *in, int32_t sums[4]) {
    const int32_t line = w->width * w->pixel_step;
    const int unrolled = w->height * w->width <= 9;
    register const int8_t *x __asm__("r0") = in;
    register int32_t first __asm__("r1") = 0;
    register int32_t length __asm__("r2") = line;
    register int32_t skip __asm__("r3") = w->line_step - line;
    register int32_t end __asm__("r4") = w->height * w->line_step;
    register int32_t step __asm__("r6") = w->pixel_step;
    register int32_t a __asm__("r8");
    register int32_t b __asm__("r9");
    register int32_t c __asm__("r10");
    register int32_t d __asm__("r11");
    /* r12: length or, where all is unrolled, skip; lr: skip. Stack: r7, the last index. */
    /* clang-format off */
    __asm__ volatile(
        LOTOR_V6M_SYNTAX
        "mov r8, r1\n mov r9, r1\n mov r10, r1\n mov r11, r1\n"
        ".if %c[unrolled]\n"
        "mov r12, r3\n"
        ".else\n"
        "sub sp, #8\n"
        "str r7, [sp]\n str r4, [sp, #4]\n"
        "mov r12, r2\n mov lr, r3\n"
        ".endif\n"
        "adds r1, r0, #1\n adds r2, r0, #2\n adds r3, r0, #3\n"
        "movs r4, #0\n"
        ".if %c[unrolled]\n"
        ".rept %c[lines]\n"
        ".rept %c[width]\n" LOTOR_V6M_POOL_PIXEL ".endr\n"
        "add r4, r12\n"
        ".endr\n"
        ".rept %c[width]\n" LOTOR_V6M_POOL_PIXEL ".endr\n"
        ".else\n"
        "1:\n"
        "mov r7, r4\n add r7, r12\n"
        ".rept %c[width] %% 4\n" LOTOR_V6M_POOL_PIXEL ".endr\n"
        ".if %c[width] > 3\n"
        "2:\n"
        ".rept 4\n" LOTOR_V6M_POOL_PIXEL ".endr\n"
        ".if %c[width] > 7\n"
        "cmp r4, r7\n"
        "bne 2b\n"
        ".endif\n"
        ".endif\n"
        "add r4, lr\n"
        "ldr r5, [sp, #4]\n"
        "cmp r4, r5\n"
        "beq 3f\n"
        "b 1b\n"
        "3:\n"
        "ldr r7, [sp]\n"
        "add sp, #8\n"
        ".endif\n"
        : "+r"(x), "+r"(first), "+r"(length), "+r"(skip), "+r"(end), "=h"(a), "=h"(b), "=h"(c),
          "=h"(d)
        : "r"(step), [width] "i"(w->width), [unrolled] "i"(unrolled),
          [lines] "i"(unrolled ? w->height - 1 : 0)
        : "r5", "r12", "lr", "cc", "memory");
    /* clang-format on */
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}

/* What becomes of a sum: `(sum * multiplier + addend) >> shift`, between limits; or, with `parts`
 * of the multiplier, what `v6m_scale.py` has. */
struct lotor_v6m_mean {
    int32_t multiplier, addend, shift; /* with parts: the lower one, and its bits */
    int32_t out_min, out_max;
    int32_t clamped; /* whether limits can be exceeded */
    int32_t parts;   /* 0, 2 or 3; then: */
    int32_t begin, reach, high, zero, below, lowest;
};

static inline LOTOR_SPECIALISED int8_t lotor_v6m_mean(const struct lotor_v6m_mean *m, int32_t sum) {
    if (m->parts == 0) {
        const int32_t value = (sum * m->multiplier + m->addend) >> m->shift;
        return (int8_t)(m->clamped ? lotor_clamp(value, m->out_min, m->out_max) : value);
    }
    const uint32_t count = (uint32_t)(sum + m->begin);
    if (count >= (uint32_t)m->reach) {
        return (int8_t)((int32_t)count < 0 ? m->out_min : m->out_max);
    }
    uint32_t part = count * (uint32_t)m->multiplier + (uint32_t)m->addend;
    if (m->parts == 3) {
        part += (count * (uint32_t)m->lowest) >> m->shift;
    }
    if (m->below != 0 && count < (uint32_t)m->zero) {
        part += (uint32_t)m->below;
    }
    const uint32_t value = (part >> m->shift) + count * (uint32_t)m->high;
    return (int8_t)((int32_t)(value >> 24) + m->out_min + 1);
}

/* The means of all channels, four or more; the last four come a second time in part. */
static inline LOTOR_SPECIALISED void lotor_v6m_means(const struct lotor_v6m_window *w,
                                                     const struct lotor_v6m_mean *mean,
                                                     const int8_t *in, int32_t channels,
                                                     int8_t *out) {
    for (int32_t i = 0; i < channels; i += 4) {
        const int32_t c = lotor_min(i, channels - 4);
        int32_t sums[4];
        lotor_v6m_pool(w, in + c, sums);
#pragma GCC unroll 4
        for (int32_t k = 0; k < 4; k++) {
            out[c + k] = lotor_v6m_mean(mean, sums[k]);
        }
    }
}

#endif

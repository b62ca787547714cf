/* Maximum pooling of int8 with Helium instructions, sixteen channels at a time. */
#ifndef LOTOR_MAX_POOL_2D_HELIUM_H
#define LOTOR_MAX_POOL_2D_HELIUM_H

#include "../common/helium_pool.h"

struct lotor_max_pool_2d_helium_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    int32_t inside; /* whether all windows lie inside the image */
    int32_t out_min, out_max;
};

/* clang-format off */
#define LOTOR_HELIUM_LARGEST_FIRST "vmov.i8 q0, #128\n"
#define LOTOR_HELIUM_LARGEST_OUTPUTS                                                               \
    LOTOR_HELIUM_CLAMP("q0", "q1")                                                                 \
    ".if %c[few]\n"                                                                                \
    "vpst\n"                                                                                       \
    "vstrbt.8 q0, [%[out]]\n"                                                                      \
    ".else\n"                                                                                      \
    "vstrb.8 q0, [%[out]]\n"                                                                       \
    ".endif\n"
/* clang-format on */

/* The largest of sixteen channels, or of `few` if that is not 0. `fixed`: the window's size is a
 * constant. */
static inline LOTOR_SPECIALISED void
lotor_max_pool_2d_helium_some(const struct lotor_max_pool_2d_helium_params *p,
                              const struct lotor_helium_window *w, int32_t fixed, int32_t few,
                              const int8_t *in, int8_t *out) {
    const int32_t turn = fixed ? LOTOR_HELIUM_WINDOW_TURN(w) : 1;
    int32_t height = w->height;
    if (fixed && LOTOR_HELIUM_WINDOW_SMALL(w) && LOTOR_HELIUM_WINDOW_NEAR(w, few)) {
        __asm__ volatile(LOTOR_HELIUM_SMALL_WINDOW("u8", "vmax.s8") LOTOR_HELIUM_LARGEST_OUTPUTS
                         : [in] "+&r"(in)
                         : [out] "r"(out), [height] "i"(w->height), [width] "i"(w->width),
                           [near] "i"(1), [step] "i"(w->pixel_step), [gap] "r"(w->line_gap),
                           [few] "i"(few), [low] "i"(p->out_min), [high] "i"(p->out_max)
                         : "q0", "q1", "cc", "memory");
    } else {
        __asm__ volatile(LOTOR_HELIUM_FEW("8")
                             LOTOR_HELIUM_WINDOW("u8", "vmax.s8", LOTOR_HELIUM_LARGEST_FIRST, "")
                                 LOTOR_HELIUM_LARGEST_OUTPUTS
                         : [in] "+&r"(in), [height] "+&r"(height)
                         : [out] "r"(out), [turns] "r"(w->width / turn), [turn] "i"(turn),
                           [near] "i"(0), [step] "r"(w->pixel_step), [gap] "r"(w->line_gap),
                           [few] "i"(few), [low] "i"(p->out_min), [high] "i"(p->out_max)
                         : "lr", "q0", "q1", "cc", "memory");
    }
}

/* All channels of a window. */
static inline LOTOR_SPECIALISED void
lotor_max_pool_2d_helium_window(const struct lotor_max_pool_2d_helium_params *p, int32_t height,
                                int32_t width, int32_t fixed, const int8_t *in, int8_t *out) {
    const struct lotor_helium_window window = {
        .height = height,
        .width = width,
        .line_gap = (p->in_w - width) * p->in_step,
        .pixel_step = p->in_step,
    };
    const int32_t few = p->in_c < 16 ? p->in_c : 0;
    for (int32_t i = 0; i < p->in_c; i += 16) {
        const int32_t c = few != 0 ? 0 : lotor_min(i, p->in_c - 16);
        lotor_max_pool_2d_helium_some(p, &window, fixed, few, in + c, out + c);
    }
}

static inline LOTOR_SPECIALISED void
lotor_max_pool_2d_helium(const struct lotor_max_pool_2d_helium_params *p, const int8_t *in,
                         int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const int32_t top = y * p->stride_h - p->pad_h;
            const int32_t first_y = lotor_max(top, 0);
            const int32_t height = lotor_min(top + p->kernel_h, p->in_h) - first_y;
            for (int32_t x = 0; x < p->out_w; x++) {
                const int32_t left = x * p->stride_w - p->pad_w;
                const int32_t first_x = lotor_max(left, 0);
                const int32_t width = lotor_min(left + p->kernel_w, p->in_w) - first_x;
                const int8_t *from = in + (first_y * p->in_w + first_x) * p->in_step;
                if (p->inside || (height == p->kernel_h && width == p->kernel_w)) {
                    lotor_max_pool_2d_helium_window(p, p->kernel_h, p->kernel_w, 1, from, out);
                } else {
                    lotor_max_pool_2d_helium_window(p, height, width, 0, from, out);
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

#endif

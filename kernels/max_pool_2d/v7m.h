/* Maximum pooling of int8 for Armv7-M, four channels at a time. Comparing four bytes of words at
 * once takes as many instructions as one by one. */
#ifndef LOTOR_MAX_POOL_2D_V7M_H
#define LOTOR_MAX_POOL_2D_V7M_H

#include "../common/fixed_point.h"
#include "../common/inline.h"

struct lotor_max_pool_2d_v7m_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w; /* in_c: 4 or more */
    int32_t in_step, out_step;                       /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    int32_t out_min, out_max;
};

static inline LOTOR_SPECIALISED void
lotor_max_pool_2d_v7m(const struct lotor_max_pool_2d_v7m_params *p, const int8_t *in, int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const int32_t top = lotor_max(y * p->stride_h - p->pad_h, 0);
            const int32_t bottom = lotor_min(y * p->stride_h - p->pad_h + p->kernel_h, p->in_h);
            for (int32_t x = 0; x < p->out_w; x++) {
                const int32_t left = lotor_max(x * p->stride_w - p->pad_w, 0);
                const int32_t right = lotor_min(x * p->stride_w - p->pad_w + p->kernel_w, p->in_w);
                for (int32_t i = 0; i < p->in_c; i += 4) {
                    const int32_t c = lotor_min(i, p->in_c - 4);
                    int32_t a = p->out_min, b = a, d = a, e = a;
                    for (int32_t iy = top; iy < bottom; iy++) {
                        const int8_t *pixel = in + (iy * p->in_w + left) * p->in_step + c;
                        for (int32_t ix = left; ix < right; ix++) {
                            a = lotor_max(a, pixel[0]);
                            b = lotor_max(b, pixel[1]);
                            d = lotor_max(d, pixel[2]);
                            e = lotor_max(e, pixel[3]);
                            pixel += p->in_step;
                        }
                    }
                    out[c] = (int8_t)lotor_min(a, p->out_max);
                    out[c + 1] = (int8_t)lotor_min(b, p->out_max);
                    out[c + 2] = (int8_t)lotor_min(d, p->out_max);
                    out[c + 3] = (int8_t)lotor_min(e, p->out_max);
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

#endif

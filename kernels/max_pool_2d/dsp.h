/* Maximum pooling of int8 with the DSP instructions, four channels at a time. */
#ifndef LOTOR_MAX_POOL_2D_DSP_H
#define LOTOR_MAX_POOL_2D_DSP_H

#include "../common/dsp_pool.h"

struct lotor_max_pool_2d_dsp_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w; /* in_c: 4 or more */
    int32_t in_step, out_step;                       /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    int32_t out_min, out_max;
};

static inline LOTOR_SPECIALISED void
lotor_max_pool_2d_dsp(const struct lotor_max_pool_2d_dsp_params *p, const int8_t *in, int8_t *out) {
    const uint32_t low = (uint8_t)p->out_min * UINT32_C(0x01010101);
    const uint32_t high = (uint8_t)p->out_max * UINT32_C(0x01010101);
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const int32_t top = lotor_max(y * p->stride_h - p->pad_h, 0);
            const int32_t bottom = lotor_min(y * p->stride_h - p->pad_h + p->kernel_h, p->in_h);
            for (int32_t x = 0; x < p->out_w; x++) {
                const int32_t left = lotor_max(x * p->stride_w - p->pad_w, 0);
                const int32_t right = lotor_min(x * p->stride_w - p->pad_w + p->kernel_w, p->in_w);
                for (int32_t i = 0; i < p->in_c; i += 4) {
                    const int32_t c = lotor_min(i, p->in_c - 4);
                    uint32_t largest = low;
                    for (int32_t iy = top; iy < bottom; iy++) {
                        const int8_t *pixel = in + (iy * p->in_w + left) * p->in_step + c;
                        for (int32_t ix = left; ix < right; ix++) {
                            largest = lotor_dsp_largest(largest, lotor_dsp_load(pixel));
                            pixel += p->in_step;
                        }
                    }
                    if (p->out_max < INT8_MAX) { /* ~ turns the order around */
                        largest = ~lotor_dsp_largest(~largest, ~high);
                    }
                    memcpy(out + c, &largest, sizeof largest);
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

#endif

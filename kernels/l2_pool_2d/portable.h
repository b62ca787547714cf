/* L2 pooling, NHWC: the root of the mean of the squares inside the image. */
#ifndef LOTOR_L2_POOL_2D_PORTABLE_H
#define LOTOR_L2_POOL_2D_PORTABLE_H

#include "../common/fixed_point.h"
#include "../common/float_clamp.h"
#include "../common/float_math.h"

struct lotor_l2_pool_2d_float_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    float out_min, out_max;
};

static inline void lotor_l2_pool_2d_float_portable(const struct lotor_l2_pool_2d_float_params *p,
                                                   const float *in, float *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const int32_t top = lotor_max(y * p->stride_h - p->pad_h, 0);
            const int32_t bottom = lotor_min(y * p->stride_h - p->pad_h + p->kernel_h, p->in_h);
            for (int32_t x = 0; x < p->out_w; x++) {
                const int32_t left = lotor_max(x * p->stride_w - p->pad_w, 0);
                const int32_t right = lotor_min(x * p->stride_w - p->pad_w + p->kernel_w, p->in_w);
                const int32_t count = (bottom - top) * (right - left);
                for (int32_t c = 0; c < p->in_c; c++) {
                    float squares = 0.0f;
                    for (int32_t iy = top; iy < bottom; iy++) {
                        for (int32_t ix = left; ix < right; ix++) {
                            const float value = in[(iy * p->in_w + ix) * p->in_step + c];
                            squares += value * value;
                        }
                    }
                    const float mean = squares / (float)count;
                    out[c] = lotor_clamp_float(lotor_sqrt(mean), p->out_min, p->out_max);
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

#endif

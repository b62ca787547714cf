/* 2-D convolution of int8 for Armv6-M: four pixels and one filter at a time.
 *
 * The windows of four pixels become words once for all filters. Bias and zero points are in the
 * tables, see `v6m_dense.h`; what lies outside the input counts as its zero point.
 */
#ifndef LOTOR_CONV_2D_V6M_H
#define LOTOR_CONV_2D_V6M_H

#include "../common/v6m_dense.h"

struct lotor_conv_2d_v6m_params {
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t in_step, out_step; /* elements from one pixel to the next */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t in_zero_point;
    int32_t columns; /* of the table */
    int32_t bent;    /* see `v6m_scale.py` */
    int32_t out_min, out_max;
};

static inline LOTOR_SPECIALISED int32_t *lotor_conv_2d_v6m_fill(int32_t value, int32_t count,
                                                                int32_t *lane) {
    for (int32_t i = 0; i < count; i++) {
        *lane = value;
        lane += 4;
    }
    return lane;
}

/* The output pixel that comes next. Armv6-M cannot divide. */
struct lotor_conv_2d_v6m_place {
    const int8_t *image;
    int32_t row, column;
};

/* Unpacks the window of the next output pixel to one lane. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_v6m_window(const struct lotor_conv_2d_v6m_params *p,
                         struct lotor_conv_2d_v6m_place *next, int32_t *lane) {
    if (p->kernel_h * p->kernel_w * p->stride_h * p->stride_w == 1 && p->pad_h + p->pad_w == 0) {
        lotor_v6m_expand(next->image, p->in_c, lane);
        next->image += p->in_step;
        return;
    }
    const int32_t pitch = p->in_w * p->in_step;
    const int32_t top = next->row * p->stride_h - p->pad_h;
    const int32_t left = next->column * p->stride_w - p->pad_w;
    const int32_t end = left + (p->kernel_w - 1) * p->dilation_w;
    const int32_t whole = p->in_step == p->in_c && p->dilation_w == 1 && left >= 0 && end < p->in_w;
    const int8_t *from = next->image + top * pitch + left * p->in_step;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = top + ky * p->dilation_h;
        if (y < 0 || y >= p->in_h) {
            lane = lotor_conv_2d_v6m_fill(p->in_zero_point, p->kernel_w * p->in_c, lane);
        } else if (whole) {
            lane = lotor_v6m_expand(from, p->kernel_w * p->in_c, lane);
        } else {
            for (int32_t kx = 0; kx < p->kernel_w; kx++) {
                const int32_t x = left + kx * p->dilation_w;
                if (x < 0 || x >= p->in_w) {
                    lane = lotor_conv_2d_v6m_fill(p->in_zero_point, p->in_c, lane);
                } else {
                    lane = lotor_v6m_expand(from + kx * p->dilation_w * p->in_step, p->in_c, lane);
                }
            }
        }
        from += p->dilation_h * pitch;
    }
    next->column++;
    if (next->column == p->out_w) {
        next->column = 0;
        next->row++;
        if (next->row == p->out_h) {
            next->row = 0;
            next->image += p->in_h * pitch;
        }
    }
}

static inline LOTOR_SPECIALISED void lotor_conv_2d_v6m(const struct lotor_conv_2d_v6m_params *p,
                                                       const int8_t *in, const int8_t *weights,
                                                       const uint32_t *table, int8_t *out,
                                                       int32_t *lanes) {
    const int32_t pixels = p->batches * p->out_h * p->out_w;
    const int32_t count = p->kernel_h * p->kernel_w * p->in_c;
    struct lotor_conv_2d_v6m_place next = {in, 0, 0};
    int8_t *to = out;
    for (int32_t left = pixels; left > 0; left -= 4) {
        const int32_t kept = left < 4 ? 4 - left : 0;
        if (kept > 0) { /* at the end, some pixels once more, whose input may be overwritten */
            for (int32_t i = 0; i < 4 * count; i += 4) {
                memmove(lanes + i, lanes + i + 4 - kept, (size_t)kept * sizeof *lanes);
            }
            to -= kept * p->out_step;
        }
        for (int32_t i = kept; i < 4; i++) {
            lotor_conv_2d_v6m_window(p, &next, lanes + i);
        }
        for (int32_t c = 0; c < p->out_c; c += LOTOR_V6M_DENSE_FILTERS) {
            const int32_t rest = p->out_c - c;
            const int32_t filters = rest < LOTOR_V6M_DENSE_FILTERS ? rest : LOTOR_V6M_DENSE_FILTERS;
            const uint32_t *const first = table + c * p->columns;
            lotor_v6m_dense(lanes, weights + c * count, first, first + filters * p->columns, to + c,
                            count, p->out_step, p->bent, p->out_min, p->out_max);
        }
        to += 4 * p->out_step;
    }
}

#endif

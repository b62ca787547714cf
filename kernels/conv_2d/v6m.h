/* 2-D convolution of int8 for Armv6-M: four or six pixels and one filter at a time.
 *
 * The windows of these pixels become words once for all filters. Bias and zero points are in the
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
    int32_t parts;      /* of a window: six pixels at a time; 0: four */
    int32_t columns;    /* of the table */
    int32_t bent, deep; /* see `v6m_scale.py` */
    int32_t out_min, out_max;
};

/* Writes some of a window's inputs to a lane; the third of three lanes packs all of them. */
static inline LOTOR_SPECIALISED int32_t *lotor_conv_2d_v6m_inputs(const int8_t *from, int32_t count,
                                                                  int32_t third, int32_t *lane) {
    return third ? lotor_v6m_third(from, count, lane) : lotor_v6m_expand(from, count, lane);
}

/* The same of one value. */
static inline LOTOR_SPECIALISED int32_t *lotor_conv_2d_v6m_fill(int32_t value, int32_t count,
                                                                int32_t third, int32_t *lane) {
    for (int32_t i = 0; i < count; i++) {
        if (third) {
            const int32_t first = lane[0], second = lane[1];
            lane[0] = first + second * 65536;
            lane[1] = value + first * 32 + second * 1024;
        } else {
            lane[0] = value;
        }
        lane += 4;
    }
    return lane;
}

/* The output pixel that comes next. Armv6-M cannot divide. */
struct lotor_conv_2d_v6m_place {
    const int8_t *image;
    int32_t row, column;
};

/* Whether an output pixel needs the input pixel of the same number. */
static inline LOTOR_SPECIALISED int
lotor_conv_2d_v6m_pointwise(const struct lotor_conv_2d_v6m_params *p) {
    return p->kernel_h * p->kernel_w * p->stride_h * p->stride_w == 1 && p->pad_h + p->pad_w == 0;
}

/* Unpacks the window of the next output pixel to one lane. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_v6m_window(const struct lotor_conv_2d_v6m_params *p,
                         struct lotor_conv_2d_v6m_place *next, int32_t third, int32_t *lane) {
    if (lotor_conv_2d_v6m_pointwise(p)) {
        lotor_conv_2d_v6m_inputs(next->image, p->in_c, third, lane);
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
            lane = lotor_conv_2d_v6m_fill(p->in_zero_point, p->kernel_w * p->in_c, third, lane);
        } else if (whole) {
            lane = lotor_conv_2d_v6m_inputs(from, p->kernel_w * p->in_c, third, lane);
        } else {
            for (int32_t kx = 0; kx < p->kernel_w; kx++) {
                const int32_t x = left + kx * p->dilation_w;
                if (x < 0 || x >= p->in_w) {
                    lane = lotor_conv_2d_v6m_fill(p->in_zero_point, p->in_c, third, lane);
                } else {
                    const int8_t *const at = from + kx * p->dilation_w * p->in_step;
                    lane = lotor_conv_2d_v6m_inputs(at, p->in_c, third, lane);
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
    const int32_t group = p->parts ? 6 : 4;
    struct lotor_conv_2d_v6m_place next = {in, 0, 0};
    int8_t *to = out;
    for (int32_t left = pixels; left > 0; left -= group) {
        if (left < group) { /* at the end, some pixels once more */
            const int32_t pixel = pixels - group;
            const int32_t row = pixel / p->out_w;
            next.column = pixel % p->out_w;
            next.row = row % p->out_h;
            next.image = lotor_conv_2d_v6m_pointwise(p)
                             ? in + pixel * p->in_step
                             : in + row / p->out_h * p->in_h * p->in_w * p->in_step;
            to = out + pixel * p->out_step;
        }
        for (int32_t i = 0; i < group; i++) {
            if (p->parts) { /* words 0 and 1, packed by the third pixel, then 2 and 3 */
                const int32_t place = i % 3;
                int32_t *const lane = lanes + i / 3 * 2 + place % 2;
                lotor_conv_2d_v6m_window(p, &next, place == 2, lane);
            } else {
                lotor_conv_2d_v6m_window(p, &next, 0, lanes + i);
            }
        }
        for (int32_t c = 0; c < p->out_c; c += LOTOR_V6M_DENSE_FILTERS) {
            const int32_t rest = p->out_c - c;
            const int32_t filters = rest < LOTOR_V6M_DENSE_FILTERS ? rest : LOTOR_V6M_DENSE_FILTERS;
            const uint32_t *const first = table + c * p->columns;
            lotor_v6m_dense(lanes, weights + c * count, first, first + filters * p->columns, to + c,
                            p->parts, count, p->out_step, p->bent, p->deep, p->out_min, p->out_max);
        }
        to += group * p->out_step;
    }
}

#endif

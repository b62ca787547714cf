/* 2-D convolution of int8 for Armv6-M: four or six pixels and one filter at a time.
 *
 * The windows of these pixels become words once for all filters. Bias and zero points are in the
 * tables, see `v6m_dense.h`; what lies outside the input counts as its zero point. Of several
 * groups each has windows of its own. Where weights have a zero point, windows have more inputs,
 * with weights of 1: what this zero point adds to the sums.
 */
#ifndef LOTOR_CONV_2D_V6M_H
#define LOTOR_CONV_2D_V6M_H

#include "../common/fixed_point.h"
#include "../common/v6m_dense.h"

struct lotor_conv_2d_v6m_params {
    int32_t batches, in_h, in_w, out_h, out_w;
    int32_t in_step, out_step;        /* elements from one pixel to the next */
    int32_t groups, group_c, filters; /* channels and filters of a group */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int32_t in_zero_point, weights_offset;
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

/* Unpacks the window of the next output pixel, which is read from channel `c` on, to one lane. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_v6m_window(const struct lotor_conv_2d_v6m_params *p,
                         struct lotor_conv_2d_v6m_place *next, int32_t c, int32_t third,
                         int32_t *lane) {
    if (lotor_conv_2d_v6m_pointwise(p)) {
        lotor_conv_2d_v6m_inputs(next->image + c, p->group_c, third, lane);
        next->image += p->in_step;
        return;
    }
    const int32_t pitch = p->in_w * p->in_step;
    const int32_t top = next->row * p->stride_h - p->pad_h;
    const int32_t left = next->column * p->stride_w - p->pad_w;
    const int32_t end = left + (p->kernel_w - 1) * p->dilation_w;
    const int32_t whole =
        p->in_step == p->group_c && p->dilation_w == 1 && left >= 0 && end < p->in_w;
    const int8_t *from = next->image + c + top * pitch + left * p->in_step;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = top + ky * p->dilation_h;
        if (y < 0 || y >= p->in_h) {
            lane = lotor_conv_2d_v6m_fill(p->in_zero_point, p->kernel_w * p->group_c, third, lane);
        } else if (whole) {
            lane = lotor_conv_2d_v6m_inputs(from, p->kernel_w * p->group_c, third, lane);
        } else {
            for (int32_t kx = 0; kx < p->kernel_w; kx++) {
                const int32_t x = left + kx * p->dilation_w;
                if (x < 0 || x >= p->in_w) {
                    lane = lotor_conv_2d_v6m_fill(p->in_zero_point, p->group_c, third, lane);
                } else {
                    const int8_t *const at = from + kx * p->dilation_w * p->in_step;
                    lane = lotor_conv_2d_v6m_inputs(at, p->group_c, third, lane);
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

/* Unpacks the windows of some pixels, from channel `c` on. */
static inline LOTOR_SPECIALISED void
lotor_conv_2d_v6m_windows(const struct lotor_conv_2d_v6m_params *p,
                          struct lotor_conv_2d_v6m_place *next, int32_t c, int32_t *lanes) {
    const int32_t parts = lotor_max(p->parts, 1);
    int32_t *const to = lanes + (p->weights_offset != 0 ? 4 * parts : 0);
    for (int32_t i = 0; i < (p->parts ? 6 : 4); i++) {
        if (p->parts) { /* words 0 and 1, packed by the third pixel, then 2 and 3 */
            const int32_t place = i % 3;
            int32_t *const lane = to + i / 3 * 2 + place % 2;
            lotor_conv_2d_v6m_window(p, next, c, place == 2, lane);
        } else {
            lotor_conv_2d_v6m_window(p, next, c, 0, to + i);
        }
    }
    if (p->weights_offset != 0) {
        const int32_t part = p->kernel_h * p->kernel_w * p->group_c / parts;
        for (int32_t i = 0; i < parts; i++) {
            lotor_v6m_total(to + i * 4 * part, part, p->weights_offset, lanes + i * 4 * (part + 1));
        }
    }
}

static inline LOTOR_SPECIALISED void lotor_conv_2d_v6m(const struct lotor_conv_2d_v6m_params *p,
                                                       const int8_t *in, const int8_t *weights,
                                                       const uint32_t *table, int8_t *out,
                                                       int32_t *lanes) {
    const int32_t pixels = p->batches * p->out_h * p->out_w;
    const int32_t count = p->kernel_h * p->kernel_w * p->group_c +
                          (p->weights_offset != 0 ? lotor_max(p->parts, 1) : 0);
    const int32_t some = p->parts ? 6 : 4;
    struct lotor_conv_2d_v6m_place next = {in, 0, 0};
    int8_t *to = out;
    for (int32_t left = pixels; left > 0; left -= some) {
        if (left < some) { /* at the end, some pixels once more */
            const int32_t pixel = pixels - some;
            const int32_t row = pixel / p->out_w;
            next.column = pixel % p->out_w;
            next.row = row % p->out_h;
            next.image = lotor_conv_2d_v6m_pointwise(p)
                             ? in + pixel * p->in_step
                             : in + row / p->out_h * p->in_h * p->in_w * p->in_step;
            to = out + pixel * p->out_step;
        }
        const struct lotor_conv_2d_v6m_place first = next;
        for (int32_t g = 0; g < p->groups; g++) {
            next = first;
            lotor_conv_2d_v6m_windows(p, &next, g * p->group_c, lanes);
            const int32_t begin = g * p->filters, end = begin + p->filters;
            /* In a block of weights, filters of a group are followed by the next one's. */
            const int32_t start = begin - begin % LOTOR_V6M_DENSE_FILTERS;
            for (int32_t block = start; block < end; block += LOTOR_V6M_DENSE_FILTERS) {
                const int32_t c = lotor_max(block, begin);
                const int32_t filters = lotor_min(block + LOTOR_V6M_DENSE_FILTERS, end) - c;
                const uint32_t *const row = table + c * p->columns;
                lotor_v6m_dense(lanes, weights + block * count + c - block, row,
                                row + filters * p->columns, to + c, p->parts, count, p->out_step,
                                p->bent, p->deep, p->out_min, p->out_max);
            }
        }
        to += some * p->out_step;
    }
}

#endif

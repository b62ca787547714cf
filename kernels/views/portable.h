/* Views of a camera's frame: parts of it squeezed into a model's input, and their scores joined.
 *
 * In integers, so that every core computes the same bytes; toolchain/lotor/integer_views.py says
 * the same in Python.
 */
#ifndef LOTOR_VIEWS_PORTABLE_H
#define LOTOR_VIEWS_PORTABLE_H

#include <stddef.h>
#include <stdint.h>

#define LOTOR_VIEWS_CROPS 9            /* in the fixed grid, besides the full frame */
#define LOTOR_VIEWS_LONGEST 32767      /* pixels in a frame's side */
#define LOTOR_VIEWS_LARGEST (1L << 24) /* pixels in a frame: sums of them stay below 2^32 */

/* A frame in RGB888. */
struct lotor_frame {
    const uint8_t *rgb;            /* its first pixel: red, green, blue */
    int32_t height, width, stride; /* pixels, pixels, and bytes from one row to the next */
};

/* A part of a frame, in pixels; the end is excluded. */
struct lotor_view {
    int32_t x0, y0, x1, y1;
};

/* Pixels along one side that make one of the result. */
struct lotor_view_span {
    int32_t first, last;         /* of the view's */
    uint32_t begin, middle, end; /* weight of the first, of those between, of the last */
};

/* What was seen of the target so far, in steps of its score. */
struct lotor_views_seen {
    int32_t views, best; /* how many, and which has the highest score */
    int32_t highest, second;
};

/* View 0 is the full frame; 1 to 5 have half of its sides and lie in the corners and the centre, 6
 * to 9 have 0.7 of them and lie in the corners. */
static inline struct lotor_view lotor_view_of(const struct lotor_frame *frame, int32_t index) {
    struct lotor_view view = {0, 0, frame->width, frame->height};
    if (index > 0) {
        const int32_t tenths = index <= 5 ? 5 : 7;
        const int32_t place = index <= 5 ? index - 1 : index - 6;
        const int32_t w = frame->width * tenths / 10, h = frame->height * tenths / 10;
        const int32_t across = frame->width - (w > 0 ? w : 1);
        const int32_t down = frame->height - (h > 0 ? h : 1);
        view.x0 = place == 4 ? across / 2 : place % 2 * across;
        view.y0 = place == 4 ? down / 2 : place / 2 * down;
        view.x1 = view.x0 + frame->width - across;
        view.y1 = view.y0 + frame->height - down;
    }
    return view;
}

/* Whether a frame can be read, and crops lie inside it. */
static inline int lotor_views_fit(const struct lotor_frame *frame, const struct lotor_view *crops,
                                  int32_t count) {
    if (frame->rgb == NULL || frame->height < 1 || frame->height > LOTOR_VIEWS_LONGEST ||
        frame->width < 1 || frame->width > LOTOR_VIEWS_LONGEST ||
        frame->stride / 3 < frame->width || frame->height * frame->width > LOTOR_VIEWS_LARGEST) {
        return 0;
    }
    if (crops != NULL && count < 0) {
        return 0;
    }
    for (int32_t i = 0; crops != NULL && i < count; i++) {
        if (crops[i].x0 < 0 || crops[i].x0 >= crops[i].x1 || crops[i].x1 > frame->width ||
            crops[i].y0 < 0 || crops[i].y0 >= crops[i].y1 || crops[i].y1 > frame->height) {
            return 0;
        }
    }
    return 1;
}

/* The input for the mean of pixels; without `steps`, which has it for each of 256, less by 128. */
static inline int8_t lotor_view_step(const int8_t *steps, uint32_t mean) {
    return steps == NULL ? (int8_t)((int32_t)mean - 128) : steps[mean];
}

/* Where a view's pixel is in a frame. */
static inline const uint8_t *lotor_view_pixel(const struct lotor_frame *frame,
                                              const struct lotor_view *view, int32_t row,
                                              int32_t column) {
    return frame->rgb + (size_t)(view->y0 + row) * (size_t)frame->stride +
           3 * (size_t)(view->x0 + column);
}

/* Result `i` of `out` covers some of `size` pixels, at least `out`, each of which is `out` wide. */
static inline struct lotor_view_span lotor_view_covered(int32_t i, int32_t size, int32_t out) {
    const int32_t from = i * size, to = from + size;
    struct lotor_view_span span;
    span.first = from / out;
    span.last = (to - 1) / out;
    span.begin = (uint32_t)((span.first + 1) * out - from);
    span.middle = (uint32_t)out;
    span.end = (uint32_t)(to - span.last * out);
    return span;
}

static inline uint32_t lotor_view_weight(const struct lotor_view_span *span, int32_t pixel) {
    if (pixel == span->first) {
        return span->begin;
    }
    return pixel == span->last ? span->end : span->middle;
}

/* A view at least as large as the input: the mean over the area of each pixel, exact and then
 * rounded half to even; half up where that area is exactly 2 by 2 pixels. */
static inline void lotor_view_mean(const struct lotor_frame *frame, const struct lotor_view *view,
                                   int32_t out_h, int32_t out_w, const int8_t *steps, int8_t *out) {
    const int32_t height = view->y1 - view->y0, width = view->x1 - view->x0;
    const uint32_t area = (uint32_t)(height * width);
    const uint32_t up = height == 2 * out_h && width == 2 * out_w;
    for (int32_t y = 0; y < out_h; y++) {
        const struct lotor_view_span rows = lotor_view_covered(y, height, out_h);
        for (int32_t x = 0; x < out_w; x++) {
            const struct lotor_view_span columns = lotor_view_covered(x, width, out_w);
            uint32_t sums[3] = {0, 0, 0};
            for (int32_t row = rows.first; row <= rows.last; row++) {
                const uint8_t *pixel = lotor_view_pixel(frame, view, row, columns.first);
                const uint32_t down = lotor_view_weight(&rows, row);
                for (int32_t column = columns.first; column <= columns.last; column++) {
                    const uint32_t weight = down * lotor_view_weight(&columns, column);
                    for (int c = 0; c < 3; c++) {
                        sums[c] += weight * *pixel++;
                    }
                }
            }
            for (int c = 0; c < 3; c++) {
                const uint32_t mean = sums[c] / area, rest = sums[c] % area;
                const uint32_t above = 2 * rest + (up | (mean & 1)) > area;
                *out++ = lotor_view_step(steps, mean + above);
            }
        }
    }
}

/* Result `i` of `out` lies between the centres of two of `size` pixels; `end` is its distance from
 * the first in 1/2048. Beyond the border both are the pixel at it. */
static inline struct lotor_view_span lotor_view_nearest(int32_t i, int32_t size, int32_t out) {
    const int32_t place = (2 * i + 1) * size + out; /* from a pixel before, in 1/(2 * out) */
    const int32_t first = place / (2 * out) - 1, rest = place % (2 * out);
    struct lotor_view_span span;
    span.first = first < 0 ? 0 : (first < size ? first : size - 1);
    span.last = first + 1 < size ? first + 1 : size - 1;
    span.end = (uint32_t)((rest * 2048 + out) / (2 * out));
    span.middle = 0;
    span.begin = 2048 - span.end;
    return span;
}

/* Any other view: linearly between pixels. */
static inline void lotor_view_between(const struct lotor_frame *frame,
                                      const struct lotor_view *view, int32_t out_h, int32_t out_w,
                                      const int8_t *steps, int8_t *out) {
    const int32_t height = view->y1 - view->y0, width = view->x1 - view->x0;
    for (int32_t y = 0; y < out_h; y++) {
        const struct lotor_view_span rows = lotor_view_nearest(y, height, out_h);
        const uint8_t *above = lotor_view_pixel(frame, view, rows.first, 0);
        const uint8_t *below = lotor_view_pixel(frame, view, rows.last, 0);
        for (int32_t x = 0; x < out_w; x++) {
            const struct lotor_view_span columns = lotor_view_nearest(x, width, out_w);
            const int32_t left = 3 * columns.first, right = 3 * columns.last;
            for (int32_t c = 0; c < 3; c++) {
                const uint32_t high =
                    (above[left + c] * columns.begin + above[right + c] * columns.end) >> 4;
                const uint32_t low =
                    (below[left + c] * columns.begin + below[right + c] * columns.end) >> 4;
                const uint32_t sum = (high * rows.begin >> 16) + (low * rows.end >> 16);
                *out++ = lotor_view_step(steps, (sum + 2) >> 2);
            }
        }
    }
}

/* Squeeze a view into a model's input, int8 [out_h, out_w, 3] of at most 1024 rows and columns. */
static inline void lotor_view_resize(const struct lotor_frame *frame, const struct lotor_view *view,
                                     int32_t out_h, int32_t out_w, const int8_t *steps,
                                     int8_t *out) {
    if (view->y1 - view->y0 >= out_h && view->x1 - view->x0 >= out_w) {
        lotor_view_mean(frame, view, out_h, out_w, steps, out);
    } else {
        lotor_view_between(frame, view, out_h, out_w, steps, out);
    }
}

/* Count a view in; `score` is the target's, in steps from 0. */
static inline void lotor_views_take(struct lotor_views_seen *seen, int32_t score) {
    if (seen->views == 0 || score > seen->highest) {
        seen->second = seen->views == 0 ? score : seen->highest;
        seen->highest = score;
        seen->best = seen->views;
    } else if (seen->views == 1 || score > seen->second) {
        seen->second = score;
    }
    seen->views++;
}

/* Join what was seen: `scores` has the full frame's in steps, and gets them in half steps.
 *
 * The target's is the sum of its two highest, so exactly their mean. The others keep the full
 * frame's proportions in what is left of its sum, each rounded half up. At most 16384 labels.
 */
static inline void lotor_views_join(const struct lotor_views_seen *seen, int32_t labels,
                                    int32_t target, int16_t *scores) {
    int32_t whole = 0;
    for (int32_t i = 0; i < labels; i++) {
        whole += scores[i];
    }
    const int32_t found = seen->highest + seen->second, rest = whole - scores[target];
    const int32_t left = 2 * whole > found ? 2 * whole - found : 0;
    for (int32_t i = 0; i < labels; i++) {
        const int32_t own = scores[i];
        const uint32_t part = 2 * (uint32_t)left * (uint32_t)own + (uint32_t)rest;
        scores[i] = (int16_t)(rest == 0 ? 0 : part / (2 * (uint32_t)rest));
    }
    scores[target] = (int16_t)found;
}

#endif

/* From the raw output of a single-shot detector to boxes: decoding and suppression of overlaps.
 *
 * A box is (y, x, height, width) relative to its anchor when encoded, and (top, left, bottom,
 * right) when decoded. Detections are chosen greedily: the active box with the highest score (the
 * first of equal ones), which then puts out itself and the boxes that overlap it too much.
 *
 * Scores are floats, or int8 (`quantized`) that stand for the entries of a table.
 */
#ifndef LOTOR_DETECTION_POSTPROCESS_PORTABLE_H
#define LOTOR_DETECTION_POSTPROCESS_PORTABLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct lotor_decode_boxes_params {
    int32_t boxes, coordinates;
    float anchor_zero_point, anchor_scale;
};

struct lotor_decode_boxes_float_params {
    int32_t boxes, coordinates;
    float y_scale, x_scale, h_scale, w_scale;
};

struct lotor_detect_fast_params {
    int32_t boxes, classes;
    int32_t columns; /* scores of one box, with a background class first or without */
    int32_t most;    /* detections */
    int32_t slots;   /* outputs of one detection */
    int32_t per_box; /* classes that one detection reports */
    int32_t quantized;
    float score_threshold, overlap_threshold;
};

struct lotor_detect_regular_params {
    int32_t boxes, classes, columns, most, slots;
    int32_t per_class; /* detections */
    int32_t quantized;
    float score_threshold, overlap_threshold;
};

static inline void lotor_write_box(float *box, const double center[2], const double half[2]) {
    const float y = (float)center[0], x = (float)center[1];
    const float half_h = (float)half[0], half_w = (float)half[1];
    box[0] = y - half_h;
    box[1] = x - half_w;
    box[2] = y + half_h;
    box[3] = x + half_w;
}

/* The tables hold, for each int8, the encoded centre over its scale and half the exponential of the
 * encoded size over its scale. */
static inline void lotor_decode_boxes_portable(const struct lotor_decode_boxes_params *p,
                                               const int8_t *in, const int8_t *anchors,
                                               const double *ys, const double *xs,
                                               const double *heights, const double *widths,
                                               float *out) {
    for (int32_t i = 0; i < p->boxes; i++) {
        double anchor[4];
        for (int32_t k = 0; k < 4; k++) {
            const float distance = (float)anchors[4 * i + k] - p->anchor_zero_point;
            anchor[k] = (double)(distance * p->anchor_scale);
        }
        const int8_t *box = in + i * p->coordinates;
        const double center[2] = {ys[box[0] + 128] * anchor[2] + anchor[0],
                                  xs[box[1] + 128] * anchor[3] + anchor[1]};
        const double half[2] = {heights[box[2] + 128] * anchor[2],
                                widths[box[3] + 128] * anchor[3]};
        lotor_write_box(out + 4 * i, center, half);
    }
}

/* 2^exponent for -1022 <= exponent <= 1023. */
static inline double lotor_double_power(int32_t exponent) {
    const uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* e^x to about two units of the last place: x = n ln 2 + r, and the Taylor series of e^r. */
static inline double lotor_double_exp(double x) {
    if (x != x) {
        return x;
    }
    if (x > 1000.0) {
        x = 1000.0; /* infinite all the same */
    }
    if (x < -1000.0) {
        return 0.0;
    }
    const double near = x * 1.4426950408889634;
    const int32_t n = (int32_t)(near < 0.0 ? near - 0.5 : near + 0.5);
    /* ln 2 in two parts; n times the first is exact. */
    const double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
    double sum = 1.0;
    for (int32_t k = 15; k > 0; k--) {
        sum = 1.0 + sum * r / k;
    }
    /* In two steps: the power alone could leave the range of doubles. */
    const int32_t first = n / 2;
    return sum * lotor_double_power(first) * lotor_double_power(n - first);
}

static inline void
lotor_decode_boxes_float_portable(const struct lotor_decode_boxes_float_params *p, const float *in,
                                  const float *anchors, float *out) {
    for (int32_t i = 0; i < p->boxes; i++) {
        const float *box = in + i * p->coordinates;
        const float *anchor = anchors + 4 * i;
        const double h = (double)anchor[2], w = (double)anchor[3];
        const double center[2] = {
            (double)box[0] / (double)p->y_scale * h + (double)anchor[0],
            (double)box[1] / (double)p->x_scale * w + (double)anchor[1],
        };
        const double half[2] = {
            0.5 * lotor_double_exp((double)box[2] / (double)p->h_scale) * h,
            0.5 * lotor_double_exp((double)box[3] / (double)p->w_scale) * w,
        };
        lotor_write_box(out + 4 * i, center, half);
    }
}

static inline float lotor_score(const void *scores, const float *table, int32_t quantized,
                                int32_t at) {
    return quantized ? table[((const int8_t *)scores)[at] + 128] : ((const float *)scores)[at];
}

static inline float lotor_larger(float a, float b) { return a < b ? b : a; }

static inline float lotor_smaller(float a, float b) { return b < a ? b : a; }

/* Intersection over union; 0 for boxes without area. */
static inline float lotor_overlap(const float *a, const float *b) {
    const float area_a = (a[2] - a[0]) * (a[3] - a[1]);
    const float area_b = (b[2] - b[0]) * (b[3] - b[1]);
    if (area_a <= 0.0f || area_b <= 0.0f) {
        return 0.0f;
    }
    const float height = lotor_smaller(a[2], b[2]) - lotor_larger(a[0], b[0]);
    const float width = lotor_smaller(a[3], b[3]) - lotor_larger(a[1], b[1]);
    const float common = lotor_larger(height, 0.0f) * lotor_larger(width, 0.0f);
    return common / (area_a + area_b - common);
}

/* Returns the next detection and puts out what it overlaps; -1 when none is left. */
static inline int32_t lotor_next_detection(const float *decoded, const float *best, uint8_t *active,
                                           int32_t boxes, float threshold) {
    int32_t chosen = -1;
    for (int32_t i = 0; i < boxes; i++) {
        if (active[i] && (chosen < 0 || best[i] > best[chosen])) {
            chosen = i;
        }
    }
    if (chosen < 0) {
        return -1;
    }
    active[chosen] = 0;
    for (int32_t i = 0; i < boxes; i++) {
        if (active[i] && lotor_overlap(decoded + 4 * chosen, decoded + 4 * i) > threshold) {
            active[i] = 0;
        }
    }
    return chosen;
}

/* Order of classes: by falling score. */
struct lotor_class_order {
    const void *scores;
    const float *table;
    int32_t quantized, offset;
};

static inline int lotor_class_before(const struct lotor_class_order *by, int32_t a, int32_t b) {
    return lotor_score(by->scores, by->table, by->quantized, by->offset + a) >
           lotor_score(by->scores, by->table, by->quantized, by->offset + b);
}

/* Lets the hole of a heap sink to a leaf, and a class rise from there: the way in which libstdc++
 * adjusts heaps, as that decides the order of equal scores. */
static inline void lotor_sink_class(const struct lotor_class_order *by, int32_t *heap, int32_t hole,
                                    int32_t size, int32_t held) {
    const int32_t top = hole;
    while (2 * hole + 1 < size) {
        int32_t child = 2 * hole + 2;
        if (child == size || lotor_class_before(by, heap[child], heap[child - 1])) {
            child--;
        }
        heap[hole] = heap[child];
        hole = child;
    }
    while (hole > top && lotor_class_before(by, heap[(hole - 1) / 2], held)) {
        heap[hole] = heap[(hole - 1) / 2];
        hole = (hole - 1) / 2;
    }
    heap[hole] = held;
}

/* Puts the `wanted` classes with the highest scores first, by a partial heap sort. */
static inline void lotor_order_classes(const struct lotor_class_order *by, int32_t *order,
                                       int32_t classes, int32_t wanted) {
    for (int32_t i = 0; i < classes; i++) {
        order[i] = i;
    }
    for (int32_t i = wanted / 2 - 1; i >= 0; i--) {
        lotor_sink_class(by, order, i, wanted, order[i]);
    }
    for (int32_t i = wanted; i < classes; i++) {
        if (lotor_class_before(by, order[i], order[0])) {
            const int32_t held = order[i];
            order[i] = order[0];
            lotor_sink_class(by, order, 0, wanted, held);
        }
    }
    for (int32_t last = wanted - 1; last > 0; last--) {
        const int32_t held = order[last];
        order[last] = order[0];
        lotor_sink_class(by, order, 0, last, held);
    }
}

/* One score for each box decides: that of its best class. Outputs beyond the last detection are 0.
 */
static inline void lotor_detect_fast_portable(const struct lotor_detect_fast_params *p,
                                              const void *scores, const float *decoded,
                                              const float *table, float *out_boxes,
                                              float *out_classes, float *out_scores,
                                              float *out_count, float *best, uint8_t *active,
                                              int32_t *order) {
    const int32_t first = p->columns - p->classes;
    for (int32_t i = 0; i < p->boxes; i++) {
        float highest = lotor_score(scores, table, p->quantized, i * p->columns + first);
        for (int32_t k = 1; k < p->classes; k++) {
            const float score =
                lotor_score(scores, table, p->quantized, i * p->columns + first + k);
            highest = score > highest ? score : highest;
        }
        best[i] = highest;
        active[i] = highest >= p->score_threshold;
    }
    memset(out_boxes, 0, (size_t)(p->most * p->slots) * 4 * sizeof *out_boxes);
    memset(out_classes, 0, (size_t)(p->most * p->slots) * sizeof *out_classes);
    memset(out_scores, 0, (size_t)(p->most * p->slots) * sizeof *out_scores);
    int32_t count = 0;
    while (count < p->most) {
        const int32_t box =
            lotor_next_detection(decoded, best, active, p->boxes, p->overlap_threshold);
        if (box < 0) {
            break;
        }
        const struct lotor_class_order by = {scores, table, p->quantized, box * p->columns + first};
        lotor_order_classes(&by, order, p->classes, p->per_box);
        for (int32_t k = 0; k < p->per_box; k++) {
            const int32_t at = count * p->slots + k;
            memcpy(out_boxes + 4 * at, decoded + 4 * box, 4 * sizeof *out_boxes);
            out_classes[at] = (float)order[k];
            out_scores[at] = lotor_score(scores, table, p->quantized, by.offset + order[k]);
        }
        count++;
    }
    *out_count = (float)count;
}

/* Every class for itself; the best detections of all classes are reported. */
static inline void lotor_detect_regular_portable(const struct lotor_detect_regular_params *p,
                                                 const void *scores, const float *decoded,
                                                 const float *table, float *out_boxes,
                                                 float *out_classes, float *out_scores,
                                                 float *out_count, float *best, uint8_t *active,
                                                 int32_t *chosen) {
    const int32_t first = p->columns - p->classes;
    memset(out_boxes, 0, (size_t)(p->most * p->slots) * 4 * sizeof *out_boxes);
    memset(out_classes, 0, (size_t)(p->most * p->slots) * sizeof *out_classes);
    memset(out_scores, 0, (size_t)(p->most * p->slots) * sizeof *out_scores);
    int32_t count = 0;
    for (int32_t k = 0; k < p->classes; k++) {
        for (int32_t i = 0; i < p->boxes; i++) {
            best[i] = lotor_score(scores, table, p->quantized, i * p->columns + first + k);
            active[i] = best[i] >= p->score_threshold;
        }
        for (int32_t taken = 0; taken < p->per_class; taken++) {
            const int32_t box =
                lotor_next_detection(decoded, best, active, p->boxes, p->overlap_threshold);
            if (box < 0) {
                break;
            }
            /* Into the list of all classes, behind equal scores; the last falls out of a full one.
             */
            int32_t at = count;
            count += count < p->most;
            for (; at > 0 && out_scores[at - 1] < best[box]; at--) {
                if (at < p->most) {
                    out_scores[at] = out_scores[at - 1];
                    out_classes[at] = out_classes[at - 1];
                    chosen[at] = chosen[at - 1];
                }
            }
            if (at < p->most) {
                out_scores[at] = best[box];
                out_classes[at] = (float)k;
                chosen[at] = box;
            }
        }
    }
    for (int32_t i = 0; i < count; i++) {
        memcpy(out_boxes + 4 * i, decoded + 4 * chosen[i], 4 * sizeof *out_boxes);
    }
    *out_count = (float)count;
}

#endif

/* Bilinear resizing, NHWC.
 *
 * For each row (column) of the output, `rows` (`columns`) holds the two of the input between which
 * it lies, and `down` (`right`) how far towards the second.
 */
#ifndef LOTOR_RESIZE_BILINEAR_PORTABLE_H
#define LOTOR_RESIZE_BILINEAR_PORTABLE_H

#include <stdint.h>

struct lotor_resize_bilinear_params {
    int32_t batches, in_h, in_w, channels, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
};

struct lotor_resize_bilinear_int16_params {
    int32_t batches, in_h, in_w, channels, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
};

struct lotor_resize_bilinear_uint8_params {
    int32_t batches, in_h, in_w, channels, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
};

struct lotor_resize_bilinear_float_params {
    int32_t batches, in_h, in_w, channels, out_h, out_w;
    int32_t in_step, out_step; /* elements from one pixel to the next */
};

/* Distances are in 1/1024; the mean is rounded half away from zero. */
static inline void lotor_resize_bilinear_portable(const struct lotor_resize_bilinear_params *p,
                                                  const int8_t *in, const int16_t *rows,
                                                  const int16_t *down, const int16_t *columns,
                                                  const int16_t *right, int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const int8_t *top = in + rows[2 * y] * p->in_w * p->in_step;
            const int8_t *bottom = in + rows[2 * y + 1] * p->in_w * p->in_step;
            for (int32_t x = 0; x < p->out_w; x++) {
                const int32_t a = columns[2 * x] * p->in_step;
                const int32_t b = columns[2 * x + 1] * p->in_step;
                const int32_t top_a = (1024 - down[y]) * (1024 - right[x]);
                const int32_t top_b = (1024 - down[y]) * right[x];
                const int32_t bottom_a = down[y] * (1024 - right[x]);
                const int32_t bottom_b = down[y] * right[x];
                for (int32_t c = 0; c < p->channels; c++) {
                    const int32_t sum = top[a + c] * top_a + bottom[a + c] * bottom_a +
                                        top[b + c] * top_b + bottom[b + c] * bottom_b;
                    const int32_t half = sum > 0 ? 1 << 19 : -(1 << 19);
                    out[c] = (int8_t)((sum + half) / (1 << 20));
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

static inline void
lotor_resize_bilinear_int16_portable(const struct lotor_resize_bilinear_int16_params *p,
                                     const int16_t *in, const int16_t *rows, const int16_t *down,
                                     const int16_t *columns, const int16_t *right, int16_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const int16_t *top = in + rows[2 * y] * p->in_w * p->in_step;
            const int16_t *bottom = in + rows[2 * y + 1] * p->in_w * p->in_step;
            for (int32_t x = 0; x < p->out_w; x++) {
                const int32_t a = columns[2 * x] * p->in_step;
                const int32_t b = columns[2 * x + 1] * p->in_step;
                const int64_t top_a = (1024 - down[y]) * (1024 - right[x]);
                const int64_t top_b = (1024 - down[y]) * right[x];
                const int64_t bottom_a = down[y] * (1024 - right[x]);
                const int64_t bottom_b = down[y] * right[x];
                for (int32_t c = 0; c < p->channels; c++) {
                    const int64_t sum = top[a + c] * top_a + bottom[a + c] * bottom_a +
                                        top[b + c] * top_b + bottom[b + c] * bottom_b;
                    const int64_t half = sum > 0 ? 1 << 19 : -(1 << 19);
                    out[c] = (int16_t)((sum + half) / (1 << 20));
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

static inline float lotor_bilinear(float top_a, float bottom_a, float top_b, float bottom_b,
                                   float down, float right) {
    float sum = top_a * (1.0f - down) * (1.0f - right);
    sum += bottom_a * down * (1.0f - right);
    sum += top_b * (1.0f - down) * right;
    return sum + bottom_b * down * right;
}

/* int8 for what is uint8 in the model, whose zero is -128 here: in float, rounded half up. */
static inline void
lotor_resize_bilinear_uint8_portable(const struct lotor_resize_bilinear_uint8_params *p,
                                     const int8_t *in, const int16_t *rows, const float *down,
                                     const int16_t *columns, const float *right, int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const int8_t *top = in + rows[2 * y] * p->in_w * p->in_step;
            const int8_t *bottom = in + rows[2 * y + 1] * p->in_w * p->in_step;
            for (int32_t x = 0; x < p->out_w; x++) {
                const int32_t a = columns[2 * x] * p->in_step;
                const int32_t b = columns[2 * x + 1] * p->in_step;
                for (int32_t c = 0; c < p->channels; c++) {
                    const float mean = lotor_bilinear(
                        (float)(top[a + c] + 128), (float)(bottom[a + c] + 128),
                        (float)(top[b + c] + 128), (float)(bottom[b + c] + 128), down[y], right[x]);
                    out[c] = (int8_t)((int32_t)(mean + 0.5f) - 128);
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

static inline void
lotor_resize_bilinear_float_portable(const struct lotor_resize_bilinear_float_params *p,
                                     const float *in, const int16_t *rows, const float *down,
                                     const int16_t *columns, const float *right, float *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const float *top = in + rows[2 * y] * p->in_w * p->in_step;
            const float *bottom = in + rows[2 * y + 1] * p->in_w * p->in_step;
            for (int32_t x = 0; x < p->out_w; x++) {
                const int32_t a = columns[2 * x] * p->in_step;
                const int32_t b = columns[2 * x + 1] * p->in_step;
                for (int32_t c = 0; c < p->channels; c++) {
                    /* The reference adds a rounding of zero, which turns -0 into 0. */
                    out[c] = lotor_bilinear(top[a + c], bottom[a + c], top[b + c], bottom[b + c],
                                            down[y], right[x]) +
                             0.0f;
                }
                out += p->out_step;
            }
        }
        in += p->in_h * p->in_w * p->in_step;
    }
}

#endif

/* Nearest-neighbour resizing, NHWC, of elements of any type. */
#ifndef LOTOR_RESIZE_NEAREST_NEIGHBOR_PORTABLE_H
#define LOTOR_RESIZE_NEAREST_NEIGHBOR_PORTABLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct lotor_resize_nearest_neighbor_params {
    int32_t batches, in_h, in_w, out_h, out_w;
    int32_t pixel;             /* bytes */
    int32_t in_step, out_step; /* bytes from one pixel to the next */
};

/* rows, columns: the input's for each of the output's. */
static inline void
lotor_resize_nearest_neighbor_portable(const struct lotor_resize_nearest_neighbor_params *p,
                                       const void *in, const int16_t *rows, const int16_t *columns,
                                       void *out) {
    const uint8_t *from = in;
    uint8_t *to = out;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const uint8_t *row = from + rows[y] * p->in_w * p->in_step;
            for (int32_t x = 0; x < p->out_w; x++) {
                memcpy(to, row + columns[x] * p->in_step, (size_t)p->pixel);
                to += p->out_step;
            }
        }
        from += p->in_h * p->in_w * p->in_step;
    }
}

#endif

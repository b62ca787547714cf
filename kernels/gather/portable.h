/* Slices of a tensor, chosen by indices that are known at run time only.
 *
 * An index that points outside gives a slice of zeros: nothing outside is ever read. */
#ifndef LOTOR_GATHER_PORTABLE_H
#define LOTOR_GATHER_PORTABLE_H

#include "../common/opaque.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Input [batch, outer, axis, run bytes], indices [batch, count] of index_bytes each,
 * output [batch, outer, count, run bytes]. */
struct lotor_gather_params {
    int32_t batch, outer, axis, count;
    int32_t index_bytes, run;
};

/* Indices [count, depth]: the first `depth` coordinates of a slice of run bytes; size_k and
 * stride_k (in bytes) are those of the input's dimension k. */
struct lotor_gather_nd_params {
    int32_t count, depth;
    int32_t index_bytes, run;
    int32_t size_0, stride_0, size_1, stride_1, size_2, stride_2;
    int32_t size_3, stride_3, size_4, stride_4, size_5, stride_5;
};

/* Return element `at` of integers of 2, 4 or 8 bytes. */
static inline int64_t lotor_gather_index(const void *indices, ptrdiff_t at, int32_t bytes) {
    if (bytes == 2) {
        return ((const int16_t *)indices)[at];
    }
    if (bytes == 4) {
        return ((const int32_t *)indices)[at];
    }
    return ((const int64_t *)indices)[at];
}

static inline void lotor_gather_portable(const struct lotor_gather_params *p, const void *in,
                                         const void *indices, void *out) {
    const uint8_t *from = lotor_opaque(in);
    uint8_t *to = out;
    for (int32_t b = 0; b < p->batch; b++) {
        for (int32_t o = 0; o < p->outer; o++) {
            for (int32_t i = 0; i < p->count; i++) {
                const int64_t index =
                    lotor_gather_index(indices, (ptrdiff_t)b * p->count + i, p->index_bytes);
                if (index >= 0 && index < p->axis) {
                    memcpy(to, from + (ptrdiff_t)index * p->run, (size_t)p->run);
                } else {
                    memset(to, 0, (size_t)p->run);
                }
                to += p->run;
            }
            from += (ptrdiff_t)p->axis * p->run;
        }
    }
}

static inline void lotor_gather_nd_portable(const struct lotor_gather_nd_params *p, const void *in,
                                            const void *indices, void *out) {
    const int32_t sizes[6] = {p->size_0, p->size_1, p->size_2, p->size_3, p->size_4, p->size_5};
    const int32_t strides[6] = {p->stride_0, p->stride_1, p->stride_2,
                                p->stride_3, p->stride_4, p->stride_5};
    const uint8_t *const from = lotor_opaque(in);
    uint8_t *to = out;
    for (int32_t i = 0; i < p->count; i++) {
        ptrdiff_t start = 0;
        int inside = 1;
        for (int32_t k = 0; k < p->depth; k++) {
            const int64_t index =
                lotor_gather_index(indices, (ptrdiff_t)i * p->depth + k, p->index_bytes);
            if (index >= 0 && index < sizes[k]) {
                start += (ptrdiff_t)index * strides[k];
            } else {
                inside = 0;
            }
        }
        if (inside) {
            memcpy(to, from + start, (size_t)p->run);
        } else {
            memset(to, 0, (size_t)p->run);
        }
        to += p->run;
    }
}

#endif

/* Each index becomes `depth` elements, of which the one that it names is on and all others off.
 *
 * An index outside of the depth leaves all of them off: nothing outside is ever written. */
#ifndef LOTOR_ONE_HOT_PORTABLE_H
#define LOTOR_ONE_HOT_PORTABLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Indices [outer, inner] of index_bytes each, output [outer, depth, inner] of run bytes each. */
struct lotor_one_hot_params {
    int32_t outer, depth, inner;
    int32_t index_bytes, run;
};

/* Return index `at`; of 64 bits the lower 32, as in the reference. */
static inline int32_t lotor_one_hot_index(const void *indices, ptrdiff_t at, int32_t bytes) {
    if (bytes == 4) {
        return ((const int32_t *)indices)[at];
    }
    return (int32_t)(uint32_t)((const int64_t *)indices)[at];
}

static inline void lotor_one_hot_portable(const struct lotor_one_hot_params *p, const void *indices,
                                          const void *on, const void *off, void *out) {
    uint8_t *const to = out;
    const ptrdiff_t elements = (ptrdiff_t)p->outer * p->depth * p->inner;
    for (ptrdiff_t i = 0; i < elements; i++) {
        memcpy(to + i * p->run, off, (size_t)p->run);
    }
    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t i = 0; i < p->inner; i++) {
            const int32_t index =
                lotor_one_hot_index(indices, (ptrdiff_t)o * p->inner + i, p->index_bytes);
            if (index >= 0 && index < p->depth) {
                const ptrdiff_t at = ((ptrdiff_t)o * p->depth + index) * p->inner + i;
                memcpy(to + at * p->run, on, (size_t)p->run);
            }
        }
    }
}

#endif

/* Rows of one channel with two columns in a word: one of the left half of the outputs and one of
 * the right half. */
#ifndef LOTOR_COMMON_V7M_GATHER_H
#define LOTOR_COMMON_V7M_GATHER_H

#include "inline.h"

#include <stdint.h>

struct lotor_v7m_row {
    int32_t in_w, in_step, pad_w;
    int32_t zero_point;
    int32_t right; /* inputs from left half to right half */
    int32_t pitch; /* words of a gathered row */
};

/* An input of a row, or the border beside it. */
static inline LOTOR_SPECIALISED int32_t lotor_v7m_input(const struct lotor_v7m_row *p,
                                                        const int8_t *row, int32_t x) {
    return x >= 0 && x < p->in_w ? row[x * p->in_step] : p->zero_point;
}

/* Gathers a row, or where it is outside the image, border. */
static inline LOTOR_SPECIALISED void
lotor_v7m_gather(const struct lotor_v7m_row *p, const int8_t *row, int32_t inside, int32_t *to) {
    const int32_t both = p->in_w - p->right; /* inputs of which either is inside */
    int32_t x = -p->pad_w;
    const int32_t end = x + p->pitch;
    if (!inside) {
        for (; x < end; x++) {
            *to++ = p->zero_point * 65537;
        }
        return;
    }
    for (; x < (end < 0 ? end : 0); x++) {
        *to++ = p->zero_point + lotor_v7m_input(p, row, x + p->right) * 65536;
    }
#pragma GCC unroll 8
    for (; x < (both < end ? both : end); x++) {
        *to++ = row[x * p->in_step] + row[(x + p->right) * p->in_step] * 65536;
    }
    for (; x < end; x++) {
        *to++ = lotor_v7m_input(p, row, x) + lotor_v7m_input(p, row, x + p->right) * 65536;
    }
}

#endif

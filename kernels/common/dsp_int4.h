/* Filters whose weights have four bits, unpacked to what `dsp_dense.h` reads. */
#ifndef LOTOR_COMMON_DSP_INT4_H
#define LOTOR_COMMON_DSP_INT4_H

#include "inline.h"

#include <stdint.h>

/* Two halfwords A + 256 * B of the low halves of a word's bytes, which hold A + 8 and B + 8. */
static inline uint32_t lotor_dsp_int4_pair(uint32_t eight) {
    uint32_t pair;
    __asm__("ssub16 %0, %1, %2"
            : "=r"(pair)
            : "r"(eight & UINT32_C(0x0f0f0f0f)), "r"(UINT32_C(0x08080808)));
    return pair;
}

/* Unpacks `twos` times two filters; returns what follows them.
 *
 * packed: of every two filters two biases, their weights, eight to a word, and their scales.
 * pairs: of inputs, an even number.
 * words: of two filters, unpacked.
 */
static inline LOTOR_SPECIALISED const uint32_t *lotor_dsp_int4_unpack(const uint32_t *packed,
                                                                      int32_t twos, int32_t pairs,
                                                                      int32_t words,
                                                                      uint32_t *filters) {
    for (; twos > 0; twos--) {
        const uint32_t *const biases = packed;
        uint32_t *to = filters + 2;
        packed += 2;
        for (int32_t i = 0; i < pairs; i += 2) {
            const uint32_t eight = *packed++;
            *to++ = lotor_dsp_int4_pair(eight);
            *to++ = lotor_dsp_int4_pair(eight >> 4);
        }
        filters[0] = filters[2]; /* the first weights come before the biases */
        filters[1] = biases[0];
        filters[2] = biases[1];
        for (int32_t i = pairs + 2; i < words; i++) {
            *to++ = *packed++;
        }
        filters = to;
    }
    return packed;
}

#endif

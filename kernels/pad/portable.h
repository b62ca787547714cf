/* A border around a 4-D int8 tensor. */
#ifndef LOTOR_PAD_PORTABLE_H
#define LOTOR_PAD_PORTABLE_H

#include <stdint.h>

struct lotor_pad_params {
    int32_t value;
    int32_t in_0, out_0, before_0;
    int32_t in_1, out_1, before_1;
    int32_t in_2, out_2, before_2;
    int32_t in_3, out_3, before_3;
};

static inline int lotor_pad_inside(int32_t at, int32_t before, int32_t size) {
    return at >= before && at < before + size;
}

static inline void lotor_pad_portable(const struct lotor_pad_params *p, const int8_t *in,
                                      int8_t *out) {
    for (int32_t a = 0; a < p->out_0; a++) {
        for (int32_t b = 0; b < p->out_1; b++) {
            for (int32_t c = 0; c < p->out_2; c++) {
                const int inside = lotor_pad_inside(a, p->before_0, p->in_0) &&
                                   lotor_pad_inside(b, p->before_1, p->in_1) &&
                                   lotor_pad_inside(c, p->before_2, p->in_2);
                for (int32_t d = 0; d < p->out_3; d++) {
                    /* Inputs come in order, each exactly once. */
                    const int take = inside && lotor_pad_inside(d, p->before_3, p->in_3);
                    *out++ = take ? *in++ : (int8_t)p->value;
                }
            }
        }
    }
}

#endif

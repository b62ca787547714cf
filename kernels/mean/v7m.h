/* Means of int8 for Armv7-M: as with the DSP instructions, but `dsp_pool.h` adds up differently. */
#ifndef LOTOR_MEAN_V7M_H
#define LOTOR_MEAN_V7M_H

#include "dsp.h"

static inline LOTOR_SPECIALISED void lotor_mean_v7m(const struct lotor_mean_dsp_params *p,
                                                    const int8_t *in, int8_t *out) {
    lotor_mean_dsp(p, in, out);
}

#endif

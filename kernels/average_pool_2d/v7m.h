/* Average pooling of int8 for Armv7-M: as with the DSP instructions, but `dsp_pool.h` adds up
 * differently. */
#ifndef LOTOR_AVERAGE_POOL_2D_V7M_H
#define LOTOR_AVERAGE_POOL_2D_V7M_H

#include "dsp.h"

static inline LOTOR_SPECIALISED void
lotor_average_pool_2d_v7m(const struct lotor_average_pool_2d_dsp_params *p, const int8_t *in,
                          int8_t *out) {
    lotor_average_pool_2d_dsp(p, in, out);
}

#endif

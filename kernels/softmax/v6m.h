/* Softmax of int8 with many classes by a table, for Armv6-M. */
#ifndef LOTOR_SOFTMAX_V6M_H
#define LOTOR_SOFTMAX_V6M_H

#include "table.h"

static inline void lotor_softmax_v6m(const struct lotor_softmax_table_params *p, const int8_t *in,
                                     int8_t *out, int32_t *looked_up) {
    lotor_softmax_table(p, lotor_softmax_largest, in, out, looked_up);
}

#endif

/* Reads and writes of what a model keeps from one run to the next. */
#ifndef LOTOR_VARIABLE_PORTABLE_H
#define LOTOR_VARIABLE_PORTABLE_H

#include "../common/opaque.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct lotor_variable_params {
    int32_t bytes;
};

static inline void lotor_variable_portable(const struct lotor_variable_params *p, const void *in,
                                           void *out) {
    memcpy(out, lotor_opaque(in), (size_t)p->bytes);
}

#endif

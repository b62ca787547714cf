/* Functions of one quantized input by table with Helium instructions: sixteen elements are looked
 * up at once. */
#ifndef LOTOR_TABLE_HELIUM_H
#define LOTOR_TABLE_HELIUM_H

#include "../common/inline.h"

#include <stdint.h>

struct lotor_table_helium_params {
    int32_t rows, row;
    int32_t in_step, out_step; /* elements from one row to the next */
};

/* values: the results for 0 ... 127, then for -128 ... -1. */
static inline LOTOR_SPECIALISED void lotor_table_helium(const struct lotor_table_helium_params *p,
                                                        const int8_t *in, const int8_t *values,
                                                        int8_t *out) {
    for (int32_t r = 0; r < p->rows; r++) {
        const int8_t *from = in;
        int8_t *to = out;
        /* The last turn leaves out lanes that are beyond the end. */
        __asm__ volatile("dlstp.8 lr, %[count]\n"
                         "1:\n"
                         "vldrb.u8 q0, [%[from]], #16\n"
                         "vldrb.u8 q1, [%[values], q0]\n"
                         "vstrb.8 q1, [%[to]], #16\n"
                         "letp lr, 1b\n"
                         : [from] "+&r"(from), [to] "+&r"(to)
                         : [values] "r"(values), [count] "r"(p->row)
                         : "lr", "q0", "q1", "cc", "memory");
        in += p->in_step;
        out += p->out_step;
    }
}

#endif

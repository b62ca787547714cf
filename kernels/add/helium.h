/* ADD of int8 with Helium instructions: both inputs on one line, proved equal for all of their
 * values. Two tensors of one shape. */
#ifndef LOTOR_ADD_HELIUM_H
#define LOTOR_ADD_HELIUM_H

#include "../common/helium_output.h"
#include "../common/inline.h"

#include <stdint.h>

struct lotor_add_helium_params {
    int32_t count;
    int32_t a_multiplier, b_multiplier, addend;
    int32_t away,
        shift; /* away: halves of negative sums round down; shift: see `helium_output.h` */
    int32_t out_offset, out_min, out_max;
    int32_t after; /* of sums that are rounded away: half a step and the zero point */
};

/* clang-format off */
/* q2: the first multiplier; the last turn leaves out lanes that are beyond the end. */
#define LOTOR_HELIUM_ADD                                                                           \
    "vdup.32 q2, %[a_multiplier]\n"                                                                \
    "dlstp.32 lr, %[count]\n"                                                                      \
    "1:\n"                                                                                         \
    "vldrb.s32 q0, [%[a]], #4\n"                                                                   \
    "vldrb.s32 q1, [%[b]], #4\n"                                                                   \
    "vmlas.s32 q0, q2, %[addend]\n"                                                                \
    "vmla.s32 q0, q1, %[b_multiplier]\n"                                                           \
    ".if %c[away]\n"                                                                               \
    "vshr.s32 q1, q0, #31\n"                                                                       \
    "vadd.i32 q0, q0, %[after]\n"                                                                  \
    "vadd.i32 q0, q0, q1\n"                                                                        \
    ".endif\n"                                                                                     \
    LOTOR_HELIUM_HALVE("q0", "b", "q0")                                                            \
    LOTOR_HELIUM_NARROW("q0", "b", "q0")                                                           \
    LOTOR_HELIUM_CLAMP("q0", "q1")                                                                 \
    "vstrb.32 q0, [%[out]], #4\n"                                                                  \
    "letp lr, 1b\n"
/* clang-format on */

static inline LOTOR_SPECIALISED void lotor_add_helium(const struct lotor_add_helium_params *p,
                                                      const int8_t *a, const int8_t *b,
                                                      int8_t *out) {
    __asm__ volatile(
        LOTOR_HELIUM_ADD
        : [a] "+&l"(a), [b] "+&l"(b), [out] "+&l"(out)
        : [a_multiplier] "r"(p->a_multiplier), [b_multiplier] "r"(p->b_multiplier),
          [addend] "r"(p->addend), [after] "r"(p->after), [count] "r"(p->count),
          [away] "i"(p->away), [shift] "i"(p->shift), [low] "i"(p->out_min), [high] "i"(p->out_max)
        : "lr", "q0", "q1", "q2", "cc", "memory");
}

#endif

/* ADD of int8 with Helium instructions: both inputs on one line, proved equal for all of their
 * values. Tensors of one shape, or rows that are broadcast. */
#ifndef LOTOR_ADD_HELIUM_H
#define LOTOR_ADD_HELIUM_H

#include "../common/broadcast.h"
#include "../common/helium_output.h"
#include "../common/inline.h"

struct lotor_add_helium_params {
    int32_t row, a_step, b_step; /* steps of 0 or 1 */
    int32_t a_multiplier, b_multiplier, addend;
    int32_t away,
        shift; /* away: halves of negative sums round down; shift: see `helium_output.h` */
    int32_t out_min, out_max;
    int32_t after; /* of sums that are rounded away: half a step and the zero point */
};

/* clang-format off */
/* q2: the first multiplier; the last turn leaves out lanes that are beyond the end. Of two inputs
 * the second may serve the whole row: then it is in the addend. */
#define LOTOR_HELIUM_ADD                                                                           \
    "vdup.32 q2, %[a_multiplier]\n"                                                                \
    "dlstp.32 lr, %[count]\n"                                                                      \
    "1:\n"                                                                                         \
    "vldrb.s32 q0, [%[a]], #4\n"                                                                   \
    ".if %c[b_step]\n"                                                                             \
    "vldrb.s32 q1, [%[b]], #4\n"                                                                   \
    ".endif\n"                                                                                     \
    "vmlas.s32 q0, q2, %[addend]\n"                                                                \
    ".if %c[b_step]\n"                                                                             \
    "vmla.s32 q0, q1, %[b_multiplier]\n"                                                           \
    ".endif\n"                                                                                     \
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

/* A row, whose first input is read element by element. */
static inline LOTOR_SPECIALISED void lotor_add_helium_row(const struct lotor_add_helium_params *p,
                                                          const int8_t *a, int32_t a_multiplier,
                                                          const int8_t *b, int32_t b_multiplier,
                                                          int32_t b_step, int8_t *out) {
    const int32_t addend = p->addend + (b_step ? 0 : *b * b_multiplier);
    __asm__ volatile(
        LOTOR_HELIUM_ADD
        : [a] "+&l"(a), [b] "+&l"(b), [out] "+&l"(out)
        : [a_multiplier] "r"(a_multiplier), [b_multiplier] "r"(b_multiplier), [b_step] "i"(b_step),
          [addend] "r"(addend), [after] "r"(p->after), [count] "r"(p->row), [away] "i"(p->away),
          [shift] "i"(p->shift), [low] "i"(p->out_min), [high] "i"(p->out_max)
        : "lr", "q0", "q1", "q2", "cc", "memory");
}

static inline LOTOR_SPECIALISED void lotor_add_helium(const struct lotor_add_helium_params *p,
                                                      const int8_t *a, const int8_t *b,
                                                      const int32_t *loops, int8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int8_t *left = a + rows.at[0];
        const int8_t *right = b + rows.at[1];
        int8_t *to = out + rows.at[2];
        if (p->a_step) {
            lotor_add_helium_row(p, left, p->a_multiplier, right, p->b_multiplier, p->b_step, to);
        } else {
            lotor_add_helium_row(p, right, p->b_multiplier, left, p->a_multiplier, 0, to);
        }
    } while (lotor_next_row(&rows, loops, 3));
}

#endif

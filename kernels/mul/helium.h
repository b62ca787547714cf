/* MUL of int8 with Helium instructions, eight elements at a time: products are requantized as sums
 * are. Tensors of one shape, or rows that are broadcast. */
#ifndef LOTOR_MUL_HELIUM_H
#define LOTOR_MUL_HELIUM_H

#include "../common/broadcast.h"
#include "../common/helium_output.h"
#include "../common/inline.h"

struct lotor_mul_helium_params {
    int32_t row, a_step, b_step; /* steps of 0 or 1 */
    int32_t a_offset, b_offset;
    int32_t a_factor, b_factor;       /* powers of two, which lift the products */
    int32_t multiplier, addend, left; /* of a product, see `helium_output.h` */
    int32_t shift, out_min, out_max;
};

/* clang-format off */
/* Eight elements of 16 bits in INPUTS with their offset, lifted by the factor in FACTORS. PREDICATE
 * and T: where some of them are beyond the end. */
#define LOTOR_HELIUM_FACTOR(NAME, INPUTS, FACTORS, PREDICATE, T)                                   \
    ".if %c[" NAME "_step]\n"                                                                      \
    PREDICATE "vldrb" T ".s16 " INPUTS ", [%[" NAME "]], #8\n"                                     \
    "vmlas.s16 " INPUTS ", " FACTORS ", %[" NAME "_offset]\n"                                      \
    ".endif\n"

#define LOTOR_HELIUM_PRODUCT_SCALE(PRODUCTS)                                                       \
    ".if %c[shift]\n"                                                                              \
    LOTOR_HELIUM_LINE(PRODUCTS, "%[multiplier]", "%[addend]")                                      \
    ".else\n"                                                                                      \
    LOTOR_HELIUM_TWICE(PRODUCTS, "q6", "%[zero]", "%[multiplier]", "%[addend]", "%[left]")         \
    ".endif\n"

#define LOTOR_HELIUM_EIGHT_PRODUCTS(PREDICATE, T)                                                  \
    LOTOR_HELIUM_FACTOR("a", "q0", "q4", PREDICATE, T)                                             \
    LOTOR_HELIUM_FACTOR("b", "q1", "q5", PREDICATE, T)                                             \
    "vmullb.s16 q2, q0, q1\n"                                                                      \
    "vmullt.s16 q3, q0, q1\n"                                                                      \
    LOTOR_HELIUM_PRODUCT_SCALE("q2")                                                               \
    LOTOR_HELIUM_PRODUCT_SCALE("q3")                                                               \
    LOTOR_HELIUM_HALVE("q2", "b", "q2")                                                            \
    LOTOR_HELIUM_HALVE("q2", "t", "q3")                                                            \
    LOTOR_HELIUM_NARROW("q2", "b", "q2")                                                           \
    LOTOR_HELIUM_CLAMP("q2", "q3")                                                                 \
    PREDICATE "vstrb" T ".16 q2, [%[out]], #8\n"

/* q4, q5: factors. An input that serves the whole row stays in q0 or q1. A loop with a predicate
 * (DLSTP) would cut the last product in half. */
#define LOTOR_HELIUM_PRODUCTS                                                                      \
    "vdup.16 q4, %[a_factor]\n"                                                                    \
    "vdup.16 q5, %[b_factor]\n"                                                                    \
    ".if !%c[a_step]\n vdup.16 q0, %[a_offset]\n .endif\n"                                         \
    ".if !%c[b_step]\n vdup.16 q1, %[b_offset]\n .endif\n"                                         \
    ".if %c[row] >= 8\n"                                                                           \
    "dls lr, %[turns]\n"                                                                           \
    "1:\n"                                                                                         \
    LOTOR_HELIUM_EIGHT_PRODUCTS("", "")                                                            \
    "le lr, 1b\n"                                                                                  \
    ".endif\n"                                                                                     \
    ".if %c[row] %% 8\n"                                                                           \
    "mov lr, %c[row] %% 8\n"                                                                       \
    "vctp.16 lr\n"                                                                                 \
    LOTOR_HELIUM_EIGHT_PRODUCTS("vpst\n", "t")                                                     \
    ".endif\n"
/* clang-format on */

static inline LOTOR_SPECIALISED void lotor_mul_helium(const struct lotor_mul_helium_params *p,
                                                      const int8_t *a, const int8_t *b,
                                                      const int32_t *loops, int8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int8_t *left = a + rows.at[0];
        const int8_t *right = b + rows.at[1];
        int8_t *to = out + rows.at[2];
        /* Of what serves the whole row, the value. */
        const int32_t a_offset = (p->a_offset + (p->a_step ? 0 : *left)) * p->a_factor;
        const int32_t b_offset = (p->b_offset + (p->b_step ? 0 : *right)) * p->b_factor;
        __asm__ volatile(
            LOTOR_HELIUM_PRODUCTS
            : [a] "+&l"(left), [b] "+&l"(right), [out] "+&l"(to)
            : [row] "i"(p->row), [turns] "r"(p->row / 8), [a_step] "i"(p->a_step),
              [b_step] "i"(p->b_step), [a_offset] "r"(a_offset), [b_offset] "r"(b_offset),
              [a_factor] "r"(p->a_factor), [b_factor] "r"(p->b_factor),
              [multiplier] "r"(p->multiplier), [addend] "r"(p->addend), [zero] "r"(0),
              [left] "r"(p->left), [lift] "i"(1), [shift] "i"(p->shift), [low] "i"(p->out_min),
              [high] "i"(p->out_max)
            : "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "cc", "memory");
    } while (lotor_next_row(&rows, loops, 3));
}

#endif

/* MUL of int8 for Armv6-M: the product's requantization is that of a sum, see `v6m_scale.py`.
 * Tensors of one shape, or rows that are broadcast. */
#ifndef LOTOR_MUL_V6M_H
#define LOTOR_MUL_V6M_H

#include "../common/broadcast.h"
#include "../common/v6m.h"

struct lotor_mul_v6m_params {
    int32_t row, a_step, b_step; /* steps of 0 or 1 */
    int32_t a_offset, b_offset;
    int32_t bent, deep; /* see `v6m_scale.py` */
    int32_t out_min, out_max;
};

/* An input and its offset, from -128 to 128. */
#define LOTOR_V6M_MUL_INPUT(TO, FROM, STEP, OFFSET)                                                \
    "mov r1, " FROM "\n"                                                                           \
    ".if " STEP "\n"                                                                               \
    "ldrsb " TO ", [r1, r0]\n"                                                                     \
    ".if " OFFSET " < 0\n"                                                                         \
    "subs " TO ", #-(" OFFSET ")\n"                                                                \
    ".elseif " OFFSET " > 0\n"                                                                     \
    "adds " TO ", #" OFFSET "\n"                                                                   \
    ".endif\n"                                                                                     \
    ".endif\n"

/* A row of the output. Where a step is 0, `a` or `b` is the value with its offset. */
static inline LOTOR_SPECIALISED void lotor_mul_v6m_row(const struct lotor_mul_v6m_params *p,
                                                       uintptr_t a, uintptr_t b,
                                                       const uint32_t *table, int8_t *out) {
    register int32_t i __asm__("r0") = -p->row;
    register uintptr_t x __asm__("r1") = a;
    register uintptr_t y __asm__("r2") = b;
    register const uint32_t *t __asm__("r3") = table;
    register int8_t *to __asm__("r4") = out + p->row;
    /* r0: index; r8: a; r9: b; r10: what counts begin with; r11: output; r12, lr: with a bend.
     * Stack: r7, reach, the third part of a deep line. */
    /* clang-format off */
    __asm__ volatile(
        LOTOR_V6M_SYNTAX
        "sub sp, #16\n"
        "str r7, [sp]\n"
        "mov r8, r1\n mov r9, r2\n mov r11, r4\n"
        "ldmia r3!, {r1}\n"
        "mov r10, r1\n"
        ".if %c[bent]\n"
        "ldr r1, [r3, #20]\n mov r12, r1\n"
        "ldr r1, [r3, #24]\n mov lr, r1\n"
        ".endif\n"
        ".if %c[deep]\n"
        "ldr r1, [r3]\n str r1, [sp, #4]\n"
        "ldr r1, [r3, #20 + 8 * %c[bent]]\n str r1, [sp, #12]\n"
        ".endif\n"
        "mov r1, r3\n"
        "ldmia r1!, {r3, r4, r5, r6, r7}\n"
        "1:\n"
        ".if %c[a_step]\n"
        LOTOR_V6M_MUL_INPUT("r2", "r8", "%c[a_step]", "%c[a_offset]")
        ".else\n"
        "mov r2, r8\n"
        ".endif\n"
        LOTOR_V6M_MUL_INPUT("r1", "r9", "%c[b_step]", "%c[b_offset]")
        "muls r2, r1, r2\n"
        "add r2, r10\n"
        ".if %c[deep]\n"
        "ldr r3, [sp, #4]\n"
        ".endif\n"
        LOTOR_V6M_OUTPUT("12", "10", "20", "30")
        "mov r1, r11\n"
        "strb r2, [r1, r0]\n"
        "adds r0, #1\n"
        "bne 1b\n"
        "b 2f\n"
        LOTOR_V6M_OUTSIDE("10", "20")
        "2:\n"
        "ldr r7, [sp]\n"
        "add sp, #16\n"
        : "+r"(i), "+r"(x), "+r"(y), "+r"(t), "+r"(to)
        : [a_step] "i"(p->a_step), [b_step] "i"(p->b_step), [a_offset] "i"(p->a_offset),
          [b_offset] "i"(p->b_offset), [bent] "i"(p->bent), [deep] "i"(p->deep),
          [low] "i"(p->out_min), [high] "i"(p->out_max)
        : "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
    /* clang-format on */
}

static inline LOTOR_SPECIALISED void lotor_mul_v6m(const struct lotor_mul_v6m_params *p,
                                                   const int8_t *a, const int8_t *b,
                                                   const int32_t *loops, const uint32_t *table,
                                                   int8_t *out) {
    struct lotor_rows rows = {{0}, {0}};
    do {
        const int8_t *const left = a + rows.at[0];
        const int8_t *const right = b + rows.at[1];
        lotor_mul_v6m_row(
            p, p->a_step ? (uintptr_t)(left + p->row) : (uintptr_t)(*left + p->a_offset),
            p->b_step ? (uintptr_t)(right + p->row) : (uintptr_t)(*right + p->b_offset), table,
            out + rows.at[2]);
    } while (lotor_next_row(&rows, loops, 3));
}

#endif

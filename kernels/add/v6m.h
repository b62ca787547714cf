/* ADD of int8 for Armv6-M: both inputs on one line, proved equal for all of their values. Two
 * tensors of one shape. */
#ifndef LOTOR_ADD_V6M_H
#define LOTOR_ADD_V6M_H

#include "../common/v6m.h"

struct lotor_add_v6m_params {
    int32_t count;
    int32_t a_multiplier, b_multiplier, addend;
    int32_t away; /* halves of negative sums round down, and the zero point is added then */
    int32_t shift;
    int32_t out_offset, out_min, out_max;
};

/* r6 += VALUE, a constant from -255 to 255. */
#define LOTOR_V6M_ADD(VALUE)                                                                       \
    ".if " VALUE " < 0\n"                                                                          \
    "subs r6, #-(" VALUE ")\n"                                                                     \
    ".elseif " VALUE " > 0\n"                                                                      \
    "adds r6, #" VALUE "\n"                                                                        \
    ".endif\n"

static inline LOTOR_SPECIALISED void lotor_add_v6m(const struct lotor_add_v6m_params *p,
                                                   const int8_t *a, const int8_t *b, int8_t *out) {
    register const int8_t *x __asm__("r0") = a + p->count;
    register const int8_t *y __asm__("r1") = b + p->count;
    register int8_t *to __asm__("r2") = out + p->count;
    register int32_t i __asm__("r3") = -p->count;
    register int32_t m __asm__("r4") = p->a_multiplier;
    register int32_t n __asm__("r5") = p->b_multiplier;
    /* With half an output, to round. */
    register int32_t addend __asm__("r6") = p->addend + (p->away ? 1 << (p->shift - 1) : 0);
    /* r8: addend; r9: half an output; r10: r7. */
    __asm__ volatile(
        LOTOR_V6M_SYNTAX
        "mov r10, r7\n"
        "mov r8, r6\n"
        ".if %c[away]\n"
        "movs r7, #1\n lsls r7, r7, #%c[shift] - 1\n mov r9, r7\n"
        ".endif\n"
        "1:\n"
        "ldrsb r6, [r0, r3]\n"
        "ldrsb r7, [r1, r3]\n"
        "muls r6, r4, r6\n"
        "muls r7, r5, r7\n"
        "adds r6, r6, r7\n"
        "add r6, r8\n"
        ".if %c[away]\n" /* one less if it is below the half */
        "cmp r6, r9\n"
        "bge 5f\n"
        "subs r6, #1\n"
        "5:\n"
        ".endif\n"
        "asrs r6, r6, #%c[shift]\n" LOTOR_V6M_ADD(
            "%c[offset]") "cmp r6, #%c[high] - %c[low]\n"
                          "bhi 3f\n"
                          "2:\n" LOTOR_V6M_ADD("%c[low]") "strb r6, [r2, r3]\n"
                                                          "adds r3, #1\n"
                                                          "bne 1b\n"
                                                          "b 4f\n"
                                                          "3:\n" /* the lowest output of what is
                                                                    below 0, else the highest */
                                                          "mvns r6, r6\n"
                                                          "asrs r6, r6, #31\n"
                                                          "movs r7, #%c[high] - %c[low]\n"
                                                          "ands r6, r7\n"
                                                          "b 2b\n"
                                                          "4:\n"
                                                          "mov r7, r10\n"
        : "+r"(x), "+r"(y), "+r"(to), "+r"(i), "+r"(m), "+r"(n), "+r"(addend)
        : [away] "i"(p->away), [shift] "i"(p->shift),
          [offset] "i"((p->away ? p->out_offset : 0) - p->out_min), [low] "i"(p->out_min),
          [high] "i"(p->out_max)
        : "r8", "r9", "r10", "cc", "memory");
}

#endif

/* Dense layer of int8 for Armv6-M: four outputs at a time. One index goes through the inputs and
 * the weights of all four. Bias and zero points are in the table, see `v6m_scale.py`;
 * what a zero point of the weights adds is the same for all outputs. */
#ifndef LOTOR_FULLY_CONNECTED_V6M_H
#define LOTOR_FULLY_CONNECTED_V6M_H

#include "../common/v6m.h"

struct lotor_fully_connected_v6m_params {
    int32_t batches, inputs, outputs;
    int32_t weights_offset;
    int32_t columns;    /* of the table */
    int32_t bent, deep; /* see `v6m_scale.py` */
    int32_t out_min, out_max;
};

#define LOTOR_V6M_DENSE_WEIGHT(WEIGHTS, SUM)                                                       \
    "ldrsb r7, [" WEIGHTS ", r0]\n"                                                                \
    "muls r7, r6, r7\n"                                                                            \
    "add " SUM ", r7\n"

/* r0: index; r1: end of the inputs; r2 to r5: of weights; sums in r8 to r11. */
#define LOTOR_V6M_DENSE_TAP                                                                        \
    "ldrsb r6, [r1, r0]\n" LOTOR_V6M_DENSE_WEIGHT("r2", "r8") LOTOR_V6M_DENSE_WEIGHT("r3", "r9")   \
        LOTOR_V6M_DENSE_WEIGHT("r4", "r10") LOTOR_V6M_DENSE_WEIGHT("r5", "r11") "adds r0, #1\n"

#define LOTOR_V6M_DENSE_RESULT(PLACE, SUM, OUTSIDE, INSIDE, ABOVE)                                 \
    "adds r0, #4\n"                                                                                \
    "ldmia r0!, {r3, r4, r5, r6, r7}\n"                                                            \
    ".if %c[bent]\n"                                                                               \
    "ldmia r0!, {r1, r2}\n"                                                                        \
    "mov r12, r1\n mov lr, r2\n"                                                                   \
    ".endif\n"                                                                                     \
    ".if %c[deep]\n"                                                                               \
    "ldmia r0!, {r1}\n"                                                                            \
    "str r1, [sp, #12]\n"                                                                          \
    ".endif\n"                                                                                     \
    "mov r2, " SUM "\n" LOTOR_V6M_OUTPUT("12", OUTSIDE, INSIDE, ABOVE) "ldr r1, [sp]\n"            \
                                                                       "strb r2, [r1, #" PLACE     \
                                                                       "]\n"

/* Writes four outputs; `same` is what the weights' zero point adds to their sums. */
static inline LOTOR_SPECIALISED void
lotor_fully_connected_v6m_four(const struct lotor_fully_connected_v6m_params *p, const int8_t *in,
                               const int8_t *weights, const uint32_t *table, int8_t *out,
                               int32_t same) {
    register const uint32_t *t __asm__("r0") = table;
    register const int8_t *x __asm__("r1") = in + p->inputs;
    register const int8_t *w __asm__("r2") = weights + p->inputs;
    register int8_t *y __asm__("r3") = out;
    register int32_t count __asm__("r4") = p->inputs;
    register int32_t begin __asm__("r5") = same;
    /* Stack: output, table, r7, the third part of a deep line. */
    __asm__ volatile(LOTOR_V6M_SYNTAX
                     "sub sp, #16\n"
                     "str r3, [sp]\n str r0, [sp, #4]\n str r7, [sp, #8]\n"
                     "ldr r7, [r0]\n mov r8, r7\n"
                     "ldr r7, [r0, #4 * %c[columns]]\n mov r9, r7\n"
                     "ldr r7, [r0, #8 * %c[columns]]\n mov r10, r7\n"
                     "ldr r7, [r0, #12 * %c[columns]]\n mov r11, r7\n"
                     ".if %c[offset]\n"
                     "add r8, r5\n add r9, r5\n add r10, r5\n add r11, r5\n"
                     ".endif\n"
                     "rsbs r0, r4, #0\n"
                     "adds r3, r2, r4\n"
                     "adds r5, r3, r4\n"
                     "adds r6, r5, r4\n"
                     "mov r4, r5\n mov r5, r6\n"
                     ".rept %c[inputs] %% 8\n" LOTOR_V6M_DENSE_TAP ".endr\n"
                     ".if %c[inputs] >= 8\n"
                     "1:\n"
                     ".rept 8\n" LOTOR_V6M_DENSE_TAP ".endr\n"
                     "bne 1b\n"
                     ".endif\n"
                     "ldr r0, [sp, #4]\n" LOTOR_V6M_DENSE_RESULT("0", "r8", "10", "20", "30")
                         LOTOR_V6M_DENSE_RESULT("1", "r9", "11", "21", "31")
                             LOTOR_V6M_DENSE_RESULT("2", "r10", "12", "22", "32")
                                 LOTOR_V6M_DENSE_RESULT("3", "r11", "13", "23",
                                                        "33") "b 2f\n" LOTOR_V6M_OUTSIDE("10", "20")
                                     LOTOR_V6M_OUTSIDE("11", "21") LOTOR_V6M_OUTSIDE("12", "22")
                                         LOTOR_V6M_OUTSIDE("13", "23") "2:\n"
                                                                       "ldr r7, [sp, #8]\n"
                                                                       "add sp, #16\n"
                     : "+r"(t), "+r"(x), "+r"(w), "+r"(y), "+r"(count), "+r"(begin)
                     : [inputs] "i"(p->inputs), [columns] "i"(p->columns), [bent] "i"(p->bent),
                       [deep] "i"(p->deep), [offset] "i"(p->weights_offset), [low] "i"(p->out_min),
                       [high] "i"(p->out_max)
                     : "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

static inline LOTOR_SPECIALISED void
lotor_fully_connected_v6m(const struct lotor_fully_connected_v6m_params *p, const int8_t *in,
                          const int8_t *weights, const uint32_t *table, int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        int32_t same = 0;
        if (p->weights_offset != 0) {
            for (int32_t i = 0; i < p->inputs; i++) {
                same += in[i];
            }
            same *= p->weights_offset;
        }
        /* If they are no multiple of four, the first four end where the next begin. */
        for (int32_t i = 0; i < p->outputs; i += i == 0 && p->outputs % 4 ? p->outputs % 4 : 4) {
            lotor_fully_connected_v6m_four(p, in, weights + i * p->inputs, table + i * p->columns,
                                           out + i, same);
        }
        in += p->inputs;
        out += p->outputs;
    }
}

#endif

/* Softmax of int8 with Helium instructions: the exponentials of all differences to the largest
 * input are looked up. */
#ifndef LOTOR_SOFTMAX_HELIUM_H
#define LOTOR_SOFTMAX_HELIUM_H

#include "../common/inline.h"
#include "portable.h"

struct lotor_softmax_helium_params {
    int32_t rows, depth;
    int32_t counting; /* differences that give more than zero */
};

static inline LOTOR_SPECIALISED int32_t lotor_softmax_helium_largest(const int8_t *in,
                                                                     int32_t depth) {
    int32_t largest = INT8_MIN;
    __asm__("vdup.8 q0, %[largest]\n"
            "dlstp.8 lr, %[depth]\n"
            "1:\n"
            "vldrb.u8 q1, [%[in]], #16\n"
            "vmax.s8 q0, q0, q1\n"
            "letp lr, 1b\n"
            "vmaxv.s8 %[largest], q0\n"
            : [largest] "+&r"(largest), [in] "+&r"(in)
            : [depth] "r"(depth)
            : "lr", "q0", "q1", "cc", "memory");
    return largest;
}

/* clang-format off */
/* The exponentials of four inputs to q1. q3: the largest input; q4: where the zero is. */
#define LOTOR_HELIUM_EXPONENTIALS                                                                  \
    "vldrb.s32 q0, [%[in]], #4\n"                                                                  \
    "vsub.i32 q0, q3, q0\n"                                                                        \
    "vmin.u32 q0, q0, q4\n"                                                                        \
    "vldrw.u32 q1, [%[exponentials], q0, uxtw #2]\n"
/* clang-format on */

/* exponentials: in Q0.31, of the differences 0, -1, ...; the last one is zero. */
static inline LOTOR_SPECIALISED void
lotor_softmax_helium(const struct lotor_softmax_helium_params *p, const int8_t *in,
                     const int32_t *exponentials, int8_t *out) {
    for (int32_t row = 0; row < p->rows; row++) {
        const int32_t largest = lotor_softmax_helium_largest(in, p->depth);
        const int8_t *from = in;
        register int32_t sum __asm__("r4") = 0; /* Q12.19; VADDVA takes an even register */
        __asm__ volatile("vdup.32 q3, %[largest]\n"
                         "vdup.32 q4, %[counting]\n"
                         "dlstp.32 lr, %[depth]\n"
                         "1:\n" LOTOR_HELIUM_EXPONENTIALS "vrshr.s32 q1, q1, #12\n"
                         "vaddva.u32 %[sum], q1\n"
                         "letp lr, 1b\n"
                         : [in] "+&l"(from), [sum] "+&r"(sum)
                         : [exponentials] "r"(exponentials), [largest] "r"(largest),
                           [counting] "r"(p->counting), [depth] "r"(p->depth)
                         : "lr", "q0", "q1", "q3", "q4", "cc", "memory");
        int32_t over;
        int32_t scale = lotor_softmax_scale(sum, &over);
        if (over > 8) { /* every probability is below half a step of the output */
            scale = 0;
            over = 8;
        }
        __asm__ volatile("vdup.32 q3, %[largest]\n"
                         "vdup.32 q4, %[counting]\n"
                         "dlstp.32 lr, %[depth]\n"
                         "1:\n" LOTOR_HELIUM_EXPONENTIALS "vqrdmulh.s32 q1, q1, %[scale]\n"
                         "vrshl.s32 q1, %[left]\n"
                         "vadd.i32 q1, q1, %[low]\n"
                         "vqmovnb.s32 q1, q1\n"
                         "vqmovnb.s16 q1, q1\n"
                         "vstrb.32 q1, [%[out]], #4\n"
                         "letp lr, 1b\n"
                         : [in] "+&l"(in), [out] "+&l"(out)
                         : [exponentials] "r"(exponentials), [largest] "r"(largest),
                           [counting] "r"(p->counting), [depth] "r"(p->depth), [scale] "r"(scale),
                           [left] "r"(8 - 31 - over), [low] "r"(INT8_MIN)
                         : "lr", "q0", "q1", "q3", "q4", "cc", "memory");
        /* The last turn has gone beyond the row. */
        in += p->depth - (p->depth + 3) / 4 * 4;
        out += p->depth - (p->depth + 3) / 4 * 4;
    }
}

#endif

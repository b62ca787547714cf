/* Dense layer of int8 with Helium instructions, eight outputs at a time.
 *
 * VMLADAVA adds the products of sixteen inputs and weights to a number in a register.
 */
#ifndef LOTOR_FULLY_CONNECTED_HELIUM_H
#define LOTOR_FULLY_CONNECTED_HELIUM_H

#include "../common/helium_output.h"
#include "../common/inline.h"

#include <stdint.h>

struct lotor_fully_connected_helium_params {
    int32_t batches, inputs, outputs;
    int32_t few;         /* outputs of the only group, if they are below eight */
    int32_t more;        /* outputs of the first group that the second does not write again */
    int32_t words;       /* of packed weights */
    int32_t rest;        /* inputs beyond a multiple of sixteen */
    int32_t turn;        /* blocks of sixteen inputs in one turn of the loop */
    int32_t lift, shift; /* of the sums, see `helium_output.h` */
    int32_t out_min, out_max;
};

#define LOTOR_HELIUM_ROW_PRODUCTS                                                                  \
    "vldrw.u32 q1, [r3], #16\n vmladava.s8 r0, q0, q1\n"                                           \
    "vldrw.u32 q2, [r3], #16\n vmladava.s8 r2, q0, q2\n"                                           \
    "vldrw.u32 q3, [r3], #16\n vmladava.s8 r4, q0, q3\n"                                           \
    "vldrw.u32 q4, [r3], #16\n vmladava.s8 r6, q0, q4\n"                                           \
    "vldrw.u32 q1, [r3], #16\n vmladava.s8 r8, q0, q1\n"                                           \
    "vldrw.u32 q2, [r3], #16\n vmladava.s8 r10, q0, q2\n"                                          \
    "vldrw.u32 q3, [r3], #16\n vmladava.s8 r12, q0, q3\n"                                          \
    "vldrw.u32 q4, [r3], #16\n vmladava.s8 lr, q0, q4\n"

/* clang-format off */
/* Four sums that are rounded twice, see `helium_output.h`; overwrites the multipliers. */
#define LOTOR_HELIUM_ROW_TWICE(SUMS, MULTIPLIER, ADDEND)                                           \
    "vqrdmulh.s32 " SUMS ", " SUMS ", " MULTIPLIER "\n"                                            \
    "vshr.s32 " MULTIPLIER ", " SUMS ", #31\n"                                                     \
    "vadd.i32 " SUMS ", " SUMS ", " ADDEND "\n"                                                    \
    "vadd.i32 " SUMS ", " SUMS ", " MULTIPLIER "\n"                                                \
    "vldrw.u32 " MULTIPLIER ", [r3], #16\n"                                                        \
    "vshl.s32 " SUMS ", " SUMS ", " MULTIPLIER "\n"

/* r1: inputs; r3: weights: of every eight outputs their biases, sixteen of each, then the next,
 * then multipliers, addends and, of sums that are rounded twice, negative shifts; r5: outputs; r7:
 * end of whole blocks of inputs; r9: end of the weights; r11: inputs; r0, r2, r4, r6: sums of
 * outputs 0, 2, 4, 6; r8, r10, r12, lr: of 1, 3, 5, 7; q5: the last inputs, with zeros. Stack: r7,
 * how far the next eight outputs are. */
#define LOTOR_HELIUM_ROW                                                                           \
    "sub sp, sp, #8\n"                                                                             \
    "strd r7, r2, [sp]\n"                                                                          \
    "mov r7, r0\n"                                                                                 \
    "mov r11, r1\n"                                                                                \
    ".if %c[rest]\n"                                                                               \
    "mov r2, %[rest]\n"                                                                            \
    "vctp.8 r2\n"                                                                                  \
    "vpst\n"                                                                                       \
    "vldrbt.u8 q5, [r0]\n"                                                                         \
    ".endif\n"                                                                                     \
    "1:\n"                                                                                         \
    "ldmia r3!, {r0, r2, r4, r6, r8, r10, r12, lr}\n"                                              \
    ".if %c[turn]\n"                                                                               \
    "mov r1, r11\n"                                                                                \
    "2:\n"                                                                                         \
    ".rept %c[turn]\n"                                                                             \
    "vldrb.u8 q0, [r1], #16\n"                                                                     \
    LOTOR_HELIUM_ROW_PRODUCTS                                                                      \
    ".endr\n"                                                                                      \
    "cmp r1, r7\n"                                                                                 \
    "bne.w 2b\n"                                                                                   \
    ".endif\n"                                                                                     \
    ".if %c[rest]\n"                                                                               \
    "vmov q0, q5\n"                                                                                \
    LOTOR_HELIUM_ROW_PRODUCTS                                                                      \
    ".endif\n"                                                                                     \
    "vmov q0[2], q0[0], r0, r4\n vmov q0[3], q0[1], r2, r6\n"                                      \
    "vmov q1[2], q1[0], r8, r12\n vmov q1[3], q1[1], r10, lr\n"                                    \
    "vldrw.u32 q2, [r3], #16\n vldrw.u32 q3, [r3], #16\n"                                          \
    "vldrw.u32 q4, [r3], #16\n vldrw.u32 q6, [r3], #16\n"                                          \
    ".if %c[shift]\n"                                                                              \
    LOTOR_HELIUM_LINE("q0", "q2", "q4")                                                            \
    LOTOR_HELIUM_LINE("q1", "q3", "q6")                                                            \
    ".else\n"                                                                                      \
    LOTOR_HELIUM_ROW_TWICE("q0", "q2", "q4")                                                       \
    LOTOR_HELIUM_ROW_TWICE("q1", "q3", "q6")                                                       \
    ".endif\n"                                                                                     \
    LOTOR_HELIUM_HALVE("q0", "b", "q0")                                                            \
    LOTOR_HELIUM_HALVE("q0", "t", "q1")                                                            \
    LOTOR_HELIUM_NARROW("q0", "b", "q0")                                                           \
    LOTOR_HELIUM_CLAMP("q0", "q1")                                                                 \
    ".if %c[few]\n"                                                                                \
    "mov r0, %[few]\n"                                                                             \
    "vctp.16 r0\n"                                                                                 \
    "vpst\n"                                                                                       \
    "vstrbt.16 q0, [r5]\n"                                                                         \
    ".else\n"                                                                                      \
    "vstrb.16 q0, [r5]\n"                                                                          \
    "ldr r0, [sp, #4]\n"                                                                           \
    "add r5, r5, r0\n"                                                                             \
    "mov r0, #8\n"                                                                                 \
    "str r0, [sp, #4]\n"                                                                           \
    "cmp r3, r9\n"                                                                                 \
    "bne.w 1b\n"                                                                                   \
    ".endif\n"                                                                                     \
    "ldr r7, [sp]\n"                                                                               \
    "add sp, sp, #8\n"
/* clang-format on */

static inline LOTOR_SPECIALISED void
lotor_fully_connected_helium_row(const struct lotor_fully_connected_helium_params *p,
                                 const int8_t *in, const uint32_t *weights, int8_t *out) {
    register const int8_t *x __asm__("r1") = in;
    register const uint32_t *w __asm__("r3") = weights;
    register int8_t *y __asm__("r5") = out;
    register const int8_t *end __asm__("r0") = in + (p->inputs - p->rest);
    register const uint32_t *last __asm__("r9") = weights + p->words;
    register int32_t more __asm__("r2") = p->more;
    __asm__ volatile(
        LOTOR_HELIUM_ROW
        : "+r"(x), "+r"(w), "+r"(y), "+r"(end), "+r"(last), "+r"(more)
        : [turn] "i"(p->turn), [rest] "i"(p->rest), [few] "i"(p->few), [lift] "i"(p->lift),
          [shift] "i"(p->shift), [low] "i"(p->out_min), [high] "i"(p->out_max)
        : "r4", "r6", "r8", "r10", "r11", "r12", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6",
          "cc", "memory");
}

static inline LOTOR_SPECIALISED void
lotor_fully_connected_helium(const struct lotor_fully_connected_helium_params *p, const int8_t *in,
                             const uint32_t *weights, int8_t *out) {
    for (int32_t n = 0; n < p->batches; n++) {
        lotor_fully_connected_helium_row(p, in + n * p->inputs, weights, out + n * p->outputs);
    }
}

#endif

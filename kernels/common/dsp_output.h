/* From sums to int8 in the assembly of the DSP kernels, with the constants %[lift], %[shift],
 * %[base], %[low] and %[high]. */
#ifndef LOTOR_COMMON_DSP_OUTPUT_H
#define LOTOR_COMMON_DSP_OUTPUT_H

#ifndef __OPTIMIZE__
#error "kernels with DSP instructions take constants into their assembly: compile with -O1 or more"
#endif

/* Numbers that a loop seldom needs, by their place from 0 to 7. Registers of the floating-point
 * unit hold them where there is one: they are read in one cycle, the stack in two. */
#if defined(__ARM_FP)
#define LOTOR_DSP_PUT(PLACE, R) "vmov s" PLACE ", " R "\n"
#define LOTOR_DSP_GET(R, PLACE) "vmov " R ", s" PLACE "\n"
#define LOTOR_DSP_GET_TWO(R, S, PLACE, NEXT) "vmov " R ", " S ", s" PLACE ", s" NEXT "\n"
#define LOTOR_DSP_PLACES "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"
#else
#define LOTOR_DSP_PUT(PLACE, R) "str " R ", [sp, #4 * " PLACE "]\n"
#define LOTOR_DSP_GET(R, PLACE) "ldr " R ", [sp, #4 * " PLACE "]\n"
#define LOTOR_DSP_GET_TWO(R, S, PLACE, NEXT) "ldrd " R ", " S ", [sp, #4 * " PLACE "]\n"
#define LOTOR_DSP_PLACES "memory"
#endif

/* Within a clamp that is narrower than int8. */
/* clang-format off */
#define LOTOR_DSP_CLAMP(SUM)                                                                       \
    ".if %c[low] > -128\n"                                                                         \
    "cmp " SUM ", %[low]\n it lt\n movlt " SUM ", %[low]\n"                                        \
    ".endif\n"                                                                                     \
    ".if %c[high] < 127\n"                                                                         \
    "cmp " SUM ", %[high]\n it gt\n movgt " SUM ", %[high]\n"                                      \
    ".endif\n"

/* The addend that follows from a multiplier (`implied_addends` of `linear_scale.py`). `base` has few
 * bits, so that it is an operand. Uses r12. */
#define LOTOR_DSP_ADDEND(TO, MULTIPLIER)                                                           \
    "clz " TO ", " MULTIPLIER "\n"                                                                 \
    "mov r12, #1 << (%c[lift] - 1)\n"                                                              \
    "lsr " TO ", r12, " TO "\n"                                                                    \
    "add " TO ", " TO ", %[base]\n"

/* A sum, shifted to the left by 8 bits or 0, becomes its output: on the line of MULTIPLIER and
 * ADDEND (`linear_scale.py`), or where `shift` is 0, rounded twice, then with RIGHT bits to the
 * right. Uses r12. */
#define LOTOR_DSP_OUTPUT(SUM, SHIFTED, MULTIPLIER, ADDEND, RIGHT)                                  \
    ".if %c[shift]\n"                                                                              \
    ".if %c[lift] > " SHIFTED "\n"                                                                 \
    "lsl " SUM ", " SUM ", %c[lift] - " SHIFTED "\n"                                               \
    ".endif\n"                                                                                     \
    "smmla " SUM ", " SUM ", " MULTIPLIER ", " ADDEND "\n"                                         \
    "ssat " SUM ", #8, " SUM ", asr %[shift]\n"                                                    \
    ".else\n"                                                                                      \
    ".if " SHIFTED "\n"                                                                            \
    "asr r12, " SUM ", #7\n"                                                                       \
    ".else\n"                                                                                      \
    "lsl r12, " SUM ", #1\n"                                                                       \
    ".endif\n"                                                                                     \
    "smmlar r12, r12, " MULTIPLIER ", " ADDEND "\n"                                                \
    "add r12, r12, " SUM ", asr #31\n"                                                             \
    "asr r12, r12, " RIGHT "\n"                                                                    \
    "ssat " SUM ", #8, r12\n"                                                                      \
    ".endif\n"                                                                                     \
    LOTOR_DSP_CLAMP(SUM)
/* clang-format on */

#endif

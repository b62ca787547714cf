/* From sums to int8 in the assembly of the Armv7-M kernels, with the constants %[lift], %[shift],
 * %[low] and %[high]. */
#ifndef LOTOR_COMMON_V7M_OUTPUT_H
#define LOTOR_COMMON_V7M_OUTPUT_H

#ifndef __OPTIMIZE__
#error "kernels for Armv7-M take constants into their assembly: compile with -O1 or more"
#endif

/* What a run of products is added to. Products of two int8 sum up to -32512 to 32768, so that the
 * lower half is not negative then and the upper one, which is one less, does not leave int16. */
#define LOTOR_V7M_HALF (-0x8001)

/* Within a clamp that is narrower than int8. */
#define LOTOR_V7M_CLAMP(SUM)                                                                       \
    ".if %c[low] > -128\n"                                                                         \
    "cmp " SUM ", %[low]\n it lt\n movlt " SUM ", %[low]\n"                                        \
    ".endif\n"                                                                                     \
    ".if %c[high] < 127\n"                                                                         \
    "cmp " SUM ", %[high]\n it gt\n movgt " SUM ", %[high]\n"                                      \
    ".endif\n"

/* A sum becomes its output on the line of MULTIPLIER and ADDEND (`linear_scale.py`). LOW may be
 * MULTIPLIER, where this is not needed again. */
#define LOTOR_V7M_LINE(SUM, MULTIPLIER, ADDEND, LOW)                                               \
    ".if %c[lift]\n"                                                                               \
    "lsl " SUM ", " SUM ", %[lift]\n"                                                              \
    ".endif\n"                                                                                     \
    "smull " LOW ", " SUM ", " SUM ", " MULTIPLIER "\n" ADDEND "ssat " SUM ", #8, " SUM            \
    ", asr %[shift]\n" LOTOR_V7M_CLAMP(SUM)

/* The same, or where `shift` is 0, rounded twice, then with RIGHT bits to the right. */
#define LOTOR_V7M_OUTPUT(SUM, MULTIPLIER, ADDEND, RIGHT, LOW, HIGH)                                \
    ".if %c[shift]\n" LOTOR_V7M_LINE(SUM, MULTIPLIER, "add " SUM ", " SUM ", " ADDEND "\n",        \
                                     LOW) ".else\n"                                                \
                                          "mov " LOW ", #0x80000000\n"                             \
                                          "mov " HIGH ", " ADDEND "\n"                             \
                                          "lsl " SUM ", " SUM ", #1\n"                             \
                                          "smlal " LOW ", " HIGH ", " SUM ", " MULTIPLIER "\n"     \
                                          "add " HIGH ", " HIGH ", " SUM ", asr #31\n"             \
                                          "asr " HIGH ", " HIGH ", " RIGHT "\n"                    \
                                          "ssat " SUM ", #8, " HIGH                                \
                                          "\n" LOTOR_V7M_CLAMP(SUM) ".endif\n"

#endif

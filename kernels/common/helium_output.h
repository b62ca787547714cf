/* From sums to int8 in the assembly of the Helium kernels, with the constants %[lift], %[shift],
 * %[low] and %[high]. */
#ifndef LOTOR_COMMON_HELIUM_OUTPUT_H
#define LOTOR_COMMON_HELIUM_OUTPUT_H

#ifndef __OPTIMIZE__
#error                                                                                             \
    "kernels with Helium instructions take constants into their assembly: compile with -O1 or more"
#endif

/* Four sums become what LOTOR_HELIUM_NARROW makes outputs of: on the line of MULTIPLIER and ADDEND
 * (`linear_scale.py`). The product is doubled, so that one bit of the lift is there. */
#define LOTOR_HELIUM_LINE(SUMS, MULTIPLIER, ADDEND)                                                \
    ".if %c[lift] > 1\n"                                                                           \
    "vshl.i32 " SUMS ", " SUMS ", %c[lift] - 1\n"                                                  \
    ".endif\n"                                                                                     \
    "vqdmulh.s32 " SUMS ", " SUMS ", " MULTIPLIER "\n"                                             \
    "vadd.i32 " SUMS ", " SUMS ", " ADDEND "\n"

/* The same of sums that are rounded twice; LEFT is the negative shift to the right. Overwrites
 * SPARE. */
#define LOTOR_HELIUM_TWICE(SUMS, SPARE, BIAS, MULTIPLIER, ADDEND, LEFT)                            \
    "vadd.i32 " SUMS ", " SUMS ", " BIAS "\n"                                                      \
    "vqrdmulh.s32 " SUMS ", " SUMS ", " MULTIPLIER "\n"                                            \
    "vshr.s32 " SPARE ", " SUMS ", #31\n"                                                          \
    "vadd.i32 " SUMS ", " SUMS ", " ADDEND "\n"                                                    \
    "vadd.i32 " SUMS ", " SUMS ", " SPARE "\n"                                                     \
    "vshl.s32 " SUMS ", " LEFT "\n"

/* 32 bits to 16 in the even lanes (PART "b") or the odd ones ("t") of TO. The shift goes in two
 * parts, as neither instruction takes all of it; what saturates here does so again. Both round half
 * up, which the addend is made for: GNU as 2.40 takes the forms that do not (VQSHRN) for these. */
#define LOTOR_HELIUM_HALVE(TO, PART, FROM)                                                         \
    ".if %c[shift] > 16\n"                                                                         \
    "vqrshrn" PART ".s32 " TO ", " FROM ", #16\n"                                                  \
    ".elseif %c[shift]\n"                                                                          \
    "vqrshrn" PART ".s32 " TO ", " FROM ", %c[shift] - 1\n"                                        \
    ".else\n"                                                                                      \
    "vqmovn" PART ".s32 " TO ", " FROM "\n"                                                        \
    ".endif\n"

/* 16 bits to 8. */
#define LOTOR_HELIUM_NARROW(TO, PART, FROM)                                                        \
    ".if %c[shift] > 16\n"                                                                         \
    "vqrshrn" PART ".s16 " TO ", " FROM ", %c[shift] - 16\n"                                       \
    ".elseif %c[shift]\n"                                                                          \
    "vqrshrn" PART ".s16 " TO ", " FROM ", #1\n"                                                   \
    ".else\n"                                                                                      \
    "vqmovn" PART ".s16 " TO ", " FROM "\n"                                                        \
    ".endif\n"

/* Within a clamp that is narrower than int8. Overwrites SPARE. */
#define LOTOR_HELIUM_CLAMP(OUTPUTS, SPARE)                                                         \
    ".if %c[low] > -128\n"                                                                         \
    "vmov.i8 " SPARE ", %c[low] & 255\n vmax.s8 " OUTPUTS ", " OUTPUTS ", " SPARE "\n"             \
    ".endif\n"                                                                                     \
    ".if %c[high] < 127\n"                                                                         \
    "vmov.i8 " SPARE ", %c[high] & 255\n vmin.s8 " OUTPUTS ", " OUTPUTS ", " SPARE "\n"            \
    ".endif\n"

#endif

/* Which inputs each output of a reduction is made of. */
#ifndef LOTOR_COMMON_REDUCTION_H
#define LOTOR_COMMON_REDUCTION_H

#include <stdint.h>

/* Up to four kept and four reduced axes in the order of the input: sizes, and elements from one
 * position to the next. Axes that are missing come first and have size 1. */
struct lotor_reduction {
    int32_t outputs;
    int32_t kept_1, kept_2, kept_3;
    int32_t kept_step_0, kept_step_1, kept_step_2, kept_step_3;
    int32_t size_0, size_1, size_2, size_3;
    int32_t step_0, step_1, step_2, step_3;
};

/* Where the first input of an output is. */
static inline int32_t lotor_reduction_start(const struct lotor_reduction *at, int32_t output) {
    const int32_t rows = output / at->kept_3, planes = rows / at->kept_2;
    return output % at->kept_3 * at->kept_step_3 + rows % at->kept_2 * at->kept_step_2 +
           planes % at->kept_1 * at->kept_step_1 + planes / at->kept_1 * at->kept_step_0;
}

#endif

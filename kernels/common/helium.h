/* Copies with Helium instructions, sixteen bytes at a time. */
#ifndef LOTOR_COMMON_HELIUM_H
#define LOTOR_COMMON_HELIUM_H

#include "inline.h"

#include <stdint.h>

/* Copies a constant number of bytes; each sixteen of them go `step` further, at most 127. Returns
 * the place after them. */
static inline LOTOR_SPECIALISED int8_t *lotor_helium_copy(int8_t *to, const int8_t *from,
                                                          int32_t count, int32_t step) {
    if (count >= 16) {
        __asm__ volatile(".if %c[blocks] > 8\n"
                         "mov lr, %[blocks]\n"
                         "dls lr, lr\n"
                         "1:\n"
                         "vldrb.u8 q0, [%[from]], #16\n"
                         "vstrb.8 q0, [%[to]], %[step]\n"
                         "le lr, 1b\n"
                         ".else\n"
                         ".rept %c[blocks]\n"
                         "vldrb.u8 q0, [%[from]], #16\n"
                         "vstrb.8 q0, [%[to]], %[step]\n"
                         ".endr\n"
                         ".endif\n"
                         : [to] "+&r"(to), [from] "+&r"(from)
                         : [blocks] "i"(count / 16), [step] "i"(step)
                         : "lr", "q0", "cc", "memory");
    }
    if (count % 16 != 0) {
        __asm__ volatile("vctp.8 %[rest]\n"
                         "vpstt\n"
                         "vldrbt.u8 q0, [%[from]]\n"
                         "vstrbt.8 q0, [%[to]], %[step]\n"
                         : [to] "+&r"(to)
                         : [from] "r"(from), [rest] "r"(count % 16), [step] "i"(step)
                         : "q0", "cc", "memory");
    }
    return to;
}

/* Fills a constant number of bytes; each sixteen of them go `step` further. Returns the place after
 * them. */
static inline LOTOR_SPECIALISED int8_t *lotor_helium_fill(int8_t *to, int32_t value, int32_t count,
                                                          int32_t step) {
    __asm__ volatile("vdup.8 q0, %[value]\n"
                     "dlstp.8 lr, %[count]\n"
                     "1:\n"
                     "vstrb.8 q0, [%[to]], %[step]\n"
                     "letp lr, 1b\n"
                     : [to] "+&r"(to)
                     : [value] "r"(value), [count] "r"(count), [step] "i"(step)
                     : "lr", "q0", "cc", "memory");
    return to;
}

#endif

/* Hides from the compiler what it could know of the memory that a pointer points to. */
#ifndef LOTOR_COMMON_OPAQUE_H
#define LOTOR_COMMON_OPAQUE_H

/* gcc 12 for AVX-512 copies 56 or more known bytes that end like 6, 6, 6, 0 (words of 64 bits) as
 * 6, 6, 6, 6, so whatever copies constants asks for them here. */
static inline const void *lotor_opaque(const void *in) {
#if defined(__GNUC__) && defined(__x86_64__)
    __asm__("" : "+r"(in));
#endif
    return in;
}

#endif

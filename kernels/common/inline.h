/* How kernels become part of the layer that calls them. */
#ifndef LOTOR_COMMON_INLINE_H
#define LOTOR_COMMON_INLINE_H

/* A layer's parameters are constants, and loops that are made for them are faster by a third and
 * more; compilers do so in some layers only. Kernels in assembly need it for their constants. */
#ifndef LOTOR_SPECIALISED
#define LOTOR_SPECIALISED __attribute__((always_inline))
#endif

/* One function for several layers. */
#if defined(__GNUC__) && !defined(__clang__)
#define LOTOR_SHARED __attribute__((noipa))
#else
#define LOTOR_SHARED __attribute__((noinline))
#endif

#endif

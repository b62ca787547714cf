/* Walks from the last element to the first, so that an output may lie behind its input in memory.
 */
#ifndef LOTOR_COMMON_TURN_H
#define LOTOR_COMMON_TURN_H

#include <stdint.h>

/* Where a walk over `count` elements is at its turn `i`. */
static inline int32_t lotor_turn(int32_t i, int32_t count, int32_t backward) {
    return backward ? count - 1 - i : i;
}

#endif

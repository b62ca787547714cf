/* Limits of float32 results. */
#ifndef LOTOR_COMMON_FLOAT_CLAMP_H
#define LOTOR_COMMON_FLOAT_CLAMP_H

/* Not-a-number passes, and so does the sign of a zero. */
static inline float lotor_clamp_float(float x, float low, float high) {
    if (x < low) {
        return low;
    }
    return x > high ? high : x;
}

#endif

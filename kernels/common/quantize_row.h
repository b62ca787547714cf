/* Dynamic quantization: a row of floats becomes int8 with a scale of its own.
 *
 * Specification: LiteRT's `PortableSymmetricQuantizeFloats`, `PortableAsymmetricQuantizeFloats`.
 */
#ifndef LOTOR_COMMON_QUANTIZE_ROW_H
#define LOTOR_COMMON_QUANTIZE_ROW_H

#include "fixed_point.h"
#include "rounding.h"

/* The zero point from that end of the range where it errs less. In double, as in the reference: a
 * few operations for each row. */
static inline int32_t lotor_row_zero_point(double low, double high, double scale) {
    const double from_low = -128.0 - low / scale;
    const double from_high = 127.0 - high / scale;
    const double error_low = 128.0 - low / scale;
    const double error_high = 127.0 + high / scale;
    const double chosen = error_low < error_high ? from_low : from_high;
    return lotor_clamp(lotor_round_double(chosen), -128, 127);
}

/* LiteRT on x86 adds a half and truncates, in float32: just below a half that rounds up. It does so
 * in groups of eight; what is left over it rounds half away from zero. */
static inline int32_t lotor_row_round(float x, int32_t grouped) {
    if (!grouped || x < -1000.0f || !(x < 1000.0f)) {
        return lotor_round_float(x);
    }
    return (int32_t)(x < 0.0f ? x - 0.5f : x + 0.5f);
}

/* Symmetric: from -127 to 127 around zero. */
static inline void lotor_quantize_row(const float *in, int32_t elements, int32_t symmetric,
                                      int8_t *out, float *scale, int32_t *zero_point) {
    float low = 0.0f;
    float high = 0.0f;
    for (int32_t i = 0; i < elements; i++) {
        low = in[i] < low ? in[i] : low;
        high = in[i] > high ? in[i] : high;
    }
    const float range = -low > high ? -low : high;
    float inverse = 0.0f; /* where all is zero */
    *scale = 1.0f;
    *zero_point = 0;
    if (low < high && symmetric) {
        *scale = range / 127.0f;
        inverse = 127.0f / range;
    } else if (low < high) {
        const double step = (double)(high - low) / 255.0;
        *scale = (float)step;
        *zero_point = lotor_row_zero_point((double)low, (double)high, step);
        inverse = *scale > 0.0f ? 1.0f / *scale : 0.0f;
    }
    const int32_t least = symmetric ? -127 : -128;
    for (int32_t i = 0; i < elements; i++) {
        const int32_t steps =
            lotor_clamp(lotor_row_round(in[i] * inverse, i < elements / 8 * 8), -1000, 1000);
        out[i] = (int8_t)lotor_clamp(steps + *zero_point, least, 127);
    }
}

#endif

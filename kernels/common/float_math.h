/* Functions of floats without a mathematics library.
 *
 * Errors against the exact value, in units of the last place of a normal result: exponential and
 * logarithm 1, hyperbolic tangent 2, logistic function 3 (down to -9), error function 8, sine and
 * cosine 3; the square root is rounded correctly.
 */
#ifndef LOTOR_COMMON_FLOAT_MATH_H
#define LOTOR_COMMON_FLOAT_MATH_H

#include <stdint.h>
#include <string.h>

static inline uint32_t lotor_bits_of_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float lotor_float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The largest whole number that is not above x. */
static inline float lotor_floor(float x) {
    if (!(x > -8388608.0f && x < 8388608.0f)) {
        return x; /* whole already, or not-a-number */
    }
    const float whole = (float)(int32_t)x;
    if (whole == x) {
        return x; /* minus zero stays */
    }
    return whole > x ? whole - 1.0f : whole;
}

/* 2^exponent for -126 <= exponent <= 127. */
static inline float lotor_power_of_two(int32_t exponent) {
    return lotor_float_of_bits((uint32_t)(exponent + 127) << 23);
}

/* e^x: x = n ln 2 + r with |r| <= ln 2 / 2, and the Taylor series of e^r. */
static inline float lotor_exp(float x) {
    if (x > 88.8f) {
        return lotor_float_of_bits(0x7f800000u); /* infinity */
    }
    if (x < -104.0f) {
        return 0.0f;
    }
    if (x != x) {
        return x;
    }
    const float n = lotor_floor(x * 1.44269504f + 0.5f);
    /* ln 2 in two parts; the products with the first are exact. */
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    float tail = 1.0f / 5040.0f;
    tail = tail * r + 1.0f / 720.0f;
    tail = tail * r + 1.0f / 120.0f;
    tail = tail * r + 1.0f / 24.0f;
    tail = tail * r + 1.0f / 6.0f;
    tail = tail * r + 0.5f;
    const float result = 1.0f + (r + r * r * tail);
    /* In two steps, as 2^n itself may be no float. */
    const int32_t half = (int32_t)n / 2;
    return result * lotor_power_of_two(half) * lotor_power_of_two((int32_t)n - half);
}

/* ln x: x = 2^n (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), and the series of 2 artanh(f / (2 + f)).
 */
static inline float lotor_log(float x) {
    if (x == 0.0f) {
        return lotor_float_of_bits(0xff800000u); /* minus infinity */
    }
    if (x < 0.0f) {
        return lotor_float_of_bits(0x7fc00000u); /* not-a-number */
    }
    if (!(x <= 3.40282347e38f)) {
        return x; /* infinity, not-a-number */
    }
    int32_t exponent = 0;
    if (x < 1.17549435e-38f) {
        x *= 33554432.0f; /* 2^25 makes it a normal number */
        exponent = -25;
    }
    /* The bits of sqrt(1/2) are taken off, so that the exponent's field counts from there. */
    const uint32_t bits = lotor_bits_of_float(x) - 0x3f3504f3u;
    exponent += (int32_t)(bits >> 23) - ((bits >> 31) != 0u ? 512 : 0);
    const float f = lotor_float_of_bits((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
    const float n = (float)exponent;
    const float s = f / (2.0f + f);
    const float z = s * s;
    float tail = 2.0f / 9.0f;
    tail = tail * z + 2.0f / 7.0f;
    tail = tail * z + 2.0f / 5.0f;
    tail = tail * z + 2.0f / 3.0f;
    const float half_square = 0.5f * f * f;
    const float small = s * (half_square + tail * z) + n * 9.05800061e-6f;
    return n * 0.69313812256f + (f - (half_square - small));
}

/* tanh x: a quotient of polynomials near zero, 1 - 2 / (e^2x + 1) elsewhere. */
static inline float lotor_tanh(float x) {
    const float magnitude = x < 0.0f ? -x : x;
    if (magnitude < 1e-4f) {
        return x; /* minus zero stays */
    }
    if (magnitude < 0.55f) {
        const float z = x * x;
        return x - x * (z * (315.0f + 14.0f * z) / (945.0f + z * (420.0f + 15.0f * z)));
    }
    if (!(magnitude < 9.5f)) {
        return x != x ? x : (x < 0.0f ? -1.0f : 1.0f);
    }
    const float result = 1.0f - 2.0f / (lotor_exp(2.0f * magnitude) + 1.0f);
    return x < 0.0f ? -result : result;
}

/* 1 / (1 + e^-x), with the limits of the reference kernel. */
static inline float lotor_logistic(float x) {
    if (x > 16.619047164916992f) {
        return 1.0f;
    }
    if (x < -9.0f) {
        return lotor_exp(x);
    }
    return 1.0f / (1.0f + lotor_exp(-x));
}

/* 1 - erf(x): the Chebyshev approximation of Numerical Recipes (Press and others, 1992, 6.2). */
static inline float lotor_erfc(float x) {
    const float magnitude = x < 0.0f ? -x : x;
    if (magnitude > 11.0f) {
        return x < 0.0f ? 2.0f : 0.0f;
    }
    if (x != x) {
        return x;
    }
    const float t = 1.0f / (1.0f + 0.5f * magnitude);
    float power = 0.17087277f;
    power = power * t - 0.82215223f;
    power = power * t + 1.48851587f;
    power = power * t - 1.13520398f;
    power = power * t + 0.27886807f;
    power = power * t - 0.18628806f;
    power = power * t + 0.09678418f;
    power = power * t + 0.37409196f;
    power = power * t + 1.00002368f;
    power = power * t - 1.26551223f;
    /* The square in two parts, as its rounding would be magnified by the exponential. */
    const float high = lotor_float_of_bits(lotor_bits_of_float(magnitude) & 0xfffff000u);
    const float low = (magnitude - high) * (magnitude + high);
    const float result = t * lotor_exp(power - low) * lotor_exp(-high * high);
    return x < 0.0f ? 2.0f - result : result;
}

/* The square root, rounded correctly: 25 bits of it, one at a time, and whether a rest is left. */
static inline float lotor_sqrt(float x) {
    if (x == 0.0f || !(x <= 3.40282347e38f)) {
        return x; /* signed zero, infinity, not-a-number */
    }
    if (x < 0.0f) {
        return lotor_float_of_bits(0x7fc00000u);
    }
    int32_t exponent = 0;
    if (x < 1.17549435e-38f) {
        x *= 67108864.0f; /* 2^26, so that the exponent stays even or odd */
        exponent = -26;
    }
    const uint32_t bits = lotor_bits_of_float(x);
    exponent += (int32_t)(bits >> 23) - 127;
    uint64_t rest = (bits & 0x007fffffu) | 0x00800000u;
    /* mantissa 2^25 or 2^26: its root has 25 bits */
    rest <<= (exponent & 1) != 0 ? 26 : 25;
    uint64_t root = 0;
    for (uint64_t bit = UINT64_C(1) << 48; bit != 0; bit >>= 2) {
        const uint64_t trial = root + bit;
        root >>= 1;
        if (rest >= trial) {
            rest -= trial;
            root += bit;
        }
    }
    /* The lowest bit is worth one half; a tie cannot be, as its square would have 50 bits. */
    const uint32_t mantissa = (uint32_t)((root + 1) >> 1);
    const int32_t half = (exponent - (exponent & 1)) / 2;
    return lotor_float_of_bits(((uint32_t)(half + 126) << 23) + mantissa);
}

/* Quarter turns: x = (n + r) pi / 2 with |r| <= 1/2; returns r pi / 2 and sets *quadrant to n
 * mod 4.
 *
 * Exact up to the last bits of the result for every x: the product with those bits of 2 / pi that
 * matter, as integers (Payne and Hanek, 1983).
 */
static inline float lotor_quarter_turns(float x, int32_t *quadrant) {
    /* 2 / pi in binary */
    static const uint32_t bits[7] = {0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u,
                                     0xdb629599u, 0x3c439041u, 0xfe5163abu};
    const uint32_t word = lotor_bits_of_float(x);
    const uint64_t mantissa = (word & 0x007fffffu) | 0x00800000u;
    const int32_t exponent = (int32_t)((word >> 23) & 0xffu) - 150;
    /* Bits before this one give whole turns. */
    const int32_t first = exponent > 2 ? exponent - 2 : 0;
    uint64_t window[3];
    for (int32_t i = 0; i < 3; i++) {
        const uint64_t high = bits[first / 32 + i];
        const uint64_t low = bits[first / 32 + i + 1];
        window[i] = ((high << 32 | low) << (first % 32)) >> 32;
    }
    const uint64_t low = mantissa * window[2];
    const uint64_t middle = mantissa * window[1] + (low >> 32);
    const uint64_t high = (mantissa * window[0] + (middle >> 32));
    const uint64_t below = middle << 32 | (low & 0xffffffffu);
    /* To 62 bits of fraction and 2 of whole quarter turns. */
    const int32_t right = 34 + first - exponent;
    uint64_t turns = high << (64 - right) | below >> right;
    if ((word >> 31) != 0u) {
        turns = 0u - turns;
    }
    const uint64_t nearest = (turns + (UINT64_C(1) << 61)) >> 62;
    *quadrant = (int32_t)nearest;
    const int64_t rest = (int64_t)(turns - (nearest << 62));
    /* The rest in two floats, times pi / 2 in two floats. */
    const float rest_high = (float)rest;
    const float rest_low = (float)(rest - (int64_t)rest_high);
    const float unit = 2.16840434e-19f; /* 2^-62 */
    const float angle = rest_high * 1.57079637f + (rest_high * -4.37113883e-8f + rest_low * 1.57f);
    return angle * unit;
}

/* sin(x + quarters pi / 2). */
static inline float lotor_sine(float x, int32_t quarters) {
    float angle = x;
    int32_t quadrant = 0;
    if (!(x >= -0.785f && x <= 0.785f)) {
        if (!(x >= -3.40282347e38f && x <= 3.40282347e38f)) {
            return lotor_float_of_bits(0x7fc00000u);
        }
        angle = lotor_quarter_turns(x, &quadrant);
    }
    quadrant = (quadrant + quarters) & 3;
    const float z = angle * angle;
    float result;
    if ((quadrant & 1) != 0) {
        const float tail = ((z / 40320.0f - 1.0f / 720.0f) * z + 1.0f / 24.0f) * z * z;
        result = 1.0f - (0.5f * z - tail);
    } else {
        const float tail = ((z / 362880.0f - 1.0f / 5040.0f) * z + 1.0f / 120.0f) * z;
        /* Minus zero stays. */
        result = z < 1e-8f ? angle : angle + angle * z * (tail - 1.0f / 6.0f);
    }
    return quadrant >= 2 ? -result : result;
}

#endif

/* Pooling of four channels at a time with the DSP instructions, and means without them. */
#ifndef LOTOR_COMMON_DSP_POOL_H
#define LOTOR_COMMON_DSP_POOL_H

#include "dsp.h"
#include "dsp_general.h"

/* A window of pixels and what becomes of the sum of one of its channels, see `dsp_general.h`. */
struct lotor_dsp_window {
    int32_t height, width;         /* pixels, at most 255 in all for sums */
    int32_t line_step, pixel_step; /* elements from one line and pixel to the next */
    int32_t way, lift, shift, out_min, out_max;
    struct lotor_dsp_channel scale;
};

#ifdef __ARM_FEATURE_DSP

/* Adds the bytes 0 and 2, or turned, 1 and 3, to two sums of int16. */
static inline uint32_t lotor_dsp_add_two(uint32_t sums, uint32_t bytes, int32_t turned) {
    if (turned) {
        __asm__("sxtab16 %0, %0, %1, ror #8" : "+r"(sums) : "r"(bytes));
    } else {
        __asm__("sxtab16 %0, %0, %1" : "+r"(sums) : "r"(bytes));
    }
    return sums;
}

/* The larger of each two bytes. */
static inline uint32_t lotor_dsp_largest(uint32_t a, uint32_t b) {
    uint32_t larger;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(larger) : "r"(a), "r"(b) : "cc");
    return larger;
}

/* One of two sums. */
static inline int32_t lotor_dsp_sum(uint32_t sums, int32_t top) {
    return top ? (int32_t)sums >> 16 : (int16_t)sums;
}

enum { LOTOR_DSP_BYTE_OFFSET = 0 };

#else

/* The same, but of bytes that are 128 more and so without a sign. */
static inline uint32_t lotor_dsp_add_two(uint32_t sums, uint32_t bytes, int32_t turned) {
    const uint32_t more = bytes ^ UINT32_C(0x80808080);
    return sums + ((turned ? more >> 8 : more) & UINT32_C(0xFF00FF));
}

static inline int32_t lotor_dsp_sum(uint32_t sums, int32_t top) {
    return (int32_t)(top ? sums >> 16 : sums & UINT32_C(0xFFFF));
}

enum { LOTOR_DSP_BYTE_OFFSET = 128 };

#endif

static inline LOTOR_SPECIALISED int8_t lotor_dsp_mean(const struct lotor_dsp_window *w,
                                                      int32_t sum) {
    const int32_t bias = w->scale.bias - w->height * w->width * LOTOR_DSP_BYTE_OFFSET;
    return lotor_dsp_requantize(sum + bias, &w->scale, w->way, w->lift, w->shift, 0, w->out_min,
                                w->out_max);
}

static inline LOTOR_SPECIALISED void lotor_dsp_four_means(const struct lotor_dsp_window *w,
                                                          const int8_t *in, int8_t *out) {
    uint32_t even = 0, odd = 0;
    for (int32_t y = 0; y < w->height; y++) {
        const int8_t *pixel = in + y * w->line_step;
#pragma GCC unroll 4
        for (int32_t x = w->width; x > 0; x--) {
            const uint32_t bytes = lotor_dsp_load(pixel);
            even = lotor_dsp_add_two(even, bytes, 0);
            odd = lotor_dsp_add_two(odd, bytes, 1);
            pixel += w->pixel_step;
        }
    }
    out[0] = lotor_dsp_mean(w, lotor_dsp_sum(even, 0));
    out[1] = lotor_dsp_mean(w, lotor_dsp_sum(odd, 0));
    out[2] = lotor_dsp_mean(w, lotor_dsp_sum(even, 1));
    out[3] = lotor_dsp_mean(w, lotor_dsp_sum(odd, 1));
}

/* The means of all channels, four or more; the last four come a second time in part. */
static inline LOTOR_SPECIALISED void
lotor_dsp_means(const struct lotor_dsp_window *w, const int8_t *in, int32_t channels, int8_t *out) {
    for (int32_t i = 0; i < channels; i += 4) {
        const int32_t c = lotor_min(i, channels - 4);
        lotor_dsp_four_means(w, in + c, out + c);
    }
}

#endif

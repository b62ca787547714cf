/* Pixels to RGB888, in integers. */
#include "pixels.h"

uint32_t pixels_bytes(pixel_format format) {
    switch (format) {
    case PIXELS_RGB888:
        return 3;
    case PIXELS_RGB565:
    case PIXELS_RGB565_LE:
    case PIXELS_YUYV:
        return 2;
    case PIXELS_GREY:
        return 1;
    default:
        return 0;
    }
}

/* The highest bits again below: 31 becomes 255, 0 stays 0. */
static void from_565(uint32_t word, uint8_t *rgb) {
    const uint32_t red = word >> 11 & 31u, green = word >> 5 & 63u, blue = word & 31u;
    rgb[0] = (uint8_t)(red << 3 | red >> 2);
    rgb[1] = (uint8_t)(green << 2 | green >> 4);
    rgb[2] = (uint8_t)(blue << 3 | blue >> 2);
}

static uint8_t clipped(int32_t value) {
    return (uint8_t)(value < 0 ? 0 : (value > 255 ? 255 : value));
}

/* Full range, ITU-R BT.601 as JFIF 1.02 has it: 1.402, 0.344136, 0.714136, 1.772, in 1/65536,
   rounded half up. */
static void from_yuv(int32_t y, int32_t cb, int32_t cr, uint8_t *rgb) {
    const int32_t scaled = y * 65536 + 32768;
    /* Above 0 before the shift, which is of a negative number up to the compiler. */
    enum { UP = 512 };
    rgb[0] = clipped(((scaled + 91881 * cr + UP * 65536) >> 16) - UP);
    rgb[1] = clipped(((scaled - 22554 * cb - 46802 * cr + UP * 65536) >> 16) - UP);
    rgb[2] = clipped(((scaled + 116130 * cb + UP * 65536) >> 16) - UP);
}

void pixels_to_rgb(pixel_format format, const uint8_t *from, size_t count, uint8_t *rgb) {
    switch (format) {
    case PIXELS_RGB565:
        for (size_t i = 0; i < count; i++, from += 2, rgb += 3)
            from_565((uint32_t)from[0] << 8 | from[1], rgb);
        break;
    case PIXELS_RGB565_LE:
        for (size_t i = 0; i < count; i++, from += 2, rgb += 3)
            from_565((uint32_t)from[1] << 8 | from[0], rgb);
        break;
    case PIXELS_YUYV:
        for (size_t i = 0; i + 1 < count; i += 2, from += 4, rgb += 6) {
            /* Both are read before either is written, which may lie over it. */
            const int32_t first = from[0], second = from[2];
            const int32_t cb = from[1] - 128, cr = from[3] - 128;
            from_yuv(first, cb, cr, rgb);
            from_yuv(second, cb, cr, rgb + 3);
        }
        break;
    case PIXELS_GREY:
        for (size_t i = 0; i < count; i++, rgb += 3) {
            const uint8_t grey = from[i];
            rgb[0] = rgb[1] = rgb[2] = grey;
        }
        break;
    default: /* RGB888, where it lies or somewhere else */
        for (size_t i = 0; from != rgb && i < 3 * count; i++)
            rgb[i] = from[i];
        break;
    }
}

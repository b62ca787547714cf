/* Pixels as cameras send them, to RGB888. toolchain/lotor/pixels.py says the same in Python. */
#ifndef LOTOR_PIXELS_H
#define LOTOR_PIXELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As numbers on the link. */
typedef enum {
    PIXELS_RGB888,
    PIXELS_RGB565,    /* the high byte first: red's five bits, three of green */
    PIXELS_RGB565_LE, /* the low byte first */
    PIXELS_YUYV,      /* two pixels in four bytes: Y0 Cb Y1 Cr */
    PIXELS_GREY,
    PIXELS_FORMATS,
} pixel_format;

/* Bytes of a pixel; 0 for a format that does not exist. */
uint32_t pixels_bytes(pixel_format format);

/* Turn `count` pixels (an even number of YUYV) into RGB888.
 *
 * `from` may be the last count * pixels_bytes(format) of the 3 * count bytes at `rgb`: then a frame
 * needs no second buffer.
 */
void pixels_to_rgb(pixel_format format, const uint8_t *from, size_t count, uint8_t *rgb);

#endif

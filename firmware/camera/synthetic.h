/* What the link says to a synthetic camera. */
#ifndef LOTOR_SYNTHETIC_H
#define LOTOR_SYNTHETIC_H

#include <stddef.h>

#include "camera.h"
#include "pixels.h"

/* Begin a frame; 0 when size or format are wrong, else the bytes that make it. The frame that is
   underway, or was the last one, is not begun again. */
uint32_t synthetic_begin(camera_stamp stamp, uint32_t width, uint32_t height, pixel_format format);

typedef enum { SYNTHETIC_TAKEN, SYNTHETIC_OTHER, SYNTHETIC_OUTSIDE, SYNTHETIC_SCATTERED } taking;

/* Take a part of frame `number`; a part of the last complete one changes nothing. */
taking synthetic_take(uint32_t number, uint32_t offset, const uint8_t *data, size_t bytes);

#endif

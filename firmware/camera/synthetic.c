/* A camera that a host feeds over the link. */
#include "synthetic.h"

#include <string.h>

#include "../src/coverage.h"

#if LOTOR_CAMERA_SYNTHETIC

uint8_t camera_frame[3 * CAMERA_PIXELS];

static struct {
    bool begun, complete, fresh; /* a frame; all of it has come; and nobody has looked at it */
    bool shown;                  /* it was looked at, and nothing has come over it */
    camera_stamp stamp;
    pixel_format format;
    coverage come;
} state;

static uint32_t raw_bytes(void) { return CAMERA_PIXELS * pixels_bytes(state.format); }

camera_error camera_start(void) {
    memset(&state, 0, sizeof state);
    return CAMERA_OK;
}

void camera_stop(void) { state.fresh = false; }

uint32_t synthetic_begin(camera_stamp stamp, uint32_t width, uint32_t height, pixel_format format) {
    if (width != LOTOR_CAMERA_WIDTH || height != LOTOR_CAMERA_HEIGHT || !pixels_bytes(format))
        return 0;
    if (!state.begun || stamp.number != state.stamp.number) {
        state.begun = true;
        state.complete = state.fresh = state.shown = false;
        state.stamp = stamp;
        state.format = format;
        coverage_clear(&state.come);
    }
    return raw_bytes();
}

taking synthetic_take(uint32_t number, uint32_t offset, const uint8_t *data, size_t bytes) {
    if (!state.begun || number != state.stamp.number)
        return SYNTHETIC_OTHER;
    if (offset > raw_bytes() || bytes > raw_bytes() - offset)
        return SYNTHETIC_OUTSIDE;
    if (state.complete)
        return SYNTHETIC_TAKEN;
    if (!coverage_add(&state.come, offset, offset + (uint32_t)bytes))
        return SYNTHETIC_SCATTERED;
    memcpy(camera_frame + sizeof camera_frame - raw_bytes() + offset, data, bytes);
    state.complete = state.fresh = coverage_complete(&state.come, raw_bytes());
    return SYNTHETIC_TAKEN;
}

bool camera_poll(camera_stamp *stamp, camera_error *error) {
    *error = CAMERA_OK;
    if (!state.fresh)
        return false;
    state.fresh = false;
    state.shown = true;
    *stamp = state.stamp;
    pixels_to_rgb(state.format, camera_frame + sizeof camera_frame - raw_bytes(), CAMERA_PIXELS,
                  camera_frame);
    return true;
}

bool camera_has(camera_stamp *stamp) {
    *stamp = state.stamp;
    return state.shown;
}

#endif

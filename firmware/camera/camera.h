/* A camera: one of synthetic.c (fed over the link) and sensor_camera.c, as the board file says. */
#ifndef LOTOR_CAMERA_H
#define LOTOR_CAMERA_H

#include <stdbool.h>
#include <stdint.h>

#include "lotor_camera.h"
#include "sensor.h"

/* A frame: when it was taken, since the camera was started, and its number. */
typedef struct {
    uint64_t time_ms;
    uint32_t number;
} camera_stamp;

enum { CAMERA_PIXELS = LOTOR_CAMERA_WIDTH * LOTOR_CAMERA_HEIGHT };

/* Room for a frame in RGB888; what the camera sends lies at its end until it is converted. */
extern uint8_t camera_frame[3 * CAMERA_PIXELS];

/* Find the camera, set it up and let frames come; earlier ones are forgotten. */
camera_error camera_start(void);
void camera_stop(void);

/* Whether a new frame is there: it lies in camera_frame as RGB888 until the next call. `error` says
   why a frame that was waited for did not come. */
bool camera_poll(camera_stamp *stamp, camera_error *error);

/* Whether the last frame still lies in camera_frame, whole and as RGB888, and which one it is. */
bool camera_has(camera_stamp *stamp);

#endif

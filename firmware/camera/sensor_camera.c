/* A camera whose frames come from an image sensor on a parallel bus. */
#include "../hal/hal.h"
#include "camera.h"
#include "sccb.h"

#if !LOTOR_CAMERA_SYNTHETIC

/* At least. 16 MHz / 6, and by 4 more for a small frame: an nRF52 has 96 cycles for each byte of an
   OmniVision. Slower, and a row would last longer than the UART's FIFO. */
enum { DIVIDER = 6 };
/* Until an OmniVision shows what its registers say (OV7670 data sheet, AC characteristics: tS:REG).
 */
enum { SETTLE_MS = 300 };
enum { KIND_OV7670 = 1, KIND_OV2640, KIND_HM01B0 };

uint8_t camera_frame[3 * CAMERA_PIXELS];

static struct {
    uint64_t started; /* ticks */
    uint32_t frames;
    bool whole; /* the last frame lies in camera_frame */
    camera_stamp last;
} state;

static sccb_wires wires = {LOTOR_CAMERA_SDA, LOTOR_CAMERA_SCL};

static const sensor *own_sensor(void) {
    switch (LOTOR_CAMERA_KIND) {
    case KIND_OV7670:
        return &ov7670;
    case KIND_OV2640:
        return &ov2640;
    default:
        return &hm01b0;
    }
}

camera_error camera_start(void) {
    const sensor_mode mode = {.width = LOTOR_CAMERA_WIDTH,
                              .height = LOTOR_CAMERA_HEIGHT,
                              .format = (pixel_format)LOTOR_CAMERA_FORMAT,
                              .divider = sensor_divider(own_sensor(), DIVIDER)};
    hal_camera_init(); /* without a clock a sensor does not answer */
    const sensor_bus bus = sccb_bus(&wires);
    state.started = hal_ticks();
    state.frames = 0;
    state.whole = false;
    const camera_error error = own_sensor()->start(&bus, &mode);
    if (!error)
        bus.delay_ms(bus.context, SETTLE_MS);
    return error;
}

void camera_stop(void) { hal_camera_stop(); }

bool camera_poll(camera_stamp *stamp, camera_error *error) {
    const uint32_t pixel = pixels_bytes((pixel_format)LOTOR_CAMERA_FORMAT);
    /* An HM01B0 sends two rows and pixels more on each side of QVGA, one of QQVGA. */
    const uint32_t around = own_sensor()->has_rows_around ? (LOTOR_CAMERA_WIDTH > 160 ? 2 : 1) : 0;
    uint8_t *const raw = camera_frame + sizeof camera_frame - pixel * CAMERA_PIXELS;
    *error = CAMERA_OK;
    state.whole = false;
    stamp->number = state.frames;
    stamp->time_ms = (hal_ticks() - state.started) * 1000u / LOTOR_TICKS_PER_SECOND;
    if (!hal_camera_capture(raw, LOTOR_CAMERA_HEIGHT, LOTOR_CAMERA_WIDTH * pixel, around,
                            around * pixel)) {
        *error = CAMERA_NO_FRAME;
        return false;
    }
    state.frames++;
    pixels_to_rgb((pixel_format)LOTOR_CAMERA_FORMAT, raw, CAMERA_PIXELS, camera_frame);
    state.whole = true;
    state.last = *stamp;
    return true;
}

bool camera_has(camera_stamp *stamp) {
    *stamp = state.last;
    return state.whole;
}

#endif

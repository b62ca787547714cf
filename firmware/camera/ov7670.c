/* OmniVision OV7670: 640 x 480, made smaller by its scaler.

   Registers and their bits: OV7670/OV7171 data sheet, version 1.4, table 5. The scaler's values are
   those of the OV7670 Implementation Guide, table "Resolution register settings", for a frame made
   from the whole array. The window is where published drivers found the image: Zephyr's for
   320 x 240, Arduino_OV767X's and OpenMV's for 160 x 120; after a reset it begins 40 columns
   before it. */
#include "sensor.h"

enum {
    VREF = 0x03,
    PID = 0x0A,
    VER = 0x0B,
    COM3 = 0x0C,
    CLKRC = 0x11,
    COM7 = 0x12,
    COM10 = 0x15,
    HSTART = 0x17,
    HSTOP = 0x18,
    VSTRT = 0x19,
    VSTOP = 0x1A,
    HREF = 0x32,
    TSLB = 0x3A,
    COM13 = 0x3D,
    COM14 = 0x3E,
    COM15 = 0x40,
    SCALING_XSC = 0x70,
    SCALING_YSC = 0x71,
    SCALING_DCWCTR = 0x72,
    SCALING_PCLK_DIV = 0x73,
    RGB444 = 0x8C,
    SCALING_PCLK_DELAY = 0xA2,
    RESERVED_B0 = 0xB0,
    COM7_RESET = 0x80, /* clears itself */
    COM7_RGB = 0x04,
};

static const sensor_setting id[2] = {{PID, 0x76}, {VER, 0x73}};

static camera_error start(const sensor_bus *bus, const sensor_mode *mode) {
    const bool small = mode->width == 160 && mode->height == 120;
    const bool rgb = mode->format == PIXELS_RGB565;
    const uint8_t pattern = mode->test_pattern ? 0x80 : 0;
    if ((!small && (mode->width != 320 || mode->height != 240)) ||
        (!rgb && mode->format != PIXELS_YUYV) ||
        sensor_divider(&ov7670, mode->divider) != mode->divider)
        return CAMERA_NO_MODE;
    camera_error error = sensor_identify(bus, &ov7670, id, 0);
    if (error)
        return error;
    if (!sensor_write(bus, &ov7670, &(sensor_setting){COM7, COM7_RESET}, 1))
        return CAMERA_BUS;
    error = sensor_await_reset(bus, &ov7670, COM7, COM7_RESET);
    if (error)
        return error;
    const sensor_setting settings[] = {
        {COM10, 0x20},              /* [5]: no PCLK between rows */
        {RGB444, 0x00},             /* [1]: not RGB444 */
        {COM15, rgb ? 0xD0 : 0xC0}, /* [7:6]: 0 to 255; [5:4]: RGB565 */
        {TSLB, 0x04},               /* [3]: Y first; [0]: the window below, not its own */
        {COM13, 0x88},       /* [1] or, other versions, [0]: U before V; else as after reset */
        {RESERVED_B0, 0x84}, /* for colours: Linux, OpenMV, Zephyr, esp32-camera */
        /* Not sooner: COM7 takes no write just after it was read (Linux, ov7670.c). */
        {COM7, rgb ? COM7_RGB : 0},            /* the whole array; YUV or RGB */
        {COM3, 0x04},                          /* [2]: down sampling, crop, window on */
        {COM14, small ? 0x1A : 0x19},          /* [4]: PCLK scaled; [3]: by hand; [2:0]: 2^n */
        {SCALING_XSC, 0x3A},                   /* [6:0]: as after reset; [7]: pattern, bit 0 */
        {SCALING_YSC, pattern | 0x35},         /* likewise; [7]: pattern, bit 1: 10 is eight bars */
        {SCALING_DCWCTR, small ? 0x22 : 0x11}, /* [5:4], [1:0]: rows, columns by 4 or 2 */
        {SCALING_PCLK_DIV, small ? 0xF2 : 0xF1}, /* [3:0]: 2^n; [7:4] reserved: the guide's */
        {SCALING_PCLK_DELAY, 0x02},              /* the guide's */
        /* From 180 or 176 to 36 or 32, which is 640 columns of 784 later; from 10 to 490. */
        {HSTART, 0x16},
        {HSTOP, 0x04},
        {HREF, small ? 0xA4 : 0x80}, /* [7:6]: edge; [5:3], [2:0]: low bits of stop, start */
        {VSTRT, 0x02},
        {VSTOP, 0x7A},
        {VREF, 0x0A}, /* [3:2], [1:0]: low bits of stop, start */
        /* [5:0]: prescaler, less by one. [7]: doubled before it, or it would divide by twice as
           much (an earlier version of the data sheet; Implementation Guide, frame rates). Last, or
           the colours of RGB suffer (Linux, ov7670.c). */
        {CLKRC, (uint8_t)(0x80 | (mode->divider - 1))},
    };
    if (!sensor_write(bus, &ov7670, settings, sizeof settings / sizeof *settings))
        return CAMERA_BUS;
    return CAMERA_OK;
}

const sensor ov7670 = {.address = 0x21, .reg_bytes = 1, .dividers = UINT64_MAX, .start = start};

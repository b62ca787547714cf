/* OmniVision OV2640: 1600 x 1200, read out as 800 x 600 and made smaller by its DSP.

   Registers and their bits: OV2640 data sheet, version 1.6: table 12 for the DSP's bank (FFh = 0),
   table 13 for the sensor's (FFh = 1), with the values that it lists for SVGA. FFh is 7Fh after a
   reset: the sensor's bank. Published drivers write some hundred reserved registers more. */
#include "sensor.h"

enum {
    BANK = 0xFF,
    BANK_DSP = 0,
    BANK_SENSOR = 1,
    /* The sensor's bank. */
    COM1 = 0x03,
    PIDH = 0x0A,
    PIDL = 0x0B,
    CLKRC = 0x11,
    COM7 = 0x12,
    HREFST = 0x17,
    HREFEND = 0x18,
    VSTRT = 0x19,
    VEND = 0x1A,
    REG32 = 0x32,
    COM7_RESET = 0x80, /* clears itself */
    COM7_SVGA = 0x40,
    COM7_BARS = 0x02,
    /* The DSP's bank. */
    R_BYPASS = 0x05,
    CTRLI = 0x50,
    HSIZE = 0x51,
    VSIZE = 0x52,
    XOFFL = 0x53,
    YOFFL = 0x54,
    VHYX = 0x55,
    TEST = 0x57,
    ZMOW = 0x5A,
    ZMOH = 0x5B,
    ZMHH = 0x5C,
    CTRL2 = 0x86,
    SIZEL = 0x8C,
    HSIZE8 = 0xC0,
    VSIZE8 = 0xC1,
    CTRL0 = 0xC2,
    IMAGE_MODE = 0xDA,
    RESET = 0xE0,
    SENSOR_W = 800,
    SENSOR_H = 600,
};

/* The low bits of PIDL are a revision: 0x41 and 0x42 have been sold. */
static const sensor_setting id[2] = {{PIDH, 0x26}, {PIDL, 0x40}};

static camera_error start(const sensor_bus *bus, const sensor_mode *mode) {
    const bool small = mode->width == 160 && mode->height == 120;
    const bool rgb = mode->format == PIXELS_RGB565;
    if ((!small && (mode->width != 320 || mode->height != 240)) ||
        (!rgb && mode->format != PIXELS_YUYV) ||
        sensor_divider(&ov2640, mode->divider) != mode->divider)
        return CAMERA_NO_MODE;
    const sensor_setting sensor_bank = {BANK, BANK_SENSOR}; /* whichever was chosen before */
    if (!sensor_write(bus, &ov2640, &sensor_bank, 1))
        return CAMERA_NO_ANSWER;
    camera_error error = sensor_identify(bus, &ov2640, id, 0x0F);
    if (error)
        return error;
    if (!sensor_write(bus, &ov2640, &(sensor_setting){COM7, COM7_RESET}, 1))
        return CAMERA_BUS;
    error = sensor_await_reset(bus, &ov2640, COM7, COM7_RESET);
    if (error)
        return error;
    /* 800 x 600 by a power of two (CTRLI), then zoomed out to the frame. */
    const uint32_t halvings = small ? 2 : 1;
    const sensor_setting settings[] = {
        {BANK, BANK_SENSOR}, /* after a reset, too */
        {COM7, (uint8_t)(COM7_SVGA | (mode->test_pattern ? COM7_BARS : 0))},
        {CLKRC, (uint8_t)(mode->divider - 1)}, /* [5:0]: divider, less by one */
        {HREFST, 0x11},                        /* the window of SVGA */
        {HREFEND, 0x43},
        {VSTRT, 0x00},
        {VEND, 0x4B}, /* 600 rows in twos: 300 = 75 * 4 */
        {COM1, 0x0A}, /* [3:2], [1:0]: low bits of VEND, VSTRT */
        {REG32, 0x09},
        {BANK, BANK_DSP},
        {RESET, 0x04},          /* [2]: the DVP port is held while its sizes change */
        {HSIZE8, SENSOR_W / 8}, /* [10:3] of what comes from the sensor */
        {VSIZE8, SENSOR_H / 8}, /* likewise */
        {SIZEL, 0x00},          /* [2:0] of both */
        {HSIZE, SENSOR_W / 4},  /* in fours */
        {VSIZE, SENSOR_H / 4},
        {XOFFL, 0x00},
        {YOFFL, 0x00},
        {VHYX, 0x00}, /* the higher bits of sizes and offsets */
        {TEST, 0x00},
        {CTRLI, (uint8_t)(0x80 | halvings << 3 | halvings)}, /* [5:3], [2:0]: rows, columns */
        {ZMOW, (uint8_t)(mode->width / 4)},                  /* of the frame, in fours */
        {ZMOH, (uint8_t)(mode->height / 4)},
        {ZMHH, 0x00},
        {CTRL2, 0x2D}, /* [5]: scales at all; else as after reset */
        {CTRL0, 0x0E}, /* [1]: RGB, too; [4] = 0: U before V; else as after reset */
        {IMAGE_MODE, rgb ? 0x08 : 0x00}, /* [3:2]: RGB565 or YUV; [0] = 0: high byte, Y first */
        {R_BYPASS, 0x00},                /* [0]: through the DSP */
        {RESET, 0x00},
    };
    if (!sensor_write(bus, &ov2640, settings, sizeof settings / sizeof *settings))
        return CAMERA_BUS;
    return CAMERA_OK;
}

const sensor ov2640 = {.address = 0x30, .reg_bytes = 1, .dividers = UINT64_MAX, .start = start};

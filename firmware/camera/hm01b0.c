/* Himax HM01B0: grey, 324 x 244 (its QVGA window), or 162 x 122 by binning.

   Registers: HM01B0-MNA data sheet, version 3, register table, numbers of 16 bits. The bits of
   BIT_CONTROL and OSC_CLK_DIV, and the lengths of frame and line, are what published drivers use;
   the data sheet leaves room there. Exposure and gain stay with the sensor's own control, which
   must leave two rows of a frame, or frames are left out (OpenMV, Zephyr, PicoHM01B0). */
#include "sensor.h"

enum {
    MODEL_ID_H = 0x0000,
    MODEL_ID_L = 0x0001,
    MODE_SELECT = 0x0100,
    SW_RESET = 0x0103,
    GRP_PARAM_HOLD = 0x0104,
    FRAME_LENGTH_LINES_H = 0x0340,
    FRAME_LENGTH_LINES_L = 0x0341,
    LINE_LENGTH_PCK_H = 0x0342,
    LINE_LENGTH_PCK_L = 0x0343,
    READOUT_X = 0x0383,
    READOUT_Y = 0x0387,
    BINNING_MODE = 0x0390,
    TEST_PATTERN_MODE = 0x0601,
    MAX_INTG_H = 0x2105,
    MAX_INTG_L = 0x2106,
    QVGA_WIN_EN = 0x3010,
    BIT_CONTROL = 0x3059,
    OSC_CLK_DIV = 0x3060,
    ANA_REGISTER_17 = 0x3067,
    STANDBY = 0,
    STREAMING = 1,
};

static const sensor_setting id[2] = {{MODEL_ID_H, 0x01}, {MODEL_ID_L, 0xB0}};

static camera_error start(const sensor_bus *bus, const sensor_mode *mode) {
    const bool small = mode->width == 160 && mode->height == 120;
    if ((!small && (mode->width != 320 || mode->height != 240)) || mode->format != PIXELS_GREY ||
        sensor_divider(&hm01b0, mode->divider) != mode->divider)
        return CAMERA_NO_MODE;
    uint32_t divider = 3; /* [1:0] of OSC_CLK_DIV: by 8, 4, 2, 1 */
    for (uint32_t by = mode->divider; by > 1; by /= 2)
        divider--;
    camera_error error = sensor_identify(bus, &hm01b0, id, 0);
    if (error)
        return error;
    if (!sensor_write(bus, &hm01b0, &(sensor_setting){SW_RESET, 0x01}, 1))
        return CAMERA_BUS;
    error = sensor_await_reset(bus, &hm01b0, MODE_SELECT, 0x07); /* until it stands by */
    if (error)
        return error;
    const sensor_setting settings[] = {
        {MODE_SELECT, STANDBY},
        {ANA_REGISTER_17, 0x00},                     /* its clock comes from outside */
        {OSC_CLK_DIV, (uint8_t)(0x28 | divider)},    /* [5]: PCLK in rows only; [3]: see above */
        {BIT_CONTROL, 0x02},                         /* eight bits at once */
        {READOUT_X, small ? 0x03 : 0x01},            /* 3: columns in twos */
        {READOUT_Y, small ? 0x03 : 0x01},            /* 3: rows in twos */
        {BINNING_MODE, small ? 0x03 : 0x00},         /* [1], [0]: both joined */
        {QVGA_WIN_EN, 0x01},                         /* [0]: 244 rows of 324 */
        {FRAME_LENGTH_LINES_H, small ? 0x00 : 0x01}, /* 132 or 260 rows */
        {FRAME_LENGTH_LINES_L, small ? 0x84 : 0x04},
        {MAX_INTG_H, small ? 0x00 : 0x01}, /* 130 or 258 rows; 340 after reset */
        {MAX_INTG_L, small ? 0x82 : 0x02},
        {LINE_LENGTH_PCK_H, 0x01}, /* 376 clocks */
        {LINE_LENGTH_PCK_L, 0x78},
        {TEST_PATTERN_MODE, mode->test_pattern ? 0x01 : 0x00}, /* [0]: on; [4] = 0: bars */
        {GRP_PARAM_HOLD, 0x01}, /* what was written holds from now on */
        {MODE_SELECT, STREAMING},
    };
    if (!sensor_write(bus, &hm01b0, settings, sizeof settings / sizeof *settings))
        return CAMERA_BUS;
    return CAMERA_OK;
}

const sensor hm01b0 = {.address = 0x24,
                       .reg_bytes = 2,
                       .has_rows_around = true,
                       .dividers = 1u << 0 | 1u << 1 | 1u << 3 | 1u << 7,
                       .start = start};

/* Image sensors as registers behind a two-wire bus: what they are set to, not how a board reaches
   them. */
#ifndef LOTOR_SENSOR_H
#define LOTOR_SENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pixels.h"

/* Why a camera does not give frames; numbers on the link. */
typedef enum {
    CAMERA_OK,
    CAMERA_NO_ANSWER, /* nobody acknowledges the sensor's address */
    CAMERA_WRONG_ID,  /* somebody does, and is another sensor */
    CAMERA_NO_RESET,  /* its reset did not end */
    CAMERA_NO_MODE,   /* it has no such size, format or divider */
    CAMERA_BUS,       /* a register could not be written or read */
    CAMERA_NO_FRAME,  /* its clock, lines or frames do not come */
} camera_error;

/* SCCB or I2C, as a board gives it. An address has 7 bits; registers are numbered by one byte or
   two, the high one first. False: not acknowledged. */
typedef struct {
    void *context;
    bool (*write)(void *context, uint8_t address, uint16_t reg, uint8_t reg_bytes, uint8_t value);
    bool (*read)(void *context, uint8_t address, uint16_t reg, uint8_t reg_bytes, uint8_t *value);
    void (*delay_ms)(void *context, uint32_t ms);
} sensor_bus;

typedef struct {
    uint16_t width, height;
    pixel_format format;
    uint8_t divider; /* of the clock that it gets: one that the sensor has */
    bool test_pattern;
} sensor_mode;

typedef struct sensor {
    uint8_t address, reg_bytes;
    bool has_rows_around; /* sends a row and a pixel (of QVGA two) before and after the frame's */
    uint64_t dividers;    /* by what it can divide its clock: bit n for n + 1 */
    /* Set it up from whatever state it is in, and let frames come. */
    camera_error (*start)(const sensor_bus *bus, const sensor_mode *mode);
} sensor;

extern const sensor ov7670, ov2640, hm01b0;

/* The first divider of a sensor from `least` on; 0: there is none. */
uint8_t sensor_divider(const sensor *s, uint8_t least);

/* For drivers: a value for a register. */
typedef struct {
    uint16_t reg;
    uint8_t value;
} sensor_setting;

/* Write them in their order; false at the first that is not acknowledged. */
bool sensor_write(const sensor_bus *bus, const sensor *s, const sensor_setting *settings,
                  size_t count);

/* Compare two registers with what they must hold; the second one's low bits of `loose` are free. */
camera_error sensor_identify(const sensor_bus *bus, const sensor *s, const sensor_setting id[2],
                             uint8_t loose);

/* Wait until no bit of `mask` is set in a register that a reset clears at its end. */
camera_error sensor_await_reset(const sensor_bus *bus, const sensor *s, uint16_t reg, uint8_t mask);

#endif

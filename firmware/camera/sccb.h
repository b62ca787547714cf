/* The two-wire bus of image sensors by two pins: SCCB, and I2C as far as registers need it. */
#ifndef LOTOR_SCCB_H
#define LOTOR_SCCB_H

#include "sensor.h"

typedef struct {
    uint32_t sda, scl; /* pins */
} sccb_wires;

/* A bus over two open-drain pins of the HAL. A read is a write of the register's number, a stop and
   a read: OmniVision's SCCB knows no repeated start (SCCB Functional Specification 2.1, 3.2). */
sensor_bus sccb_bus(sccb_wires *wires);

#endif

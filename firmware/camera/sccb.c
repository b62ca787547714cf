/* SCCB by pins, at most 100 kHz. */
#include "sccb.h"

#include "../hal/hal.h"

#ifndef LOTOR_HOST /* which has no pins */

enum { HALF_US = 5, STRETCH_TRIES = 200 };

static void set(uint32_t pin, bool high) {
    hal_wire_set(pin, high);
    hal_wait_us(HALF_US);
}

/* A slave may hold the clock low for a while. */
static void clock_high(const sccb_wires *w) {
    set(w->scl, true);
    for (int i = 0; i < STRETCH_TRIES && !hal_wire_get(w->scl); i++)
        hal_wait_us(HALF_US);
}

static void begin(const sccb_wires *w) {
    set(w->sda, true);
    clock_high(w);
    set(w->sda, false);
    set(w->scl, false);
}

static void end(const sccb_wires *w) {
    set(w->sda, false);
    clock_high(w);
    set(w->sda, true);
}

static bool bit(const sccb_wires *w, bool out) {
    set(w->sda, out);
    clock_high(w);
    const bool in = hal_wire_get(w->sda);
    set(w->scl, false);
    return in;
}

/* Send a byte; whether it was acknowledged, by a low. */
static bool send(const sccb_wires *w, uint8_t byte) {
    for (int i = 7; i >= 0; i--)
        (void)bit(w, byte >> i & 1);
    return !bit(w, true);
}

/* Take a byte; it is the last one, which is not acknowledged. */
static uint8_t take(const sccb_wires *w) {
    unsigned byte = 0;
    for (int i = 0; i < 8; i++)
        byte = byte << 1 | bit(w, true);
    (void)bit(w, true);
    return (uint8_t)byte;
}

static bool send_number(const sccb_wires *w, uint8_t address, uint16_t reg, uint8_t reg_bytes) {
    return send(w, (uint8_t)(address << 1)) && (reg_bytes < 2 || send(w, (uint8_t)(reg >> 8))) &&
           send(w, (uint8_t)reg);
}

static bool write(void *context, uint8_t address, uint16_t reg, uint8_t reg_bytes, uint8_t value) {
    const sccb_wires *w = context;
    begin(w);
    const bool taken = send_number(w, address, reg, reg_bytes) && send(w, value);
    end(w);
    return taken;
}

static bool read(void *context, uint8_t address, uint16_t reg, uint8_t reg_bytes, uint8_t *value) {
    const sccb_wires *w = context;
    begin(w);
    bool taken = send_number(w, address, reg, reg_bytes);
    end(w);
    if (!taken)
        return false;
    begin(w);
    taken = send(w, (uint8_t)(address << 1 | 1));
    if (taken)
        *value = take(w);
    end(w);
    return taken;
}

static void delay_ms(void *context, uint32_t ms) {
    (void)context;
    hal_wait_us(1000 * ms);
}

sensor_bus sccb_bus(sccb_wires *wires) {
    hal_wire_set(wires->sda, true);
    hal_wire_set(wires->scl, true);
    return (sensor_bus){wires, write, read, delay_ms};
}

#endif

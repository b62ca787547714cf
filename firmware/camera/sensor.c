/* What all sensors' drivers do. */
#include "sensor.h"

enum { RESET_TRIES = 20, RESET_MS = 5 };

uint8_t sensor_divider(const sensor *s, uint8_t least) {
    for (uint32_t by = least ? least : 1; by <= 64; by++)
        if (s->dividers >> (by - 1) & 1)
            return (uint8_t)by;
    return 0;
}

bool sensor_write(const sensor_bus *bus, const sensor *s, const sensor_setting *settings,
                  size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!bus->write(bus->context, s->address, settings[i].reg, s->reg_bytes, settings[i].value))
            return false;
    return true;
}

camera_error sensor_identify(const sensor_bus *bus, const sensor *s, const sensor_setting id[2],
                             uint8_t loose) {
    for (size_t i = 0; i < 2; i++) {
        uint8_t value;
        if (!bus->read(bus->context, s->address, id[i].reg, s->reg_bytes, &value))
            return CAMERA_NO_ANSWER;
        if ((value ^ id[i].value) & ~(i ? loose : 0u))
            return CAMERA_WRONG_ID;
    }
    return CAMERA_OK;
}

camera_error sensor_await_reset(const sensor_bus *bus, const sensor *s, uint16_t reg,
                                uint8_t mask) {
    for (int i = 0; i < RESET_TRIES; i++) {
        uint8_t value;
        bus->delay_ms(bus->context, RESET_MS);
        /* A sensor may leave its bus alone meanwhile. */
        if (bus->read(bus->context, s->address, reg, s->reg_bytes, &value) && !(value & mask))
            return CAMERA_OK;
    }
    return CAMERA_NO_RESET;
}

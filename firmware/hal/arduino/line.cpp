/* Arduino's serial port: a UART, or on chips that have it (ARDUINO_USB_MODE) USB Serial/JTAG. */
#include "line.h"

#include <Arduino.h>

#include "lotor_config.h"

extern "C" int lotor_main(void); /* main of src/main.c */

SET_LOOP_TASK_STACK_SIZE(LOTOR_STACK_BYTES);

void setup() {}

void loop() { lotor_main(); }

static volatile uint32_t lost;

void line_open(uint32_t baud, size_t ring) {
    Serial.setRxBufferSize(ring); /* before begin, or it has no effect */
    Serial.begin(baud);
#if !(ARDUINO_USB_MODE && ARDUINO_USB_CDC_ON_BOOT)
    /* USB makes the host wait instead. */
    Serial.onReceiveError([](hardwareSerial_error_t error) {
        if (error == UART_BUFFER_FULL_ERROR || error == UART_FIFO_OVF_ERROR)
            lost++;
    });
#endif
}

size_t line_read(uint8_t *data, size_t most) {
    const int waiting = Serial.available();
    if (waiting <= 0)
        return 0;
    return Serial.read(data, (size_t)waiting < most ? (size_t)waiting : most);
}

size_t line_write(const uint8_t *data, size_t bytes) { return Serial.write(data, bytes); }

void line_flush(void) { Serial.flush(); }

uint32_t line_overruns(void) { return lost; }

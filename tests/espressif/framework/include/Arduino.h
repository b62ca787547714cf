/* Arduino's serial port, over stdin and stdout. */
#pragma once
#ifdef __cplusplus
#include <cstddef>
#include <cstdint>

#define SET_LOOP_TASK_STACK_SIZE(size)                                                             \
    size_t getArduinoLoopTaskStackSize(void) { return size; }

size_t getArduinoLoopTaskStackSize(void);
void setup();
void loop();

enum hardwareSerial_error_t { UART_NO_ERROR, UART_BUFFER_FULL_ERROR, UART_FIFO_OVF_ERROR };

class HardwareSerial {
  public:
    size_t setRxBufferSize(size_t bytes);
    void begin(unsigned long baud);
    void onReceiveError(void (*called)(hardwareSerial_error_t));
    int available();
    size_t read(uint8_t *data, size_t bytes);
    size_t write(const uint8_t *data, size_t bytes);
    void flush();
};

extern HardwareSerial Serial;

#endif

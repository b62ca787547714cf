/* The stand-in's Arduino: a serial port with the limits of the real one, and the loop task. */
#include <Arduino.h>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <unistd.h>

extern "C" {
#include <freertos/task.h>
}

extern "C" void chip_start(void);
extern "C" void chip_input(void);
extern "C" void chip_output(void);

HardwareSerial Serial;

static uint8_t received[8192], sent[8192];
static size_t ring = 256, have, held;
static bool open_since;
static void (*on_error)(hardwareSerial_error_t);

size_t HardwareSerial::setRxBufferSize(size_t bytes) {
    if (open_since || bytes > sizeof received)
        return 0;
    return ring = bytes;
}

void HardwareSerial::begin(unsigned long baud) { open_since = baud == 115200; }

void HardwareSerial::onReceiveError(void (*called)(hardwareSerial_error_t)) { on_error = called; }

/* The UART's interrupt: what the ring does not hold is lost. Without STANDIN_LOSES it waits
   instead, for what is as slow as 115200 baud loses nothing. */
void chip_input(void) {
    static uint8_t data[4096];
    if (!open_since)
        return;
    const size_t room = ring - have;
    const size_t most = getenv("STANDIN_LOSES") ? sizeof data : room;
    if (!most)
        return;
    const ssize_t got = read(STDIN_FILENO, data, most < sizeof data ? most : sizeof data);
    if (got <= 0)
        exit(0); /* whoever plays the cable has gone */
    const size_t kept = (size_t)got < room ? (size_t)got : room;
    memcpy(received + have, data, kept);
    have += kept;
    if (kept < (size_t)got && on_error)
        on_error(UART_BUFFER_FULL_ERROR);
}

/* The UART sends what it was given: all, but for its FIFO's last bytes, which a reset loses. */
static void transmit(size_t left) {
    while (held > left) {
        const ssize_t done = write(STDOUT_FILENO, sent, held - left);
        if (done <= 0)
            exit(0);
        memmove(sent, sent + done, held -= (size_t)done);
    }
}

void chip_output(void) { transmit(0); }

int HardwareSerial::available() { return (int)have; }

size_t HardwareSerial::read(uint8_t *data, size_t bytes) {
    const size_t n = bytes < have ? bytes : have;
    memcpy(data, received, n);
    memmove(received, received + n, have -= n);
    return n;
}

size_t HardwareSerial::write(const uint8_t *data, size_t bytes) {
    if (!open_since)
        return 0;
    const size_t n = bytes < 100 ? bytes : 100; /* it may take less than all */
    memcpy(sent + held, data, n);
    held += n;
    transmit(16);
    return n;
}

void HardwareSerial::flush() { transmit(0); }

static uint8_t *stack;
static ucontext_t outside, inside;

uint8_t *pxTaskGetStackStart(TaskHandle_t) { return stack; }

static void loop_task() {
    setup();
    for (;;)
        loop();
}

int main() {
    chip_start();
    const size_t bytes = getArduinoLoopTaskStackSize();
    stack = static_cast<uint8_t *>(aligned_alloc(64, bytes));
    getcontext(&inside);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = bytes;
    inside.uc_link = &outside;
    makecontext(&inside, loop_task, 0);
    swapcontext(&outside, &inside);
    return 0;
}

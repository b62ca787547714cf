/* The server as a program of this machine: frames on stdin and stdout, to test and to fuzz: unlike
   hal/linux it leaves signals to the sanitizers and ends with its input. */
#include "../hal.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint8_t input[4096];
static ssize_t have, at;

/* What was handed over and is not yet sent. */
static uint8_t sending[4096];
static size_t held;

void hal_init(void) {}

void hal_idle(void) {
    hal_uart_flush();
    at = 0;
    have = read(STDIN_FILENO, input, sizeof input);
    if (have <= 0)
        exit(0); /* the other side has gone */
}

int hal_uart_read(void) { return at < have ? input[at++] : -1; }

static void send(size_t bytes) {
    for (size_t sent = 0; sent < bytes;) {
        const ssize_t done = write(STDOUT_FILENO, sending + sent, bytes - sent);
        if (done <= 0)
            exit(0);
        sent += (size_t)done;
    }
    held = 0;
}

void hal_uart_flush(void) { send(held); }

void hal_uart_write(const uint8_t *data, size_t bytes) {
    while (bytes--) {
        if (held == sizeof sending)
            hal_uart_flush();
        sending[held++] = *data++;
    }
}

uint32_t hal_uart_overruns(void) { return 0; }

uint64_t hal_ticks(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void hal_watchdog_start(void) {}
void hal_watchdog_feed(void) {}
hal_cause hal_reset_cause(void) { return HAL_CAUSE_POWER; }

void hal_reset(void) {
    /* A UART still holds the last bytes when it has taken all; a reset loses them. */
    enum { IN_FLIGHT = 2 };
    send(held > IN_FLIGHT ? held - IN_FLIGHT : 0);
    execl("/proc/self/exe", "lotor-server", (char *)NULL);
    abort();
}

bool hal_can_provoke(uint8_t reason) {
    (void)reason;
    return false;
}
void hal_provoke(uint8_t reason) { (void)reason; }

const void *hal_stack(uint32_t *bytes) {
    *bytes = 0;
    return input;
}

/* The server as a program of this machine: frames on stdin and stdout, to test and to fuzz. */
#include "../hal.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint8_t input[4096];
static ssize_t have, at;

void hal_init(void) {}

void hal_idle(void) {
    at = 0;
    have = read(STDIN_FILENO, input, sizeof input);
    if (have <= 0)
        exit(0); /* the other side has gone */
}

int hal_uart_read(void) { return at < have ? input[at++] : -1; }

void hal_uart_write(const uint8_t *data, size_t bytes) {
    while (bytes) {
        const ssize_t done = write(STDOUT_FILENO, data, bytes);
        if (done <= 0)
            exit(0);
        data += done;
        bytes -= (size_t)done;
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

/* Linux: a serial line that is a device, a socket or stdin; ticks from a clock or an emulator. */
#include "../hal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "linux.h"
#include "lotor_config.h"

enum { WATCHDOG_SECONDS = 30 };

static struct {
    int in, out, listener; /* -1: none */
    bool device;
} line = {-1, -1, -1, false};

static uint8_t input[4096], sending[4096];
static size_t have, at, held;

static const struct {
    uint32_t baud;
    speed_t code;
} speeds[] = {
    {9600, B9600},     {19200, B19200},   {38400, B38400},   {57600, B57600},     {115200, B115200},
    {230400, B230400}, {460800, B460800}, {921600, B921600}, {1000000, B1000000},
};

static speed_t speed_code(void) {
    for (size_t i = 0; i < sizeof speeds / sizeof *speeds; i++)
        if (speeds[i].baud == LOTOR_BAUD)
            return speeds[i].code;
    give_up("serial.baud", "no rate that Linux has a name for");
}

static void open_device(const char *name, int open_since) {
    line.device = true;
    line.in = line.out = open_since;
    if (open_since >= 0)
        return;
    /* Without a host on the other side some devices would block in open. */
    const int fd = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        give_up(name, strerrordesc_np(errno));
    struct termios mode;
    if (tcgetattr(fd, &mode))
        give_up(name, "no serial device");
    cfmakeraw(&mode);
    mode.c_cflag |= CLOCAL | CREAD;
    mode.c_cc[VMIN] = 1;
    mode.c_cc[VTIME] = 0;
    (void)cfsetspeed(&mode, speed_code());
    if (tcsetattr(fd, TCSANOW, &mode) || fcntl(fd, F_SETFL, O_RDWR))
        give_up(name, strerrordesc_np(errno));
    line.in = line.out = fd;
}

void line_open(const char *name, int connection) {
    static const char listen_prefix[] = "listen:";
    if (!strncmp(name, listen_prefix, sizeof listen_prefix - 1)) {
        line.listener = (int)strtol(name + sizeof listen_prefix - 1, NULL, 10);
        line.in = line.out = connection;
    } else if (!strcmp(name, "-")) {
        line.in = STDIN_FILENO;
        line.out = STDOUT_FILENO;
    } else {
        open_device(name, connection);
    }
}

int line_connection(void) { return line.listener >= 0 || line.device ? line.in : -1; }

/* The other side has gone: wait for the next one, or leave that to whoever started us. */
static void hang_up(void) {
    if (line.listener < 0)
        exit(0);
    if (line.in >= 0)
        (void)close(line.in);
    line.in = line.out = -1;
    held = 0;
}

void hal_idle(void) {
    hal_uart_flush();
    if (line.in < 0) {
        line.in = line.out = accept(line.listener, NULL, NULL);
        if (line.in < 0 && errno != EINTR)
            give_up("listen", strerrordesc_np(errno));
        return;
    }
    const ssize_t got = read(line.in, input, sizeof input);
    if (got > 0) {
        at = 0;
        have = (size_t)got;
    } else if (got == 0 || errno != EINTR) {
        hang_up();
    }
}

int hal_uart_read(void) { return at < have ? input[at++] : -1; }

void hal_uart_flush(void) {
    const size_t bytes = held;
    held = 0;
    for (size_t sent = 0; sent < bytes && line.out >= 0;) {
        const ssize_t done = write(line.out, sending + sent, bytes - sent);
        if (done > 0)
            sent += (size_t)done;
        else if (errno != EINTR)
            hang_up();
    }
}

/* Nobody listens: the bytes go the way of those of a UART without a cable. */
void hal_uart_write(const uint8_t *data, size_t bytes) {
    while (bytes--) {
        if (held == sizeof sending)
            hal_uart_flush();
        sending[held++] = *data++;
    }
}

uint32_t hal_uart_overruns(void) {
    struct serial_icounter_struct count;
    if (!line.device || ioctl(line.in, TIOCGICOUNT, &count))
        return 0;
    return (uint32_t)(count.overrun + count.buf_overrun);
}

#if LOTOR_TICKS_EMULATOR

static const volatile uint64_t *counter;
static uint64_t base;

void ticks_open(int file) {
    void *memory = mmap(NULL, sizeof *counter, PROT_READ, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED)
        give_up("--ticks", "the emulator that counts for this program must name its file");
    counter = memory;
    base = *counter;
}

uint64_t hal_ticks(void) { return *counter - base; }

#else

static uint64_t base;

static uint64_t nanoseconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void ticks_open(int file) {
    (void)file;
    base = nanoseconds();
}

uint64_t hal_ticks(void) { return nanoseconds() - base; }

#endif

void hal_watchdog_start(void) { hal_watchdog_feed(); }

/* It counts the program's own processor time, so that it neither bites an idle program nor one that
   others keep from running. */
void hal_watchdog_feed(void) {
#if LOTOR_WATCHDOG
    const struct itimerval time = {.it_value = {.tv_sec = WATCHDOG_SECONDS}};
    (void)setitimer(ITIMER_PROF, &time, NULL);
#endif
}

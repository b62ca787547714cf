/* Start of the Linux program, and its reset: it executes itself anew, and what must survive lies
   in a memory file meanwhile.

   lotor [--kept=FILE,CONNECTION] [--ticks=FILE] LINE [-- COMMAND...]

   LINE: see line_open. --ticks: where an emulator counts instructions. COMMAND: what a reset
   executes, with these arguments, instead of the program: an emulator and this program. --kept: by
   a reset only. Numbers are open files. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <ucontext.h>
#include <unistd.h>

#include "../../src/watermark.h"
#include "../hal.h"
#include "linux.h"

int lotor_main(void); /* main of src/main.c */

enum { ARGUMENTS = 32, NUMBER = 12 };

static struct {
    int count; /* without the program's name and --kept */
    char **arguments;
    const char *line;
    char **command; /* NULL: the program itself */
    int kept, connection, ticks;
    bool again; /* after a reset */
} start = {.kept = -1, .connection = -1, .ticks = -1};

extern char **environ;

void give_up(const char *what, const char *why) {
    const char *parts[] = {"lotor: ", what, ": ", why, "\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0)
            break;
    _exit(2);
}

static const char *after(const char *text, const char *prefix) {
    const size_t length = strlen(prefix);
    return strncmp(text, prefix, length) ? NULL : text + length;
}

static void read_arguments(int count, char **arguments) {
    for (int i = 1; i < count; i++) {
        const char *value;
        if ((value = after(arguments[i], "--kept=")) && i == 1) {
            char *comma;
            start.kept = (int)strtol(value, &comma, 10);
            start.connection = *comma ? (int)strtol(comma + 1, NULL, 10) : -1;
            start.again = true;
            arguments++, count--, i--;
        } else if ((value = after(arguments[i], "--ticks="))) {
            start.ticks = (int)strtol(value, NULL, 10);
        } else if (!strcmp(arguments[i], "--")) {
            start.command = arguments + i + 1;
            break;
        } else if (!start.line) {
            start.line = arguments[i];
        } else {
            give_up(arguments[i], "one LINE is enough");
        }
    }
    start.arguments = arguments + 1;
    start.count = count - 1;
    if (!start.line)
        give_up("no LINE", "name a serial device, `listen:N` or `-`");
}

static size_t kept_bytes(void) { return (size_t)(__noinit_end - __noinit_start); }

/* What the program before the reset left behind; a power-up finds zeros. */
static void recall(void) {
    if (start.kept < 0)
        start.kept = memfd_create("lotor", 0);
    else if (pread(start.kept, __noinit_start, kept_bytes(), 0) < 0)
        start.again = false;
}

/* Outgrowing the stack of the board file is noticed; the system's would just grow. */
static ucontext_t outside, inside;

static void on_own_stack(void) { (void)lotor_main(); }

int main(int count, char **arguments) {
    read_arguments(count, arguments);
    recall();
    if (mprotect(__guard_start, GUARD_BYTES, PROT_NONE))
        give_up("stack", "its guard cannot be protected");
    const size_t bytes = (size_t)(__stack_top - __stack_limit);
    watermark_paint(__stack_limit, bytes);
    (void)getcontext(&inside);
    inside.uc_stack.ss_sp = __stack_limit;
    inside.uc_stack.ss_size = bytes;
    inside.uc_link = &outside;
    makecontext(&inside, on_own_stack, 0);
    (void)swapcontext(&outside, &inside);
    return 0;
}

void hal_init(void) {
    faults_catch();
    ticks_open(start.ticks);
    line_open(start.line, start.connection);
}

const void *hal_stack(uint32_t *bytes) {
    *bytes = (uint32_t)(__stack_top - __stack_limit);
    return __stack_limit;
}

hal_cause hal_reset_cause(void) { return start.again ? HAL_CAUSE_UNKNOWN : HAL_CAUSE_POWER; }

static char *write_number(char *at, int number) {
    char digits[NUMBER];
    size_t n = 0;
    if (number < 0)
        *at++ = '-';
    unsigned left = number < 0 ? 0u - (unsigned)number : (unsigned)number;
    do
        digits[n++] = (char)('0' + left % 10);
    while (left /= 10);
    while (n)
        *at++ = digits[--n];
    return at;
}

/* Called by signal handlers, too: system calls only. */
void hal_reset(void) {
    hal_uart_flush();
    if (pwrite(start.kept, __noinit_start, kept_bytes(), 0) < 0)
        give_up("reset", "the memory file cannot be written");
    static char kept[] = "--kept=           ,           ";
    char *at = write_number(kept + strlen("--kept="), start.kept);
    *at++ = ',';
    *write_number(at, line_connection()) = '\0';
    static char self[] = "/proc/self/exe";
    static char *next[ARGUMENTS + 1];
    int n = 0;
    if (!start.command)
        next[n++] = self;
    for (char **part = start.command; part && *part && n < ARGUMENTS - 1; part++)
        next[n++] = *part;
    next[n++] = kept;
    if (n + start.count > ARGUMENTS)
        give_up("reset", "too many arguments");
    memcpy(next + n, start.arguments, (size_t)start.count * sizeof *next);
    (void)execve(next[0], next, environ);
    give_up(next[0], "a reset cannot execute it");
}

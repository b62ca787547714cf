/* What the files of the Linux HAL share. */
#ifndef LOTOR_LINUX_H
#define LOTOR_LINUX_H

#include <stdbool.h>
#include <stdint.h>

/* Pages are 4, 16 or 64 KiB; the guard below the stack is the largest. */
enum { GUARD_BYTES = 65536 };

/* Placed by the generated linker script. */
extern uint8_t __guard_start[], __stack_limit[], __stack_top[], __noinit_start[], __noinit_end[];

/* The serial line: a device, `listen:N` (accept on an inherited socket) or `-` (stdin, stdout).
   `connection` is what the program before a reset was connected to, -1 for none. */
void line_open(const char *name, int connection);
int line_connection(void);

/* Count ticks from a clock, or from what an emulator counts in a shared memory. */
void ticks_open(int counter);

/* Catch signals; called once, on any stack. */
void faults_catch(void);

/* Say on stderr why, and end. */
_Noreturn void give_up(const char *what, const char *why);

#endif

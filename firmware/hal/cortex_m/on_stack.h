/* Calls a function on another stack. */
#ifndef LOTOR_ON_STACK_H
#define LOTOR_ON_STACK_H

#include <stdint.h>

/* Call f(argument) with the stack pointer at `top`, a multiple of 8; interrupts use that stack,
   too. Instructions of an Armv6-M. */
__attribute__((naked, noinline)) static uint32_t on_stack(uint32_t (*f)(const void *),
                                                          const void *argument, void *top) {
    (void)f;
    (void)argument;
    (void)top;
    __asm volatile("push {r4, lr}\n"
                   "mov r4, sp\n"
                   "mov sp, r2\n"
                   "mov r3, r0\n"
                   "mov r0, r1\n"
                   "blx r3\n"
                   "mov sp, r4\n"
                   "pop {r4, pc}\n");
}

#endif

/* Signals of a Linux program become fault records, as exceptions do on a microcontroller. */
#include "../../src/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "../hal.h"
#include "linux.h"
#include "lotor_config.h"

enum { SIGNAL_STACK_BYTES = 32768 };

static const struct {
    int number;
    uint32_t reason;
    const char *name;
} signals[] = {
    {SIGSEGV, FAULT_MEMORY, "SIGSEGV"}, {SIGBUS, FAULT_BUS, "SIGBUS"},
    {SIGILL, FAULT_USAGE, "SIGILL"},    {SIGFPE, FAULT_USAGE, "SIGFPE"},
    {SIGTRAP, FAULT_USAGE, "SIGTRAP"},  {SIGABRT, FAULT_HARD, "SIGABRT"},
    {SIGSYS, FAULT_HARD, "SIGSYS"},     {SIGPROF, FAULT_WATCHDOG, "SIGPROF"},
    {SIGQUIT, FAULT_NMI, "SIGQUIT"}, /* from outside: where is it just now? */
};

static fault_record record;

static void read_registers(const ucontext_t *context) {
#ifdef __aarch64__
    /* x0-x3, x12, lr (x30), pc and pstate; code lies in the lowest 4 GiB. */
    static const uint8_t from[] = {0, 1, 2, 3, 12, 30};
    for (size_t i = 0; i < sizeof from; i++)
        record.registers[i] = (uint32_t)context->uc_mcontext.regs[from[i]];
    record.registers[6] = (uint32_t)context->uc_mcontext.pc;
    record.registers[7] = (uint32_t)context->uc_mcontext.pstate;
#else
    (void)context;
#endif
}

static void note_address(const char *name, uintptr_t address) {
    static const char middle[] = " at 0x";
    char *at = record.note;
    memcpy(at, name, strlen(name));
    at += strlen(name);
    memcpy(at, middle, sizeof middle - 1);
    at += sizeof middle - 1;
    for (int shift = 8 * (int)sizeof address - 4; shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[address >> shift & 15];
}

static void caught(int number, siginfo_t *info, void *context) {
    size_t i = 0;
    while (signals[i].number != number)
        i++;
    record.reason = signals[i].reason;
    memcpy(record.note, signals[i].name, strlen(signals[i].name));
    read_registers(context);
    if (number == SIGSEGV || number == SIGBUS) {
        const uint8_t *address = info->si_addr;
        note_address(signals[i].name, (uintptr_t)address);
        if (address >= __guard_start && address < __stack_limit)
            record.reason = FAULT_STACK;
        /* Where a Cortex-M has MMFAR and BFAR. */
        record.status[number == SIGSEGV ? 2 : 3] = (uint32_t)(uintptr_t)address;
    }
    fault_store(&record);
}

void faults_catch(void) {
    static uint8_t stack[SIGNAL_STACK_BYTES];
    const stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    (void)sigaltstack(&own, NULL);
    /* A timer goes on over a reset, and so does a mask: a handler runs with its signal blocked. */
    const struct itimerval never = {{0, 0}, {0, 0}};
    (void)setitimer(ITIMER_PROF, &never, NULL);
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        (void)sigaction(signals[i].number, &action, NULL);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

#ifdef LOTOR_TEST_FAULTS

#if LOTOR_WATCHDOG
enum { HAVE_WATCHDOG = 1 };
#else
enum { HAVE_WATCHDOG = 0 };
#endif

bool hal_can_provoke(uint8_t reason) { return reason != FAULT_WATCHDOG || HAVE_WATCHDOG; }

/* Through a pointer: the compiler refuses a recursion that it sees has no end. */
static uint32_t outgrow(volatile uint32_t *above);
static uint32_t (*volatile deeper)(volatile uint32_t *) = outgrow;

static uint32_t outgrow(volatile uint32_t *above) {
    volatile uint32_t block[64];
    block[0] = above[0] + 1;
    return deeper(block) + block[0];
}

/* In the first page, which Linux never maps; the compiler shall not see where it points. */
static const volatile uint32_t *volatile nowhere = (const volatile uint32_t *)16;

/* A page behind the end of a file. */
static const volatile uint32_t *no_storage(void) {
    return mmap(NULL, GUARD_BYTES, PROT_READ, MAP_SHARED, memfd_create("empty", MFD_CLOEXEC), 0);
}

void hal_provoke(uint8_t reason) {
    uint32_t word = 0;
    switch (reason) {
    case FAULT_HARD:
        abort();
    case FAULT_MEMORY:
        word = *nowhere;
        break;
    case FAULT_BUS:
        word = *no_storage();
        break;
    case FAULT_USAGE:
        __builtin_trap();
    case FAULT_STACK:
        word = outgrow(&word);
        break;
    case FAULT_NMI:
        (void)raise(SIGQUIT);
        break;
    default: {
        const struct itimerval soon = {.it_value = {.tv_usec = 50000}};
        (void)setitimer(ITIMER_PROF, &soon, NULL);
        for (;;) /* until the watchdog bites */
            __asm volatile("");
    }
    }
    (void)word;
}
#endif

/* The stand-in's chip: reset, RTC memory, clocks, heap, watchdog, exceptions. */
#define _GNU_SOURCE
#include <esp_heap_caps.h>
#include <esp_private/panic_internal.h>
#include <esp_private/system_internal.h>
#include <esp_task_wdt.h>
#include <esp_timer.h>
#include <freertos/task.h>
#include <freertos/xtensa_context.h>
#include <hal/cpu_hal.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { CPU_MHZ = 240, KEPT = 100, SIGNAL_STACK = 65536 };

void chip_start(void);
void chip_input(void);
void chip_output(void);

extern uint8_t rtc_begin[], rtc_end[];
bool g_panic_abort;
static esp_reset_reason_t reason = ESP_RST_POWERON, hint;

/* A reset executes the program anew; a file in memory has the RTC's. */
void chip_start(void) {
    const char *was = getenv("STANDIN_RESET");
    const size_t bytes = (size_t)(rtc_end - rtc_begin);
    if (was) {
        reason = (esp_reset_reason_t)atoi(was);
        if (pread(KEPT, rtc_begin, bytes, 0) != (ssize_t)bytes)
            _exit(3);
    } else {
        memset(rtc_begin, 0x5A, bytes); /* a power-up leaves anything */
        const int made = memfd_create("rtc", 0);
        if (dup2(made, KEPT) != KEPT || ftruncate(KEPT, (off_t)bytes))
            _exit(3);
    }
}

void esp_restart_noos(void) {
    const ssize_t bytes = rtc_end - rtc_begin;
    char text[4];
    snprintf(text, sizeof text, "%d", hint ? hint : ESP_RST_SW);
    setenv("STANDIN_RESET", text, 1);
    if (pwrite(KEPT, rtc_begin, (size_t)bytes, 0) == bytes)
        execl("/proc/self/exe", "firmware", (char *)NULL);
    _exit(3);
}

esp_reset_reason_t esp_reset_reason(void) { return reason; }
esp_reset_reason_t esp_reset_reason_get_hint(void) { return hint; }

static uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const char *speed = getenv("STANDIN_SPEED");
    return ((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) *
           (speed ? strtoull(speed, NULL, 0) : 1);
}

/* It wraps every 17.9 s; STANDIN_SPEED makes all clocks faster. */
uint32_t cpu_hal_get_cycle_count(void) {
    const uint64_t now = nanoseconds();
    return (uint32_t)(now / 1000 * CPU_MHZ + now % 1000 * CPU_MHZ / 1000);
}

int64_t esp_timer_get_time(void) { return (int64_t)(nanoseconds() / 1000); }

/* STANDIN_HEAP: the bytes that there are inside of the chip. */
void *heap_caps_aligned_alloc(size_t alignment, size_t size, uint32_t caps) {
    const char *inside = getenv("STANDIN_HEAP");
    if ((caps & MALLOC_CAP_INTERNAL) && size > (inside ? strtoull(inside, NULL, 0) : 1u << 17))
        return NULL;
    if (!(caps & (MALLOC_CAP_INTERNAL | MALLOC_CAP_SPIRAM)))
        return NULL;
    return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

/* A tick of FreeRTOS, or less when bytes come: nobody waits for a test's sake. */
void vTaskDelay(TickType_t ticks) {
    struct pollfd line = {.fd = STDIN_FILENO, .events = POLLIN};
    chip_output();
    (void)poll(&line, 1, ticks ? 1000 : 0);
    chip_input();
}

int esp_task_wdt_init(uint32_t timeout, bool panic) { return timeout && panic ? 0 : -1; }
int esp_task_wdt_add(void *task) { return task ? -1 : 0; }

/* STANDIN_WATCHDOG: milliseconds of processor time. */
int esp_task_wdt_reset(void) {
    const char *time = getenv("STANDIN_WATCHDOG");
    const long ms = time ? atol(time) : 30000;
    const struct itimerval timer = {.it_value = {ms / 1000, ms % 1000 * 1000}};
    return setitimer(ITIMER_PROF, &timer, NULL);
}

static void caught(int number, siginfo_t *signal_info, void *context) {
    enum { ILLEGAL = 0, DIVIDE = 6, STORE_PROHIBITED = 29 };
    const ucontext_t *where = context;
    XtExcFrame frame = {.excvaddr = (long)signal_info->si_addr, .a0 = (long)0x800d1234};
#ifdef __x86_64__
    frame.pc = (long)where->uc_mcontext.gregs[REG_RIP];
    frame.a1 = (long)where->uc_mcontext.gregs[REG_RSP];
#else
    (void)where;
#endif
    frame.exccause = number == SIGSEGV ? STORE_PROHIBITED : number == SIGFPE ? DIVIDE : ILLEGAL;
    hint = number == SIGPROF ? ESP_RST_TASK_WDT : ESP_RST_PANIC;
    g_panic_abort = number == SIGABRT || number == SIGPROF;
    panic_info_t info = {
        .exception = PANIC_EXCEPTION_FAULT,
        .reason = number == SIGSEGV ? "StoreProhibited" : "IllegalInstruction",
        .frame = &frame,
    };
    esp_panic_handler(&info);
    _exit(5);
}

__attribute__((constructor)) static void catch_signals(void) {
    static const int signals[] = {SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGPROF};
    static uint8_t stack[SIGNAL_STACK];
    const stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    (void)sigaltstack(&own, NULL);
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        (void)sigaction(signals[i], &action, NULL);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

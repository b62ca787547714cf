/* Vector table and start-up of the boot loader of a Cortex-M, and the way into an image.

   Its RAM lies above what images keep over a reset (.noinit), which it leaves alone. */
#include <string.h>

#include "../hal/cortex_m/cortex_m.h"
#include "../hal/hal.h"
#include "../update/boot_api.h"
#include "../update/state.h"
#include "boot.h"
#include "lotor_config.h"

/* Placed by the generated linker script. */
extern uint32_t __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[];
extern uint8_t __stack_top[];

typedef void (*vector)(void);

void Reset_Handler(void);
void Fault_Handler(void);
void Nmi_Handler(void);
void Forward_Handler(void);

static const boot_api api = {BOOT_API_MAGIC, BOOT_API_VERSION, crypto_sha256, crypto_verify,
                             crypto_key_id};

static void start_again(void) {
    __asm volatile("dsb");
    SCB_AIRCR = 0x05FA0004; /* B3.2.6: VECTKEY, SYSRESETREQ */
    for (;;)
        __asm volatile("dsb");
}

/* What the NMI of a chip's family goes on to (its nmi.c), and what stands for it elsewhere. */
__attribute__((alias("start_again"))) void Fault_Handler(void);
__attribute__((weak, alias("start_again"))) void Nmi_Handler(void);

#ifdef LOTOR_FORWARD
#define NMI Forward_Handler
#define OTHERS Forward_Handler

/* Core exceptions before an image has started. */
static const vector own[16] = {[0 ... 15] = start_again};
#else
#define NMI Nmi_Handler
#define OTHERS start_again
#endif

static const struct {
    const void *stack;
    vector first[BOOT_API_WORD - 1];
    const boot_api *api;
    vector rest[16 - BOOT_API_WORD - 1 + LOTOR_IRQS];
} vectors __attribute__((section(".vectors"), used)) = {
    __stack_top,
    {Reset_Handler, NMI, [2 ... BOOT_API_WORD - 2] = OTHERS},
    &api,
    {[0 ... 16 - BOOT_API_WORD - 2 + LOTOR_IRQS] = OTHERS},
};

#ifdef LOTOR_FORWARD
/* A Cortex-M0 takes all exceptions here: on to the table that the word in RAM points to. r0 to r3
   are saved already, LR (EXC_RETURN) and the stack stay as they are. */
__attribute__((naked, used)) void Forward_Handler(void) {
    __asm volatile("mrs r0, ipsr\n"
                   "lsl r0, #2\n"
                   "ldr r1, =%c0\n"
                   "ldr r1, [r1]\n"
                   "ldr r0, [r1, r0]\n"
                   "bx r0\n" ::"i"(LOTOR_FORWARD));
}
#endif

__attribute__((weak)) void boot_clock(void) {}

static void take_exceptions_to(const void *table) {
    const uint32_t address = (uint32_t)(uintptr_t)table;
#ifdef LOTOR_FORWARD
    REGISTER(LOTOR_FORWARD) = address;
#else
    SCB_VTOR = address;
#endif
    __asm volatile("dsb\n isb" ::: "memory");
}

/* Used: the vector table names it only to the linker. */
__attribute__((used, noreturn)) void Reset_Handler(void) {
#ifdef LOTOR_FORWARD
    take_exceptions_to(own);
#endif
    memcpy(__data_start, __data_load, (size_t)((uint8_t *)__data_end - (uint8_t *)__data_start));
    memset(__bss_start, 0, (size_t)((uint8_t *)__bss_end - (uint8_t *)__bss_start));
    boot_clock();
    const uint32_t slot = boot_choose();
    if (slot == SLOT_NONE)
        for (;;) /* nothing to start: it takes a cable */
            __asm volatile("wfi");
    if (state_read().trial == slot) /* it may hang before it starts the watchdog itself */
        hal_watchdog_start();
    const uint32_t *table = flash_at(slot_address(slot) + HEADER_BYTES);
    take_exceptions_to(table);
    __asm volatile("msr msp, %0\n bx %1" ::"r"(table[0]), "r"(table[1]) : "memory");
    __builtin_unreachable();
}

/* Vector table and start-up of a Cortex-M: memory, FPU, stack paint, main. */
#include <string.h>

#include "../../src/watermark.h"
#include "../hal.h"
#include "cortex_m.h"
#include "lotor_config.h"

/* Placed by the generated linker script. */
extern uint32_t __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[];
extern uint8_t __stack_limit[], __stack_top[];

int main(void);
void Reset_Handler(void);
void Nmi_Handler(void);
void Fault_Handler(void);
static void Systick_Handler(void);
static void Irq_Handler(void);

typedef void (*vector)(void);

static struct {
    const void *stack;
    vector core[15];
    vector irq[LOTOR_IRQS];
} const vectors __attribute__((section(".vectors"), used)) = {
    __stack_top,
    {Reset_Handler, Nmi_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler,
     [14 - 1] = Fault_Handler, [15 - 1] = Systick_Handler},
    {[0 ... LOTOR_IRQS - 1] = Irq_Handler},
};

static void Systick_Handler(void) { hal_systick(); }

static void Irq_Handler(void) {
    uint32_t exception;
    __asm volatile("mrs %0, ipsr" : "=r"(exception));
    hal_irq(exception - 16);
}

/* Nobody may touch up to 64 KiB below the stack. Most chips have nothing there and fault anyway,
   but some ignore what is written to nowhere. An Armv8-M has a limit for the stack pointer. */
static void guard_stack(void) {
#if __ARM_ARCH >= 8
    __asm volatile("msr msplim, %0" ::"r"(__stack_limit));
#else
    if (!(MPU_TYPE >> 8 & 0xFFu)) /* B3.5.4: DREGION, no MPU */
        return;
    const uint32_t limit = (uint32_t)(uintptr_t)__stack_limit;
    uint32_t size = 16;
    while (limit & ((1u << size) - 1)) /* B3.5.8: a region is aligned to its size */
        size--;
    MPU_RBAR = (limit - (1u << size)) | 1u << 4; /* VALID, region 0 */
    MPU_RASR = 1u << 28 | (size - 1u) << 1 | 1u; /* XN, no access, 2^size bytes, enabled */
    MPU_CTRL = 1u << 2 | 1u;                     /* PRIVDEFENA: all else as without; ENABLE */
    __asm volatile("dsb\n isb");
#endif
}

/* Used: the vector table names it only to the linker. */
__attribute__((used, noreturn)) void Reset_Handler(void) {
#ifdef __ARM_FP              /* first, for the C library may use it */
    SCB_CPACR |= 0xFu << 20; /* B3.2.20: full access to CP10 and CP11 */
    __asm volatile("dsb\n isb");
#endif
    uint8_t *sp;
    __asm volatile("mov %0, sp" : "=r"(sp));
    watermark_paint(__stack_limit, (size_t)(sp - __stack_limit) - 32);
    memcpy(__data_start, __data_load, (size_t)((uint8_t *)__data_end - (uint8_t *)__data_start));
    memset(__bss_start, 0, (size_t)((uint8_t *)__bss_end - (uint8_t *)__bss_start));
#if __ARM_ARCH >= 7
    SCB_VTOR = (uint32_t)(uintptr_t)&vectors; /* a boot loader may have left its own */
    SCB_SHCSR |= SHCSR_FAULTS_ENABLED; /* B3.2.13: MemManage, BusFault, UsageFault on their own */
    SCB_CCR |= CCR_DIV_0_TRP;
#else
    SCB_CCR |= CCR_UNALIGN_TRP; /* as on every Armv6-M; a later core that stands for it must, too */
#endif
#ifdef __ARM_FEATURE_MVE
    SCB_CCR |= CCR_LOB;
#endif
    guard_stack();
    (void)main();
    hal_reset();
}

const void *hal_stack(uint32_t *bytes) {
    *bytes = (uint32_t)(__stack_top - __stack_limit);
    return __stack_limit;
}

/* Weak: a chip of which this resets the core alone has a reset of its own. */
__attribute__((weak)) void hal_reset(void) {
    __asm volatile("dsb");
    SCB_AIRCR = 0x05FA0004; /* B3.2.6: VECTKEY, SYSRESETREQ */
    for (;;)
        __asm volatile("dsb");
}

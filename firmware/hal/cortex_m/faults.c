/* Turns a fault exception of a Cortex-M into a fault record, on a stack of its own. */
#include "../../src/fault.h"

#include "../hal.h"
#include "cortex_m.h"
#include "lotor_config.h"

extern uint8_t __stack_limit[], __stack_top[];
extern uint8_t __fault_stack_top[];
extern uint8_t __vectors[], __data_load[]; /* the program in flash begins and ends here */

enum { EXCEPTION_NMI = 2, FRAME_BYTES = 32, LR = 5 };
/* B3.2.15: an exception's own stacking failed (MLSPERR, MSTKERR, LSPERR, STKERR), or the stack
   reached its limit (DDI 0553, D1.2.264: STKOF). */
enum { CFSR_STACKING = 1u << 5 | 1u << 4 | 1u << 13 | 1u << 12 | 1u << 20 };

static fault_record record; /* too large for the fault stack */

/* The stack lies at the bottom of RAM with nothing below, so that outgrowing it faults. */
static uint32_t reason_of(uint32_t exception, const uint8_t *frame) {
    if (exception == EXCEPTION_NMI)
        return FAULT_NMI;
#if __ARM_ARCH >= 7
    if (record.status[0] & CFSR_STACKING)
        return FAULT_STACK;
#endif
    if (frame < __stack_limit)
        return FAULT_STACK;
    static const uint8_t reasons[] = {FAULT_HARD, FAULT_MEMORY, FAULT_BUS, FAULT_USAGE};
    return exception >= 3 && exception <= 6 ? reasons[exception - 3] : FAULT_HARD;
}

/* Whether a word is the address behind a call: odd, in the program, after BL (DDI 0419, A6.7.13) or
   BLX with a register (A6.7.14). */
static bool follows_call(uint32_t word) {
    const uint32_t begin = (uint32_t)(uintptr_t)__vectors, end = (uint32_t)(uintptr_t)__data_load;
    if (!(word & 1) || word < begin + 4 || word >= end)
        return false;
    const uint16_t *next = (const uint16_t *)(uintptr_t)(word & ~1u);
    return (next[-1] & 0xFF87u) == 0x4780 ||
           ((next[-2] & 0xF800u) == 0xF000 && (next[-1] & 0xD000u) == 0xD000);
}

/* An outgrown stack keeps no registers, but the lowest return address on it tells who called last.
 */
static uint32_t last_caller(void) {
    uint32_t bytes = 0;
    const uint32_t *stack = hal_stack(&bytes);
    for (uint32_t i = 0; i < bytes / 4; i++)
        if (follows_call(stack[i]))
            return stack[i];
    return 0;
}

__attribute__((used, noreturn)) void fault_capture(const uint8_t *frame, uint32_t exception) {
#if __ARM_ARCH >= 7
    record.status[0] = SCB_CFSR;
    record.status[1] = SCB_HFSR;
    record.status[2] = SCB_MMFAR;
    record.status[3] = SCB_BFAR;
#endif
    record.reason = reason_of(exception, frame);
    if (record.reason == FAULT_STACK)
        record.registers[LR] = last_caller();
    else if (frame >= __stack_limit && frame + FRAME_BYTES <= __stack_top) {
        for (uint32_t i = 0; i < 8; i++)
            record.registers[i] = ((const uint32_t *)(const void *)frame)[i];
    }
    fault_store(&record);
}

/* Naked, and off the old stack at once: it may be the very thing that broke. `bl` for its range:
   an Armv6-M has no long `b`. */
__attribute__((naked)) void Fault_Handler(void) {
    __asm volatile("mrs r0, msp\n"
                   "mrs r1, ipsr\n"
                   "ldr r2, =__fault_stack_top\n"
                   "mov sp, r2\n"
                   "bl fault_capture\n");
}

/* Weak: a chip whose flash raises it when updates were cut has its own. */
__attribute__((weak, alias("Fault_Handler"))) void Nmi_Handler(void);

#ifdef LOTOR_TEST_FAULTS

#if LOTOR_WATCHDOG
enum { HAVE_WATCHDOG = 1 };
#else
enum { HAVE_WATCHDOG = 0 };
#endif

bool hal_can_provoke(uint8_t reason) { return reason != FAULT_WATCHDOG || HAVE_WATCHDOG; }

__attribute__((weak)) uint32_t hal_nowhere(void) { return 0x5FFFFFF0; } /* end of peripherals */

/* Through a pointer: the compiler refuses a recursion that it sees has no end. */
static uint32_t outgrow(volatile uint32_t *above);
static uint32_t (*volatile deeper)(volatile uint32_t *) = outgrow;

static uint32_t outgrow(volatile uint32_t *above) {
    volatile uint32_t block[64];
    block[0] = above[0] + 1;
    return deeper(block) + block[0];
}

void hal_provoke(uint8_t reason) {
    uint32_t word = 0;
    switch (reason) {
    case FAULT_HARD:
        SCB_SHCSR &= ~(uint32_t)SHCSR_FAULTS_ENABLED; /* escalates the next */
        __asm volatile("dsb\n udf #0");
        break;
    case FAULT_MEMORY:
        ((void (*)(void))0xE0000001u)(); /* B3.1: never executable */
        break;
    case FAULT_BUS:
        word = REGISTER(hal_nowhere());
        break;
    case FAULT_USAGE:
        __asm volatile("udf #0");
        break;
    case FAULT_STACK:
        word = outgrow(&word);
        break;
    case FAULT_NMI:
        SCB_ICSR = 1u << 31; /* B3.2.4: NMIPENDSET */
        break;
    default:
        for (;;) /* until the watchdog bites */
            __asm volatile("");
    }
    (void)word;
}
#endif

/* NMI of an STM32L4 with updates: whoever reads what power left half written goes on and judges it
   by its CRC-32. Within the program itself it is a fault: nobody checks constants as they are read.
 */
#include "lotor_config.h"

#ifdef LOTOR_FLASH_UNIT

#include "torn.h"

/* Placed by the generated linker script. */
extern const uint32_t __vectors[], __data_load[], __data_start[], __data_end[];

void Fault_Handler(void);
void Nmi_Handler(void);

__attribute__((used)) static bool torn_elsewhere(void) {
    const uint32_t data = (uint32_t)((uintptr_t)__data_end - (uintptr_t)__data_start);
    return flash_torn((uint32_t)(uintptr_t)__vectors, (uint32_t)(uintptr_t)__data_load + data);
}

/* Naked: the fault's handler looks for the frame where the stack pointer is. */
__attribute__((naked)) void Nmi_Handler(void) {
    __asm volatile("push {r3, lr}\n"
                   "bl torn_elsewhere\n"
                   "pop {r3, lr}\n"
                   "cbz r0, 1f\n"
                   "bx lr\n"
                   "1: b Fault_Handler\n");
}

#endif

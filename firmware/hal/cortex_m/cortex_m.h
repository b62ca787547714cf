/* The registers of the Armv6-M, v7-M and v8-M cores that the HALs share. Section numbers are those
   of Arm DDI 0403E (v7-M), unless another manual is named. */
#ifndef LOTOR_CORTEX_M_H
#define LOTOR_CORTEX_M_H

#include <stdbool.h>
#include <stdint.h>

#ifndef REGISTER /* a test may put something else in its place */
#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define BARRIER() __asm volatile("dsb\n isb" ::: "memory")
#endif

#define SYST_CSR REGISTER(0xE000E010) /* B3.3.3 */
#define SYST_RVR REGISTER(0xE000E014)
#define SYST_CVR REGISTER(0xE000E018)
#define NVIC_ISER(n) REGISTER(0xE000E100 + 4 * (n)) /* B3.4.4 */
#define SCB_ICSR REGISTER(0xE000ED04)               /* B3.2.4 */
#define SCB_VTOR REGISTER(0xE000ED08)               /* B3.2.5 */
#define SCB_AIRCR REGISTER(0xE000ED0C)              /* B3.2.6 */
#define SCB_CCR REGISTER(0xE000ED14)                /* B3.2.8 */
#define SCB_SHCSR REGISTER(0xE000ED24)              /* B3.2.13 */
#define SCB_CFSR REGISTER(0xE000ED28)               /* B3.2.15 */
#define SCB_HFSR REGISTER(0xE000ED2C)               /* B3.2.16 */
#define SCB_MMFAR REGISTER(0xE000ED34)              /* B3.2.18 */
#define SCB_BFAR REGISTER(0xE000ED38)               /* B3.2.19 */
#define SCB_CPACR REGISTER(0xE000ED88)              /* B3.2.20 */
#define MPU_TYPE REGISTER(0xE000ED90)               /* B3.5.4 */
#define MPU_CTRL REGISTER(0xE000ED94)               /* B3.5.5 */
#define MPU_RBAR REGISTER(0xE000ED9C)               /* B3.5.7 */
#define MPU_RASR REGISTER(0xE000EDA0)               /* B3.5.8 */
#define DEMCR REGISTER(0xE000EDFC)                  /* C1.6.5 */
#define DWT_CTRL REGISTER(0xE0001000)               /* C1.8.7 */
#define DWT_CYCCNT REGISTER(0xE0001004)             /* C1.8.8 */
#define DWT_LAR REGISTER(0xE0001FB0)                /* lock access: DDI 0489, Cortex-M7, 11.1 */

enum { SHCSR_FAULTS_ENABLED = 7u << 16 };
/* B3.2.8; LOB: DDI 0553, D1.2.9, loops without branches of an Armv8.1-M. */
enum { CCR_UNALIGN_TRP = 1u << 3, CCR_DIV_0_TRP = 1u << 4, CCR_LOB = 1u << 19 };

static inline void irq_enable(uint32_t number) { NVIC_ISER(number / 32) = 1u << (number % 32); }

/* Interrupts of the chip family; called with the number of the interrupt that fired. */
void hal_irq(uint32_t number);
void hal_systick(void);

/* An address where the chip has nothing, for images that provoke faults; a family may have its own.
 */
uint32_t hal_nowhere(void);

/* Sleep until an interrupt, unless `ready` already holds; no wake-up is lost in between. */
static inline void sleep_unless(bool (*ready)(void)) {
    __asm volatile("cpsid i" ::: "memory");
    if (!ready())
        __asm volatile("dsb\n wfi" ::: "memory");
    __asm volatile("cpsie i" ::: "memory");
}

#endif

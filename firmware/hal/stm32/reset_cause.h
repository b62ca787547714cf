/* Why the chip started: RCC_CSR in the reference manual of each series (RM0090 7.3.21). A series
   defines RCC_CSR, CSR_RMVF, the bit that clears the others, and CSR_POWER, those that power-on and
   brown-out set. Power-on sets that of the pin, too. */
#ifndef LOTOR_STM32_RESET_CAUSE_H
#define LOTOR_STM32_RESET_CAUSE_H

#include "../cortex_m/cortex_m.h"
#include "../hal.h"

hal_cause hal_reset_cause(void) {
    const uint32_t flags = RCC_CSR;
    RCC_CSR = CSR_RMVF;
    if (flags & (1u << 29 | 1u << 30)) /* IWDGRSTF, WWDGRSTF */
        return HAL_CAUSE_WATCHDOG;
    if (flags & CSR_POWER)
        return HAL_CAUSE_POWER;
    return flags & 1u << 26 ? HAL_CAUSE_PIN : HAL_CAUSE_UNKNOWN; /* PINRSTF */
}

#endif

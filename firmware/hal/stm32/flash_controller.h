/* The flash controller of an STM32 but for how it erases: two keys unlock it, it does one thing at
   a time, and SR has the errors. A series that includes this defines FLASH_ACR, FLASH_KEYR,
   FLASH_SR, FLASH_CR, FLASH_SR_ERRORS and FLASH_ACR_CACHES, the caches between flash and bus; the
   bits that are used are the same in all: chapters on flash of RM0090 (3.6, 3.9), RM0390, RM0385,
   RM0432. Not yet run on hardware. */
#ifndef LOTOR_STM32_FLASH_CONTROLLER_H
#define LOTOR_STM32_FLASH_CONTROLLER_H

#include "../cortex_m/cortex_m.h"

#define CR_LOCK (1u << 31)

enum { CR_PG = 1u << 0, CR_STRT = 1u << 16, SR_BSY = 1u << 16, ACR_RESETS = FLASH_ACR_CACHES << 2 };

/* A core that fetches from the bank that is written stands still meanwhile. */
static void flash_wait(void) {
    while (FLASH_SR & SR_BSY) {
    }
}

/* Unlock; 0, or -1. Turns the caches off that are on: they may hold what is about to change, and
   the data cache of an L4 must be off meanwhile (ES0393, "data cache might be corrupted"). */
static int flash_begin(uint32_t *caches) {
    flash_wait();
    if (FLASH_CR & CR_LOCK) {
        FLASH_KEYR = 0x45670123;
        FLASH_KEYR = 0xCDEF89AB;
    }
    if (FLASH_CR & CR_LOCK) /* a wrong key came since the last reset */
        return -1;
    *caches = FLASH_ACR & FLASH_ACR_CACHES;
    FLASH_ACR &= ~(uint32_t)FLASH_ACR_CACHES;
    FLASH_SR = FLASH_SR_ERRORS; /* whatever was before would refuse us */
    return 0;
}

/* Lock, empty the caches, turn on those that were; 0, or -1 when there was an error. */
static int flash_end(uint32_t caches) {
    flash_wait();
    const uint32_t errors = FLASH_SR & FLASH_SR_ERRORS;
    FLASH_CR = CR_LOCK;
    FLASH_ACR |= ACR_RESETS; /* only while they are off */
    FLASH_ACR &= ~(uint32_t)ACR_RESETS;
    FLASH_ACR |= caches;
    BARRIER();
    return errors ? -1 : 0;
}

#endif

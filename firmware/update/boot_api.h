/* What the boot loader does for images: a table that the eighth word of its vector table points to,
   which no core of Arm uses. Its functions keep nothing in RAM but on the stack. */
#ifndef LOTOR_BOOT_API_H
#define LOTOR_BOOT_API_H

#include "crypto.h"

enum { BOOT_API_VERSION = 1, BOOT_API_WORD = 8 };

#define BOOT_API_MAGIC 0x50414F42u /* "BOAP" */

typedef struct {
    uint32_t magic, version;
    void (*sha256)(const void *data, uint32_t bytes, uint8_t hash[32]);
    signature (*verify)(const slot_header *header); /* takes about 3.6 KiB of stack */
    void (*key_id)(uint8_t id[KEY_ID_BYTES]);
} boot_api;

#endif

/* Where a board with updates keeps what: boot loader | state 0 | state 1 | slot 0 | slot 1, and
   what a slot begins with. docs/updates.md describes both. */
#ifndef LOTOR_LAYOUT_H
#define LOTOR_LAYOUT_H

#include <stdint.h>

#include "lotor_config.h"

enum {
    SLOTS = 2,
    SLOT_NONE = 0xFF,
    HEADER_BYTES = 512,
    HEADER_FORMAT = 1,
    HEADER_ALLOW_OLDER = 1, /* flags: may replace an image of a newer version */
};

#define HEADER_MAGIC 0x5255544Cu /* "LTUR" */

/* Little-endian, as every board is. The signature covers all before it. */
typedef struct {
    uint32_t magic, format;
    uint8_t board[32]; /* SHA-256 of the board's name */
    uint32_t version, flags;
    uint32_t address; /* what the image was linked for: right behind this header */
    uint32_t bytes;   /* of the image, a multiple of the unit of writing */
    uint8_t build_id[20];
    uint8_t hash[32]; /* SHA-256 of the image */
    uint8_t reserved[336];
    uint8_t signature[64]; /* Ed25519; zeros: unsigned */
    uint32_t crc; /* CRC-32 of all before it: a header that was cut while written is none */
} slot_header;

_Static_assert(sizeof(slot_header) == HEADER_BYTES, "the header's form is fixed");

static inline uint32_t slot_address(uint32_t slot) {
    return LOTOR_SLOT_ADDRESS + slot * LOTOR_SLOT_BYTES;
}

/* Flash is read like memory. */
static inline const void *flash_at(uint32_t address) { return (const void *)(uintptr_t)address; }

#endif

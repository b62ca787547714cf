/* Judges headers, and images by their headers. */
#include "slot.h"

#include <stddef.h>
#include <string.h>

#include "../src/crc32.h"
#include "crypto.h"

static const uint8_t board_hash[32] = LOTOR_BOARD_HASH;

header_fault slot_check_header(const slot_header *header, uint32_t slot) {
    if (header->magic != HEADER_MAGIC || header->format != HEADER_FORMAT ||
        header->crc != crc32_update(0, header, offsetof(slot_header, crc)))
        return HEADER_UNKNOWN;
    if (memcmp(header->board, board_hash, sizeof board_hash) != 0)
        return HEADER_BOARD;
    if (header->address != slot_address(slot) + HEADER_BYTES)
        return HEADER_ADDRESS;
    if (!header->bytes || header->bytes > LOTOR_SLOT_BYTES - HEADER_BYTES ||
        header->bytes % LOTOR_FLASH_UNIT)
        return HEADER_TOO_LARGE;
    return HEADER_GOOD;
}

bool slot_intact(uint32_t slot) {
    const slot_header *header = slot_header_of(slot);
    if (slot_check_header(header, slot) != HEADER_GOOD)
        return false;
    uint8_t hash[sizeof header->hash];
    crypto_sha256(flash_at(header->address), header->bytes, hash);
    return memcmp(hash, header->hash, sizeof hash) == 0;
}

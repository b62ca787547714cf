/* Records of one size fill one of two areas from its start; the newest with a right CRC-32 counts.
   Only the area without it is ever erased, and only erased flash is written, so that whatever an
   interrupted write or erasure leaves, the newest whole record stays. */
#include "state.h"

#include <stdbool.h>
#include <string.h>

#include "../hal/flash.h"
#include "../src/crc32.h"
#include "layout.h"

enum {
    FORMAT = 0x31545355, /* "UST1" */
    RECORD_BYTES = sizeof(update_state) > LOTOR_FLASH_UNIT ? sizeof(update_state)
                                                           : LOTOR_FLASH_UNIT,
    RECORDS = LOTOR_STATE_BYTES / RECORD_BYTES,
    AREAS = 2,
};

_Static_assert(sizeof(update_state) == 32, "the record's form is fixed");
_Static_assert(RECORDS >= 2, "an area holds at least two records");

static uint32_t area_address(uint32_t area) {
    return LOTOR_STATE_ADDRESS + area * LOTOR_STATE_BYTES;
}

static uint32_t crc_of(const update_state *state) {
    return crc32_update(0, state, offsetof(update_state, crc));
}

static bool blank(uint32_t address, uint32_t bytes) {
    const uint8_t *at = flash_at(address);
    while (bytes && *at == 0xFF) {
        at++;
        bytes--;
    }
    return bytes == 0;
}

/* The newest record and its address, or 0 when there is none. */
static uint32_t newest(update_state *found) {
    uint32_t where = 0;
    for (uint32_t i = 0; i < AREAS * RECORDS; i++) {
        const uint32_t address = area_address(i / RECORDS) + i % RECORDS * RECORD_BYTES;
        update_state record;
        memcpy(&record, flash_at(address), sizeof record);
        if (record.format == FORMAT && record.crc == crc_of(&record) &&
            (!where || record.sequence > found->sequence)) {
            *found = record;
            where = address;
        }
    }
    return where;
}

update_state state_read(void) {
    update_state state;
    if (!newest(&state))
        state = (update_state){.trial = SLOT_NONE, .layer = -1};
    return state;
}

static int erase(uint32_t address) {
    for (const uint32_t end = address + LOTOR_STATE_BYTES; address < end;) {
        const uint32_t page = hal_flash_page(address);
        if (!page || hal_flash_erase(address))
            return -1;
        address += page;
    }
    return 0;
}

/* Write where flash is erased; -1 when it does not hold what was written. */
static int write(uint32_t address, const update_state *record) {
    /* Words: a chip may take nothing smaller. */
    uint32_t raw[RECORD_BYTES / 4];
    memset(raw, 0xFF, sizeof raw);
    memcpy(raw, record, sizeof *record);
    if (hal_flash_write(address, raw, sizeof raw))
        return -1;
    return memcmp(flash_at(address), raw, sizeof raw) ? -1 : 0;
}

int state_append(const update_state *next) {
    update_state last = {.sequence = 0}, record = *next;
    const uint32_t where = newest(&last);
    record.format = FORMAT;
    record.sequence = last.sequence + 1;
    record.crc = crc_of(&record);
    uint32_t other = area_address(0);
    if (where) {
        const bool second = where >= area_address(1);
        const uint32_t end = area_address(second) + RECORDS * RECORD_BYTES;
        /* What an interrupted write has touched is passed over. */
        for (uint32_t at = where + RECORD_BYTES; at < end; at += RECORD_BYTES)
            if (blank(at, RECORD_BYTES) && !write(at, &record))
                return 0;
        other = area_address(!second);
    }
    return erase(other) ? -1 : write(other, &record);
}

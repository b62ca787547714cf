/* The header is written last and erased first: until then the slot holds nothing that starts. */
#include "receive.h"

#include <stdbool.h>
#include <string.h>

#include "../hal/flash.h"
#include "crypto.h"
#include "slot.h"
#include "state.h"

static struct {
    slot_header header;
    bool active;
    uint32_t slot, next; /* bytes of the image that are written */
    uint32_t erased;     /* address up to which the slot is erased */
} update;

uint32_t receive_next(void) { return update.next; }

static receive_fault check(const slot_header *header, uint32_t running) {
    static const receive_fault faults[] = {
        [HEADER_UNKNOWN] = RECEIVE_HEADER,
        [HEADER_BOARD] = RECEIVE_BOARD,
        [HEADER_ADDRESS] = RECEIVE_ADDRESS,
        [HEADER_TOO_LARGE] = RECEIVE_TOO_LARGE,
    };
    const header_fault fault = slot_check_header(header, !running);
    if (fault)
        return faults[fault];
    switch (crypto_verify(header)) {
    case SIGNATURE_MISSING:
        return RECEIVE_UNSIGNED;
    case SIGNATURE_BAD:
        return RECEIVE_SIGNATURE;
    case SIGNATURE_GOOD:
        break;
    }
    const bool older = header->version < slot_header_of(running)->version;
    return older && !(header->flags & HEADER_ALLOW_OLDER) ? RECEIVE_OLDER : RECEIVE_OK;
}

/* The free slot is about to be lost: nothing may count on it any more. */
static receive_fault give_up(uint32_t running) {
    update_state state = state_read();
    if (state.trial == running)
        return RECEIVE_ON_TRIAL;
    if (state.trial == SLOT_NONE && state.confirmed == running)
        return RECEIVE_OK;
    state.trial = SLOT_NONE;
    state.confirmed = (uint8_t)running;
    return state_append(&state) ? RECEIVE_FLASH : RECEIVE_OK;
}

receive_fault receive_begin(const uint8_t *raw, uint32_t running) {
    slot_header header;
    memcpy(&header, raw, sizeof header);
    if (update.active)
        return memcmp(&header, &update.header, sizeof header) ? RECEIVE_BUSY : RECEIVE_OK;
    receive_fault fault = check(&header, running);
    if (!fault)
        fault = give_up(running);
    if (fault)
        return fault;
    update.header = header;
    update.slot = !running;
    update.next = 0;
    update.erased = slot_address(update.slot);
    update.active = true;
    return RECEIVE_OK;
}

/* End an update that cannot go on. */
static receive_fault drop(receive_fault fault) {
    update.active = false;
    return fault;
}

receive_fault receive_data(uint32_t offset, const uint8_t *data, uint32_t bytes) {
    if (!update.active)
        return RECEIVE_NOT_BEGUN;
    if (offset < update.next)
        return RECEIVE_REPEATED;
    if (offset > update.next)
        return RECEIVE_OUT_OF_ORDER;
    if (!bytes || bytes % LOTOR_FLASH_UNIT)
        return RECEIVE_TRUNCATED;
    if (bytes > update.header.bytes - update.next)
        return RECEIVE_TOO_LARGE;
    const uint32_t address = update.header.address + offset;
    while (update.erased < address + bytes) {
        const uint32_t page = hal_flash_page(update.erased);
        if (!page || hal_flash_erase(update.erased))
            return drop(RECEIVE_FLASH);
        update.erased += page;
    }
    if (hal_flash_write(address, data, bytes))
        return drop(RECEIVE_FLASH);
    update.next += bytes;
    return RECEIVE_OK;
}

receive_fault receive_finish(void) {
    if (!update.active)
        return RECEIVE_NOT_BEGUN;
    if (update.next != update.header.bytes)
        return RECEIVE_TRUNCATED;
    uint8_t hash[sizeof update.header.hash];
    crypto_sha256(flash_at(update.header.address), update.header.bytes, hash);
    if (memcmp(hash, update.header.hash, sizeof hash) != 0)
        return drop(RECEIVE_DAMAGED);
    if (hal_flash_write(slot_address(update.slot), &update.header, HEADER_BYTES) ||
        memcmp(slot_header_of(update.slot), &update.header, HEADER_BYTES) != 0)
        return drop(RECEIVE_FLASH);
    update_state state = state_read();
    state.trial = (uint8_t)update.slot;
    state.started = false;
    state.version = update.header.version;
    return drop(state_append(&state) ? RECEIVE_FLASH : RECEIVE_OK);
}

/* Chooses: a new image once, the confirmed one after that, the other one where it is damaged. */
#include "boot.h"

#include <stdbool.h>

#include "../update/crypto.h"
#include "../update/slot.h"
#include "../update/state.h"

static void give_up(update_state *state, update_result result, update_reason reason) {
    state->trial = SLOT_NONE;
    state->result = (uint8_t)result;
    state->reason = (uint8_t)reason;
    state->detail = 0;
    state->layer = -1;
    state->pc = 0;
}

/* Whether the slot on trial is to be started; else it has been given up. */
static bool try(update_state *state) {
    if (state->started) { /* and came here without a word */
        give_up(state, RESULT_ROLLED_BACK, REASON_UNKNOWN);
    } else if (state->trial >= SLOTS || !slot_intact(state->trial)) {
        give_up(state, RESULT_ROLLED_BACK, REASON_DAMAGED);
    } else if (crypto_verify(slot_header_of(state->trial)) != SIGNATURE_GOOD) {
        give_up(state, RESULT_ROLLED_BACK, REASON_SIGNATURE);
    } else {
        state->started = true;
        /* Not started without that note: it might be tried for ever. */
        return !state_append(state);
    }
    (void)state_append(state); /* where that fails, the next start says the same */
    return false;
}

uint32_t boot_choose(void) {
    update_state state = state_read();
    if (state.trial != SLOT_NONE && try(&state))
        return state.trial;
    const uint32_t good = state.confirmed == 1, other = !good;
    if (slot_intact(good))
        return good;
    if (!slot_intact(other))
        return SLOT_NONE;
    state.version = slot_header_of(good)->version;
    give_up(&state, RESULT_FELL_BACK, REASON_DAMAGED);
    state.confirmed = (uint8_t)other;
    (void)state_append(&state);
    return other;
}

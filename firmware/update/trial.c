/* One try: the boot loader has noted that it started this image, and gives it up at the next start
   unless it confirms. */
#include "trial.h"

#include "../src/fault.h"
#include "../src/server.h"
#include "layout.h"
#include "lotor_model.h"

int trial_pending(void) { return state_read().trial == trial_running(); }

/* The first model whose self-test fails, or their number. */
static uint32_t first_failing(void) {
    uint32_t index = 0;
    while (index < lotor_model_count && model_self_test((uint8_t)index))
        index++;
    model_select(0, true);
    return index;
}

/* Why the image that ran before this one is no more. */
static void tell(update_state *state) {
    static const uint8_t reasons[] = {
        [RESET_UNKNOWN] = REASON_RESET, [RESET_POWER] = REASON_POWER,
        [RESET_PIN] = REASON_PIN,       [RESET_REQUEST] = REASON_RESET,
        [RESET_FAULT] = REASON_FAULT,   [RESET_WATCHDOG] = REASON_WATCHDOG,
    };
    state->reason = reasons[fault_reset_reason()];
    const fault_record *fault = fault_last();
    if (!fault)
        return;
    state->detail = (uint8_t)fault->reason;
    state->layer = (int16_t)fault->layer;
    state->pc = fault->registers[6];
}

void trial_start(void) {
    update_state state = state_read();
    const uint8_t running = (uint8_t)trial_running();
    if (state.trial == running && state.started) {
        const uint32_t failing = first_failing();
        const bool good = failing == lotor_model_count;
        state.trial = SLOT_NONE;
        state.reason = state.detail = 0;
        state.pc = 0;
        state.layer = -1;
        if (good) {
            state.confirmed = running;
            state.result = RESULT_CONFIRMED;
        } else {
            state.result = RESULT_ROLLED_BACK;
            state.reason = REASON_SELF_TEST;
            state.detail = (uint8_t)failing;
        }
        (void)state_append(&state); /* where flash failed, the next start rolls back */
        if (!good)
            fault_reset_request();
    } else if (state.result == RESULT_ROLLED_BACK && state.reason == REASON_UNKNOWN) {
        tell(&state);
        (void)state_append(&state);
    }
}

/* The hook that generated code calls at every layer's end. */
#include "profile.h"

#include <stddef.h>

#include "../hal/hal.h"
#include "crc32.h"
#include "fault.h"
#include "lotor_config.h"
#ifdef LOTOR_CAMERA
#include "../watch/outputs.h"
#endif

void lotor_layer_done(int layer, const void *output, size_t bytes);

static struct {
    uint64_t ticks[LOTOR_MAX_LAYERS];
    uint32_t crc[LOTOR_MAX_LAYERS];
    uint32_t layers;
    uint64_t mark; /* when the layer that runs now began */
    uint64_t overhead;
    bool trace;
} state;

/* The least of some tries: a byte that arrives meanwhile costs an interrupt. */
void profile_calibrate(void) {
    enum { TRIES = 4 };
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < TRIES; i++) {
        state.overhead = 0;
        lotor_layer_done(-1, NULL, 0);
        lotor_layer_done(0, NULL, 0);
        if (state.ticks[0] < least)
            least = state.ticks[0];
    }
    state.overhead = least;
    fault_set_layer(-1);
}

void profile_begin(bool trace) {
    state.layers = 0;
    state.trace = trace;
}

uint32_t profile_layers(void) { return state.layers; }

uint64_t profile_ticks(uint32_t layer) { return state.ticks[layer]; }

uint32_t profile_crc(uint32_t layer) { return state.crc[layer]; }

uint64_t profile_total(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < state.layers; i++)
        sum += state.ticks[i];
    return sum;
}

/* noinline: a call from a model must cost what the call at calibration cost. */
__attribute__((noinline)) void lotor_layer_done(int layer, const void *output, size_t bytes) {
    const uint64_t now = hal_ticks();
    if (layer >= 0 && layer < LOTOR_MAX_LAYERS) {
        const uint64_t ticks = now - state.mark;
        state.ticks[layer] = ticks > state.overhead ? ticks - state.overhead : 0;
        state.crc[layer] = state.trace && output ? crc32_update(0, output, bytes) : 0;
        state.layers = (uint32_t)layer + 1;
    }
    fault_set_layer(layer + 1);
    hal_watchdog_feed();
#ifdef LOTOR_CAMERA
    outputs_poll();
#endif
    state.mark = hal_ticks();
}

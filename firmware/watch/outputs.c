/* Outputs with a longest time on and a shortest time off. */
#include "outputs.h"

#include "../hal/hal.h"
#include "lotor_camera.h"
#include "lotor_watch.h"

uint8_t outputs_count(void) { return LOTOR_OUTPUTS; }

#if LOTOR_OUTPUTS

static struct {
    bool lit;
    uint64_t since, until; /* on from, on to; off: rests until */
} state[LOTOR_OUTPUTS];

static uint64_t longest;

static uint64_t in_ticks(uint32_t ms) { return (uint64_t)ms * LOTOR_TICKS_PER_SECOND / 1000u; }

#ifdef LOTOR_SERVOS
static uint16_t act_us[LOTOR_OUTPUTS]; /* where a servo goes, or is; 0: where its file says */

static bool is_servo(uint8_t index) { return lotor_servos[index].max_us != 0; }
#endif

static void set(uint8_t index, bool lit) {
#ifdef LOTOR_SERVOS
    const lotor_servo *servo = &lotor_servos[index];
    if (is_servo(index)) {
        const uint16_t act = act_us[index] ? act_us[index] : servo->act_us;
        hal_servo_set(lotor_outputs[index].pin, lit ? act : servo->rest_us);
        return;
    }
#endif
    hal_output_set(lotor_outputs[index].pin, lit == lotor_outputs[index].active_high);
}

static void rest(uint8_t index, uint64_t now) {
    state[index].lit = false;
    state[index].until = now + in_ticks(lotor_outputs[index].rest_ms);
}

static void switch_off(uint8_t index) {
    set(index, false);
    const uint64_t now = hal_ticks();
    if (now - state[index].since > longest)
        longest = now - state[index].since;
    rest(index, now);
}

void outputs_init(void) {
    for (uint8_t i = 0; i < LOTOR_OUTPUTS; i++) {
#ifdef LOTOR_SERVOS
        if (is_servo(i))
            hal_servo_init(lotor_outputs[i].pin, lotor_servos[i].rest_us);
        else
#endif
            hal_output_init(lotor_outputs[i].pin, !lotor_outputs[i].active_high);
        rest(i, hal_ticks());
    }
}

bool outputs_on(uint8_t index, uint32_t ms) {
    outputs_poll();
    const uint64_t now = hal_ticks();
    if (index >= LOTOR_OUTPUTS || !ms || state[index].lit || now < state[index].until)
        return false;
    const uint32_t most = lotor_outputs[index].max_on_ms;
    state[index].lit = true;
    state[index].since = now;
    state[index].until = now + in_ticks(ms < most ? ms : most);
    set(index, true);
    return true;
}

#ifdef LOTOR_SERVOS
bool outputs_reaches(uint8_t index, uint16_t us) {
    return index < LOTOR_OUTPUTS && is_servo(index) && us >= lotor_servos[index].min_us &&
           us <= lotor_servos[index].max_us;
}

bool outputs_turn(uint8_t index, uint32_t ms, uint16_t us) {
    outputs_poll();
    if (!outputs_reaches(index, us))
        return false;
    act_us[index] = us;
    const bool turned = outputs_on(index, ms);
    act_us[index] = 0; /* an alarm goes where the file says */
    return turned;
}
#endif

void outputs_off(uint8_t index) {
    if (index < LOTOR_OUTPUTS && state[index].lit)
        switch_off(index);
}

uint32_t outputs_left_ms(uint8_t index) {
    const uint64_t now = hal_ticks();
    if (index >= LOTOR_OUTPUTS || !state[index].lit || now >= state[index].until)
        return 0;
    const uint64_t left = (state[index].until - now) * 1000u;
    return (uint32_t)((left + LOTOR_TICKS_PER_SECOND - 1) / LOTOR_TICKS_PER_SECOND);
}

void outputs_poll(void) {
    const uint64_t now = hal_ticks();
    for (uint8_t i = 0; i < LOTOR_OUTPUTS; i++)
        if (state[i].lit && now >= state[i].until)
            switch_off(i);
}

void outputs_all_off(void) {
    for (uint8_t i = 0; i < LOTOR_OUTPUTS; i++)
        if (state[i].lit)
            switch_off(i);
}

uint8_t outputs_lit(void) {
    unsigned lit = 0;
    for (uint8_t i = 0; i < LOTOR_OUTPUTS; i++)
        lit |= (unsigned)state[i].lit << i;
    return (uint8_t)lit;
}

uint32_t outputs_longest_ms(void) { return (uint32_t)(longest * 1000u / LOTOR_TICKS_PER_SECOND); }

#else

void outputs_init(void) {}
bool outputs_on(uint8_t index, uint32_t ms) {
    (void)index;
    (void)ms;
    return false;
}
void outputs_off(uint8_t index) { (void)index; }
uint32_t outputs_left_ms(uint8_t index) {
    (void)index;
    return 0;
}
void outputs_poll(void) {}
void outputs_all_off(void) {}
uint8_t outputs_lit(void) { return 0; }
uint32_t outputs_longest_ms(void) { return 0; }

#endif

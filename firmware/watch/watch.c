/* The loop; any error inside it means that nothing alarms. */
#include "watch.h"

#include <string.h>

#include "../hal/hal.h"
#include "../src/frame.h"
#include "../src/log.h"
#include "../src/server.h"
#include "lotor_model.h"
#include "lotor_views.h"
#include "lotor_watch.h"
#include "outputs.h"
#include "voting.h"

enum { EVENT_TYPE = 0xC1, EVENTS = 32, EVENT_BYTES = 37 };

/* What an event tells; numbers on the link. */
enum { KIND_FRAME, KIND_ALARM, KIND_HELD, KIND_ERROR };
enum { VOTED = 1, ENOUGH = 2, PERSON = 4, SECOND = 8, COOLING = 16, UNKNOWN = 32 };
enum { ACTION_NONE, ACTION_ON, ACTION_REFUSED };
enum { ERROR_FREE, ERROR_MODEL, ERROR_TIME, ERROR_CAMERA = 16 };

typedef struct {
    uint32_t number, frame;
    uint64_t time_ms;
    uint8_t kind, model, flags, error, view, votes, action;
    int16_t score, person, second; /* -1: not asked, or not known */
    uint16_t x0, y0, x1, y1;       /* the view with the target's highest score */
} event;

static struct {
    bool running;
    watch_settings settings;
    voting votes;
    uint32_t frames, errors;
    camera_error camera;
} state;

enum { HOLD_MS = 3000 };    /* longer than a host waits before it asks again */
static uint64_t held_until; /* ticks */

/* Kept over starts and stops, so that a host can fetch what it missed. */
static event kept[EVENTS];
static uint32_t events; /* so many there were; the next one's number */

static void put_event(writer *w, const event *e) {
    put_u32(w, e->number);
    put_u64(w, e->time_ms);
    put_u32(w, e->frame);
    const uint8_t small[] = {e->kind, e->model, e->flags, e->error, e->view, e->votes, e->action};
    put_bytes(w, small, sizeof small);
    const uint16_t wide[] = {
        (uint16_t)e->score, (uint16_t)e->person, (uint16_t)e->second, e->x0, e->y0, e->x1, e->y1};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        put_u16(w, wide[i]);
}

static void report(event *e) {
    static uint8_t buffer[FRAME_HEADER + EVENT_BYTES + FRAME_CRC];
    e->number = events;
    kept[events % EVENTS] = *e;
    events++;
    writer body = frame_begin(buffer, sizeof buffer, EVENT_TYPE, (uint16_t)e->number);
    put_event(&body, e);
    frame_send(&body);
}

watch_refusal watch_start(const watch_settings *given) {
    watch_settings s = *given;
    if (s.model >= lotor_model_count || !lotor_watchers[s.model].labels)
        return WATCH_WRONG_INDEX;
    const lotor_watcher *watcher = &lotor_watchers[s.model];
    if (s.threshold == WATCH_CHOSEN)
        s.threshold = s.flags & WATCH_VIEWS ? watcher->alarm : watcher->alarm_full;
    voting_rule rule = {.labels = 1, .votes = s.votes, .of = s.of};
    rule.memory_ms = s.memory_ms;
    rule.cooldown_ms = s.cooldown_ms;
    rule.threshold[0] = s.threshold;
    if (watcher->person >= 0)
        rule.veto_from[rule.vetoes++] = watcher->person_from;
    if (s.veto != WATCH_NO_INDEX) {
        if (s.veto >= lotor_model_count || s.veto == s.model ||
            lotor_watchers[s.veto].veto_from < 0)
            return WATCH_WRONG_INDEX;
        if (s.veto_from == WATCH_CHOSEN)
            s.veto_from = lotor_watchers[s.veto].veto_from;
        rule.veto_from[rule.vetoes++] = s.veto_from;
    }
    if (s.output != WATCH_NO_INDEX && s.output >= outputs_count())
        return WATCH_WRONG_INDEX;
    if (s.threshold < 0 || (s.veto != WATCH_NO_INDEX && s.veto_from < 0) ||
        (s.flags & ~(WATCH_VIEWS | WATCH_EVERY)) || !voting_start(&state.votes, &rule))
        return WATCH_WRONG_VALUE;
    watch_stop();
    state.settings = s;
    state.frames = state.errors = 0;
    model_select(s.model, false);
    state.camera = camera_start();
    state.running = state.camera == CAMERA_OK;
    return WATCH_OK;
}

void watch_stop(void) {
    outputs_all_off();
    if (!state.running)
        return;
    state.running = false;
    camera_stop();
    model_select(state.settings.model, false);
}

bool watch_running(void) { return state.running; }

/* Run the selected model on a view; its first output, or NULL. */
static const int8_t *ask(const struct lotor_frame *frame, const struct lotor_view *view) {
    const lotor_watcher *watcher = &lotor_watchers[model_selected()];
    const lotor_model *model = &lotor_models[model_selected()];
    uint8_t *const arena = model_arena();
    lotor_view_resize(frame, view, watcher->height, watcher->width, watcher->steps,
                      (int8_t *)(arena + model->input[0].offset));
    outputs_poll();
    return model_run() ? (const int8_t *)(arena + model->output[0].offset) : NULL;
}

/* Whether the second output of the last run says that the frame is unlike all known ones. */
static bool is_unknown(const lotor_watcher *watcher) {
    if (!watcher->tells_unknown)
        return false;
    const lotor_buffer *second = &lotor_models[model_selected()].output[1];
    const int8_t *values = (const int8_t *)(model_arena() + second->offset);
    int64_t sum = 0;
    for (uint32_t i = 0; i < second->bytes; i++) {
        const int32_t steps = values[i] - watcher->known_zero_point;
        sum += steps * steps;
    }
    return sum > watcher->known_limit;
}

/* A score as an output has it, in half steps. */
static int16_t halves(const int8_t *output, int16_t label) {
    return (int16_t)(2 * (output[label] + 128));
}

/* Score a frame into its event; false when a model failed. */
static bool score(const struct lotor_frame *frame, event *e) {
    const watch_settings *s = &state.settings;
    const lotor_watcher *watcher = &lotor_watchers[s->model];
    struct lotor_views_seen seen = {0, 0, 0, 0};
    const int32_t crops = s->flags & WATCH_VIEWS ? LOTOR_VIEWS_CROPS : 0;
    if (model_selected() != s->model)
        model_select(s->model, false);
    for (int32_t i = 0; i <= crops; i++) {
        const struct lotor_view view = lotor_view_of(frame, i);
        const int8_t *output = ask(frame, &view);
        if (!output)
            return false;
        if (i == 0 && is_unknown(watcher))
            e->flags |= UNKNOWN;
        lotor_views_take(&seen, output[watcher->target] + 128);
        if (watcher->person >= 0 && halves(output, watcher->person) > e->person)
            e->person = halves(output, watcher->person);
    }
    const struct lotor_view best = lotor_view_of(frame, seen.best);
    e->score = (int16_t)(seen.highest + seen.second);
    e->view = (uint8_t)seen.best;
    e->x0 = (uint16_t)best.x0;
    e->y0 = (uint16_t)best.y0;
    e->x1 = (uint16_t)best.x1;
    e->y1 = (uint16_t)best.y1;
    if (s->veto == WATCH_NO_INDEX)
        return true;
    /* The second model is shown whole frames alone: crops would lose people (lotor/veto.py). */
    model_select(s->veto, false);
    const struct lotor_view whole = lotor_view_of(frame, 0);
    const int8_t *output = ask(frame, &whole);
    if (output)
        e->second = halves(output, lotor_watchers[s->veto].target);
    return output != NULL;
}

/* Let the frame vote; what it shows is in the event. */
static void decide(event *e) {
    const lotor_watcher *watcher = &lotor_watchers[state.settings.model];
    const bool failed = e->error != ERROR_FREE;
    const int16_t score = failed || (e->flags & UNKNOWN) ? VOTING_UNKNOWN : e->score;
    int16_t vetoes[VOTING_LABELS] = {VOTING_UNKNOWN, VOTING_UNKNOWN};
    uint8_t own = 0;
    if (watcher->person >= 0)
        vetoes[own++] = failed ? VOTING_UNKNOWN : e->person;
    vetoes[own] = failed ? VOTING_UNKNOWN : e->second;
    voting_decision d;
    if (!voting_decide(&state.votes, e->time_ms, &score, vetoes, &d)) {
        e->error = ERROR_TIME;
        return;
    }
    e->votes = d.votes[0];
    const bool voted = score != VOTING_UNKNOWN && score >= state.settings.threshold;
    const unsigned by = d.vetoed_by, by_own = own ? by & 1u : 0, by_second = by >> own & 1u;
    e->flags = (uint8_t)(e->flags | (voted ? VOTED : 0) | (by_own ? PERSON : 0) |
                         (by_second ? SECOND : 0) | (d.cooling ? COOLING : 0));
    if (d.enough != VOTING_NONE) {
        e->flags |= ENOUGH;
        e->kind = d.alarm == VOTING_NONE ? KIND_HELD : KIND_ALARM;
    }
}

static void deal_with(camera_stamp stamp) {
    const watch_settings *s = &state.settings;
    const struct lotor_frame frame = {camera_frame, LOTOR_CAMERA_HEIGHT, LOTOR_CAMERA_WIDTH,
                                      3 * LOTOR_CAMERA_WIDTH};
    event e = {.frame = stamp.number, .time_ms = stamp.time_ms, .model = s->model};
    e.person = e.second = e.score = -1;
    if (!score(&frame, &e))
        e.error = ERROR_MODEL;
    decide(&e);
    state.frames++;
    if (e.error != ERROR_FREE) {
        e.kind = KIND_ERROR;
        state.errors++;
    }
    if (e.kind == KIND_ALARM && s->output != WATCH_NO_INDEX)
        e.action = outputs_on(s->output, s->on_ms) ? ACTION_ON : ACTION_REFUSED;
    if (e.kind != KIND_FRAME || (s->flags & WATCH_EVERY))
        report(&e);
}

void watch_hold(bool hold) {
    held_until = hold ? hal_ticks() + (uint64_t)HOLD_MS * LOTOR_TICKS_PER_SECOND / 1000u : 0;
}

void watch_poll(void) {
    outputs_poll();
    camera_stamp stamp;
    if (!state.running || (hal_ticks() < held_until && camera_has(&stamp)))
        return;
    camera_error error;
    if (camera_poll(&stamp, &error)) {
        deal_with(stamp);
    } else if (error != CAMERA_OK && error != state.camera) { /* once, not at every try */
        event e = {.kind = KIND_ERROR, .model = state.settings.model};
        e.error = (uint8_t)(ERROR_CAMERA + (int)error);
        e.person = e.second = e.score = -1;
        state.errors++;
        report(&e);
    }
    state.camera = error;
}

bool watch_awake(void) { return outputs_lit() || (state.running && !LOTOR_CAMERA_SYNTHETIC); }

void watch_put_state(writer *answer) {
    put_u8(answer, state.running);
    put_u8(answer, (uint8_t)state.camera);
    put_u8(answer, outputs_lit());
    put_u32(answer, state.frames);
    put_u32(answer, events);
    put_u32(answer, state.errors);
    put_u32(answer, outputs_longest_ms());
    put_u16(answer, (uint16_t)state.settings.threshold);
    put_u16(answer, (uint16_t)state.settings.veto_from);
}

void watch_put_events(writer *answer, uint32_t from) {
    const uint32_t first = events > EVENTS ? events - EVENTS : 0;
    put_u32(answer, first);
    put_u32(answer, events);
    for (uint32_t n = from < first ? first : from; n < events; n++) {
        if (answer->capacity - answer->length < EVENT_BYTES)
            break;
        put_event(answer, &kept[n % EVENTS]);
    }
}

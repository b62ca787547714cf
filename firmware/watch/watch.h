/* The loop: a camera's frame, views of it, a model's scores, votes, an output, an event. */
#ifndef LOTOR_WATCH_LOOP_H
#define LOTOR_WATCH_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "../camera/camera.h"
#include "../src/bytes.h"

enum {
    WATCH_NO_INDEX = 0xFF, /* no second model, no output */
    WATCH_CHOSEN = -1,     /* the score that training chose */
    /* Flags of settings. */
    WATCH_VIEWS = 1, /* nine crops of a frame, too */
    WATCH_EVERY = 2, /* an event of every frame, not only of those with enough votes */
};

typedef struct {
    uint8_t model, veto; /* the one that votes; a second one whose target forbids alarms */
    uint8_t flags, votes, of;
    uint8_t output; /* what an alarm switches on, for so long */
    uint32_t on_ms, memory_ms, cooldown_ms;
    int16_t threshold, veto_from; /* half steps, or WATCH_CHOSEN */
} watch_settings;

typedef enum { WATCH_OK, WATCH_WRONG_INDEX, WATCH_WRONG_VALUE } watch_refusal;

/* Begin with nothing remembered. Where the camera does not start, the loop does not run either. */
watch_refusal watch_start(const watch_settings *settings);

/* End; what is on goes off. */
void watch_stop(void);

bool watch_running(void);

/* Look whether there is a frame, and deal with it. */
void watch_poll(void);

/* Take no new frame while a host reads the last one, but for no longer than a few seconds. */
void watch_hold(bool hold);

/* Whether watch_poll must be called again without an interrupt. */
bool watch_awake(void);

/* The answer to the request watch. */
void watch_put_state(writer *answer);

/* Kept events from number `from` on, as many as fit: first kept, next number, events. */
void watch_put_events(writer *answer, uint32_t from);

#endif

/* How the models of an image watch a camera's frames, and what an alarm may switch on: the build
   writes the tables. Scores are in half steps of a model's output, from 0. */
#ifndef LOTOR_WATCH_H
#define LOTOR_WATCH_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int16_t labels; /* 0: no classifier of frames */
    int16_t target;
    int16_t person;        /* a label that forbids alarms; -1: none */
    int16_t height, width; /* of the input */
    const int8_t *steps;   /* the input for each value of a pixel; NULL: 128 less */
    /* Scores from which on; -1: none was chosen, or the model is none for that. */
    int16_t alarm, alarm_full; /* a frame votes, with views and without */
    int16_t person_from;       /* `person` forbids */
    int16_t veto_from;         /* this model forbids another's alarms */
    /* The largest sum of squares of the second output of what is known, if it tells that. */
    bool tells_unknown;
    int16_t known_zero_point;
    int64_t known_limit;
} lotor_watcher;

/* In the order of lotor_models. */
extern const lotor_watcher lotor_watchers[];

typedef struct {
    const char *name;
    uint8_t pin;
    bool active_high;
    uint32_t max_on_ms, rest_ms;
} lotor_output;

extern const lotor_output lotor_outputs[];

/* Pulses in microseconds: the limits, off, and on where nothing else is asked for. */
typedef struct {
    uint16_t min_us, max_us, rest_us, act_us;
} lotor_servo;

/* Of each output, all zero for those that are none; only where there are some (LOTOR_SERVOS). */
extern const lotor_servo lotor_servos[];

#endif

/* From scores of single frames to alarms: k of n frames, vetoes, a cool-down. The same decisions as
   toolchain/lotor/sentinel/voting.py takes, which says why. */
#ifndef LOTOR_VOTING_H
#define LOTOR_VOTING_H

#include <stdbool.h>
#include <stdint.h>

enum {
    VOTING_LABELS = 4, /* that alarm, and as many that veto */
    VOTING_FRAMES = 32,
    VOTING_NONE = -1,     /* no label */
    VOTING_UNKNOWN = -1,  /* a score of which nothing is known: votes for nothing, and vetoes */
    VOTING_HIGHEST = 512, /* in half steps of 1/256 */
};

typedef struct {
    uint8_t labels, vetoes; /* how many of each; of equal ones the later label alarms */
    uint8_t votes, of;      /* k of the last n frames */
    int16_t threshold[VOTING_LABELS], veto_from[VOTING_LABELS];
    uint32_t memory_ms, cooldown_ms;
} voting_rule;

typedef struct {
    voting_rule rule;
    struct {
        uint64_t time_ms;
        uint8_t votes, vetoes; /* a bit for each label */
    } recent[VOTING_FRAMES];
    uint8_t first, frames;
    bool alarmed;
    uint64_t alarmed_ms, last_ms;
} voting;

typedef struct {
    int8_t alarm, enough; /* labels, or VOTING_NONE */
    uint8_t votes[VOTING_LABELS];
    uint8_t vetoed_by; /* a bit for each label that vetoes */
    bool cooling;
} voting_decision;

/* Forget everything; false when the rule makes no sense. */
bool voting_start(voting *v, const voting_rule *rule);

/* Take a frame in and decide; false, and nothing is changed, when the time goes back. */
bool voting_decide(voting *v, uint64_t time_ms, const int16_t *scores, const int16_t *vetoes,
                   voting_decision *decision);

#endif

/* k of n frames, vetoes, a cool-down. */
#include "voting.h"

#include <string.h>

bool voting_start(voting *v, const voting_rule *rule) {
    if (rule->labels > VOTING_LABELS || rule->vetoes > VOTING_LABELS || rule->votes < 1 ||
        rule->votes > rule->of || rule->of > VOTING_FRAMES)
        return false;
    memset(v, 0, sizeof *v);
    v->rule = *rule;
    return true;
}

static void remember(voting *v, uint64_t time_ms, uint8_t votes, uint8_t vetoes) {
    if (v->frames == v->rule.of) {
        v->first = (uint8_t)((v->first + 1) % VOTING_FRAMES);
        v->frames--;
    }
    const uint8_t at = (uint8_t)((v->first + v->frames) % VOTING_FRAMES);
    v->recent[at].time_ms = v->last_ms = time_ms;
    v->recent[at].votes = votes;
    v->recent[at].vetoes = vetoes;
    v->frames++;
    while (time_ms - v->recent[v->first].time_ms > v->rule.memory_ms) {
        v->first = (uint8_t)((v->first + 1) % VOTING_FRAMES);
        v->frames--;
    }
}

bool voting_decide(voting *v, uint64_t time_ms, const int16_t *scores, const int16_t *vetoes,
                   voting_decision *decision) {
    if (time_ms < v->last_ms)
        return false;
    const voting_rule *rule = &v->rule;
    unsigned now = 0, forbid = 0;
    for (unsigned i = 0; i < rule->labels; i++)
        if (scores[i] != VOTING_UNKNOWN && scores[i] >= rule->threshold[i])
            now |= 1u << i;
    for (unsigned i = 0; i < rule->vetoes; i++)
        if (vetoes[i] == VOTING_UNKNOWN || vetoes[i] >= rule->veto_from[i])
            forbid |= 1u << i;
    remember(v, time_ms, (uint8_t)now, (uint8_t)forbid);

    memset(decision, 0, sizeof *decision);
    decision->alarm = decision->enough = VOTING_NONE;
    for (unsigned frame = 0; frame < v->frames; frame++) {
        const unsigned at = (v->first + frame) % VOTING_FRAMES, votes = v->recent[at].votes;
        decision->vetoed_by = (uint8_t)(decision->vetoed_by | v->recent[at].vetoes);
        for (unsigned i = 0; i < rule->labels; i++)
            decision->votes[i] = (uint8_t)(decision->votes[i] + (votes >> i & 1u));
    }
    for (int8_t i = 0; i < (int8_t)rule->labels; i++) {
        const int8_t best = decision->enough;
        if (!(now >> i & 1u) || decision->votes[i] < rule->votes)
            continue;
        if (best == VOTING_NONE || decision->votes[i] > decision->votes[best] ||
            (decision->votes[i] == decision->votes[best] && scores[i] >= scores[best]))
            decision->enough = i;
    }
    decision->cooling = v->alarmed && time_ms - v->alarmed_ms < rule->cooldown_ms;
    if (!decision->vetoed_by && !decision->cooling)
        decision->alarm = decision->enough;
    if (decision->alarm != VOTING_NONE) {
        v->alarmed = true;
        v->alarmed_ms = time_ms;
    }
    return true;
}

/* Which parts of an input have been loaded: a short list of disjoint ranges. */
#ifndef LOTOR_COVERAGE_H
#define LOTOR_COVERAGE_H

#include <stdbool.h>
#include <stdint.h>

enum { COVERAGE_RANGES = 8 };

typedef struct {
    struct {
        uint32_t begin, end;
    } range[COVERAGE_RANGES];
    uint32_t ranges;
} coverage;

void coverage_clear(coverage *c);

/* Add begin..end; false (and nothing changed) when the loads are too scattered to remember. */
bool coverage_add(coverage *c, uint32_t begin, uint32_t end);

bool coverage_complete(const coverage *c, uint32_t bytes);

#endif

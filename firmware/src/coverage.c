/* Merges loaded ranges, in any order, repeated or overlapping. */
#include "coverage.h"

void coverage_clear(coverage *c) { c->ranges = 0; }

bool coverage_add(coverage *c, uint32_t begin, uint32_t end) {
    coverage merged = {.ranges = 0};
    for (uint32_t i = 0; i < c->ranges; i++) {
        const uint32_t from = c->range[i].begin, to = c->range[i].end;
        if (to < begin || from > end) {
            merged.range[merged.ranges++] = c->range[i];
        } else {
            begin = from < begin ? from : begin;
            end = to > end ? to : end;
        }
    }
    if (merged.ranges == COVERAGE_RANGES)
        return false;
    merged.range[merged.ranges].begin = begin;
    merged.range[merged.ranges].end = end;
    merged.ranges++;
    *c = merged;
    return true;
}

bool coverage_complete(const coverage *c, uint32_t bytes) {
    return bytes == 0 || (c->ranges == 1 && c->range[0].begin == 0 && c->range[0].end == bytes);
}

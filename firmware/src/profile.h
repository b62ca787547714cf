/* Ticks and checksums of every layer of a run. */
#ifndef LOTOR_PROFILE_H
#define LOTOR_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

/* Measure what the measuring itself costs; called once. */
void profile_calibrate(void);

/* Forget the last run; `trace`: checksum every layer's output (not counted in the ticks). */
void profile_begin(bool trace);

/* Layers measured since profile_begin. */
uint32_t profile_layers(void);

uint64_t profile_ticks(uint32_t layer);
uint32_t profile_crc(uint32_t layer);

/* The sum over all layers: what a run is said to take. */
uint64_t profile_total(void);

#endif

/* How much of a memory was ever written: paint it first, look later. */
#ifndef LOTOR_WATERMARK_H
#define LOTOR_WATERMARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void watermark_paint(void *memory, size_t bytes);

/* Bytes from the start up to the last one written (memory that grows upwards: the arena). */
size_t watermark_upwards(const void *memory, size_t bytes);

/* Bytes from the end down to the first one written (memory that grows downwards: the stack). */
size_t watermark_downwards(const void *memory, size_t bytes);

bool watermark_intact(const void *memory, size_t bytes);

#endif

/* The one thing that Arduino offers in C++ only: its serial port, and where the program begins. */
#ifndef LOTOR_LINE_H
#define LOTOR_LINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `ring`: bytes that wait for us at most. */
void line_open(uint32_t baud, size_t ring);

/* What has arrived, up to `most` bytes. */
size_t line_read(uint8_t *data, size_t most);

/* Bytes that were taken: fewer when nobody listens. */
size_t line_write(const uint8_t *data, size_t bytes);

void line_flush(void);

/* How often bytes were lost. */
uint32_t line_overruns(void);

#ifdef __cplusplus
}
#endif

#endif

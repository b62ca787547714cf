/* Log lines to the host, as frames that nobody asked for. */
#ifndef LOTOR_LOG_H
#define LOTOR_LOG_H

#include <stdint.h>

enum { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

extern uint8_t log_level; /* the highest level that is sent */

void log_text(uint8_t level, const char *text);

#endif

/* Sends log frames (type 0xC0, sequence number 0). */
#include "log.h"

#include "frame.h"

enum { LOG_TYPE = 0xC0, LOG_BYTES = 96 };

uint8_t log_level = LOG_INFO;

void log_text(uint8_t level, const char *text) {
    if (level > log_level)
        return;
    static uint8_t buffer[FRAME_HEADER + 1 + LOG_BYTES + FRAME_CRC];
    writer body = frame_begin(buffer, sizeof buffer, LOG_TYPE, 0);
    const size_t bytes = strlen(text);
    put_u8(&body, level);
    put_bytes(&body, text, bytes < LOG_BYTES ? bytes : LOG_BYTES);
    frame_send(&body);
}

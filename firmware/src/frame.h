/* Frames on the wire: COBS(version, type, seq, payload, CRC-32) 0x00. */
#ifndef LOTOR_FRAME_H
#define LOTOR_FRAME_H

#include "bytes.h"
#include "lotor_config.h"

enum {
    FRAME_VERSION = 1,
    FRAME_HEADER = 4, /* u8 version, u8 type, u16 seq */
    FRAME_CRC = 4,
    FRAME_MAX_DATA = LOTOR_DATA_BYTES, /* what one load or read may carry */
    FRAME_MAX_PAYLOAD = FRAME_MAX_DATA + 16,
    FRAME_MAX_BODY = FRAME_HEADER + FRAME_MAX_PAYLOAD + FRAME_CRC,
};

typedef enum {
    FRAME_NONE, /* more bytes are needed */
    FRAME_OK,
    FRAME_BAD_CRC,
    FRAME_BAD_FRAMING, /* cut short or no valid COBS */
    FRAME_OVERSIZED,
} frame_event;

typedef struct {
    uint8_t body[FRAME_MAX_BODY];
    size_t length;
    uint8_t code, left; /* of the COBS block: its first byte, data bytes still to come */
    bool any, oversized;
} frame_decoder;

/* Take one byte of the line; a complete body lies in decoder->body until the next byte. */
frame_event frame_push(frame_decoder *decoder, uint8_t byte);

/* Start a body in `buffer` (FRAME_HEADER + payload + FRAME_CRC bytes); the payload follows. */
writer frame_begin(uint8_t *buffer, size_t capacity, uint8_t type, uint16_t seq);

/* Append the CRC and send the frame over the UART. */
void frame_send(writer *body);

#endif

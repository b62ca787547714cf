/* COBS (Cheshire and Baker, 1999) and CRC over frames, in and out, byte by byte. */
#include "frame.h"

#include "../hal/hal.h"
#include "crc32.h"

static void append(frame_decoder *d, uint8_t byte) {
    if (d->length == sizeof d->body)
        d->oversized = true;
    else
        d->body[d->length++] = byte;
}

static frame_event finish(const frame_decoder *d) {
    if (d->oversized)
        return FRAME_OVERSIZED;
    if (d->left || d->length < FRAME_HEADER + FRAME_CRC)
        return FRAME_BAD_FRAMING;
    const size_t covered = d->length - FRAME_CRC;
    return crc32_update(0, d->body, covered) == get_u32(d->body + covered) ? FRAME_OK
                                                                           : FRAME_BAD_CRC;
}

frame_event frame_push(frame_decoder *d, uint8_t byte) {
    if (byte == 0) {
        const frame_event event = d->any ? finish(d) : FRAME_NONE;
        d->any = false;
        return event;
    }
    if (!d->any) {
        d->any = true;
        d->oversized = false;
        d->length = 0;
        d->left = 0;
        d->code = 0xFF; /* no zero before the first block */
    }
    if (d->left) {
        append(d, byte);
        d->left--;
    } else {
        if (d->code != 0xFF)
            append(d, 0);
        d->code = byte;
        d->left = (uint8_t)(byte - 1);
    }
    return FRAME_NONE;
}

writer frame_begin(uint8_t *buffer, size_t capacity, uint8_t type, uint16_t seq) {
    writer body = {.data = buffer, .capacity = capacity - FRAME_CRC};
    put_u8(&body, FRAME_VERSION);
    put_u8(&body, type);
    put_u16(&body, seq);
    return body;
}

void frame_send(writer *body) {
    body->capacity += FRAME_CRC;
    put_u32(body, crc32_update(0, body->data, body->length));
    for (size_t at = 0;;) {
        size_t run = 0;
        while (at + run < body->length && run < 254 && body->data[at + run])
            run++;
        const uint8_t code = (uint8_t)(run + 1);
        hal_uart_write(&code, 1);
        hal_uart_write(body->data + at, run);
        at += run;
        if (at == body->length)
            break;
        if (run < 254)
            at++; /* the zero that the block's end stands for */
    }
    hal_uart_write(&(const uint8_t){0}, 1);
}

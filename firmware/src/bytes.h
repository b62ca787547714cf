/* Little-endian numbers in byte buffers, and a bounded writer of them. */
#ifndef LOTOR_BYTES_H
#define LOTOR_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint8_t *data;
    size_t length, capacity;
    bool full; /* something did not fit; what did fit is intact */
} writer;

static inline uint16_t get_u16(const uint8_t *at) { return (uint16_t)(at[0] | at[1] << 8); }

static inline uint32_t get_u32(const uint8_t *at) {
    return (uint32_t)get_u16(at) | (uint32_t)get_u16(at + 2) << 16;
}

static inline void put_bytes(writer *w, const void *data, size_t bytes) {
    if (bytes > w->capacity - w->length) {
        w->full = true;
        return;
    }
    if (bytes)
        memcpy(w->data + w->length, data, bytes);
    w->length += bytes;
}

static inline void put_u8(writer *w, uint8_t value) { put_bytes(w, &value, 1); }

static inline void put_u16(writer *w, uint16_t value) {
    const uint8_t raw[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
    put_bytes(w, raw, sizeof raw);
}

static inline void put_u32(writer *w, uint32_t value) {
    const uint8_t raw[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                            (uint8_t)(value >> 24)};
    put_bytes(w, raw, sizeof raw);
}

static inline void put_u64(writer *w, uint64_t value) {
    put_u32(w, (uint32_t)value);
    put_u32(w, (uint32_t)(value >> 32));
}

/* A tagged value: tag, u16 length, bytes. */
static inline void put_tagged(writer *w, uint8_t tag, const void *data, size_t bytes) {
    if (bytes + 3 > w->capacity - w->length) {
        w->full = true;
        return;
    }
    put_u8(w, tag);
    put_u16(w, (uint16_t)bytes);
    put_bytes(w, data, bytes);
}

static inline void put_tagged_text(writer *w, uint8_t tag, const char *text) {
    put_tagged(w, tag, text, strlen(text));
}

static inline void put_tagged_u32(writer *w, uint8_t tag, uint32_t value) {
    const uint8_t raw[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                            (uint8_t)(value >> 24)};
    put_tagged(w, tag, raw, sizeof raw);
}

/* Open a tagged value whose length follows from what is written until tagged_end. */
static inline size_t tagged_begin(writer *w, uint8_t tag) {
    put_u8(w, tag);
    put_u16(w, 0);
    return w->length;
}

static inline void tagged_end(writer *w, size_t start) {
    if (w->full)
        return;
    const size_t bytes = w->length - start;
    w->data[start - 2] = (uint8_t)bytes;
    w->data[start - 1] = (uint8_t)(bytes >> 8);
}

#endif

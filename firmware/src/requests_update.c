/* Requests of an update, and what hello says of updates; only boards that take them have it. */
#include "lotor_config.h"

#ifdef LOTOR_UPDATE

#include "../update/crypto.h"
#include "../update/receive.h"
#include "../update/slot.h"
#include "../update/trial.h"
#include "frame.h"
#include "server.h"

/* The last piece or end taken: its repetition is answered again. */
static struct {
    enum { NOTHING, PIECE, END } kind;
    uint16_t seq;
    uint32_t offset, next;
} last;

static link_error error_of(receive_fault fault) {
    return fault ? (link_error)(ERROR_UPDATE_HEADER - 1 + (int)fault) : ERROR_NONE;
}

link_error update_begin_request(const request *r, writer *answer) {
    if (r->length != HEADER_BYTES)
        return ERROR_LENGTH;
    const receive_fault fault = receive_begin(r->payload, trial_running());
    if (!fault)
        put_u32(answer, receive_next());
    return error_of(fault);
}

link_error update_data_request(const request *r, writer *answer) {
    enum { HEAD = 4 };
    if (r->length < HEAD || r->length > HEAD + FRAME_MAX_DATA)
        return ERROR_LENGTH;
    const uint32_t offset = get_u32(r->payload);
    if (last.kind != PIECE || last.seq != r->seq || last.offset != offset) {
        const receive_fault fault =
            receive_data(offset, r->payload + HEAD, (uint32_t)(r->length - HEAD));
        if (fault)
            return error_of(fault);
        last.kind = PIECE;
        last.seq = r->seq;
        last.offset = offset;
        last.next = receive_next();
    }
    put_u32(answer, last.next);
    return ERROR_NONE;
}

link_error update_finish_request(const request *r, writer *answer) {
    (void)answer;
    if (r->length)
        return ERROR_LENGTH;
    if (last.kind == END && last.seq == r->seq)
        return ERROR_NONE;
    const receive_fault fault = receive_finish();
    last.kind = fault ? NOTHING : END;
    last.seq = r->seq;
    return error_of(fault);
}

void put_update(writer *answer) {
    const uint32_t running = trial_running();
    const update_state state = state_read();
    uint8_t key[KEY_ID_BYTES];
    crypto_key_id(key);
    const size_t start = tagged_begin(answer, 14);
    put_u8(answer, (uint8_t)running);
    put_u8(answer, state.trial == running);
    put_u32(answer, slot_header_of(running)->version);
    put_u32(answer, slot_address(!running) + HEADER_BYTES);
    put_u32(answer, LOTOR_SLOT_BYTES - HEADER_BYTES);
    put_u32(answer, LOTOR_FLASH_UNIT);
    put_bytes(answer, key, sizeof key);
    put_u8(answer, state.result);
    put_u32(answer, state.version);
    put_u8(answer, state.reason);
    put_u8(answer, state.detail);
    put_u16(answer, (uint16_t)state.layer);
    put_u32(answer, state.pc);
    tagged_end(answer, start);
}

#endif

/* What lies in a slot. */
#ifndef LOTOR_SLOT_H
#define LOTOR_SLOT_H

#include <stdbool.h>

#include "layout.h"

typedef enum {
    HEADER_GOOD,
    HEADER_UNKNOWN,  /* no header of this format */
    HEADER_BOARD,    /* of another board */
    HEADER_ADDRESS,  /* linked for another place */
    HEADER_TOO_LARGE /* the image does not fit into the slot */
} header_fault;

/* Whether a header belongs to an image of this board in this slot. */
header_fault slot_check_header(const slot_header *header, uint32_t slot);

static inline const slot_header *slot_header_of(uint32_t slot) {
    return (const slot_header *)flash_at(slot_address(slot));
}

/* Whether the slot holds exactly the image that its header names. */
bool slot_intact(uint32_t slot);

#endif

/* Takes an update: header first, then the image in order, into the slot that does not run. */
#ifndef LOTOR_RECEIVE_H
#define LOTOR_RECEIVE_H

#include "layout.h"

typedef enum {
    RECEIVE_OK,
    RECEIVE_HEADER,       /* no header of this format */
    RECEIVE_BOARD,        /* for another board */
    RECEIVE_ADDRESS,      /* linked for another place than the free slot */
    RECEIVE_TOO_LARGE,    /* does not fit into a slot */
    RECEIVE_OLDER,        /* an older version, and its header does not allow that */
    RECEIVE_UNSIGNED,     /* this board takes signed images only */
    RECEIVE_SIGNATURE,    /* not signed by this board's key */
    RECEIVE_BUSY,         /* another update is under way */
    RECEIVE_ON_TRIAL,     /* the running image is not confirmed yet: the other slot is needed */
    RECEIVE_NOT_BEGUN,    /* no update is under way */
    RECEIVE_REPEATED,     /* this piece has been written before */
    RECEIVE_OUT_OF_ORDER, /* bytes before this piece are missing */
    RECEIVE_TRUNCATED,    /* a piece cut short, or an image not sent to its end */
    RECEIVE_DAMAGED,      /* flash does not hold the image that the header names */
    RECEIVE_FLASH,        /* flash could not be erased or written */
} receive_fault;

/* Begin, or go on with what this same header (HEADER_BYTES) began; `running`: the slot that runs.
 */
receive_fault receive_begin(const uint8_t *header, uint32_t running);

/* The next piece of the image, a multiple of LOTOR_FLASH_UNIT. Erases as far as it must. */
receive_fault receive_data(uint32_t offset, const uint8_t *data, uint32_t bytes);

/* All has been sent: check what flash holds, write the header, put the slot on trial. */
receive_fault receive_finish(void);

/* Where the next piece belongs. */
uint32_t receive_next(void);

#endif

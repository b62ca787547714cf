/* What updates need of cryptography. The boot loader has it (boot/crypto.c), images ask it. */
#ifndef LOTOR_CRYPTO_H
#define LOTOR_CRYPTO_H

#include "layout.h"

typedef enum { SIGNATURE_GOOD, SIGNATURE_MISSING, SIGNATURE_BAD } signature;

/* SHA-256 (FIPS 180-4). */
void crypto_sha256(const void *data, uint32_t bytes, uint8_t hash[32]);

/* Whether this board takes the header: signed by its key or, on a board without one, any. */
signature crypto_verify(const slot_header *header);

/* The first bytes of the SHA-256 of the public key; zeros on a board that has none. */
enum { KEY_ID_BYTES = 8 };
void crypto_key_id(uint8_t id[KEY_ID_BYTES]);

#endif

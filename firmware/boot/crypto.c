/* libsodium's SHA-256 and Ed25519 (RFC 8032) with the key that the build puts in. */
#include "../update/crypto.h"

#include <string.h>

#include "crypto_hash_sha256.h"
#include "crypto_sign_ed25519.h"

#ifdef LOTOR_UPDATE_KEY
static const uint8_t key[32] = LOTOR_UPDATE_KEY;
#endif

void crypto_sha256(const void *data, uint32_t bytes, uint8_t hash[32]) {
    (void)crypto_hash_sha256(hash, data, bytes);
}

signature crypto_verify(const slot_header *header) {
#ifdef LOTOR_UPDATE_KEY
    static const uint8_t unsigned_image[sizeof header->signature];
    if (memcmp(header->signature, unsigned_image, sizeof unsigned_image) == 0)
        return SIGNATURE_MISSING;
    const uint8_t *message = (const uint8_t *)header;
    return crypto_sign_ed25519_verify_detached(header->signature, message,
                                               offsetof(slot_header, signature), key)
               ? SIGNATURE_BAD
               : SIGNATURE_GOOD;
#else
    (void)header; /* a board in development */
    return SIGNATURE_GOOD;
#endif
}

void crypto_key_id(uint8_t id[KEY_ID_BYTES]) {
#ifdef LOTOR_UPDATE_KEY
    uint8_t hash[32];
    crypto_sha256(key, sizeof key, hash);
    memcpy(id, hash, KEY_ID_BYTES);
#else
    memset(id, 0, KEY_ID_BYTES);
#endif
}

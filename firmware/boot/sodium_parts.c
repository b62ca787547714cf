/* The little that libsodium's verification uses of the rest of libsodium. */
#include <string.h>

#include "crypto_hash_sha512.h"
#include "utils.h"

void _crypto_sign_ed25519_ref10_hinit(crypto_hash_sha512_state *state, int prehashed);

void _crypto_sign_ed25519_ref10_hinit(crypto_hash_sha512_state *state, int prehashed) {
    (void)prehashed; /* only ever 0 here */
    (void)crypto_hash_sha512_init(state);
}

void sodium_memzero(void *const at, const size_t bytes) {
    memset(at, 0, bytes);
    __asm volatile("" ::"r"(at) : "memory"); /* not optimized away */
}

int sodium_memcmp(const void *const a, const void *const b, size_t bytes) {
    return memcmp(a, b, bytes) ? -1 : 0; /* nothing secret is compared */
}

int sodium_is_zero(const unsigned char *bytes, const size_t number) {
    unsigned char any = 0;
    for (size_t i = 0; i < number; i++)
        any |= bytes[i];
    return any == 0;
}

/* An image's cryptography: the boot loader's, through its table. */
#include "../hal/cortex_m/on_stack.h"
#include "../src/fault.h"
#include "../src/server.h"
#include "boot_api.h"

static const boot_api *api(void) {
    uint32_t boot = LOTOR_BOOT_ADDRESS;
    __asm("" : "+r"(boot)); /* or the compiler takes an address of 0 for none */
    const uint32_t *vectors = flash_at(boot);
    const boot_api *found = flash_at(vectors[BOOT_API_WORD]);
    LOTOR_ASSERT(found->magic == BOOT_API_MAGIC && found->version == BOOT_API_VERSION);
    return found;
}

void crypto_sha256(const void *data, uint32_t bytes, uint8_t hash[32]) {
    api()->sha256(data, bytes, hash);
}

static uint32_t verify(const void *header) { return (uint32_t)api()->verify(header); }

/* The arena is its stack: an image's own is too small for it. */
signature crypto_verify(const slot_header *header) {
    const signature found = (signature)on_stack(verify, header, model_scratch_top());
    model_select(model_selected(), true);
    return found;
}

void crypto_key_id(uint8_t id[KEY_ID_BYTES]) { api()->key_id(id); }

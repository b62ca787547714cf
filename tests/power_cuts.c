/* Flash in RAM whose power is cut at any write or erasure, and the boot loader's and the image's
   code of updates on it. Flash is NOR: writing only clears bits, erasing sets those of a unit. A
   cut leaves the unit that was just written or erased as it was, or with some of its bits changed.
 */
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "../firmware/boot/boot.h"
#include "../firmware/hal/flash.h"
#include "../firmware/src/fault.h"
#include "../firmware/src/server.h"
#include "../firmware/update/receive.c" /* its variables are lost with the power */
#include "../firmware/update/trial.h"
#include "lotor_model.h"

enum { PAGE = LOTOR_ERASE_BYTES, UNIT = LOTOR_FLASH_UNIT };
enum { CUT = 1, RESET = 2 };

/* The first bytes of an image of this model: which it is, and what it does on trial. */
typedef struct {
    uint32_t id, behaviour;
} image_head;

enum { GOOD, FAILS_SELF_TEST, CRASHES };

static jmp_buf ended;
static uint64_t random_state;
static long cut_at, done; /* writes and erasures until the cut (negative: none), and so far */
static int torn;          /* whether the cut falls into the operation instead of before it */
static long bad_writes;
static reset_reason started_by;
static uint32_t running;

static uint64_t draw(void) { /* Marsaglia's xorshift64 */
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint8_t *memory(uint32_t address) { return (uint8_t *)(uintptr_t)address; }

static bool cut_now(void) { return cut_at >= 0 && done == cut_at; }

static _Noreturn void lose_power(void) {
    started_by = RESET_POWER;
    longjmp(ended, CUT);
}

uint32_t hal_flash_page(uint32_t address) { return address % PAGE ? 0 : PAGE; }

int hal_flash_erase(uint32_t address) {
    if (cut_now()) {
        const uint64_t kind = draw() % 3; /* some bits anywhere, up to a place, from a place on */
        const uint32_t place = (uint32_t)(draw() % PAGE);
        for (uint32_t i = 0; torn && i < PAGE; i++) {
            const bool whole = kind == 1 ? i < place : kind == 2 ? i >= place : false;
            memory(address)[i] |= whole ? 0xFF : kind ? 0 : (uint8_t)draw();
        }
        lose_power();
    }
    done++;
    memset(memory(address), 0xFF, PAGE);
    return 0;
}

int hal_flash_write(uint32_t address, const void *data, uint32_t bytes) {
    const uint8_t *from = data;
    if (address % UNIT || bytes % UNIT)
        bad_writes++;
    for (uint32_t at = 0; at < bytes; at += UNIT) {
        const bool cut = cut_now();
        for (uint32_t i = at; i < at + UNIT; i++) {
            if (memory(address)[i] != 0xFF)
                bad_writes++; /* only erased flash may be written */
            if (!cut)
                memory(address)[i] &= from[i];
            else if (torn)
                memory(address)[i] &= from[i] | (uint8_t)draw();
        }
        if (cut)
            lose_power();
        done++;
    }
    return 0;
}

/* What the image has beside the code of updates. */
const uint32_t lotor_model_count = 1;
static fault_record crash = {.reason = FAULT_BUS, .layer = 3};
static const fault_record *kept;

reset_reason fault_reset_reason(void) { return started_by; }
const fault_record *fault_last(void) { return started_by == RESET_FAULT ? kept : NULL; }
void model_select(uint8_t index, bool paint) {
    (void)index;
    (void)paint;
}

void fault_reset_request(void) {
    started_by = RESET_REQUEST;
    longjmp(ended, RESET);
}

bool model_self_test(uint8_t index) {
    (void)index;
    const image_head *head = (const void *)memory(slot_address(running) + HEADER_BYTES);
    if (head->behaviour == CRASHES) {
        started_by = RESET_FAULT;
        kept = &crash;
        longjmp(ended, RESET);
    }
    return head->behaviour == GOOD;
}

/* For the tests. */

/* A second call, also of a model with other pages, finds the memory there. */
void model_begin(void) {
    (void)mmap(memory(LOTOR_FLASH_ORIGIN), 1u << 16, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

uint8_t *model_flash(void) { return memory(LOTOR_FLASH_ORIGIN); }

/* Cut the power at the so-manyth operation from here, -1 for never. */
void model_cut(long at, int into, uint64_t seed) {
    cut_at = at;
    torn = into;
    random_state = seed * 2654435761u + 88172645463325252u;
    done = 0;
}

long model_done(void) { return done; }
long model_bad_writes(void) { return bad_writes; }

/* Power on until an image serves: its id, 0 for a brick, -1 when power was cut meanwhile. */
long model_power_on(int reason) {
    volatile int starts = 0;
    started_by = (reset_reason)reason;
    const int how = setjmp(ended);
    if (how == CUT)
        return -1;
    if (starts++ == 4)
        return 0; /* it never stops starting */
    memset(&update, 0, sizeof update);
    running = boot_choose();
    if (running == SLOT_NONE)
        return 0;
    trial_start();
    const image_head *head = (const void *)memory(slot_address(running) + HEADER_BYTES);
    return (long)head->id;
}

/* Send an update in pieces; a receive_fault, or -1 when power was cut. The board runs. */
int model_send(const uint8_t *header, const uint8_t *image, uint32_t bytes, uint32_t piece) {
    if (setjmp(ended))
        return -1;
    receive_fault fault = receive_begin(header, running);
    for (uint32_t at = receive_next(); !fault && at < bytes; at = receive_next())
        fault = receive_data(at, image + at, bytes - at < piece ? bytes - at : piece);
    return (int)(fault ? fault : receive_finish());
}

uint32_t trial_running(void) { return running; }
int model_begin_update(const uint8_t *header) { return (int)receive_begin(header, running); }
int model_piece(uint32_t offset, const uint8_t *data, uint32_t bytes) {
    return (int)receive_data(offset, data, bytes);
}
int model_finish(void) { return (int)receive_finish(); }
update_state model_state(void) { return state_read(); }

int model_append(const update_state *state) {
    if (setjmp(ended))
        return -2;
    return state_append(state);
}

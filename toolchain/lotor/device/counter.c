/* A plug-in for QEMU: what every instruction did between two calls of the firmware's layer hook.
 *
 * Arguments: out=FILE hook=ADDRESS clock=ADDRESS, hexadecimal. `hook` is `lotor_layer_done`, which
 * reads `clock`, `hal_ticks`, twice: first a layer ends, then the next begins. FILE gets a text for
 * every layer, measured from clock to clock as the board itself measures: a line "layer", then for
 * every block of instructions that was executed and every instruction of it
 *     ADDRESS EXECUTED ARRIVED LEFT ACCESSES PENALTY
 * ARRIVED counts executions that came from elsewhere than the instruction before, LEFT those that
 * went on elsewhere than to the next one, ACCESSES the transfers to and from memory, PENALTY the
 * extra transfers of loads that were not aligned. An address may come in several blocks.
 *
 * Distributions do not ship the header of the interface; what is used of it is declared here. */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef API_VERSION
#define API_VERSION 1
#endif
#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
typedef uint32_t mem_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { CB_NO_REGS = 0, MEM_RW = 3 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int,
                                          void *);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *,
                                      void (*)(unsigned, mem_info, uint64_t, void *), int, int,
                                      void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
unsigned qemu_plugin_mem_size_shift(mem_info);
bool qemu_plugin_mem_is_store(mem_info);

EXPORT int qemu_plugin_version = API_VERSION;
EXPORT int qemu_plugin_install(plugin_id, const void *, int, char **);

typedef struct {
    uint64_t address, accesses, penalty;
} instruction;

typedef struct block {
    struct block *next;
    /* The address behind it is one of these. Where QEMU has looked whether the next instruction
     * crosses a page, it counts what it read to the last one, two bytes too much. */
    uint64_t after, or_after;
    uint64_t executed, arrived, left;
    size_t count;
    instruction instructions[];
} block;

static struct {
    FILE *out;
    uint64_t hook, clock;
    block *blocks, *last; /* all of them; the one that was executed last */
    int reads;            /* of the clock, since the hook was called */
} state;

static void write_layer(void) {
    fputs("layer\n", state.out);
    for (const block *b = state.blocks; b; b = b->next)
        for (size_t i = 0; b->executed && i < b->count; i++) {
            const instruction *in = &b->instructions[i];
            fprintf(state.out,
                    "%" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                    in->address, b->executed, i ? 0 : b->arrived, i + 1 < b->count ? 0 : b->left,
                    in->accesses, in->penalty);
        }
    fflush(state.out);
}

static void forget(void) {
    for (block *b = state.blocks; b; b = b->next) {
        b->executed = b->arrived = b->left = 0;
        for (size_t i = 0; i < b->count; i++)
            b->instructions[i].accesses = b->instructions[i].penalty = 0;
    }
}

static void at_block(unsigned cpu, void *data) {
    block *b = data;
    const uint64_t address = b->instructions[0].address;
    (void)cpu;
    if (address == state.hook)
        state.reads = 0;
    else if (address == state.clock && state.reads == 0)
        write_layer();
    else if (address == state.clock && state.reads == 1)
        forget();
    state.reads += address == state.clock;
    if (state.last && state.last->after != address && state.last->or_after != address) {
        state.last->left++;
        b->arrived++;
    }
    b->executed++;
    state.last = b;
}

static void at_access(unsigned cpu, mem_info info, uint64_t address, void *data) {
    instruction *in = data;
    const unsigned shift = qemu_plugin_mem_size_shift(info);
    (void)cpu;
    in->accesses++;
    if (!qemu_plugin_mem_is_store(info)) {
        if (shift == 1)
            in->penalty += address & 1;
        else if (shift == 2) /* a halfword each; or byte, halfword, byte */
            in->penalty += address & 1 ? 2 : address >> 1 & 1;
    }
}

static void at_translation(plugin_id id, struct qemu_plugin_tb *tb) {
    const size_t count = qemu_plugin_tb_n_insns(tb);
    block *b = calloc(1, sizeof *b + count * sizeof b->instructions[0]);
    (void)id;
    if (!b || !count)
        abort();
    b->count = count;
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *in = qemu_plugin_tb_get_insn(tb, i);
        b->instructions[i].address = qemu_plugin_insn_vaddr(in);
        b->after = b->instructions[i].address + qemu_plugin_insn_size(in);
        b->or_after = b->after - (qemu_plugin_insn_size(in) > 2 ? 2 : 0);
        qemu_plugin_register_vcpu_mem_cb(in, at_access, CB_NO_REGS, MEM_RW, &b->instructions[i]);
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, at_block, CB_NO_REGS, b);
    b->next = state.blocks;
    state.blocks = b;
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++) {
        const char *value = strchr(argv[i], '=');
        if (!value++)
            return -1;
        if (!strncmp(argv[i], "out=", 4))
            state.out = fopen(value, "w");
        else if (!strncmp(argv[i], "hook=", 5))
            state.hook = strtoull(value, NULL, 16);
        else if (!strncmp(argv[i], "clock=", 6))
            state.clock = strtoull(value, NULL, 16);
    }
    if (!state.out || !state.hook || !state.clock)
        return -1;
    state.reads = 2; /* the hook has not been called yet */
    qemu_plugin_register_vcpu_tb_trans_cb(id, at_translation);
    return 0;
}

"""Generated C as a program under the address and undefined-behaviour sanitizers."""

import shutil
import subprocess
from pathlib import Path

from lotor.codegen.c import borders
from lotor.compiler import Compiled

FLAGS = [
    *("-std=c11", "-g", "-O1", "-fno-omit-frame-pointer", "-ffp-contract=off"),
    "-fsanitize=address,undefined,float-cast-overflow,float-divide-by-zero",
    "-fno-sanitize-recover=all",
]

# Reads cases (inputs, then golden outputs) from standard input. Every buffer is allocated to the
# byte; each case runs twice, with other rubbish in the arena, once copying and once in place.
# What a model keeps between runs is kept from case to case.
# With an argument the outputs are not compared.
MAIN = """
#include "@NAME@.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef ARENA
#define ARENA @UPPER@_ARENA_BYTES
#endif

typedef struct { size_t offset, bytes; int is_input; } border;
static const border borders[] = {@BORDERS@};
enum { COUNT = sizeof borders / sizeof *borders };

static void *allocate(size_t bytes) {
    void *p = NULL;
    if (posix_memalign(&p, 16, bytes) != 0) exit(3);
    return p;
}

static unsigned char *kept[2];

int main(int argc, char **argv) {
    unsigned char *given[COUNT], *result[COUNT];
    int cases = 0;
    (void)argv;
    for (int i = 0; i < COUNT; i++) {
        given[i] = allocate(borders[i].bytes);
        result[i] = allocate(borders[i].bytes);
    }
    while (fread(given[0], 1, borders[0].bytes, stdin) == borders[0].bytes) {
        for (int i = 1; i < COUNT; i++) {
            if (fread(given[i], 1, borders[i].bytes, stdin) != borders[i].bytes) return 4;
        }
        for (int in_place = 0; in_place < 2; in_place++) {
            unsigned char *arena = kept[in_place];
            if (arena == NULL) {
                arena = allocate(ARENA);
                memset(arena, in_place ? 0x7f : 0x80, ARENA);
#ifdef @UPPER@_STATE_BYTES
                if (@NAME@_reset(arena) != 0) return 6;
                kept[in_place] = arena;
#endif
            }
            for (int i = 0; i < COUNT; i++) {
                const border *b = &borders[i];
                if (!b->is_input) memset(result[i], 0x55, b->bytes);
                else if (in_place) memcpy(arena + b->offset, given[i], b->bytes);
                else memcpy(result[i], given[i], b->bytes);
            }
            int status = in_place ? @NAME@_run(arena@NULLS@) : @NAME@_run(arena@POINTERS@);
            if (status != 0) return 5;
            for (int i = 0; i < COUNT && argc < 2; i++) {
                if (borders[i].is_input) continue;
                const unsigned char *got = in_place ? arena + borders[i].offset : result[i];
                if (memcmp(got, given[i], borders[i].bytes) != 0) {
                    fprintf(stderr, "case %d, %s: output %d differs\\n", cases,
                            in_place ? "in place" : "copied", i);
                    return 1;
                }
            }
            if (kept[in_place] == NULL) free(arena);
        }
        cases++;
    }
    for (int i = 0; i < COUNT; i++) { free(given[i]); free(result[i]); }
    printf("%d\\n", cases);
    return 0;
}
"""


def compilers() -> list[str]:
    """The C compilers of this machine that have the sanitizers."""
    return [name for name in ("gcc", "clang") if shutil.which(name)]


def program(compiled: Compiled, folder: Path, compiler: str, *flags: str) -> Path:
    """Build a model's program in a folder."""
    compiled.write(folder)
    tensors = borders(compiled.graph)
    rows = [
        f"{{{compiled.plan.offset(t)}, {t.nbytes}, {int(name.startswith('input'))}}}"
        for name, t in tensors
    ]
    words = {
        "NAME": compiled.name,
        "UPPER": compiled.name.upper(),
        "BORDERS": ", ".join(rows),
        "NULLS": ", NULL" * len(tensors),
        "POINTERS": "".join(f", (void *)result[{i}]" for i in range(len(tensors))),
    }
    text = MAIN
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    (folder / "main.c").write_text(text)
    files = ["main.c", f"{compiled.name}.c"]
    target = f"program-{compiler}"
    command = [compiler, "-D_POSIX_C_SOURCE=200809L", *FLAGS, *flags, *files, "-o", target]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / target


def run_program(path: Path, data: bytes, count: int, compare: bool = True) -> str:
    """Run `count` cases; what is wrong, or an empty string."""
    command = [str(path)] if compare else [str(path), "any"]
    done = subprocess.run(command, input=data, capture_output=True)
    if done.returncode == 0 and done.stdout.decode().split() == [str(count)]:
        return ""
    return done.stderr.decode(errors="replace")[:4000] or f"status {done.returncode}"

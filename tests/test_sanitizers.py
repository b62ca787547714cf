"""Every kernel under the address and undefined-behaviour sanitizers, in an arena of exact size."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cases import Build, built, cases, edges
from exactness import as_list, inputs_of
from lotor.codegen.c import borders
from lotor.compiler import Compiled, compile_model
from lotor.oracle import Oracle
from tflite_builder import ModelBuilder, Quant

FLAGS = [
    *("-std=c11", "-g", "-O1", "-fno-omit-frame-pointer", "-ffp-contract=off"),
    "-fsanitize=address,undefined,float-cast-overflow,float-divide-by-zero",
    "-fno-sanitize-recover=all",
]

# Reads cases (inputs, then golden outputs) from standard input. Every buffer is allocated to the
# byte; each case runs twice, with other rubbish in the arena, once copying and once in place.
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

int main(void) {
    unsigned char *given[COUNT], *result[COUNT];
    int cases = 0;
    for (int i = 0; i < COUNT; i++) {
        given[i] = allocate(borders[i].bytes);
        result[i] = allocate(borders[i].bytes);
    }
    while (fread(given[0], 1, borders[0].bytes, stdin) == borders[0].bytes) {
        for (int i = 1; i < COUNT; i++) {
            if (fread(given[i], 1, borders[i].bytes, stdin) != borders[i].bytes) return 4;
        }
        for (int in_place = 0; in_place < 2; in_place++) {
            unsigned char *arena = allocate(ARENA);
            memset(arena, in_place ? 0x7f : 0x80, ARENA);
            for (int i = 0; i < COUNT; i++) {
                const border *b = &borders[i];
                if (!b->is_input) memset(result[i], 0x55, b->bytes);
                else if (in_place) memcpy(arena + b->offset, given[i], b->bytes);
                else memcpy(result[i], given[i], b->bytes);
            }
            int status = in_place ? @NAME@_run(arena@NULLS@) : @NAME@_run(arena@POINTERS@);
            if (status != 0) return 5;
            for (int i = 0; i < COUNT; i++) {
                if (borders[i].is_input) continue;
                const unsigned char *got = in_place ? arena + borders[i].offset : result[i];
                if (memcmp(got, given[i], borders[i].bytes) != 0) {
                    fprintf(stderr, "case %d, %s: output %d differs\\n", cases,
                            in_place ? "in place" : "copied", i);
                    return 1;
                }
            }
            free(arena);
        }
        cases++;
    }
    for (int i = 0; i < COUNT; i++) { free(given[i]); free(result[i]); }
    printf("%d\\n", cases);
    return 0;
}
"""


def _program(compiled: Compiled, folder: Path, *flags: str) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
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
    command = ["gcc", "-D_POSIX_C_SOURCE=200809L", *FLAGS, *flags, *files, "-o", "program"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "program"


def _run(program: Path, cases: list[bytes]) -> None:
    done = subprocess.run([program], input=b"".join(cases), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[:4000]
    assert done.stdout.decode().split() == [str(len(cases))]


@pytest.mark.parametrize("build", cases() + edges(), ids=lambda build: str(build.__name__))
def test_model_is_clean_and_exact(build: Build, tmp_path: Path) -> None:
    model = built(build)
    flatbuffer = model.build()
    oracle = Oracle(flatbuffer)
    cases = []
    for inputs in inputs_of(model):
        outputs = as_list(oracle.run(*inputs))
        cases.append(b"".join(a.tobytes() for a in [*inputs, *outputs]))
    compiled = compile_model(flatbuffer, "portable", build.__name__)
    _run(_program(compiled, tmp_path), cases)


def test_floats_that_no_integer_holds(tmp_path: Path) -> None:
    m = ModelBuilder()
    x = m.input((1, 7), dtype="float32")
    m.output(m.quantize(x, Quant(0.0625, -5)))
    values = np.array([1e30, -1e30, np.inf, -np.inf, 3e9, -3e9, 1e-40], np.float32)
    golden = np.array([127, -128, 127, -128, 127, -128, -5], np.int8)
    program = _program(compile_model(m.build(), "portable", "floats"), tmp_path)
    _run(program, [values.tobytes() + golden.tobytes()])


def test_many_equal_logits(tmp_path: Path) -> None:
    m = ModelBuilder()
    m.output(m.softmax(m.input((1, 1000), Quant(0.05, 0))))
    program = _program(compile_model(m.build(), "portable", "logits"), tmp_path)
    _run(program, [np.full(1000, 3, np.int8).tobytes() + np.full(1000, -128, np.int8).tobytes()])


def test_the_sanitizers_are_on(tmp_path: Path) -> None:
    m = ModelBuilder()
    m.output(m.pad(m.input((1, 4), Quant(0.1, 0)), [(0, 0), (1, 1)]))
    compiled = compile_model(m.build(), "portable", "broken")
    program = _program(compiled, tmp_path, "-DARENA=8")
    done = subprocess.run([program], input=bytes(10), capture_output=True)
    assert b"AddressSanitizer" in done.stderr

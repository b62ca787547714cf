"""What is promised of the generated C: clean, self-contained, stateless, always the same."""

import re
import shutil
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

import cffi
import numpy as np
import pytest

from cases import Build, built, cases, edges
from lotor import __version__
from lotor.compiler import Compiled, compile_model
from lotor.host import build_library
from tflite_builder import ModelBuilder, Quant

WARNINGS = [
    "-std=c11",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wconversion",
    "-Wshadow",
    "-Wdouble-promotion",
    "-pedantic",
]
COMPILERS = {
    "gcc": ["gcc", "-O2"],
    "clang": ["clang", "-O2"],
    "arm-none-eabi-gcc": ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-O2"],
}
# What a freestanding C compiler may call by itself.
ALLOWED_CALLS = {"memcpy", "memmove", "memset"}
HEADERS = {"<stddef.h>", "<stdint.h>", "<string.h>"}
CHECKOUT = Path(__file__).resolve().parents[1]

every_operator = pytest.mark.parametrize("build", cases(), ids=lambda build: str(build.__name__))


@cache
def _compiled(build: Build) -> Compiled:
    return compile_model(built(build).build(), "portable", build.__name__)


def _object(compiled: Compiled, compiler: str, folder: Path, *flags: str) -> Path:
    command = COMPILERS[compiler]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    compiled.write(folder)
    target = folder / "model.o"
    source = f"{compiled.name}.c"
    done = subprocess.run(
        [*command, *WARNINGS, *flags, "-c", source, "-o", str(target)],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.parametrize(
    ("build", "compiler"),
    [
        # Every operator with every compiler; the many edge cases once.
        pytest.param(
            build,
            compiler,
            id=f"{compiler}-{build.__name__}",
            marks=[pytest.mark.slow] if build in edges() and compiler != "gcc" else [],
        )
        for build in cases() + edges()
        for compiler in COMPILERS
    ],
)
def test_compiles_without_a_warning(build: Build, compiler: str, tmp_path: Path) -> None:
    _object(_compiled(build), compiler, tmp_path)


@pytest.mark.parametrize("name", ["dynamic_range", "resize_bilinear_uint8"])
@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        ("gcc", ["-mfma"]),
        ("clang", ["-mfma"]),
        ("arm-none-eabi-gcc", ["-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]),
    ],
)
def test_is_never_fused(compiler: str, flags: list[str], name: str, tmp_path: Path) -> None:
    """Whatever the standard that a project asks for: sums of products keep both roundings."""
    command = COMPILERS[compiler]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    build = next(build for build in cases() + edges() if build.__name__ == name)
    compiled = _compiled(build)
    compiled.write(tmp_path)
    listing = [*command, *flags, "-std=gnu11", "-S", f"{name}.c", "-o", "-"]
    done = subprocess.run(listing, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\bv?muls?s?\.?", done.stdout), "it multiplies floats"
    assert not re.search(r"\bv?f(n?m(add|sub)|m[as])", done.stdout)


@every_operator
def test_header_serves_other_compilers(build: Build, tmp_path: Path) -> None:
    """From C++, and with the warnings of cautious projects."""
    compiled = _compiled(build)
    compiled.write(tmp_path)
    for command in (["g++", "-x", "c++", "-std=c++11"], ["gcc", "-x", "c", "-std=c99"]):
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        flags = ["-Wall", "-Wextra", "-Wundef", "-Wstrict-prototypes", "-pedantic", "-Werror"]
        chosen = [f for f in flags if command[0] == "gcc" or f != "-Wstrict-prototypes"]
        header = [f"{compiled.name}.h", "-DLOTOR_PROFILE", "-fsyntax-only"]
        done = subprocess.run(
            [*command, *chosen, *header], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


@every_operator
def test_usage_in_the_header_is_a_program(build: Build, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    compiled = _compiled(build)
    compiled.write(tmp_path)
    usage = re.search(r"/\* Usage[\s\S]*?\*/", compiled.header)
    assert usage is not None
    lines = re.findall(r"^ \*     (.*)$", usage[0], re.MULTILINE)
    body = "\n".join(lines).replace("{ }", "{ return 0; }")
    text = f'#include "{compiled.name}.h"\nint main(void) {{\n{body}\nreturn 1;\n}}\n'
    (tmp_path / "main.c").write_text(text)
    command = ["gcc", *WARNINGS, "main.c", f"{compiled.name}.c", "-o", "program"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    subprocess.run([tmp_path / "program"], check=True, timeout=60)


@every_operator
def test_holds_nothing_that_it_does_not_use(build: Build) -> None:
    source = _compiled(build).source
    code = re.sub(r"/\*[\s\S]*?\*/", "", source)
    for name in re.findall(r"^struct (\w+) \{", code, re.MULTILINE):
        assert len(re.findall(rf"\b{name}\b", code)) > 1, name
    # Between two comments there is something that one of them speaks of.
    kernels = source[source.index("#define LAYER_DONE") : source.index("/* Tables and calls")]
    assert not re.search(r"\*/\n+/\* [A-Z][^*]*\*/\n+/\*", kernels)


@every_operator
def test_profile_hook_compiles_without_a_warning(build: Build, tmp_path: Path) -> None:
    _object(_compiled(build), "gcc", tmp_path, "-DLOTOR_PROFILE")


@every_operator
def test_has_no_state_and_calls_nothing(build: Build, tmp_path: Path) -> None:
    compiled = _compiled(build)
    target = _object(compiled, "gcc", tmp_path)
    listing = subprocess.run(["nm", target], capture_output=True, text=True, check=True).stdout
    symbols = [line.split()[-2:] for line in listing.splitlines()]
    writable = [name for kind, name in symbols if kind in "bBcCdDgGsSvV"]
    calls = {name for kind, name in symbols if kind == "U"}
    public = [name for kind, name in symbols if kind == "T"]
    assert writable == []
    assert calls <= ALLOWED_CALLS
    reset = [f"{compiled.name}_reset"] if compiled.plan.variables else []
    assert public == [*reset, f"{compiled.name}_run"]


@every_operator
def test_includes_three_standard_headers_only(build: Build) -> None:
    compiled = _compiled(build)
    included = re.findall(r"#\s*include\s*(\S+)", compiled.source + compiled.header)
    assert set(included) - {f'"{compiled.name}.h"'} <= HEADERS


@every_operator
def test_two_compilations_give_the_same_bytes(build: Build, tmp_path: Path) -> None:
    again = compile_model(built(build).build(), "portable", build.__name__)
    first, second = _compiled(build).write(tmp_path / "a"), again.write(tmp_path / "b")
    assert [p.name for p in first] == [p.name for p in second]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


@every_operator
def test_says_where_it_comes_from(build: Build) -> None:
    compiled = _compiled(build)
    upper = compiled.name.upper()
    assert f'#define {upper}_MODEL_HASH "{compiled.model_hash}"' in compiled.header
    assert f"#define {upper}_ARENA_BYTES {compiled.report['arena_bytes']}\n" in compiled.header
    for text in (compiled.source, compiled.header):
        assert f"lotor {__version__}" in text
        assert compiled.model_hash in text
    mapped = re.findall(r"^ \* +(\d+) \.\. +(\d+) .*$", compiled.source, re.MULTILINE)
    assert [(int(a), int(b) - int(a)) for a, b in mapped] == [
        (p["offset"], p["bytes"]) for p in compiled.report["memory"]
    ]


@every_operator
def test_is_in_the_house_style(build: Build, tmp_path: Path) -> None:
    tool = Path(sys.executable).with_name("clang-format")  # the one that `make lint` uses
    if not tool.exists():
        pytest.skip("clang-format is not installed beside Python")
    files = [str(p) for p in _compiled(build).write(tmp_path) if p.suffix in (".c", ".h")]
    style = f"--style=file:{CHECKOUT / '.clang-format'}"
    done = subprocess.run(
        [tool, style, "--dry-run", "-Werror", *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[:2000]


NAMES = [
    "plain/name;with:0",
    "*/ int evil; /*",
    "ends with backslash\\",
    "trigraph ??/",
    "??\\",
    "\x01\x01/",
    "line\nbreak\r\t",
    "Waschbär 🦝",
    '"quoted" %s %n',
    "//",
    "x" * 5000,
    "",
]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("number", range(len(NAMES)))
def test_names_in_the_model_cannot_break_the_code(
    number: int, compiler: str, tmp_path: Path
) -> None:
    m = ModelBuilder()
    y = m.conv2d(m.input((1, 4, 4, 2), Quant(0.1, 0)), 2)
    m.output(m.mean(y))
    for tensor in list(m.tensors):
        m.rename(tensor, NAMES[number])
    _object(compile_model(m.build(), "portable", "named"), compiler, tmp_path)


@pytest.mark.parametrize(
    "stem", ["1st model", "a-b.c", "while", "Größe", "???", "__x", "string", "math", "lotor_model"]
)
def test_any_file_name_gives_a_usable_c_name(stem: str, tmp_path: Path) -> None:
    m = ModelBuilder()
    m.output(m.softmax(m.input((1, 4), Quant(0.1, 0))))
    path = tmp_path / f"{stem}.tflite"
    path.write_bytes(m.build())
    compiled = compile_model(path)
    assert re.fullmatch(r"[a-z_][a-z0-9_]*", compiled.name)
    # It would hide a header of that name.
    assert not re.fullmatch(r"string|math|lotor.*", compiled.name)
    _object(compiled, "gcc", tmp_path)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_labels_are_strings_of_c(compiler: str, tmp_path: Path) -> None:
    m = ModelBuilder()
    m.output(m.softmax(m.input((1, 4), Quant(0.1, 0))))
    labels = ["what??/", 'a "quoted" one\\', "Waschbär", "tab\tand\x01"]
    _object(compile_model(m.build(), "portable", "named", labels), compiler, tmp_path)
    program = (
        '#include "named.h"\n#include <stdio.h>\nint main(void) {\n'
        "    const char *const labels[] = NAMED_LABELS;\n"
        "    for (int i = 0; i < 4; i++) { puts(labels[i]); }\n    return 0;\n}\n"
    )
    (tmp_path / "main.c").write_text(program)
    command = [compiler, *WARNINGS, "main.c", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    assert printed.stdout.splitlines() == [*labels[:3], "tab_and_"]


def test_two_arenas_run_at_the_same_time() -> None:
    network = next(build for build in cases() if build.__name__ == "network")
    compiled = compile_model(built(network).build(), "host", "network")
    ffi = cffi.FFI()
    ffi.cdef("int network_run(void *arena, const float *input, float *output);")
    library: Any = ffi.dlopen(str(build_library(compiled, trace=False)))
    (inputs,), (outputs,) = compiled.graph.inputs, compiled.graph.outputs
    rng = np.random.default_rng(0)

    def fresh_arena() -> tuple[np.ndarray, int]:
        raw = np.full(compiled.plan.arena_bytes + 16, 0xA5, np.uint8)
        return raw, raw.ctypes.data + (-raw.ctypes.data % 16)

    def infer(arena: int, x: np.ndarray) -> bytes:
        y = np.empty(outputs.shape, np.float32)
        pointers = [ffi.cast("void *", arena), ffi.from_buffer("float[]", x.data)]
        assert library.network_run(*pointers, ffi.from_buffer("float[]", y.data)) == 0
        return y.tobytes()

    examples = [rng.normal(0, 4, inputs.shape).astype(np.float32) for _ in range(8)]
    keep, arena = fresh_arena()
    expected = [infer(arena, x) for x in examples]
    assert len(set(expected)) > 1
    wrong: list[int] = []

    def work(start: int) -> None:
        mine, my_arena = fresh_arena()
        for turn in range(300):
            at = (start + turn) % len(examples)
            if infer(my_arena, examples[at]) != expected[at]:
                wrong.append(at)
        del mine

    threads = [threading.Thread(target=work, args=(3 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    del keep
    assert wrong == []


def test_rejects_an_arena_that_is_not_aligned() -> None:
    m = ModelBuilder()
    m.output(m.softmax(m.input((1, 4), Quant(0.1, 0))))
    compiled = compile_model(m.build(), "portable", "tiny")
    ffi = cffi.FFI()
    ffi.cdef("int tiny_run(void *arena, const int8_t *input, int8_t *output);")
    library: Any = ffi.dlopen(str(build_library(compiled, trace=False)))
    raw = np.zeros(compiled.plan.arena_bytes + 64, np.uint8)
    start = raw.ctypes.data + (-raw.ctypes.data % 16)
    assert library.tiny_run(ffi.cast("void *", start), ffi.NULL, ffi.NULL) == 0
    assert library.tiny_run(ffi.cast("void *", start + 4), ffi.NULL, ffi.NULL) < 0
    assert library.tiny_run(ffi.NULL, ffi.NULL, ffi.NULL) < 0


def test_all_kernels_fit_into_one_file(tmp_path: Path) -> None:
    """A model may use any of them together: no name is defined twice."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    headers = sorted((CHECKOUT / "kernels").glob("*/portable.h"))
    assert headers
    (tmp_path / "all.c").write_text("".join(f'#include "{header}"\n' for header in headers))
    command = ["gcc", "-std=c11", "-Wall", "-Werror", "-Wno-unused-function", "-fsyntax-only"]
    done = subprocess.run([*command, "all.c"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

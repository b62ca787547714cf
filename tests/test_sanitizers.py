"""Every kernel under the address and undefined-behaviour sanitizers, in an arena of exact size."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases import Build, built, cases, edges
from cases.transpose_conv import transpose_conv
from exactness import as_list, inputs_of
from lotor.compiler import Compiled, compile_model
from lotor.host import HostModel
from lotor.oracle import Oracle
from sanitized import compilers, program, run_program
from tflite_builder import ModelBuilder, Quant

every_compiler = pytest.mark.parametrize("compiler", ["gcc", "clang"])


def _program(compiled: Compiled, folder: Path, compiler: str, *flags: str) -> Path:
    if compiler not in compilers():
        pytest.skip(f"{compiler} is not installed")
    return program(compiled, folder, compiler, *flags)


def _run(path: Path, cases: list[bytes]) -> None:
    wrong = run_program(path, b"".join(cases), len(cases))
    assert not wrong, wrong


@pytest.mark.parametrize(
    ("build", "compiler"),
    [(b, "gcc") for b in cases() + edges()] + [(b, "clang") for b in cases()],
    ids=lambda value: str(getattr(value, "__name__", value)),
)
def test_model_is_clean_and_exact(build: Build, compiler: str, tmp_path: Path) -> None:
    model = built(build)
    flatbuffer = model.build()
    oracle = Oracle(flatbuffer)
    cases = []
    for inputs in inputs_of(model):
        outputs = as_list(oracle.run(*inputs))
        cases.append(b"".join(a.tobytes() for a in [*inputs, *outputs]))
    compiled = compile_model(flatbuffer, "portable", build.__name__)
    _run(_program(compiled, tmp_path, compiler), cases)


@every_compiler
def test_floats_that_no_integer_holds(compiler: str, tmp_path: Path) -> None:
    m = ModelBuilder()
    x = m.input((1, 7), dtype="float32")
    m.output(m.quantize(x, Quant(0.0625, -5)))
    values = np.array([1e30, -1e30, np.inf, -np.inf, 3e9, -3e9, 1e-40], np.float32)
    golden = np.array([127, -128, 127, -128, 127, -128, -5], np.int8)
    program = _program(compile_model(m.build(), "portable", "floats"), tmp_path, compiler)
    _run(program, [values.tobytes() + golden.tobytes()])


@every_compiler
def test_sums_at_the_end_of_int32(compiler: str, tmp_path: Path) -> None:
    """The reference's results are undefined there; ours wrap, on every compiler alike."""
    m = ModelBuilder()
    end: dict[str, Any] = {"bias": np.full(2, 2**31 - 1), "per_channel": False}
    end |= {"weight_quant": Quant(1 + 2**-13), "quant": Quant(1.0, 127)}
    x = m.input((1, 3, 3, 2), Quant(1 - 2**-13, 0))  # a factor of 1 - 2^-26
    flat = m.input((1, 4), Quant(1 - 2**-13, 0))
    m.output(m.conv2d(x, 2, (1, 1), **end), m.depthwise_conv2d(x, 1, kernel=(1, 1), **end))
    m.output(m.fully_connected(flat, 2, **end), transpose_conv(m, x, (2, 1, 1), (6, 6), **end))
    compiled = compile_model(m.build(), "host", "ends")
    host = HostModel(compiled)
    cases = []
    for inputs in inputs_of(m):
        results = as_list(host.run(*[np.copy(a) for a in inputs]))
        cases.append(b"".join(a.tobytes() for a in [*inputs, *results]))
    _run(_program(compile_model(m.build(), "portable", "ends"), tmp_path, compiler), cases)


@every_compiler
def test_many_equal_logits(compiler: str, tmp_path: Path) -> None:
    m = ModelBuilder()
    m.output(m.softmax(m.input((1, 1000), Quant(0.05, 0))))
    program = _program(compile_model(m.build(), "portable", "logits"), tmp_path, compiler)
    _run(program, [np.full(1000, 3, np.int8).tobytes() + np.full(1000, -128, np.int8).tobytes()])


@every_compiler
def test_the_sanitizers_are_on(compiler: str, tmp_path: Path) -> None:
    m = ModelBuilder()
    m.output(m.pad(m.input((1, 4), Quant(0.1, 0)), [(0, 0), (1, 1)]))
    compiled = compile_model(m.build(), "portable", "broken")
    program = _program(compiled, tmp_path, compiler, "-DARENA=8")
    done = subprocess.run([program], input=bytes(10), capture_output=True)
    assert b"AddressSanitizer" in done.stderr

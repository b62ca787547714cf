"""The C on this machine: built once, found again, safe to build and to call at the same time."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cases import built
from cases.conv_2d import conv_2d
from cases.network import network
from lotor.compiler import compile_model
from lotor.errors import LotorError
from lotor.host import build_library, load
from lotor.sizes import code_bytes
from lotor.verify import random_inputs
from tflite_builder import ModelBuilder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty build cache."""
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path))
    return tmp_path


def simple() -> bytes:
    m = ModelBuilder()
    m.output(m.average_pool2d(m.input((1, 4, 4, 2)), (2, 2), (2, 2)))
    return m.build()


def test_builds_once(cache: Path) -> None:
    compiled = compile_model(simple())
    first = build_library(compiled, trace=False)
    stamp = first.stat().st_mtime_ns
    assert build_library(compiled, trace=False) == first
    assert first.stat().st_mtime_ns == stamp
    assert build_library(compiled, trace=True) != first
    assert sorted(p.suffix for p in (cache / "host").iterdir()) == [".so", ".so"]


def test_other_content_is_another_library(cache: Path) -> None:
    one = build_library(compile_model(simple()), trace=False)
    other = build_library(compile_model(built(conv_2d).build(), name="model"), trace=False)
    assert one != other


_RUN = """
import sys, numpy as np
from lotor.host import load
print(load(open(sys.argv[1], "rb").read()).run(np.full((1, 4, 4, 2), 7, np.int8)).tolist())
"""


def test_processes_build_at_once(cache: Path) -> None:
    model = cache / "model.tflite"
    model.write_bytes(simple())
    command = [sys.executable, "-c", _RUN, str(model)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [process.communicate(timeout=120)[0].strip() for process in started]
    assert answers == [str(np.full((1, 2, 2, 2), 7).tolist())] * 4
    assert [p.suffix for p in (cache / "host").iterdir()] == [".so"]


def test_threads_take_turns() -> None:
    model = load(built(network).build())
    inputs = [x for (x,) in random_inputs(model.compiled.graph, 40, seed=1)] * 50
    expected = [np.asarray(model.run(x)) for x in inputs[:40]] * 50
    with ThreadPoolExecutor(4) as pool:
        for got, want in zip(pool.map(model.run, inputs), expected, strict=True):
            assert np.array_equal(got, want)


def test_a_run_leaves_its_input_alone_and_gives_fresh_outputs() -> None:
    model = load(simple())
    x = np.arange(32, dtype=np.int8).reshape(1, 4, 4, 2)
    before = x.copy()
    first = model.run(x)
    kept = first.copy()
    model.run(x[:, ::-1].copy())
    assert np.array_equal(x, before)
    assert np.array_equal(first, kept)


def test_an_array_that_is_not_contiguous() -> None:
    model = load(simple())
    x = np.arange(32, dtype=np.int8).reshape(1, 4, 4, 2)
    assert np.array_equal(model.run(x[:, ::-1]), model.run(np.ascontiguousarray(x[:, ::-1])))


@pytest.mark.parametrize(
    "x",
    [np.zeros((1, 4, 4, 3), np.int8), np.zeros((4, 4, 2), np.int8), np.zeros((1, 4, 4, 2))],
    ids=["channels", "rank", "float64"],
)
def test_wrong_inputs_are_refused(x: np.ndarray) -> None:
    with pytest.raises(LotorError, match=r"must be int8 \[1, 4, 4, 2\], not"):
        load(simple()).run(x)
    with pytest.raises(LotorError, match=r"1 input\(s\), 2 given"):
        load(simple()).run(x, x)


def test_targets_that_this_machine_cannot_run() -> None:
    with pytest.raises(LotorError, match="cannot run target cortex-m4"):
        load(simple(), "cortex-m4")


def test_no_compiler(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(cache))
    with pytest.raises(LotorError, match="no C compiler 'cc' found; install it"):
        load(simple())


def test_a_cache_that_cannot_be_written(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "file").write_text("")
    monkeypatch.setenv("LOTOR_CACHE", str(cache / "file" / "below"))
    with pytest.raises(LotorError, match="LOTOR_CACHE"):
        load(simple())


def test_a_cache_in_which_nothing_can_be_made(cache: Path) -> None:
    (cache / "host").write_text("")
    with pytest.raises(LotorError, match="name another folder in \\$LOTOR_CACHE"):
        load(simple())


def test_a_compiler_that_fails(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "cc").write_text("#!/bin/sh\necho >&2; echo 'string.h: not found' >&2; exit 1\n")
    (cache / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", str(cache), prepend=os.pathsep)
    with pytest.raises(LotorError, match=r"for target host: string\.h: not found"):
        load(simple())
    assert code_bytes(compile_model(simple())) is None


def test_layer_outputs_end_with_the_output() -> None:
    model = load(built(network).build())
    ((x,),) = random_inputs(model.compiled.graph, 1, seed=2)
    layers = model.layer_outputs(x)
    assert len(layers) == len(model.compiled.layers)
    assert np.array_equal(layers[-1].reshape(-1), np.asarray(model.run(x)).reshape(-1))

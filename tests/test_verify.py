"""`verify` finds what is wrong: C that computes something else, and where it begins to."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases import built
from cases.conv_2d import conv_2d
from cases.network import network
from lotor.compiler import Compiled, compile_model
from lotor.verify import TOLERANCE, difference, random_inputs, verify
from tflite_builder import ModelBuilder, Quant


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small network as a file."""
    path = tmp_path / "network.tflite"
    path.write_bytes(built(network).build())
    return path


def test_equal_everywhere(model: Path) -> None:
    found = verify(str(model), samples=9, seed=3)
    assert (found.samples, found.mismatches, found.max_abs_diff) == (9, 0, 0)
    assert found.first_bad_layer is None
    assert found.elements == 9 * sum(t.elements for t in compile_model(model).graph.outputs)
    assert "BUILTIN_REF" in found.reference


def test_a_broken_kernel_is_found_and_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> Compiled:
        compiled = compile_model(*args, **kwargs)
        # Zero the bias of one layer in the middle.
        wrong, count = re.subn(r"layer_3_bias,", "layer_3_zeros,", compiled.source)
        assert count == 1
        at = wrong.index("static void layer_3(")
        zeros = "static const int32_t layer_3_zeros[64] = {0};\n"
        object.__setattr__(compiled, "source", wrong[:at] + zeros + wrong[at:])
        return compiled

    monkeypatch.setattr("lotor.host.compile_model", broken)
    found = verify(str(model), samples=4, seed=0)
    assert found.mismatches > 0
    assert found.max_abs_diff > 0
    assert found.first_bad_layer is not None
    assert found.first_bad_layer.startswith("3 ")
    assert "first differing layer: 3 " in str(found)


def float_softmax(tmp_path: Path) -> Path:
    m = ModelBuilder()
    m.output(m.softmax(m.input((8, 50), dtype="float32")))
    path = tmp_path / "softmax.tflite"
    path.write_bytes(m.build())
    return path


def test_last_bits_of_floats_are_within_the_tolerance(tmp_path: Path) -> None:
    found = verify(str(float_softmax(tmp_path)), samples=8, seed=0)
    assert found.mismatches > 0, "no sample for this test: all bits are equal"
    assert found.ok and 0 < found.max_rel_diff <= TOLERANCE
    assert "last bits" in str(found)


def test_more_than_the_last_bits_is_a_mismatch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = float_softmax(tmp_path)

    def broken(*args: Any, **kwargs: Any) -> Compiled:
        compiled = compile_model(*args, **kwargs)
        wrong, count = re.subn(r"\.beta = [^,]*,", ".beta = 1.00002f,", compiled.source)
        assert count == 1
        object.__setattr__(compiled, "source", wrong)
        return compiled

    monkeypatch.setattr("lotor.host.compile_model", broken)
    found = verify(str(path), samples=8, seed=0)
    assert not found.ok
    assert "first differing layer: 0 SOFTMAX" in str(found)


def test_difference_counts_bits_not_values() -> None:
    zeros = np.array([0.0, -0.0, 1.0], np.float32)
    assert difference(zeros, np.array([0.0, 0.0, 1.0], np.float32)) == (1, 0.0)
    a, b = np.array([-128, 5, 9], np.int8), np.array([127, 5, 8], np.int8)
    assert difference(a, b) == (2, 255.0)
    assert difference(a, a.copy()) == (0, 0.0)


def test_inputs_without_dimensions() -> None:
    m = ModelBuilder()
    x, flag = m.input((), Quant(0.1, 3)), m.input((), dtype="bool")
    m.output(m.reshape(x, (1,)), m.reshape(flag, (1, 1)))
    for inputs in random_inputs(compile_model(m.build()).graph, 8, seed=1):
        assert [(x.shape, str(x.dtype)) for x in inputs] == [((), "int8"), ((), "bool")]


def test_inputs_follow_from_the_seed_and_reach_the_extremes() -> None:
    graph = compile_model(built(conv_2d).build()).graph
    one, again = (list(random_inputs(graph, 16, seed=5)) for _ in range(2))
    other = next(random_inputs(graph, 1, seed=6))
    for a, b in zip(one, again, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not np.array_equal(one[0][0], other[0])
    everything = np.concatenate([x.ravel() for inputs in one for x in inputs])
    assert (everything.min(), everything.max()) == (-128, 127)
    assert len(np.unique(one[7][0])) == 1  # one value everywhere

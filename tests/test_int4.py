"""Weights of four bits: two to a byte in the generated C, and in what is said of it."""

import re
from typing import Any

import numpy as np
import pytest

from cases import Build
from cases.fully_connected import dense
from cases.int4 import int4_weights, int4_weights_beside_other_types, values
from exactness import assert_exact
from lotor.compiler import Compiled, UnsupportedModelError, compile_model
from lotor.frontend.tflite import read_model
from lotor.graph import Array
from lotor.optimize import optimize
from lotor.optimize.report import report_passes
from passes import assert_rewrite_exact
from tflite_builder import ModelBuilder, Quant, Tensor


def stored(compiled: Compiled) -> list[Array]:
    """The arrays of weights in the C, in the order of layers."""
    found = re.findall(r"(\w+) layer_\w+_weights\[(\d+)\] = \{([^}]*)\};", compiled.source)
    assert {c_type for c_type, _, _ in found} == {"int8_t"}
    arrays = [np.array(text.split(","), np.int8) for _, _, text in found]
    assert [array.size for array in arrays] == [int(size) for _, size, _ in found]
    return arrays


def unpacked(array: Array, shape: tuple[int, ...]) -> Array:
    """The weights, by a second reading of the layout."""
    rows = array.view(np.uint8).reshape(shape[0], -1)
    numbers = [[n for byte in row for n in (byte % 16, byte // 16)] for row in rows.tolist()]
    size = int(np.prod(shape[1:]))
    assert all(number == 0 for row in numbers for number in row[size:])
    kept = np.array([row[:size] for row in numbers], np.int8)
    return np.where(kept > 7, kept - 16, kept).reshape(shape)


def weights_of(m: ModelBuilder) -> list[Array]:
    """The weights that the layers of a compiled graph read."""
    graph = optimize(read_model(m.build(), "model"))
    layers = [op for op in graph.ops if len(op.inputs) > 1]
    return [np.asarray(op.input(1).data) for op in layers]


@pytest.mark.parametrize("build", [int4_weights, int4_weights_beside_other_types])
def test_every_row_begins_at_a_byte(build: Build) -> None:
    m = ModelBuilder(seed=4)
    build(m)
    compiled = compile_model(m.build(), "portable", "model", skip=["order"])
    arrays, weights = stored(compiled), weights_of(m)
    assert len(arrays) == len(weights) == 5
    for array, expected in zip(arrays, weights, strict=True):
        rows, size = expected.shape[0], expected[0].size
        assert array.size == rows * -(-size // 2)
        np.testing.assert_array_equal(unpacked(array, expected.shape), expected)


def test_the_report_counts_what_is_stored() -> None:
    m = ModelBuilder(seed=4)
    x = m.input((1, 5, 5, 3), Quant(0.05, 3))
    m.output(m.conv2d(x, 5, weight_dtype="int4"))  # padded: its zero point is not folded
    m.output(m.depthwise_conv2d(x, 3, weight_dtype="int4"))
    m.output(m.fully_connected(m.input((1, 7)), 2, weight_dtype="int4"))
    report = compile_model(m.build(), "portable", "model", skip=["order"]).report
    each = 4 + 4 + 1  # bias, multiplier, shift
    sizes = [5 * 14 + 5 * each, 41 + 9 * each, 2 * 4 + 2 * 4 + 5]  # one scale for the last
    assert [layer["weights_bytes"] for layer in report["layers"]] == sizes
    assert report["weights_bytes"] == sum(sizes)


def test_what_rewrites_save_is_counted_in_bytes_of_flash() -> None:
    m = ModelBuilder(seed=4)
    x = m.input((1, 4, 4, 2))
    m.conv2d(x, 3, bias=False, weight_dtype="int4")
    m.output(m.max_pool2d(x))
    dead = next(p for p in report_passes(read_model(m.build(), "m")) if p["name"] == "remove_dead")
    assert dead["saved"]["weights_bytes"] == 3 * 3 * 3 * 2 // 2


def test_layers_that_share_weights_share_them_packed() -> None:
    m = ModelBuilder(seed=4)
    x = m.input((3, 7), Quant(0.05, 3))
    w = m.constant(values(m, 4, 7), Quant(0.01), "int4")
    m.output(dense(m, x, w, None, Quant(0.1)), dense(m, x, w, None, Quant(0.07)))
    assert len(stored(compile_model(m.build(), "portable", "model"))) == 1
    assert_exact(m)


def test_channels_that_are_removed_are_not_stored() -> None:
    m = ModelBuilder(seed=4)
    x = m.input((1, 5, 5, 3), Quant(0.05, -5))
    how: dict[str, Any] = {
        "activation": "RELU6",
        "quant": Quant(0.03, -128),
        "weight_dtype": "int4",
    }
    big = np.array([0, -(10**8), 0, 0, 10**8, 0])
    y = m.conv2d(x, weights=values(m, 6, 3, 3, 3), bias=big, weight_quant=Quant(0.004), **how)
    y = m.depthwise_conv2d(y, weights=values(m, 1, 3, 1, 6), padding="VALID", weight_dtype="int4")
    y = m.conv2d(y, weights=values(m, 3, 1, 1, 6), weight_dtype="int4")
    m.output(m.fully_connected(y, weights=values(m, 2, 45), weight_dtype="int4"))
    result = assert_rewrite_exact(m, "remove_constant_channels")
    shapes = [op.input(1).shape for op in result.graph.ops if len(op.inputs) > 1]
    assert shapes == [(4, 3, 3, 3), (1, 3, 1, 4), (3, 1, 1, 4), (2, 45)]
    compiled = compile_model(m.build(), "portable", "model")
    assert [a.size for a in stored(compiled)] == [4 * 14, 6, 3 * 2, 2 * 23]


def test_a_transpose_goes_into_the_weights() -> None:
    m = ModelBuilder(seed=4)
    x = m.input((1, 3, 5, 3))
    order = m.constant([0, 3, 1, 2], None, "int32")
    y = m.tensor((1, 3, 3, 5), x.quant)
    m.operator("TRANSPOSE", [x, order], [y], "TransposeOptions")
    m.output(m.fully_connected(m.reshape(y, (1, -1)), 3, weight_dtype="int4"))
    assert_rewrite_exact(m, "fold_transpose_into_weights")


def test_a_zero_point_goes_into_the_bias() -> None:
    m = ModelBuilder(seed=4)
    x = m.input((1, 5, 4, 3), Quant(0.05, 17))
    m.output(m.conv2d(x, 3, padding="VALID", weight_dtype="int4"))
    m.output(m.depthwise_conv2d(x, 3, padding="VALID", weight_dtype="int4"))
    assert_rewrite_exact(m, "fold_zero_point")


@pytest.mark.parametrize("kind", ["conv2d", "depthwise_conv2d", "fully_connected"])
def test_no_reference_beside_uint8(kind: str) -> None:
    m = ModelBuilder(seed=4)
    x: Tensor = m.input((1, 3, 3, 2))
    m.output(getattr(m, kind)(x, per_channel=False, weight_dtype="int4"))
    m.to_uint8()
    with pytest.raises(UnsupportedModelError, match="int4 weights beside uint8 activations"):
        compile_model(m.build(), "portable", "model")

"""Channels that are constant or unneeded: what is removed, and that every result stays."""

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cases
from cases.channels import RELU6, combined
from conftest import CHECKOUT
from effort import examples
from exactness import inputs_of
from lotor.compiler import compile_model
from lotor.frontend.tflite import read_model
from lotor.graph import DType, Graph
from lotor.graph import Tensor as GraphTensor
from lotor.host import HostModel
from lotor.ops.fixed import requantize_each
from lotor.ops.window import Axis
from lotor.optimize import optimize
from lotor.optimize.ranges import channel_ranges, reads_padding
from lotor.optimize.remove_constant_channels import remove_constant_channels
from passes import assert_rewrite_exact, run_pass
from tflite_builder import ModelBuilder, Quant, Tensor

NAME = "remove_constant_channels"
BIG = 10**6  # a bias that takes every channel here to the limit of its output


def shapes(m: ModelBuilder) -> list[tuple[int, ...]]:
    """The shapes of what the layers write after the rewrite."""
    return [op.outputs[0].shape for op in run_pass(m, NAME).graph.ops]


def start(side: int = 4) -> tuple[ModelBuilder, Tensor]:
    m = ModelBuilder(seed=7)
    return m, m.input((1, side, side, 2), Quant(0.05, -5))


def stuck(m: ModelBuilder, x: Tensor, biases: list[int]) -> Tensor:
    """A pointwise convolution with given biases; its sums stay within 65,000."""
    weights = m.weights((len(biases), 1, 1, x.shape[3]))
    return m.conv2d(
        x,
        weights=weights,
        bias=np.array(biases),
        activation="RELU6",
        quant=Quant(0.03, -128),  # 6 is 72
        weight_quant=Quant(0.004),
    )


def test_channels_at_their_limits_are_removed() -> None:
    m, x = start()
    y = stuck(m, x, [0, -BIG, 0, BIG])
    m.output(m.conv2d(y, 3, (1, 1)))
    result = assert_rewrite_exact(m, NAME)
    first, second = result.graph.ops
    assert first.outputs[0].shape == (1, 4, 4, 2)
    assert first.outputs[0].source is None
    assert second.outputs[0].shape == (1, 4, 4, 3)
    assert second.outputs[0].source is not None
    assert [first.input(1).shape, second.input(1).shape] == [(2, 1, 1, 2), (3, 1, 1, 2)]
    assert first.input(1).q.scales.size == 1
    assert first.input(2).shape == (2,)


def test_filters_of_zeros_with_a_scale_each() -> None:
    m, x = start()
    weights = m.weights((4, 2, 2, 2))
    weights[[0, 2]] = 0
    y = m.conv2d(x, weights=weights)
    m.output(m.conv2d(y, 3, (2, 2), padding="VALID"))
    result = assert_rewrite_exact(m, NAME)
    assert result.graph.ops[0].outputs[0].shape == (1, 4, 4, 2)
    assert result.graph.ops[0].input(1).q.scales.size == 2


def test_where_padding_is_read_only_the_zero_point_is_removed() -> None:
    m, x = start()
    y = stuck(m, x, [0, -BIG, 0, BIG])  # -128 is the zero point
    m.output(m.conv2d(y, 3, (3, 3)))
    assert_rewrite_exact(m, NAME)
    assert shapes(m)[0] == (1, 4, 4, 3)
    # With stride 2 nothing lies before an even image, but something after it.
    m, x = start()
    m.output(m.conv2d(stuck(m, x, [0, BIG]), 3, (3, 3), stride=(2, 2)))
    assert_rewrite_exact(m, NAME, changes=False)
    # SAME that needs no padding.
    m, x = start()
    m.output(m.conv2d(stuck(m, x, [0, BIG]), 3, (2, 2), stride=(2, 2)))
    assert_rewrite_exact(m, NAME)


def test_windows_that_read_padding() -> None:
    x = GraphTensor("x", (1, 8, 8, 1), DType.INT8)
    plain = Axis(3, 1, 1, same=False)
    assert not reads_padding(x, plain, plain)
    for pads in ((1, 0), (0, 1)):
        padded = Axis(3, 1, 1, same=False, explicit=pads)
        assert reads_padding(x, padded, plain)
        assert reads_padding(x, plain, padded)
    assert not reads_padding(x, plain, Axis(2, 2, 1, same=False, explicit=(0, 1)))


def test_depthwise_layers_pass_on_what_is_constant() -> None:
    m, x = start()
    y = stuck(m, x, [0, -BIG, 0, BIG])
    weights = m.weights((1, 3, 3, 8))
    weights[..., 4] = 0  # one of two channels made of channel 2
    y = m.depthwise_conv2d(y, weights=weights, activation="RELU6", quant=RELU6)
    m.output(m.conv2d(y, 3, (1, 1)))
    assert_rewrite_exact(m, NAME)
    # Channel 3 is 72 inside and nothing beyond the border.
    assert shapes(m) == [(1, 4, 4, 3), (1, 4, 4, 6), (1, 4, 4, 3)]


def test_a_dead_depthwise_channel_takes_its_input_along() -> None:
    m, x = start()
    weights = m.weights((1, 3, 3, 4))
    weights[..., 1] = 0
    y = m.depthwise_conv2d(m.conv2d(x, 4), weights=weights)
    m.output(m.conv2d(y, 3, (1, 1)))
    assert_rewrite_exact(m, NAME)
    assert shapes(m)[:2] == [(1, 4, 4, 3), (1, 4, 4, 3)]


def test_every_reader_must_do_without_it() -> None:
    m, x = start()
    y = stuck(m, x, [0, -BIG])
    m.output(m.conv2d(y, 3, (1, 1)), y)
    assert_rewrite_exact(m, NAME, changes=False)
    m, x = start()
    y = stuck(m, x, [0, -BIG])
    m.output(m.conv2d(y, 3, (1, 1)), m.softmax(y))
    assert_rewrite_exact(m, NAME, changes=False)
    m, x = start()
    y = stuck(m, x, [0, -BIG])
    m.output(m.conv2d(y, 3, (1, 1)), m.conv2d(y, 2, (1, 1)))
    assert_rewrite_exact(m, NAME)


def test_channels_that_no_reader_uses() -> None:
    m, x = start()
    y = m.conv2d(x, 4)
    weights = m.weights((3, 3, 3, 4))
    weights[..., 1] = 0
    weights[:2, ..., 2] = 0  # only an output that is dead itself reads it
    z = m.conv2d(y, weights=weights)
    last = m.weights((2, 1, 1, 3))
    last[..., 2] = 0
    m.output(m.conv2d(z, weights=last))
    assert_rewrite_exact(m, NAME)
    assert shapes(m) == [(1, 4, 4, 2), (1, 4, 4, 2), (1, 4, 4, 2)]


def test_the_head_of_a_network() -> None:
    m, x = start()
    y = stuck(m, x, [0, -BIG, BIG, 0])
    y = m.pad(m.average_pool2d(y), [(0, 0), (1, 1), (0, 0), (0, 0)])  # BIG's is not constant now
    flat = m.reshape(y, (1, 32))
    hidden = m.fully_connected(flat, weights=m.weights((4, flat.shape[1])), bias=[0, BIG, 0, -BIG])
    m.output(m.softmax(m.fully_connected(hidden, 3)))
    m.output(m.fully_connected(m.mean(y), 3))
    result = assert_rewrite_exact(m, NAME)
    assert {op.name: op.outputs[0].shape for op in result.graph.ops}[flat.name] == (1, 8 * 3)


def test_a_border_without_quantization() -> None:
    m = ModelBuilder()
    x = m.tensor((1, 4, 4, 2))
    m.inputs.append(x)
    m.output(m.pad(x, [(0, 0), (1, 1), (0, 0), (0, 0)]))
    graph = read_model(m.build(), "model")
    assert graph.inputs[0].quant is None
    assert channel_ranges(graph)[graph.outputs[0]].low.tolist() == [-128, -128]


def test_a_layer_without_bias_gets_one() -> None:
    m, x = start()
    y = stuck(m, x, [0, BIG])
    m.output(m.fully_connected(y, 3, bias=False))
    result = assert_rewrite_exact(m, NAME)
    assert result.graph.ops[1].input(2).shape == (3,)


def test_a_layer_of_constants_keeps_one_channel() -> None:
    m, x = start()
    y = m.depthwise_conv2d(stuck(m, x, [BIG, BIG, -BIG]), 2, padding="VALID")
    m.output(m.conv2d(y, 3, (1, 1)))
    assert_rewrite_exact(m, NAME)
    assert shapes(m) == [(1, 4, 4, 1), (1, 2, 2, 2), (1, 2, 2, 3)]


def test_a_bias_that_would_leave_int32_is_left_alone() -> None:
    m, x = start()
    y = stuck(m, x, [0, BIG])
    weights = np.full((1, 1, 1, 2), 127, np.int8)
    m.output(m.conv2d(y, weights=weights, bias=np.array([2**31 - 255 * 127 - 1])))
    assert not run_pass(m, NAME).added
    m.output(m.conv2d(y, weights=weights, bias=np.array([2**31 - 255 * 127 * 4 - 1])))
    assert not run_pass(m, NAME).added  # one reader is enough


def test_weights_that_layers_share_stay() -> None:
    m, x = start()
    y, z = stuck(m, x, [0, BIG]), m.conv2d(x, 2)
    m.output(m.conv2d(y, 3, (1, 1)), m.conv2d(z, 3, (1, 1)))
    graph = read_model(m.build(), "model")
    assert remove_constant_channels(graph) is not graph
    graph.ops[-1].inputs[1] = graph.ops[-2].inputs[1]
    assert remove_constant_channels(graph) is graph


def test_grouped_convolutions_need_all() -> None:
    m, x = start()
    y = stuck(m, x, [0, BIG, -BIG, 0])
    m.output(m.conv2d(y, weights=m.weights((4, 2, 1, 2)), padding="VALID"))
    assert_rewrite_exact(m, NAME, changes=False)


def test_sums_and_products() -> None:
    m, x = start()
    a, b = stuck(m, x, [0, BIG, BIG, 0, -BIG]), stuck(m, x, [0, BIG, 0, 0, -BIG])
    wide = Quant(0.1, -128)
    y = combined(m, "ADD", a, b, wide)
    y = combined(m, "SUB", y, m.constant(m.weights((5,)), Quant(0.03)), wide)
    scale = stuck(m, m.mean(y, (1, 2), True), [0, 0, 0, BIG, BIG])
    y = combined(m, "MAXIMUM", combined(m, "MUL", scale, y, wide), y)
    m.output(m.conv2d(y, 3, (1, 1)))
    assert_rewrite_exact(m, NAME)
    # Channel 4 is constant everywhere; so is channel 1, as its product is beyond the scale.
    assert [s[-1] for s in shapes(m)[:-1]] == [3] * (len(shapes(m)) - 1)


def test_one_element_for_all_channels() -> None:
    m, x = start()
    y = combined(m, "MUL", stuck(m, x, [0, BIG, -BIG]), stuck(m, x, [BIG]))
    m.output(m.conv2d(y, 3, (1, 1)))
    assert_rewrite_exact(m, NAME)
    assert [s[-1] for s in shapes(m)] == [1, 1, 1, 3]


def test_constants_that_layers_share_stay() -> None:
    m, x = start()
    factors = m.constant(m.weights((2,)), Quant(0.03))
    for _ in range(2):
        y = combined(m, "MUL", stuck(m, x, [0, BIG]), factors)
        m.output(m.conv2d(y, 3, (1, 1)))
    assert_rewrite_exact(m, NAME, changes=False)


def test_uint8_models() -> None:
    m, x = start()
    y = stuck(m, x, [0, -BIG, 0, BIG])
    y = m.depthwise_conv2d(y, padding="VALID", per_channel=False)
    m.output(m.fully_connected(m.conv2d(y, 3, (1, 1), per_channel=False), 2))
    m.to_uint8(weights_zero_point=117)
    assert_rewrite_exact(m, NAME)
    assert [s[-1] for s in shapes(m) if len(s) == 4] == [2, 2, 2, 3]  # first as int8


@settings(
    max_examples=examples(6),
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(cases.random()["channels"])
def test_random_networks(m: ModelBuilder) -> None:
    assert_rewrite_exact(m, NAME, changes=bool(run_pass(m, NAME).added))


def test_random_networks_lose_channels() -> None:
    changed = 0

    @settings(max_examples=40, deadline=None, database=None, derandomize=True)
    @given(cases.random()["channels"])
    def count(m: ModelBuilder) -> None:
        nonlocal changed
        changed += bool(run_pass(m, NAME).added)

    count()
    assert changed > 10


def assert_within(m: ModelBuilder) -> None:
    """What every layer writes lies within the ranges."""
    compiled = compile_model(m.build(), "host")
    ranges = channel_ranges(Graph("g", compiled.graph.inputs, [], compiled.graph.ops))
    host = HostModel(compiled)
    for inputs in inputs_of(m):
        for layer, output in zip(compiled.layers, host.layer_outputs(*inputs), strict=True):
            if layer.output in ranges:
                found = ranges[layer.output]
                rows = output.reshape(-1, layer.output.row)
                assert (rows.min(axis=0) >= found.low).all(), (layer.kind, m)
                assert (rows.max(axis=0) <= found.high).all(), (layer.kind, m)


@pytest.mark.parametrize("drawn", ["channels", "networks", "mean", "tables"])
def test_ranges_hold(drawn: str) -> None:
    @settings(
        max_examples=examples(5),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases.random()[drawn])
    def property_(m: ModelBuilder) -> None:
        assert_within(m)

    property_()


@pytest.mark.parametrize("seed", range(4))
def test_ranges_of_sums_and_products_hold(seed: int) -> None:
    m = ModelBuilder(seed)
    a, b = m.unary("RELU", m.input((1, 2, 2, 8), Quant(0.05, 5))), m.input((1, 2, 2, 8))
    for kind in ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"):
        m.output(combined(m, kind, a, b))
    assert_within(m)


@settings(max_examples=15, deadline=None, database=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["conv", "depthwise", "dense"]))
def test_ranges_are_reached(seed: int, kind: str) -> None:
    """The inputs that drive a channel to its limits do so."""
    m = ModelBuilder(seed)
    depth, outputs = 5, 5
    x = m.input((1, 1, 1, depth))
    weights = m.weights((outputs, depth))
    if kind == "conv":
        y = m.conv2d(x, weights=weights.reshape(outputs, 1, 1, depth), multiplier=3e-3)
    elif kind == "depthwise":
        weights = np.diag(m.weights((outputs,)))
        y = m.depthwise_conv2d(x, weights=weights.diagonal().reshape(1, 1, 1, -1))
    else:
        y = m.fully_connected(x, weights=weights, multiplier=3e-3)
    m.output(y)
    graph = optimize(read_model(m.build(), "model"))
    found = channel_ranges(graph)[graph.outputs[0]]
    host = HostModel(compile_model(m.build(), "host"))
    for o in range(outputs):
        for sign, limit in ((1, found.high), (-1, found.low)):
            best = np.where(weights[o] * sign > 0, 127, -128).astype(np.int8)
            assert host.run(best.reshape(x.shape)).reshape(-1)[o] == limit[o]


def test_requantization_is_that_of_the_kernels(tmp_path: Path) -> None:
    header = CHECKOUT / "kernels/common/fixed_point.h"
    source = f"""#include "{header}"
    void each(int n, const int32_t *x, const int32_t *m, const int32_t *s, int32_t *out) {{
        for (int i = 0; i < n; i++) out[i] = lotor_requantize(x[i], m[i], s[i]);
    }}"""
    (tmp_path / "each.c").write_text(source)
    library = tmp_path / "each.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "each.c"], check=True)
    rng = np.random.default_rng(1)
    count = 200_000
    x = rng.integers(-(2**31), 2**31, count) >> rng.integers(0, 31, count)
    multiplier = rng.integers(2**30, 2**31, count)
    multiplier[::7] = 2**30  # ties
    multiplier[::1001] = 0
    shift = rng.integers(-31, 31, count)
    out = np.empty(count, np.int32)
    columns = [np.ascontiguousarray(c, np.int32) for c in (x, multiplier, shift)]
    ctypes.CDLL(str(library)).each(
        count, *[c.ctypes.data_as(ctypes.c_void_p) for c in [*columns, out]]
    )
    assert np.array_equal(requantize_each(x, multiplier, shift), out)


def test_rows_too_long_to_be_channels() -> None:
    m = ModelBuilder(seed=3)
    x = m.input((1, 70_000), Quant(0.1, 3))
    m.output(m.fully_connected(m.unary("TANH", x, Quant(1 / 128)), 2, multiplier=1e-6))
    assert_rewrite_exact(m, "remove_constant_channels", changes=False)

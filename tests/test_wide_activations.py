"""Files with activations of 16 bits, all or some: LiteRT and the generated C agree bit for bit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lotor.errors import LotorError
from lotor.frontend.tflite import read_model
from lotor.host import load
from lotor.oracle import Oracle
from lotor.train.export import (
    SOFTMAX,
    SOFTMAX_16,
    Plan,
    Quantization,
    changed,
    plan,
    quantize_layer,
    to_int8,
)
from lotor.train.layers import Layer, Network
from test_quantization_training import images, keras_model, ranges_of

pytestmark = pytest.mark.train


def pools() -> Network:
    """Both pools, a reshape, two dense layers and a softmax, beside what `keras_model` has."""
    rng = np.random.default_rng(8)

    def dense(name: str, into: str, inputs: int, outputs: int) -> Layer:
        weights = rng.normal(0, 0.3, (outputs, inputs)).astype(np.float32)
        bias = rng.normal(0, 0.3, outputs).astype(np.float32)
        return Layer(name, "fully_connected", (into,), (outputs,), weights, bias)

    filters = rng.normal(0, 0.4, (6, 3, 3, 3)).astype(np.float32)
    bias = rng.normal(0, 0.3, 6).astype(np.float32)
    layers = (
        Layer("conv", "conv_2d", ("image",), (9, 9, 6), filters, bias, stride=(2, 2),
              clamp=(0.0, None)),
        Layer("average", "average_pool_2d", ("conv",), (8, 8, 6), window=(2, 2)),
        Layer("largest", "max_pool_2d", ("average",), (4, 4, 6), window=(2, 2), stride=(2, 2)),
        Layer("flat", "reshape", ("largest",), (96,)),
        replace(dense("first", "flat", 96, 7), clamp=(0.0, 6.0)),
        dense("logits", "first", 7, 4),
        Layer("probabilities", "softmax", ("logits",), (4,)),
    )  # fmt: skip
    return Network("pools", "image", (20, 20, 3), layers, ("probabilities",))


def network_of(kind: str) -> Network:
    if kind == "pools":
        pytest.importorskip("tensorflow")
        return pools()
    from lotor.train.fold import fold

    return fold(keras_model(kind))


def differences(content: bytes, planned: Plan, inputs: Any, folder: Path) -> tuple[Any, int]:
    """Return the outputs in the C, and how many bytes of them LiteRT has otherwise."""
    path = folder / "wide.tflite"
    path.write_bytes(content)
    oracle, host = Oracle(path), load(path)
    whole = planned.tensors["image"].quantize(inputs)
    found, wrong = [], 0
    for row in whole:
        a, b = (np.asarray(m.run(row[None])) for m in (oracle, host))
        assert a.dtype == b.dtype
        wrong += int((a != b).sum())
        found.append(b[0])
    return np.stack(found), wrong


@pytest.mark.parametrize("kind", ["plain", "residual", "pools"])
def test_all_activations_of_16_bits(kind: str, tmp_path: Path) -> None:
    network = network_of(kind)
    from lotor.train.rounded import RoundedNetwork
    from lotor.train.run import FloatNetwork

    inputs = images(24)
    planned = plan(network, ranges_of(network, inputs), activations=16)
    assert all(q.bits == 16 and q.zero_point == 0 for q in planned.tensors.values())
    content = to_int8(network, planned)
    kinds = {op.kind for op in read_model(content, kind).ops}
    assert "QUANTIZE" not in kinds
    found, wrong = differences(content, planned, inputs, tmp_path)
    assert wrong == 0
    wanted = FloatNetwork(network)(inputs)[network.outputs[0]]
    assert np.abs(SOFTMAX_16.real(found) - wanted).max() < 0.02
    # What judges layers computes what the file does, but for roundings.
    logits = np.asarray(RoundedNetwork(network, planned)(inputs))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = powers / powers.sum(axis=1, keepdims=True)
    assert np.abs(SOFTMAX_16.real(found) - scores).max() < 2e-3


@pytest.mark.parametrize("raised", ["depth", "expand", "sum", "pool", "mean", "logits"])
def test_some_activations_of_16_bits(raised: str, tmp_path: Path) -> None:
    network = network_of("residual")
    inputs = images(24)
    found = ranges_of(network, inputs)
    planned = plan(network, found)
    if raised == "pool":  # shares what is before it
        planned = changed(network, planned, "down", Quantization.of(*found["down"], 16))
        assert planned.tensors["pool"].bits == 16
    else:
        planned = changed(network, planned, raised, Quantization.of(*found[raised], 16))
    content = to_int8(network, planned)
    graph = read_model(content, raised)
    assert graph.inputs[0].dtype.value == graph.outputs[0].dtype.value == "int8"
    between = [op for op in graph.ops if op.kind == "QUANTIZE"]
    assert 2 <= len(between) <= 5
    outputs, wrong = differences(content, planned, inputs, tmp_path)
    assert wrong == 0
    plain, _ = differences(to_int8(network, plan(network, found)), planned, inputs, tmp_path)
    assert 0 < np.abs(outputs.astype(int) - plain).max() < 60
    assert np.abs(outputs.astype(int) - plain).mean() < 8


def test_int16_is_symmetric_and_pixels_stay_exact() -> None:
    quant = Quantization.of(-1, 127 / 128, 16)
    assert quant == Quantization(2.0**-15, 0, 16)
    pixels = np.arange(-128, 128)
    assert (quant.quantize(np.asarray(pixels / 128, np.float32)) == pixels * 256).all()
    assert Quantization.of(0, 6, 16).scale == pytest.approx(6 / 32767)
    eight = Quantization(0.5, 3)
    assert eight.wide == Quantization(0.5 / 128, 0, 16)
    assert SOFTMAX.wide == SOFTMAX_16
    # Every int8 number is one of int16 exactly.
    whole = np.arange(-128, 128, dtype=np.int8)
    assert (eight.wide.real(eight.wide.quantize(eight.real(whole))) == eight.real(whole)).all()


def test_biases_have_64_bits() -> None:
    network = pools()
    planned = Plan({n: Quantization.of(-1e-3, 1e-3, 16) for n in ("image", "conv")})
    layer = replace(network["conv"], bias=np.full(6, 1e4, np.float32))
    found = quantize_layer(layer, planned)
    assert found.bias.dtype == np.int64
    assert found.bias.min() > 1 << 31


def test_16_bits_are_not_trained() -> None:
    network = network_of("pools")
    from lotor.train.qat import QuantizedModel

    planned = plan(network, ranges_of(network, images(16)), activations=16)
    with pytest.raises(LotorError, match="leave the steps out"):
        QuantizedModel(network, planned)

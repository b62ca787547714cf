"""Networks whose channels are constant or unneeded in part, as after training with ReLU."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from cases import case, random_models
from cases.strategies import Draw, builder
from tflite_builder import Array, ModelBuilder, Quant, Tensor

RELU6 = Quant(float(np.float32(6 / 255)), -128)


def with_dead(m: ModelBuilder, shape: tuple[int, ...], axis: int, dead: float) -> Array:
    """Weights of which some filters are zero."""
    weights = np.moveaxis(m.weights(shape), axis, 0)
    weights[m.rng.random(len(weights)) < dead] = 0
    return np.ascontiguousarray(np.moveaxis(weights, 0, axis))


def bias(m: ModelBuilder, channels: int, stuck: float) -> Array:
    """Biases, some of them so large that the output is at its limit whatever the input."""
    values = m.rng.integers(-20000, 20000, channels)
    far = m.rng.choice([-(10**8), 10**8, -(2**31), 2**31 - 1], channels)
    return np.where(m.rng.random(channels) < stuck, far, values)


def conv(m: ModelBuilder, x: Tensor, channels: int, side: int = 1, **how: Any) -> Tensor:
    """A convolution with dead filters, stuck channels, and inputs that it does not use."""
    weights = with_dead(m, (channels, side, side, x.shape[3]), 0, 0.3)
    weights[..., m.rng.random(x.shape[3]) < 0.2] = 0
    scaled: dict[str, Any] = {"activation": "RELU6", "quant": RELU6} | how
    return m.conv2d(x, weights=weights, bias=bias(m, channels, 0.2), **scaled)


def depthwise(m: ModelBuilder, x: Tensor, multiple: int = 1, **how: Any) -> Tensor:
    """A depthwise convolution with dead and stuck channels."""
    channels = x.shape[3] * multiple
    weights = with_dead(m, (1, 3, 3, channels), 3, 0.2)
    scaled: dict[str, Any] = {"activation": "RELU6", "quant": RELU6} | how
    return m.depthwise_conv2d(x, weights=weights, bias=bias(m, channels, 0.2), **scaled)


def combined(
    m: ModelBuilder, kind: str, a: Tensor, b: Tensor, quant: Quant | None = None
) -> Tensor:
    """ADD, SUB, MUL, MAXIMUM or MINIMUM with broadcasting."""
    if kind in ("MAXIMUM", "MINIMUM"):
        quant = a.quant
    y = m.tensor(np.broadcast_shapes(a.shape, b.shape), quant or m.quant(0.05))
    options = {"MAXIMUM": "MaximumMinimumOptions", "MINIMUM": "MaximumMinimumOptions"}
    fields: dict[str, Any] = {} if kind in options else {"FusedActivationFunction": 0}
    name = options.get(kind, f"{kind.capitalize()}Options")
    return m.operator(kind, [a, b], [y], name, version=2, **fields)


def dense(m: ModelBuilder, x: Tensor, units: int, **how: Any) -> Tensor:
    """A dense layer with dead and stuck outputs."""
    depth = x.shape[-1] if len(x.shape) == 2 else int(np.prod(x.shape[1:]))
    weights = with_dead(m, (units, depth), 0, 0.2)
    return m.fully_connected(x, weights=weights, bias=bias(m, units, 0.2), **how)


@case
def channels(m: ModelBuilder) -> None:
    x = m.input((1, 6, 5, 3), Quant(0.03, -5))
    y = depthwise(m, conv(m, x, 9, 3), padding="VALID")
    y = m.max_pool2d(conv(m, y, 8, quant=Quant(0.02, 3), activation="NONE"))
    y = combined(m, "MUL", m.add(y, conv(m, y, 8)), conv(m, m.mean(y, (1, 2), True), 8))
    y = dense(m, m.mean(y, quant=Quant(0.02, -9)), 6, activation="RELU")
    m.output(m.softmax(m.fully_connected(y, 3, quant=Quant(0.06, 3))))


@random_models
def random_channels(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    side = draw(st.integers(3, 6))
    y = m.input((1, side, side, draw(st.integers(1, 4))), Quant(0.03, draw(st.integers(-128, 127))))
    for block in draw(st.lists(st.sampled_from("cdpatrbek"), min_size=2, max_size=6)):
        padding = draw(st.sampled_from(["SAME", "VALID"])) if y.shape[1] >= 3 else "SAME"
        how: dict[str, Any] = {"padding": padding}
        if draw(st.booleans()):  # zero points other than -128: what is constant is not always zero
            how |= {"quant": m.quant(), "activation": draw(st.sampled_from(["NONE", "RELU"]))}
        if block == "c":
            y = conv(m, y, draw(st.integers(1, 9)), draw(st.sampled_from([1, 1, 3])), **how)
        elif block == "d":
            y = depthwise(m, y, draw(st.sampled_from([1, 1, 2])), **how)
        elif block == "p":
            y = m.pad(y, [(0, 0), (1, 0), (0, 1), (0, draw(st.integers(0, 1)))])
        elif block == "a":
            y = m.average_pool2d(y, (2, 2), (1, 1), "SAME")
        elif block == "t":
            y = m.unary("LOGISTIC", y, Quant(1 / 256, -128))
        elif block == "r":
            y = m.reshape(m.reshape(y, (1, -1)), y.shape)
        elif block == "e":
            kind = draw(st.sampled_from(["ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"]))
            other = m.mean(y, (1, 2), True) if draw(st.booleans()) else y
            quant = y.quant if kind in ("MAXIMUM", "MINIMUM") else Quant(0.03, -7)
            other = conv(m, other, draw(st.sampled_from([y.shape[3], 1])), quant=quant)
            a, b = (y, other) if draw(st.booleans()) else (other, y)
            y = combined(m, kind, a, b)
        elif block == "k":
            row = draw(st.sampled_from([y.shape[3], 1]))
            constant = m.constant(m.weights((1, 1, 1, row)), Quant(0.02, 9))
            y = combined(m, draw(st.sampled_from(["ADD", "SUB", "MUL"])), y, constant)
        else:  # two readers
            y = m.max_pool2d(y, (1, 1), (1, 1), "SAME")
            m.output(conv(m, y, 2))
    last = draw(st.sampled_from(["mean", "flat", "plain"]))
    if last == "plain":
        m.output(y)
        return m
    flat = m.mean(y, (1, 2), draw(st.booleans())) if last == "mean" else m.reshape(y, (1, -1))
    m.output(dense(m, dense(m, m.reshape(flat, (1, -1)), 5, activation="RELU"), 3))
    return m

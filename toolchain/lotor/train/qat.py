"""Quantization-aware training on Keras 3, with the arithmetic of the compiled model.

The forward pass is integers, bit for bit what the exported file computes in LiteRT's reference
kernels (and so on a board): weights and biases rounded, sums whole, requantized as the kernels do.
The backward pass takes every rounding for the identity ("straight-through estimator"; Bengio et
al., arXiv:1308.3432; Jacob et al., arXiv:1712.05877). Normalisation is folded before, and scales
stay what they were calibrated to, until `refresh`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from lotor.errors import LotorError
from lotor.ops.quantization import fixed_point, fixed_points
from lotor.train.export import Plan, Quantization, quantize_layer
from lotor.train.layers import PROBABILITIES, Layer, Network
from lotor.train.rounded import rounded
from lotor.train.run import before_clamp, products

_LOW, _HIGH = -128, 127
_EXACT = 1 << 24  # float32 holds every integer up to it
_FULLY_CONNECTED_LIMIT = 65536.0
_HEAD_ROOM = 20  # bits that both inputs of ADD get


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _straight(hard: tf.Tensor, soft: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
    """Return `hard`, with the gradient of `soft`."""
    return hard, lambda gradient: (None, gradient)


def _half_away(x: tf.Tensor) -> tf.Tensor:
    """Round half away from zero."""
    return tf.sign(x) * tf.floor(tf.abs(x) + 0.5)


def _multiply_high(x: tf.Tensor, multiplier: tf.Tensor) -> tf.Tensor:
    """Return x * multiplier / 2^31 rounded half up, int64; see `lotor.ops.fixed`."""
    return tf.bitwise.right_shift(x * multiplier + (1 << 30), tf.constant(31, tf.int64))


def _divide_by_power(x: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Return x / 2^right rounded half away from zero, int64."""
    mask = tf.bitwise.left_shift(tf.ones_like(right), right) - 1
    threshold = tf.bitwise.right_shift(mask, tf.ones_like(mask)) + tf.cast(x < 0, tf.int64)
    more = tf.cast(tf.bitwise.bitwise_and(x, mask) > threshold, tf.int64)
    return tf.bitwise.right_shift(x, tf.broadcast_to(right, tf.shape(x))) + more


Factor = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
"""A factor for each channel: the real number, and as the reference has it: power of two,
multiplier, shift to the right."""


def _factor(reals: np.ndarray[Any, Any]) -> Factor:
    multipliers, shifts = fixed_points(np.asarray(reals, np.float64))
    left, right = np.maximum(shifts, 0), np.maximum(-shifts.astype(np.int64), 0)
    integers = (np.int64(1) << left.astype(np.int64), multipliers, right)
    return tf.constant(reals, tf.float64), *(tf.constant(v, tf.int64) for v in integers)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _requantized(
    sums: tf.Tensor, bias: tf.Tensor, factor: Factor, low: tf.Tensor, high: tf.Tensor
) -> tuple[tf.Tensor, Callable[..., Any]]:
    """Return whole sums with a bias, times a factor, rounded twice and cut off, as float32."""
    hard, inside = _rounded_twice(sums, bias, factor, low, high)

    def backward(gradient: tf.Tensor) -> tuple[Any, ...]:
        passed = gradient * inside * tf.cast(factor[0], tf.float32)
        along = tuple(range(len(passed.shape) - 1))
        of_bias = tf.cast(tf.reduce_sum(passed, along), bias.dtype)
        return tf.cast(passed, sums.dtype), of_bias, (None,) * len(factor), None, None

    return hard, backward


# Compiled, it passes over the sums once; as operations of their own, fifteen times.
@tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
def _rounded_twice(
    sums: tf.Tensor, bias: tf.Tensor, factor: Factor, low: tf.Tensor, high: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the integers, and 1 where their real numbers are within the limits, else 0."""
    exact, power, multiplier, right = factor
    total = tf.cast(sums, tf.float64) + bias
    product = _multiply_high(tf.cast(total, tf.int64) * power, multiplier)
    hard = tf.cast(_divide_by_power(product, right), tf.float32)
    soft = tf.cast(total * exact, tf.float32)
    inside = tf.cast((soft >= low) & (soft <= high), tf.float32)
    return tf.clip_by_value(hard, low, high), inside


def _requantized_dense(
    sums: tf.Tensor, bias: tf.Tensor, factor: Factor, low: tf.Tensor, high: tf.Tensor
) -> tf.Tensor:
    """Return the same for a dense layer, which the reference rounds once."""
    total = tf.cast(sums, tf.float64) + bias
    real = total * factor[0]
    most = _FULLY_CONNECTED_LIMIT
    hard = tf.cast(tf.clip_by_value(_half_away(real), -most, most), tf.float32)
    soft = tf.cast(real, tf.float32)
    return _straight(tf.clip_by_value(hard, low, high), tf.clip_by_value(soft, low, high))


def _limits(layer: Layer, quant: Quantization) -> tuple[float, float]:
    """Return the limits of a layer's output, as distances to its zero point."""
    low, high = _LOW - quant.zero_point, _HIGH - quant.zero_point
    least, greatest = layer.clamp

    def steps(real: float) -> int:
        return int(np.floor(abs(real) / quant.scale + 0.5) * np.sign(real))

    return (
        float(low if least is None else max(low, steps(least))),
        float(high if greatest is None else min(high, steps(greatest))),
    )


class QuantizedModel(keras.Model):  # type: ignore[misc]
    """A network that trains as integers.

    Takes float32 [n, *input] and returns float32 [n, *output] of the network's output, or of what
    is before its probabilities: real numbers that lie on the output's int8 grid. Several outputs
    lie side by side, along the last axis.

    Args:
        network: folded; see `fold`.
        planned: quantization of its tensors, all of 8 bits; see `export.plan`.

    Raises:
        LotorError: there are tensors of 16 bits, or layers that cannot be trained.
    """

    def __init__(self, network: Network, planned: Plan) -> None:
        super().__init__(name=network.name)
        if planned.mixed:
            raise LotorError(
                f"{network.name}: activations of 16 bits cannot be trained as integers; leave the "
                "steps out, which 16 bits do not need"
            )
        self._network, self._planned, self._heads = network, planned, network.heads
        self._steps: dict[str, Callable[..., tf.Tensor]] = {}
        self._kernels: dict[str, Any] = {}
        self._biases: dict[str, Any] = {}
        for layer in network:
            if layer.weights is None or layer.bias is None:
                continue
            name = layer.name.replace("/", ".")  # which Keras keeps for itself
            self._kernels[layer.name] = self.add_weight(
                shape=layer.weights.shape, name=f"{name}_weights", initializer="zeros"
            )
            self._biases[layer.name] = self.add_weight(
                shape=layer.bias.shape, name=f"{name}_bias", initializer="zeros"
            )
            self._kernels[layer.name].assign(layer.weights)
            self._biases[layer.name].assign(layer.bias)
        self.built = True
        self.refresh()

    @property
    def network(self) -> Network:
        """The network with the weights as they are now."""
        layers = tuple(
            replace(
                layer,
                weights=np.asarray(self._kernels[layer.name], np.float32),
                bias=np.asarray(self._biases[layer.name], np.float32),
            )
            if layer.name in self._kernels
            else layer
            for layer in self._network
        )
        return replace(self._network, layers=layers)

    @property
    def planned(self) -> Plan:
        """The quantization of its tensors."""
        return self._planned

    def rounded_weights(self, name: str) -> np.ndarray[Any, Any]:
        """Return the real numbers that a layer's integer weights stand for, float32."""
        return rounded(self.network[name], self._planned)

    def set_bias(self, name: str, bias: np.ndarray[Any, Any]) -> None:
        """Give a layer another bias."""
        self._biases[name].assign(bias)

    def refresh(self) -> None:
        """Give every filter the scale that its weights have now; a traced step must be remade."""
        now = self.network
        self._steps = {n.name: self._step(n) for n in now if n.kind not in PROBABILITIES}
        if self.compiled:
            self.make_train_function(force=True)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the scores for float32 [n, *input]."""
        tensors = self.tensors(inputs)
        heads = [tensors[name] for name in self._heads]
        return heads[0] if len(heads) == 1 else tf.concat(heads, -1)

    def tensors(self, inputs: Any) -> dict[str, Any]:
        """Run all layers but probabilities; return tensors as the real numbers they stand for."""
        quant = self._planned.tensors[self._network.input]
        soft = inputs / quant.scale
        low, high = float(_LOW - quant.zero_point), float(_HIGH - quant.zero_point)
        clipped = tf.clip_by_value(soft, low, high)
        # Between layers: whole distances to the tensors' zero points.
        whole = {
            self._network.input: _straight(tf.clip_by_value(_half_away(soft), low, high), clipped)
        }
        for layer in self._network:
            if layer.kind not in PROBABILITIES:
                whole[layer.name] = self._steps[layer.name](*(whole[n] for n in layer.inputs))
        return {name: value * self._planned.tensors[name].scale for name, value in whole.items()}

    def _step(self, layer: Layer) -> Callable[..., tf.Tensor]:
        kinds: dict[str, Callable[[Layer], Callable[..., tf.Tensor]]] = {
            "conv_2d": self._sums,
            "depthwise_conv_2d": self._sums,
            "fully_connected": self._sums,
            "add": self._add,
            "mean": self._mean,
            "pad": _unchanged,
            "reshape": _unchanged,
            "concatenation": _unchanged,
            "max_pool_2d": _unchanged,
        }
        if layer.kind not in kinds:
            raise LotorError(f"layer {layer.name}: {layer.kind} cannot be trained as integers yet")
        return kinds[layer.kind](layer)

    def _sums(self, layer: Layer) -> Callable[..., tf.Tensor]:
        integers = quantize_layer(layer, self._planned)
        kernel, shift = self._kernels[layer.name], self._biases[layer.name]
        into = np.float64(self._planned.tensors[layer.inputs[0]].scale)
        quant = self._planned.tensors[layer.name]
        both = into * integers.scales.astype(np.float64)
        reals = both / np.float64(quant.scale)
        low, high = _limits(layer, quant)
        most = self._planned.most(layer.name)
        along = [1] * integers.weights.ndim
        along[layer.channel_axis] = -1
        scales = integers.scales.reshape(along)
        reach = 255 * np.abs(integers.weights.astype(np.int64)).sum(
            axis=tuple(n for n in range(integers.weights.ndim) if n != layer.channel_axis)
        )
        # Scales may lag behind weights that grow: then as much as all weights at their limit.
        size = integers.weights.size // len(scales.reshape(-1))
        dtype = tf.float32 if max(reach.max(), 255 * most * size) < _EXACT else tf.float64
        factor = _factor(reals)
        ends = tf.constant(low), tf.constant(high)
        finish = _requantized_dense if layer.kind == "fully_connected" else _requantized

        def run(x: tf.Tensor) -> tf.Tensor:
            wide = tf.cast(kernel, tf.float64) / scales.astype(np.float64)
            soft_w = tf.clip_by_value(kernel / scales, -most, most)
            hard_w = tf.cast(tf.clip_by_value(tf.round(wide), -most, most), tf.float32)
            weights = tf.cast(_straight(hard_w, soft_w), dtype)
            sums = products(layer, tf.cast(x, dtype), weights)
            hard_b = tf.cast(tf.round(tf.cast(shift, tf.float64) / both), tf.float64)
            soft_b = tf.cast(shift / tf.constant(both, tf.float32), tf.float64)
            return finish(sums, _straight(hard_b, soft_b), factor, *ends)

        return run

    def _add(self, layer: Layer) -> Callable[..., tf.Tensor]:
        scale_a, scale_b = (np.float32(self._planned.tensors[n].scale) for n in layer.inputs)
        quant = self._planned.tensors[layer.name]
        twice = float(np.float32(2) * max(scale_a, scale_b))
        out = twice / float(np.float32(1 << _HEAD_ROOM) * np.float32(quant.scale))
        points = [fixed_point(r) for r in (float(scale_a) / twice, float(scale_b) / twice, out)]
        multipliers = [tf.constant(p.multiplier, tf.int64) for p in points]
        rights = [tf.constant(-p.shift, tf.int64) for p in points]
        low, high = _limits(layer, quant)

        def down(x: tf.Tensor, which: int) -> tf.Tensor:
            return _divide_by_power(_multiply_high(x, multipliers[which]), rights[which])

        def run(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
            left, right = (
                down(tf.cast(x, tf.int64) * (1 << _HEAD_ROOM), i) for i, x in enumerate((a, b))
            )
            hard = tf.cast(down(left + right, 2), tf.float32)
            soft = (a * scale_a + b * scale_b) / quant.scale
            return _straight(tf.clip_by_value(hard, low, high), tf.clip_by_value(soft, low, high))

        return run

    def _mean(self, layer: Layer) -> Callable[..., tf.Tensor]:
        into, quant = (self._planned.tensors[n] for n in (layer.inputs[0], layer.name))
        height, width = self._network.shape(layer.inputs[0])[:2]
        count = height * width
        point = fixed_point(into.scale / quant.scale)
        # The reference folds 1/count into the multiplier, keeping as many bits as fit.
        more = min(count.bit_length() - 1, 32, 31 + point.shift)
        multiplier = tf.constant((point.multiplier << more) // count, tf.int64)
        shift = point.shift - more
        right, left = tf.constant(max(-shift, 0), tf.int64), 1 << max(shift, 0)
        low, high = _limits(layer, quant)

        def run(x: tf.Tensor) -> tf.Tensor:
            sums = tf.reduce_sum(x, (1, 2), keepdims=len(layer.shape) == 3)
            high_part = _multiply_high(tf.cast(sums, tf.int64) * left, multiplier)
            hard = tf.cast(_divide_by_power(high_part, right), tf.float32)
            soft = sums * (into.scale / quant.scale / count)
            return _straight(tf.clip_by_value(hard, low, high), tf.clip_by_value(soft, low, high))

        return run


def _unchanged(layer: Layer) -> Callable[..., tf.Tensor]:
    """Return a layer whose integers are some of its inputs'."""
    return lambda *inputs: before_clamp(layer, list(inputs))

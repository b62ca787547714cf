"""How much of each tensor quantization has drowned: the ratio of signal to noise, in decibels."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from lotor.train.layers import PROBABILITIES, Array, Network
from lotor.train.rounded import Integers
from lotor.train.run import FloatNetwork, before_clamp, clamped

_MOST = 120.0  # decibels that stand for "equal"


@dataclass(frozen=True)
class LayerNoise:
    """One layer's noise.

    Attributes:
        name: of the layer.
        kind: of the layer.
        total: dB of its output's signal over all noise: its own and what came before.
        own: dB over the noise of this layer alone, on inputs that are quantized already.
    """

    name: str
    kind: str
    total: float
    own: float


def noise(
    network: Network | FloatNetwork, quantized: Integers, batches: Iterable[Array]
) -> list[LayerNoise]:
    """Compare a network with itself as integers, layer by layer.

    Args:
        network: in float, as it was before it was changed for quantization; one that runs already
            is quicker.
        quantized: the same network as integers.
        batches: float32 [n, *input].
    """
    real = network if isinstance(network, FloatNetwork) else FloatNetwork(network)
    changed = quantized.network
    signal: dict[str, float] = {}
    total: dict[str, float] = {}
    own: dict[str, float] = {}
    for batch in batches:
        wanted, found = real(batch), {n: np.asarray(v) for n, v in quantized.tensors(batch).items()}
        for layer in changed:
            if layer.kind in PROBABILITIES:
                continue
            ideal = wanted[layer.name]
            inputs = [tf.constant(found[name]) for name in layer.inputs]
            alone = np.asarray(clamped(layer, before_clamp(layer, inputs)))
            _count(signal, layer.name, ideal)
            _count(total, layer.name, found[layer.name] - ideal)
            _count(own, layer.name, found[layer.name] - alone)
    return [
        LayerNoise(
            layer.name,
            layer.kind,
            decibels(signal[layer.name], total[layer.name]),
            decibels(signal[layer.name], own[layer.name]),
        )
        for layer in changed
        if layer.name in signal
    ]


def _count(sums: dict[str, float], name: str, values: Array) -> None:
    sums[name] = sums.get(name, 0.0) + float(np.square(values, dtype=np.float64).sum())


def decibels(signal: float, error: float) -> float:
    """Return 10 log10(signal / error), at most 120."""
    if error <= 0:
        return _MOST
    return float(min(_MOST, 10 * np.log10(max(signal, 1e-30) / error)))


WORST = 3


def worst(found: Iterable[LayerNoise]) -> list[LayerNoise]:
    """Return the three layers with the most noise of their own."""
    return sorted(found, key=lambda layer: layer.own)[:WORST]


def as_text(found: list[LayerNoise]) -> str:
    """Return the ratios as a table, the worst layers named."""
    width = max(len(layer.name) for layer in found)
    lines = [f"{'layer':<{width}}  SQNR dB  own dB"]
    lines += [f"{layer.name:<{width}}  {layer.total:7.1f}  {layer.own:6.1f}" for layer in found]
    names = ", ".join(f"{layer.name} ({layer.own:.1f} dB)" for layer in worst(found))
    return "\n".join([*lines, f"worst by their own noise: {names}"])


def as_dicts(found: Iterable[LayerNoise]) -> list[Mapping[str, object]]:
    """Return the ratios for `--json`."""
    return [vars(layer) for layer in found]

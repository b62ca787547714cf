"""FULLY_CONNECTED of int8 for Armv7-M: which layers, how weights are packed."""

from dataclasses import replace

import numpy as np

from lotor.graph import Array
from lotor.ops import KernelCall
from lotor.targets.linear_scale import Sums
from lotor.targets.v7m_sums import byte_words, line_of, words_of

_MOST_INPUTS = 1 << 16
_GROUP = 8


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `v7m.h`; None where it would not be exact or not work."""
    if call.function != "fully_connected":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    weights = call.constants["weights"].reshape(p["outputs"], p["inputs"])
    if p["inputs"] >= _MOST_INPUTS:
        return None
    sums = Sums.of(call, weights.astype(np.int16) + p["weights_offset"])
    scale = line_of(sums)
    if scale is None:
        return None
    bias = sums.bias + scale.move
    groups = [
        _packed(weights[at : at + _GROUP], bias[at : at + _GROUP], scale.table[at : at + _GROUP])
        for at in range(0, p["outputs"], _GROUP)
    ]
    words = np.concatenate(groups)
    names = ("batches", "inputs", "outputs", "weights_offset", "out_min", "out_max")
    params = {name: p[name] for name in names}
    params |= {
        "rest": p["outputs"] % _GROUP,
        "words": len(words),
        "last": len(groups[-1]) if p["outputs"] % _GROUP else 0,
        "lift": scale.lift,
        "shift": scale.shift,
    }
    return replace(
        call, params=params, constants={"weights": words}, structure="fully_connected_v7m"
    )


def _packed(weights: Array, bias: Array, table: Array) -> Array:
    """Return a group's words as the kernel reads them."""
    packed: Array = np.concatenate(
        [words_of(bias), byte_words(weights.T.reshape(1, -1))[0], words_of(table.reshape(-1))]
    )
    return packed

"""FULLY_CONNECTED of int8 for Helium: which layers, how weights are packed."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array
from lotor.memory import NO_CLEARANCE, Clearance
from lotor.ops import KernelCall
from lotor.targets.helium_weights import BLOCK, biased_line_of, blocks_of, groups_of, words_of
from lotor.targets.linear_scale import LinearScale, Sums

_GROUP = 8
_TURNS = (4, 2, 1)  # blocks in a turn of the loop
_EVEN_ODD = [0, 2, 4, 6, 1, 3, 5, 7]  # as two vectors are merged


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `helium.h`; None where it would not be exact."""
    if call.function != "fully_connected":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    if p["weights_offset"] != 0:
        return None
    weights = call.constants["weights"].reshape(p["outputs"], p["inputs"])
    sums = Sums.of(call, weights)
    scale = biased_line_of(sums)
    if scale is None:
        return None
    words = _packed(weights, sums.bias, scale)
    whole = p["inputs"] // BLOCK
    params = {name: p[name] for name in ("batches", "inputs", "outputs", "out_min", "out_max")}
    params |= {
        "few": p["outputs"] if p["outputs"] < _GROUP else 0,
        "more": p["outputs"] % _GROUP or _GROUP,
        "words": len(words),
        "rest": p["inputs"] % BLOCK,
        "turn": next(turn for turn in _TURNS if whole % turn == 0) if whole else 0,
        "lift": scale.lift,
        "shift": scale.shift,
    }
    return replace(
        call, params=params, constants={"weights": words}, structure="fully_connected_helium"
    )


def _packed(weights: Array, bias: Array, scale: LinearScale) -> Array:
    """Return the weights as the kernel reads them, uint32."""
    blocks = blocks_of(weights)
    parts = []
    for group in groups_of(len(weights), _GROUP):
        chosen = group[_EVEN_ODD]
        parts.append(bias[chosen])
        parts.append(words_of(blocks[chosen].transpose(1, 0, 2)).reshape(-1))
        parts.append(scale.table[chosen].T.reshape(-1))
    packed: Array = (np.concatenate(parts) & 0xFFFFFFFF).astype(np.uint32)
    return packed


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: all of it is needed until the end."""
    return [NO_CLEARANCE] * len(call.inputs)

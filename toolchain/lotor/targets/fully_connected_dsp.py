"""FULLY_CONNECTED of int8 for the DSP instructions: which layers, how weights are packed."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array
from lotor.memory import NO_CLEARANCE, Clearance
from lotor.ops import KernelCall
from lotor.targets.blocks import turn_block
from lotor.targets.dsp_weights import line_from_24_bits, pair_words
from lotor.targets.linear_scale import Sums
from lotor.targets.shared_call import SharedCall

_GROUP = 4
_SHIFT = 9  # which most layers can have
_SHORT_TURN = 2
_TURNS = ((1 << 14, 16), (1 << 12, 8), (0, 1))  # of layers with so many weights
TURN = turn_block((1, 2, 4, 8, 16), 124)


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `dsp.h`; None where it would not be exact or not work."""
    if call.function != "fully_connected":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    weights = call.constants["weights"].reshape(p["outputs"], p["inputs"])
    if (
        p["outputs"] < _GROUP
        or p["inputs"] % _GROUP
        or p["weights_offset"] != 0
        or weights.min() < -127
    ):
        return None
    sums = Sums.of(call, weights)
    one = line_from_24_bits(sums.joined, _SHIFT) if sums.joined else None
    scale = one or line_from_24_bits(sums, _SHIFT)
    if scale is None:
        return None
    table = np.zeros((len(weights), 0), np.int64) if one else scale.table
    words = _packed(weights, sums.bias, table)
    params = {name: p[name] for name in ("batches", "inputs", "outputs", "out_min", "out_max")}
    turn = next(turn for least, turn in _TURNS if weights.size >= least)
    params |= {
        "back": -p["outputs"] % _GROUP,
        "words": len(words),
        "turn": turn,
        "multiplier": int(scale.multiplier[0]) if one else 0,
        "addend": int(scale.addend[0]) if one else 0,
        "scaled_alike": int(one is not None),
        "lift": scale.lift,
        "shift": scale.shift,
    }
    return replace(
        call, params=params, constants={"weights": words}, structure="fully_connected_dsp"
    )


def share(calls: Sequence[SharedCall], small: bool) -> list[KernelCall]:
    """Return a model's calls, with short loops where they shall be small."""
    if not small:
        return [call.packed for call in calls]
    return [
        replace(call.packed, params={**call.packed.params, "turn": _SHORT_TURN}) for call in calls
    ]


def _packed(weights: Array, bias: Array, table: Array) -> Array:
    """Return the weights as the kernel reads them: four outputs after the other, uint32."""
    count = len(weights)
    # If they are no multiple of four, the first four end where the next begin.
    starts = sorted({0, *range(count % _GROUP or _GROUP, count, _GROUP)})
    chosen = np.array([[start + i for i in range(_GROUP)] for start in starts])
    a, b, c, d = chosen.T
    words = np.stack([pair_words(weights[a], weights[b]), pair_words(weights[c], weights[d])], -1)
    biases = np.stack([bias[a], bias[a] + 256 * bias[b], bias[c], bias[c] + 256 * bias[d]], 1)
    lines = table[chosen].reshape(len(starts), -1)
    stream = np.concatenate([biases, words.reshape(len(starts), -1), lines], axis=1)
    packed: Array = (stream.reshape(-1) & 0xFFFFFFFF).astype(np.uint32)
    return packed


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: all of it is needed until the end."""
    return [NO_CLEARANCE] * len(call.inputs)

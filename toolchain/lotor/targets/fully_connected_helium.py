"""FULLY_CONNECTED of int8 for Helium: which layers, how weights are packed."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array
from lotor.memory import NO_CLEARANCE, Clearance
from lotor.ops import KernelCall
from lotor.targets.blocks import turn_block
from lotor.targets.helium_weights import BLOCK, biased_line_of, blocks_of, groups_of, words_of
from lotor.targets.linear_scale import Sums

_GROUP = 8
_MOST_PIXELS = 4  # of a convolution, which takes four at a time itself
_TURNS = (4, 2, 1)  # blocks in a turn of the loop
TURN = turn_block(
    (1, 2, 4, 8),
    68,
    lambda call, turn: (
        int(call.params["inputs"]) >= BLOCK and int(call.params["inputs"]) // BLOCK % turn == 0
    ),
)
_EVEN_ODD = [0, 2, 4, 6, 1, 3, 5, 7]  # as two vectors are merged


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `helium.h`; None where it would not be exact."""
    if call.function != "fully_connected":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    return _dense(call, p["batches"], p["inputs"], p["outputs"])


def pack_pixels(call: KernelCall) -> KernelCall | None:
    """Return the call of `helium.h` for a 1x1 convolution; None where it is none of few pixels."""
    if call.function != "conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    pixels = p["batches"] * p["out_h"] * p["out_w"]
    window = [p[f"{name}_{axis}"] for name in ("kernel", "stride") for axis in "hw"]
    if (
        pixels >= _MOST_PIXELS
        or window != [1] * 4
        or p["pad_h"] + p["pad_w"] > 0
        or (p["group_c"], p["in_step"], p["out_step"]) != (p["in_c"], p["in_c"], p["out_c"])
    ):
        return None
    return _dense(call, pixels, p["in_c"], p["out_c"])


def _dense(call: KernelCall, batches: int, inputs: int, outputs: int) -> KernelCall | None:
    if call.params["weights_offset"] != 0:
        return None
    weights = call.constants["weights"].reshape(outputs, inputs)
    sums = Sums.of(call, weights)
    line, twice = biased_line_of(sums), None if sums.once else sums.rounded_twice()
    if line is not None:
        table = line.table
    elif twice is not None:
        table = twice.table * [1, 1, -1]
    else:
        return None
    words = _packed(weights, sums.bias, table)
    whole = inputs // BLOCK
    params = {
        "batches": batches,
        "inputs": inputs,
        "outputs": outputs,
        "out_min": int(call.params["out_min"]),
        "out_max": int(call.params["out_max"]),
        "few": outputs if outputs < _GROUP else 0,
        "more": outputs % _GROUP or _GROUP,
        "words": len(words),
        "rest": inputs % BLOCK,
        "turn": next(turn for turn in _TURNS if whole % turn == 0) if whole else 0,
        "lift": line.lift if line else 0,
        "shift": line.shift if line else 0,
    }
    return replace(
        call,
        kernel="fully_connected",
        function="fully_connected",
        params=params,
        constants={"weights": words},
        structure="fully_connected_helium",
    )


def _packed(weights: Array, bias: Array, table: Array) -> Array:
    """Return the weights and scales as the kernel reads them, uint32."""
    blocks = blocks_of(weights)
    parts = []
    for group in groups_of(len(weights), _GROUP):
        chosen = group[_EVEN_ODD]
        parts.append(bias[chosen])
        parts.append(words_of(blocks[chosen].transpose(1, 0, 2)).reshape(-1))
        parts.append(table[chosen].T.reshape(-1))
    packed: Array = (np.concatenate(parts) & 0xFFFFFFFF).astype(np.uint32)
    return packed


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: all of it is needed until the end."""
    return [NO_CLEARANCE] * len(call.inputs)

"""CONV_2D of int8 for the DSP instructions: which layers, how weights are packed, which order.

With int4 weights too, see `dsp_int4.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Tensor
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.ops.int4 import unpacked
from lotor.targets.blocks import Block
from lotor.targets.dsp_int4 import in_blocks, layer_of, with_layer
from lotor.targets.dsp_weights import (
    dense_function,
    dense_turn,
    dense_with_turn,
    implied_addends,
    kept,
    line_from_24_bits,
    pair_words,
    rounded_from_24_bits,
)
from lotor.targets.linear_scale import Sums
from lotor.targets.overlap import block_clearance, image_reads
from lotor.targets.shared_call import SharedCall

_LANES = 4
_SHIFT = 13  # which most layers can have
_SELDOM, _MOST = 0.1, 0.75  # parts of the multiply-accumulates
_SHORT_TURN, _TURN, _LONG_TURN = 4, 8, 16  # pairs of inputs in one turn of the loop
TURN = Block(
    "turn",
    (_SHORT_TURN, _TURN, _LONG_TURN),
    lambda call, turn: turn,
    lambda call: dense_turn(_dense(call)),
    lambda call, turn: _with_turn(call, turn),
    51,
    lambda call: _dense(call).split("_", 2)[2],
)
GEOMETRY = (
    "batches in_h in_w in_c out_h out_w in_step out_step kernel_h kernel_w "
    "stride_h stride_w pad_h pad_w dilation_h dilation_w"
)


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `dsp.h`; None where it would not be exact, and for 1x1 filters."""
    return _pack(call, pointwise=False) if call.function == "conv_2d" else None


def pack_pointwise(call: KernelCall) -> KernelCall | None:
    """Return the call of `dsp_pointwise.h`; None where it would not be exact or not work."""
    return _pack(call, pointwise=True) if call.function == "conv_2d" else None


def pack_int4(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/int4/dsp.h`; None as for `pack`."""
    return _pack(call, pointwise=False) if call.function == "conv_2d_int4" else None


def pack_int4_pointwise(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/int4/dsp_pointwise.h`; None as for `pack_pointwise`."""
    return _pack(call, pointwise=True) if call.function == "conv_2d_int4" else None


def share(calls: Sequence[SharedCall], small: bool) -> list[KernelCall]:
    """Return a model's calls with few functions between them: seldom used ones become one.

    That one rounds twice, as the reference does, with a shift for each filter.
    """
    work: dict[str, int] = {}
    for call in calls:
        name = _dense(call.packed)
        work[name] = work.get(name, 0) + call.macs
    total = sum(work.values())
    seldom = {name for name, macs in work.items() if macs < _SELDOM * total}
    # Long turns are worth their code where most windows are long.
    pairs = (layer_of(call.packed).params["pairs"] for call in calls)
    long = sum(c.macs for c, n in zip(calls, pairs, strict=True) if n >= 2 * _LONG_TURN)
    turn = _SHORT_TURN if small else _LONG_TURN if long > _MOST * total else _TURN
    found = []
    for call in calls:
        exactly = len(seldom) > 1 and _dense(call.packed) in seldom
        pointwise = is_pointwise(call.source.params)
        again = exactly or turn != _TURN
        packed = _pack(call.source, pointwise, turn, exactly, small) if again else None
        found.append(packed or call.packed)
    return found


def _pack(
    call: KernelCall,
    pointwise: bool,
    turn: int = _TURN,
    exactly: bool = False,
    compact: bool = False,
) -> KernelCall | None:
    if is_pointwise(call.params) != pointwise:
        return None
    if call.function == "conv_2d_int4":
        plain = _pack(unpacked(call), pointwise, turn, exactly, compact)
        return plain and in_blocks(plain, call)
    p = call.params
    pixels = p["batches"] * p["out_h"] * p["out_w"]
    weights = call.constants["weights"]
    filters = weights.reshape(weights.shape[0], -1)
    if (
        pixels < _LANES
        or len(filters) < 2
        or p["group_c"] != p["in_c"]
        or p["weights_offset"] != 0
        or weights.min() < -127
    ):
        return None
    sums = Sums.of(call, filters)
    line = None if exactly else line_from_24_bits(sums, _SHIFT)
    scale = line or rounded_from_24_bits(sums)
    if scale is None:
        return None
    count = int(p["kernel_w"] * p["in_c"])
    single = count % 4 == 1 and not pointwise
    row = count // 4 if single else -(-count // 4)
    taps = _by_rows(weights.reshape(len(filters), -1, count), row, single)
    pairs = taps.shape[1] // 2
    # Addends that are not kept take three instructions more for four outputs.
    base, scale = implied_addends(sums, scale) if compact else (0, scale)
    words, first = _packed(taps, sums.bias, kept(base, scale))
    name, text = dense_function(scale, (int(p["out_min"]), int(p["out_max"])), turn, base)
    if pointwise:
        params = {"pixels": pixels, **{key: p[key] for key in ("in_c", "in_step", "out_step")}}
    else:
        params = {key: p[key] for key in GEOMETRY.split()}
        params |= {"in_zero_point": -int(p["in_offset"]), "row": row, "single": int(single)}
        params["whole"] = int(p["in_c"] % 4 == 0)
    params |= {"pairs": pairs, "words": len(words), "first": first, "dense": name}
    copied = 0 if p["in_c"] % 4 == 0 or pointwise else int(p["kernel_h"]) * (row + single)
    lanes = Tensor(f"{call.outputs[0].name} lanes", (pairs * _LANES + copied,), DType.INT32)
    return replace(
        call,
        params=params,
        constants={"weights": words},
        outputs=[*call.outputs, lanes],
        structure="conv_2d_dsp_pointwise" if pointwise else "conv_2d_dsp",
        functions={name: text},
    )


def _with_turn(call: KernelCall, turn: int) -> KernelCall:
    name, function = dense_with_turn(_dense(call), turn)
    return replace(with_layer(call, dense=name), functions={name: function})


def _dense(call: KernelCall) -> str:
    """Return the function that computes a packed call's sums."""
    return str(layer_of(call).params["dense"])


def _by_rows(filters: Array, row: int, single: bool) -> Array:
    """Return the taps in the order of the kernel: rows of whole words, then single bytes.

    Args:
        filters: int8[filters, rows, taps of a row].
        row: words of a row.
        single: whether a byte of each row is left.

    Returns:
        int8[filters, taps], a multiple of four of them.
    """
    whole = filters[:, :, : 4 * row]
    whole = np.pad(whole, ((0, 0), (0, 0), (0, 4 * row - whole.shape[2])))
    parts = [whole.reshape(len(filters), -1)]
    if single:
        rest = filters[:, :, -1]
        rest = np.pad(rest, ((0, 0), (0, -rest.shape[1] % 4))).reshape(len(filters), -1, 4)
        # The kernel's pairs are bytes 0 and 2, 1 and 3 of a word; here, two rows.
        parts.append(rest[:, :, [0, 2, 1, 3]].reshape(len(filters), -1))
    return np.concatenate(parts, axis=1)


def _packed(filters: Array, bias: Array, table: Array) -> tuple[Array, int]:
    """Return the weights as `kernels/common/dsp_dense.h` reads them, uint32.

    And how many words of them come first where the number of filters is odd, else 0.
    """
    count = len(filters)
    # The last filters of an odd number are the first ones' partners.
    firsts = [0, *range(1, count, 2)] if count % 2 else list(range(0, count, 2))
    seconds = [n + 1 for n in firsts]
    words = pair_words(filters[firsts], filters[seconds])
    biases = np.stack([bias[firsts], bias[firsts] + 256 * bias[seconds]], 1)
    scales = table[firsts], table[seconds]
    stream = np.concatenate([words[:, :1], biases, words[:, 1:], *scales], axis=1)
    packed: Array = (stream.reshape(-1) & 0xFFFFFFFF).astype(np.uint32)
    return packed, stream.shape[1] if count % 2 else 0


def is_pointwise(p: Mapping[str, int | float]) -> bool:
    """Return whether an output pixel needs the input pixel of the same number."""
    window = [p[f"{name}_{axis}"] for name in ("kernel", "stride") for axis in "hw"]
    return window == [1] * 4 and p["pad_h"] + p["pad_w"] == 0


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: four pixels are read, then written."""
    return _clearances(call, image_reads(call).reshape(-1))


def pointwise_clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: four pixels are read, then written."""
    return _clearances(call, np.arange(call.params["pixels"]) * int(call.params["in_step"]))


def _clearances(call: KernelCall, reads: Array) -> Sequence[Clearance]:
    first = np.minimum.reduceat(reads, np.arange(0, len(reads), _LANES))
    ends = np.minimum(np.arange(1, len(first) + 1) * _LANES, len(reads)) * int(
        call.params["out_step"]
    )
    return [Clearance(block_clearance(ends, first, call.inputs[0]), None)]

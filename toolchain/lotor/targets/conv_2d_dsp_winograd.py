"""CONV_2D of int8 as Winograd's F(2x2, 3x3) or F(4x4, 3x3) for the DSP instructions.

Weights take 32/9 of their bytes for 2x2 outputs at a time, and 8 times as many for 4x4: 16 or 36
products of 16 bits in place of nine of 8 bits. With less RAM one tile is computed at a time, of 4x4
outputs or of 2x4, whose weights take 16/3 of their bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lotor.graph import Array, DType, Tensor
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.linear_scale import LinearScale, Sums, TwiceRounded
from lotor.targets.overlap import block_clearance

# By the rows or columns of tiles, see `kernels/conv_2d/dsp_winograd.h`: G, by how many bits and by
# what odd factor sums come larger.
_G = {
    2: np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]),
    4: np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 6]]),
}
_BITS = {2: 1, 4: 3}
_FACTOR = {2: 1, 4: 3}
_OFFSET = 128  # what inputs count more than they are where tiles have four columns
_WIDTH = 8  # outputs of a block
_MOST_LIFT = 8
_LARGEST = (1 << 15) - 1  # of an int16


def pack_2x2(call: KernelCall) -> KernelCall | None:
    """Return the call of `dsp_winograd.h`; None where it would not be exact or not work."""
    return _pack(call, 2)


def pack_4x4(call: KernelCall) -> KernelCall | None:
    """The same for tiles of 4x4."""
    return _pack(call, 4)


def pack_tile(size: int, in_place: bool) -> Callable[[KernelCall], KernelCall | None]:
    """Return what packs a call for `dsp_winograd_tile.h`.

    Args:
        size: rows of a tile.
        in_place: whether the output is to replace the input.
    """

    def pack(call: KernelCall) -> KernelCall | None:
        packed = _transformed(call, size, 4, turned=True)
        if packed is None or (in_place and not _replaces(packed)):
            return None
        p = packed.params
        room = (size + 2) * 6 * p["in_c"] // 2 + size * 6 * 4 + p["in_c"] // 4
        if in_place:
            room += (size + 2 + p["in_w"]) * p["in_c"] // 4
        params = {"size": size, "in_place": int(in_place), **p}
        return _with_room(packed, params, room, "conv_2d_dsp_winograd_tile")

    return pack


def _replaces(call: KernelCall) -> bool:
    """Return whether the output has the input's bytes, pixel by pixel."""
    x, y = call.inputs[0], call.outputs[0]
    p = call.params
    return x.dense and y.dense and x.shape == y.shape and (p["pad_h"], p["pad_w"]) == (1, 1)


def _pack(call: KernelCall, size: int) -> KernelCall | None:
    packed = _transformed(call, size, size)
    if packed is None:
        return None
    p = packed.params
    aside = _WIDTH * size * p["out_c"] if p["out_h"] % size or p["out_w"] % _WIDTH else 0
    count = (size + 2) ** 2
    room = count * (_WIDTH // size) * p["in_c"] // 2 + count * 8 + (p["in_c"] + aside) // 4
    return _with_room(packed, {"size": size, **p}, room, "conv_2d_dsp_winograd")


def _with_room(call: KernelCall, params: dict[str, Any], words: int, structure: str) -> KernelCall:
    scratch = Tensor(f"{call.outputs[0].name} tiles", (int(words),), DType.INT32)
    outputs = [*call.outputs, scratch]
    return replace(call, params=params, outputs=outputs, structure=structure)


def _transformed(
    call: KernelCall, rows: int, columns: int, turned: bool = False
) -> KernelCall | None:
    """Return a call with the weights of tiles of a size; None where it would not be exact.

    Args:
        call: of the portable kernel.
        rows: of outputs in a tile.
        columns: the same.
        turned: whether points come column by column.
    """
    if call.function != "conv_2d":
        return None
    p, weights = call.params, call.constants["weights"]
    window = "kernel_h kernel_w stride_h stride_w dilation_h dilation_w group_c weights_offset"
    if [p[name] for name in window.split()] != [3, 3, 1, 1, 1, 1, p["in_c"], 0]:
        return None
    filters = weights.reshape(len(weights), -1)
    if p["in_c"] % 4 or len(filters) < columns:
        return None
    sums = Sums.of(call, filters)
    points = np.einsum("ia,oabc,jb->oijc", _G[rows], weights.astype(np.int64), _G[columns])
    bits, factor = _BITS[rows] + _BITS[columns], _FACTOR[rows] * _FACTOR[columns]
    scale = _scale(sums, bits, factor, int(np.abs(points).max()))
    if scale is None:
        return None
    offset = _OFFSET if columns == 4 else 0
    bias = (sums.bias - offset * filters.astype(np.int64).sum(axis=1)) * factor
    words = _packed(points.swapaxes(1, 2) if turned else points, bias, scale, bits, columns)
    names = "batches in_h in_w in_c out_h out_w out_c in_step out_step pad_h pad_w"
    params = {name: p[name] for name in names.split()}
    params |= {
        "in_zero_point": -int(p["in_offset"]),
        "words": len(words),
        "shift": scale.shift,
        "out_min": p["out_min"],
        "out_max": p["out_max"],
    }
    return replace(call, params=params, constants={"weights": words})


def _scale(sums: Sums, bits: int, factor: int, largest: int) -> LinearScale | TwiceRounded | None:
    """Return the requantization of sums; `largest` is the largest magnitude of a weight."""
    if largest > _LARGEST or sums.largest * factor << bits >= 1 << 31:
        return None
    # A lift beyond that is in the weights: it costs nothing as long as they fit.
    lifts = [n for n in range(bits, _MOST_LIFT + 1) if largest << n - bits <= _LARGEST]
    return sums.line(lifts[::-1], factor) or sums.rounded_twice()


def _packed(
    points: Array, bias: Array, scale: LinearScale | TwiceRounded, bits: int, together: int
) -> Array:
    """Return the weights as `kernels/conv_2d/dsp_winograd.h` reads them, uint32.

    Args:
        points: int64[filters, points, points, channels], the transformed filters.
        bias: int64[filters].
        scale: of the sums.
        bits: by which they are larger.
        together: how many filters are read at a time.
    """
    count, channels = len(points), points.shape[-1]
    lift = scale.lift or bits
    halves = ((points << lift - bits) & 0xFFFF).reshape(count, -1, channels // 4, 4)
    pairs = np.stack([halves[..., i] | halves[..., i + 2] << 16 for i in (0, 1)], -1)
    words = pairs.reshape(count, -1)
    table = np.concatenate([bias[:, None] << lift, scale.table], 1)
    # Where filters are left over, the first ones are some of the next ones too.
    starts = sorted({0, *range(count % together, count, together)})
    stream = [
        part
        for start in starts
        for part in (words[start : start + together].T, table[start : start + together])
    ]
    packed: Array = (np.concatenate([part.reshape(-1) for part in stream]) & 0xFFFFFFFF).astype(
        np.uint32
    )
    return packed


def saved(call: KernelCall) -> float:
    """Return which part of the time of `conv_2d/dsp` this takes off; below 0 where it takes longer.

    From cycles that were estimated for a Cortex-M4. Blocks that are not whole take the time of
    whole ones.
    """
    p = {name: int(value) for name, value in call.params.items()}
    size, inputs, filters = p["size"], p["in_c"], p["out_c"]
    per_quad, per_output, per_block = {2: (987, 26, 883), 4: (1963, 21, 1200)}[size]
    groups = -(-filters // size)
    products = (size + 2) ** 2 * groups * (17.5 * inputs / 2 + 26)
    outputs = _WIDTH * size * size * groups
    block = products + per_quad * inputs / 4 + per_output * outputs + per_block
    blocks = p["batches"] * -(-p["out_h"] // size) * -(-p["out_w"] // _WIDTH)
    pixel = filters * (9 * inputs * 1.07 + 12) + 9 * inputs * 2.2
    return 1 - blocks * block / (p["batches"] * p["out_h"] * p["out_w"] * pixel)


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: blocks are read, then written."""
    return _clearances(call, _WIDTH)


def tile_clearances(call: KernelCall) -> Sequence[Clearance]:
    """The same for one tile at a time."""
    if call.params["in_place"]:
        return [Clearance(None, None, in_place=True)]
    return _clearances(call, 4)


def _clearances(call: KernelCall, width: int) -> Sequence[Clearance]:
    p = {name: int(value) for name, value in call.params.items()}
    tops, lefts = np.arange(0, p["out_h"], p["size"]), np.arange(0, p["out_w"], width)
    images = np.arange(p["batches"])[:, None, None]

    def first(starts: Array, axis: str) -> Array:
        inside: Array = np.clip(starts - p[f"pad_{axis}"], 0, p[f"in_{axis}"] - 1)
        return inside

    def end(starts: Array, length: int, axis: str) -> Array:
        inside: Array = np.minimum(starts + length, p[f"out_{axis}"])
        return inside

    reads = (images * p["in_h"] + first(tops, "h")[:, None]) * p["in_w"] + first(lefts, "w")
    rows = images * p["out_h"] + end(tops, p["size"], "h")[:, None] - 1
    ends = rows * p["out_w"] + end(lefts, width, "w")
    bytes_ = ends.reshape(-1) * p["out_step"], reads.reshape(-1) * p["in_step"]
    return [Clearance(block_clearance(*bytes_, call.inputs[0]), None)]

"""CONV_2D of int8 as Winograd's F(2x2, 3x3) or F(4x4, 3x3) for the DSP instructions.

Weights take 32/9 of their bytes for 2x2 outputs at a time, and 8 times as many for 4x4: 16 or 36
products of 16 bits in place of nine of 8 bits.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Tensor
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.linear_scale import LinearScale, Sums, TwiceRounded
from lotor.targets.overlap import block_clearance

# By the size of tiles, see `kernels/conv_2d/dsp_winograd.h`: G, by how many bits and by what odd
# factor sums come larger, and what inputs count more than they are.
_G = {
    2: np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]),
    4: np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 6]]),
}
_BITS = {2: 2, 4: 6}
_FACTOR = {2: 1, 4: 9}
_OFFSET = {2: 0, 4: 128}
_WIDTH = 8  # outputs of a block
_MOST_LIFT = 8
_LARGEST = (1 << 15) - 1  # of an int16


def pack_2x2(call: KernelCall) -> KernelCall | None:
    """Return the call of `dsp_winograd.h`; None where it would not be exact or not work."""
    return _pack(call, 2)


def pack_4x4(call: KernelCall) -> KernelCall | None:
    """The same for tiles of 4x4."""
    return _pack(call, 4)


def _pack(call: KernelCall, size: int) -> KernelCall | None:
    if call.function != "conv_2d":
        return None
    p, weights = call.params, call.constants["weights"]
    window = "kernel_h kernel_w stride_h stride_w dilation_h dilation_w group_c weights_offset"
    if [p[name] for name in window.split()] != [3, 3, 1, 1, 1, 1, p["in_c"], 0]:
        return None
    filters = weights.reshape(len(weights), -1)
    if p["in_c"] % 4 or len(filters) < size:
        return None
    sums = Sums.of(call, filters)
    points = np.einsum("ia,oabc,jb->oijc", _G[size], weights.astype(np.int64), _G[size])
    scale = _scale(sums, size, int(np.abs(points).max()))
    if scale is None:
        return None
    bias = sums.bias - _OFFSET[size] * filters.astype(np.int64).sum(axis=1)
    words = _packed(points, bias * _FACTOR[size], scale, size)
    names = "batches in_h in_w in_c out_h out_w out_c in_step out_step pad_h pad_w"
    params = {"size": size, **{name: p[name] for name in names.split()}}
    params |= {
        "in_zero_point": -int(p["in_offset"]),
        "words": len(words),
        "shift": scale.shift,
        "out_min": p["out_min"],
        "out_max": p["out_max"],
    }
    aside = _WIDTH * size * p["out_c"] if p["out_h"] % size or p["out_w"] % _WIDTH else 0
    count = (size + 2) ** 2
    room = count * (_WIDTH // size) * p["in_c"] // 2 + count * 8 + (p["in_c"] + aside) // 4
    scratch = Tensor(f"{call.outputs[0].name} tiles", (int(room),), DType.INT32)
    return replace(
        call,
        params=params,
        constants={"weights": words},
        outputs=[*call.outputs, scratch],
        structure="conv_2d_dsp_winograd",
    )


def _scale(sums: Sums, size: int, largest: int) -> LinearScale | TwiceRounded | None:
    """Return the requantization of sums; `largest` is the largest magnitude of a weight."""
    bits, factor = _BITS[size], _FACTOR[size]
    if largest > _LARGEST or sums.largest * factor << bits >= 1 << 31:
        return None
    # A lift beyond that is in the weights: it costs nothing as long as they fit.
    lifts = [n for n in range(bits, _MOST_LIFT + 1) if largest << n - bits <= _LARGEST]
    return sums.line(lifts[::-1], factor) or sums.rounded_twice()


def _packed(points: Array, bias: Array, scale: LinearScale | TwiceRounded, size: int) -> Array:
    """Return the weights as `kernels/conv_2d/dsp_winograd.h` reads them, uint32.

    Args:
        points: int64[filters, size + 2, size + 2, channels], the transformed filters.
        bias: int64[filters].
        scale: of the sums.
        size: of tiles, and how many filters are read at a time.
    """
    count, channels = len(points), points.shape[-1]
    lift = scale.lift or _BITS[size]
    halves = ((points << lift - _BITS[size]) & 0xFFFF).reshape(count, -1, channels // 4, 4)
    pairs = np.stack([halves[..., i] | halves[..., i + 2] << 16 for i in (0, 1)], -1)
    words = pairs.reshape(count, -1)
    table = np.concatenate([bias[:, None] << lift, scale.table], 1)
    # Where filters are left over, the first ones are some of the next ones too.
    starts = sorted({0, *range(count % size, count, size)})
    stream = [
        part
        for start in starts
        for part in (words[start : start + size].T, table[start : start + size])
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
    p = {name: int(value) for name, value in call.params.items()}
    tops, lefts = np.arange(0, p["out_h"], p["size"]), np.arange(0, p["out_w"], _WIDTH)
    images = np.arange(p["batches"])[:, None, None]

    def first(starts: Array, axis: str) -> Array:
        inside: Array = np.clip(starts - p[f"pad_{axis}"], 0, p[f"in_{axis}"] - 1)
        return inside

    def end(starts: Array, length: int, axis: str) -> Array:
        inside: Array = np.minimum(starts + length, p[f"out_{axis}"])
        return inside

    reads = (images * p["in_h"] + first(tops, "h")[:, None]) * p["in_w"] + first(lefts, "w")
    rows = images * p["out_h"] + end(tops, p["size"], "h")[:, None] - 1
    ends = rows * p["out_w"] + end(lefts, _WIDTH, "w")
    bytes_ = ends.reshape(-1) * p["out_step"], reads.reshape(-1) * p["in_step"]
    return [Clearance(block_clearance(*bytes_, call.inputs[0]), None)]

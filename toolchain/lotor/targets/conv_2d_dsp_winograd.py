"""CONV_2D of int8 as Winograd's F(2x2, 3x3) for the DSP instructions: which layers, which weights.

Weights take 32/9 of their bytes, for 16 products of 16 bits in place of nine of 8 bits.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Tensor
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.linear_scale import LinearScale, Sums, TwiceRounded
from lotor.targets.overlap import block_clearance

# See `kernels/conv_2d/dsp_winograd.h`.
_G = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])
_FACTOR = 2  # bits by which sums come larger
_MOST_LIFT = 8
_BLOCK_H, _BLOCK_W = 2, 8
_SUMS = 128
_LARGEST = (1 << 15) - 1  # of an int16


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `dsp_winograd.h`; None where it would not be exact or not work."""
    if call.function != "conv_2d":
        return None
    p, weights = call.params, call.constants["weights"]
    count = len(weights)
    window = "kernel_h kernel_w stride_h stride_w dilation_h dilation_w group_c weights_offset"
    if [p[name] for name in window.split()] != [3, 3, 1, 1, 1, 1, p["in_c"], 0]:
        return None
    if p["in_c"] % 4 or count < 2:
        return None
    sums = Sums.of(call, weights.reshape(count, -1))
    points = np.einsum("ia,oabc,jb->oijc", _G, weights.astype(np.int64), _G)
    scale = _scale(sums, int(np.abs(points).max()))
    if scale is None:
        return None
    words = _packed(points, sums.bias, scale)
    names = "batches in_h in_w in_c out_h out_w out_c in_step out_step pad_h pad_w"
    params = {name: p[name] for name in names.split()}
    params |= {
        "in_zero_point": -int(p["in_offset"]),
        "words": len(words),
        "shift": scale.shift,
        "out_min": p["out_min"],
        "out_max": p["out_max"],
    }
    aside = p["out_h"] % _BLOCK_H or p["out_w"] % _BLOCK_W
    room = 32 * p["in_c"] + _SUMS + p["in_c"] // 4
    room += _BLOCK_H * _BLOCK_W // 4 * p["out_c"] if aside else 0
    scratch = Tensor(f"{call.outputs[0].name} tiles", (int(room),), DType.INT32)
    return replace(
        call,
        params=params,
        constants={"weights": words},
        outputs=[*call.outputs, scratch],
        structure="conv_2d_dsp_winograd",
    )


def _scale(sums: Sums, largest: int) -> LinearScale | TwiceRounded | None:
    """Return the requantization of sums; `largest` is the largest magnitude of a weight."""
    # A lift is in the weights: it costs nothing as long as they fit.
    lifts = [n for n in range(_FACTOR, _MOST_LIFT + 1) if largest << n - _FACTOR <= _LARGEST]
    if sums.largest << _FACTOR >= 1 << 31:
        return None
    return sums.line(lifts[::-1]) or sums.rounded_twice()


def _packed(points: Array, bias: Array, scale: LinearScale | TwiceRounded) -> Array:
    """Return the weights as `kernels/conv_2d/dsp_winograd.h` reads them, uint32.

    Args:
        points: int64[filters, 4, 4, channels], the transformed filters.
        bias: int64[filters].
        scale: of the sums.
    """
    count, channels = len(points), points.shape[-1]
    lift = max(scale.lift, _FACTOR)
    halves = ((points << lift - _FACTOR) & 0xFFFF).reshape(count, 16, channels // 4, 4)
    pairs = np.stack([halves[..., i] | halves[..., i + 2] << 16 for i in (0, 1)], -1)
    words = pairs.reshape(count, -1)
    table = np.concatenate([bias[:, None] << lift, scale.table], 1)
    # The last filters of an odd number are the first ones' partners.
    firsts = np.array([0, *range(1, count, 2)] if count % 2 else range(0, count, 2))
    both = np.stack([words[firsts], words[firsts + 1]], -1).reshape(len(firsts), -1)
    stream = np.concatenate([both, table[firsts], table[firsts + 1]], axis=1)
    packed: Array = (stream.reshape(-1) & 0xFFFFFFFF).astype(np.uint32)
    return packed


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: blocks are read, then written."""
    p = {name: int(value) for name, value in call.params.items()}
    tops, lefts = np.arange(0, p["out_h"], _BLOCK_H), np.arange(0, p["out_w"], _BLOCK_W)
    images = np.arange(p["batches"])[:, None, None]

    def first(starts: Array, axis: str) -> Array:
        inside: Array = np.clip(starts - p[f"pad_{axis}"], 0, p[f"in_{axis}"] - 1)
        return inside

    def last(starts: Array, block: int, axis: str) -> Array:
        inside: Array = np.minimum(starts + block, p[f"out_{axis}"]) - 1
        return inside

    reads = (images * p["in_h"] + first(tops, "h")[:, None]) * p["in_w"] + first(lefts, "w")
    rows = images * p["out_h"] + last(tops, _BLOCK_H, "h")[:, None]
    ends = rows * p["out_w"] + last(lefts, _BLOCK_W, "w") + 1
    return [
        Clearance(
            block_clearance(
                ends.reshape(-1) * p["out_step"], reads.reshape(-1) * p["in_step"], call.inputs[0]
            ),
            None,
        )
    ]

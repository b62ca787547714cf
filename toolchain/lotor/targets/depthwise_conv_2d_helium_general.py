"""DEPTHWISE_CONV_2D of int8 of any window for Helium: strips of channels, filters to match."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Tensor
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.helium_weights import BLOCK, scale_of, words_of
from lotor.targets.linear_scale import Sums
from lotor.targets.overlap import block_clearance

_CHANNELS = 8
_MOST_STEP = 127  # bytes that an instruction moves on by
_MOST_PLACE = (1 << 16) - 1
_MOST_VECTORS = 16
_MOST_ROWS = 8
_LEAD = 32  # bytes before the strips
# Bytes of strips, and of outputs that keep their distance from the input meanwhile: at most so
# many, or this part of the input where that is more.
_ROOM = 2048
_SHARE = 25
_NAMES = (
    "batches in_h in_w in_c out_h out_w in_step out_step kernel_h kernel_w stride_h stride_w "
    "pad_h pad_w dilation_h dilation_w depth_multiplier"
)


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `helium_general.h`; None where it would not be exact or not work."""
    if call.function != "depthwise_conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    if p["in_w"] == p["out_w"] == p["kernel_w"] == 1:
        # A column is stored as a row is.
        for name in ("in", "out", "kernel", "stride", "pad", "dilation"):
            h, w = f"{name}_h", f"{name}_w"
            p[h], p[w] = p[w], p[h]
    dilated = max(p["dilation_h"], p["dilation_w"]) > 1
    if p["weights_offset"] != 0 or (dilated and max(p["stride_h"], p["stride_w"]) > 1):
        return None
    filters = call.constants["weights"].reshape(-1, p["out_c"]).T
    scale = scale_of(Sums.of(call, filters))
    if scale is None:
        return None
    params = {name: p[name] for name in _NAMES.split()}
    params |= {
        "in_zero_point": -p["in_offset"],
        "at_once": 1,
        "lanes": 1 if dilated or p["out_w"] < 4 else _lanes(p["out_w"]),
        "bias": scale.bias,
        "lift": scale.lift,
        "shift": scale.shift,
        "out_min": p["out_min"],
        "out_max": p["out_max"],
    }
    if params["lanes"] == _CHANNELS and 7 * p["out_step"] > _MOST_PLACE:
        params["lanes"] = 4
    if _CHANNELS % p["in_c"] == 0 and p["in_step"] == p["in_c"] and not dilated:
        pixels = _CHANNELS // p["in_c"]
        if pixels <= min(p["in_w"], _columns(params) - p["pad_w"]):
            params["at_once"] = pixels
    # The numbers of a scale follow its filter.
    table = np.asarray(scale.table, np.int64)
    packed = replace(
        call,
        params=params,
        constants={
            "weights": filters.reshape(-1, p["kernel_h"], p["kernel_w"]),
            "table": table,
        },
        structure="depthwise_conv_2d_helium_general",
    )
    room = max(_ROOM, call.inputs[0].nbytes // _SHARE)
    rows = range(1, min(-(-p["out_h"] // p["dilation_h"]), _MOST_ROWS) + 1)
    fitting = [n for n in rows if _fits(n, params) and (n == 1 or _extra(n, params) <= room)]
    if not fitting:
        return None
    return _with_rows(packed, min(fitting, key=lambda n: _cost(n, params)))


def _lanes(width: int) -> int:
    """Return how many outputs at once make the fewest of a row."""
    if width < _CHANNELS:
        return 4
    # Eight need a fifth less for each.
    return 8 if -(-width // 8) * 8 * 5 <= -(-width // 4) * 4 * 6 else 4


def _columns(p: dict[str, int]) -> int:
    """Return the columns of a strip: of all outputs of a row, or of a turn of a dilation."""
    width = -(-p["out_w"] // p["dilation_w"])
    return (width - 1) * p["stride_w"] + p["kernel_w"]


def _pitch(rows: int, p: dict[str, int]) -> int:
    return (rows - 1) * p["stride_h"] + p["kernel_h"]


def _vectors(rows: int, p: dict[str, int]) -> int:
    """Return the vectors that a filter takes, as the columns of a strip lie."""
    return -(-((p["kernel_w"] - 1) * _pitch(rows, p) + p["kernel_h"]) // BLOCK)


def _fits(rows: int, p: dict[str, int]) -> bool:
    pitch, vectors = _pitch(rows, p), _vectors(rows, p)
    step = p["stride_w"] * pitch - BLOCK * (vectors - 1)
    return (
        abs(step) <= _MOST_STEP
        and step != 0
        and vectors <= _MOST_VECTORS
        and _CHANNELS * pitch * _columns(p) <= _MOST_PLACE
    )


def _extra(rows: int, p: dict[str, int]) -> int:
    """Return the bytes that it costs to compute so many rows at once."""
    strips = min(_CHANNELS, p["in_c"]) * _pitch(rows, p) * _columns(p)
    return strips + rows * p["out_w"] * p["out_step"]


def _cost(rows: int, p: dict[str, int]) -> float:
    """Return about how many instructions an output takes."""
    vectors, channels = _vectors(rows, p), min(_CHANNELS, p["in_c"])
    width = -(-p["out_w"] // p["dilation_w"])
    turns = -(-p["out_h"] // (rows * p["dilation_h"])) * p["dilation_h"]
    lanes = 8 if p["lanes"] == _CHANNELS else 4
    products = lanes * (2 * vectors + max(0, vectors - 4))
    line = -(-width // lanes) * (products + {8: 16, 4: 10, 1: 13}[p["lanes"]]) + 6
    copied = _pitch(rows, p) * (20 + 2.75 * _columns(p) / p["at_once"])
    strip = 20 + vectors + copied / channels / p["depth_multiplier"]
    return (line + strip * turns / p["out_h"]) / width


def cost(call: KernelCall) -> float:
    """Return about how many instructions an output takes of a call that `pack` has returned."""
    return _cost(int(call.params["rows"]), {n: int(value) for n, value in call.params.items()})


def _with_rows(call: KernelCall, rows: int) -> KernelCall:
    """Return a call that computes so many rows of the output at once."""
    p = {name: int(value) for name, value in call.params.items()}
    pitch, vectors = _pitch(rows, p), _vectors(rows, p)
    filters, table = call.constants["weights"], call.constants["table"]
    words = _packed(filters, table, pitch, vectors)
    plane = pitch * _columns(p)
    # The last window is read by sixteen bytes, and up to four are beyond the last output.
    nbytes = _LEAD + min(_CHANNELS, p["in_c"]) * plane + BLOCK * vectors
    nbytes += 4 * p["stride_w"] * pitch if p["lanes"] == 1 else 0
    scratch = Tensor(f"{call.outputs[0].name} strips", (nbytes,), DType.INT8)
    return replace(
        call,
        params={
            **call.params,
            "rows": rows,
            "pitch": pitch,
            "plane": plane,
            "room": nbytes - _LEAD,
            "vectors": vectors,
            "words": words.shape[1],
        },
        constants={"weights": (words.reshape(-1) & 0xFFFFFFFF).astype(np.uint32)},
        outputs=[call.outputs[0], scratch],
    )


def _packed(filters: Array, table: Array, pitch: int, vectors: int) -> Array:
    """Return int64[channels, words] of filters[channels, height, width] and their scales."""
    channels, height, width = filters.shape
    strips = np.zeros((channels, width + BLOCK * vectors // pitch + 1, pitch), np.int8)
    strips[:, :width, :height] = filters.transpose(0, 2, 1)
    taps = strips.reshape(channels, -1)[:, : BLOCK * vectors]
    return np.concatenate([words_of(taps), table], axis=1)


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output.

    Some channels of the input are copied for some rows of the output, and with a dilation for some
    columns of these; then their outputs are written.
    """
    p = {name: int(value) for name, value in call.params.items()}
    rows = np.concatenate(
        [
            np.arange(turn, p["out_h"], p["rows"] * p["dilation_h"])
            for turn in range(min(p["dilation_h"], p["out_h"]))
        ]
    )
    left = np.arange(min(p["dilation_w"], p["out_w"]))
    channels = np.arange(0, p["in_c"], _CHANNELS)
    images = np.arange(p["batches"])
    n, y, x, c = np.meshgrid(images, rows, left, channels, indexing="ij")
    some = np.minimum(p["rows"], -(-(p["out_h"] - y) // p["dilation_h"]))
    last_y = y + (some - 1) * p["dilation_h"]
    last_x = x + (-(-(p["out_w"] - x) // p["dilation_w"]) - 1) * p["dilation_w"]
    last = np.minimum(c + _CHANNELS, p["in_c"]) * p["depth_multiplier"]
    ends = ((n * p["out_h"] + last_y) * p["out_w"] + last_x) * p["out_step"] + last
    # The first row and column inside the image.
    top, side = y * p["stride_h"] - p["pad_h"], x - p["pad_w"]
    top += np.maximum(0, -(top // p["dilation_h"])) * p["dilation_h"]
    side += np.maximum(0, -(side // p["dilation_w"])) * p["dilation_w"]
    top, side = np.minimum(top, p["in_h"]), np.minimum(side, p["in_w"])
    first = np.minimum(c, max(p["in_c"] - _CHANNELS, 0))
    reads = ((n * p["in_h"] + top) * p["in_w"] + side) * p["in_step"] + first
    clearance = block_clearance(ends.reshape(-1), reads.reshape(-1), call.inputs[0])
    return [Clearance(clearance, None)]

"""CONV_2D and FULLY_CONNECTED of int8 of any shape for the DSP instructions."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Tensor
from lotor.memory import NO_CLEARANCE, Clearance
from lotor.ops import KernelCall
from lotor.targets.dsp_scale import DspScale
from lotor.targets.linear_scale import Sums
from lotor.targets.overlap import block_clearance, image_reads

_LANES = 4
_TWO, _FOUR = 2, 4  # filters at a time, for four pixels and for one
_FEW = 3  # pixels that are worth four lanes


def pack_convolution(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/conv_2d/dsp_general.h`, which is exact for every layer."""
    if call.function != "conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    groups = p["in_c"] // p["group_c"]
    filters = call.constants["weights"].reshape(p["out_c"], -1)
    scale = DspScale.of(Sums.of(call, filters.astype(np.int16) + p["weights_offset"]))
    pointwise = _pointwise(p)
    lanes = _LANES if p["batches"] * p["out_h"] * p["out_w"] >= _FEW else 1
    words = -(-filters.shape[1] // 4)
    names = (
        "batches in_h in_w out_h out_w in_step out_step kernel_h kernel_w stride_h stride_w "
        "pad_h pad_w dilation_h dilation_w group_c weights_offset"
    )
    params = {name: p[name] for name in names.split()}
    params |= {
        "groups": groups,
        "filters": p["out_c"] // groups,
        "in_zero_point": -p["in_offset"],
        "pointwise": int(pointwise),
        "lanes": lanes,
        "words": words,
        **scale.params,
    }
    room = (8 * words if lanes > 1 else 0) + (0 if pointwise else words)
    scratch = Tensor(f"{call.outputs[0].name} lanes", (max(room, 1),), DType.INT32)
    biases = scale.table[:, 0].reshape(groups, -1)
    packed = [
        _packed(*group, _TWO if lanes > 1 else _FOUR)
        for group in zip(np.split(filters, groups), biases, strict=True)
    ]
    return replace(
        call,
        params=params,
        constants={"weights": np.concatenate(packed), "scales": scale.table},
        outputs=[*call.outputs, scratch],
        structure="conv_2d_dsp_general",
    )


def pack_dense(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/fully_connected/dsp_general.h`, exact for every layer."""
    if call.function != "fully_connected":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    return _dense(call, p["batches"], p["inputs"], p["outputs"])


def pack_pixels(call: KernelCall) -> KernelCall | None:
    """Return the same call for a 1x1 convolution of few pixels, which is a dense layer."""
    if call.function != "conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    pixels = p["batches"] * p["out_h"] * p["out_w"]
    steps = (p["group_c"], p["in_step"], p["out_step"])
    if not _pointwise(p) or pixels >= _FEW or steps != (p["in_c"], p["in_c"], p["out_c"]):
        return None
    return _dense(call, pixels, p["in_c"], p["out_c"])


def _pointwise(p: dict[str, int]) -> bool:
    """Return whether a pixel of the output needs the input's of the same number."""
    window = [p[f"{name}_{axis}"] for name in ("kernel", "stride") for axis in "hw"]
    return window == [1] * 4 and p["pad_h"] + p["pad_w"] == 0


def _dense(call: KernelCall, batches: int, inputs: int, outputs: int) -> KernelCall:
    offset = int(call.params["weights_offset"])
    weights = call.constants["weights"].reshape(outputs, -1)
    scale = DspScale.of(Sums.of(call, weights.astype(np.int16) + offset))
    params = {"batches": batches, "inputs": inputs, "outputs": outputs, "weights_offset": offset}
    return replace(
        call,
        kernel="fully_connected",
        function="fully_connected",
        params=params | {"words": -(-inputs // 4), **scale.params},
        constants={"weights": _packed(weights, scale.table[:, 0], _FOUR), "scales": scale.table},
        structure="fully_connected_dsp_general",
    )


def _packed(filters: Array, bias: Array, some: int) -> Array:
    """Return the weights as `kernels/common/dsp_sums.h` reads them, uint32.

    Args:
        filters: int8[filters, taps].
        bias: int32[filters].
        some: how many come together; the last ones come a second time in part.
    """
    count = len(filters)
    firsts = np.maximum(np.minimum(np.arange(0, count, some), count - some), 0)
    groups = np.minimum(firsts[:, None] + np.arange(some), count - 1)
    padded = np.pad(filters, ((0, 0), (0, -filters.shape[1] % 4)))
    words = np.ascontiguousarray(padded).view("<u4")
    biases = bias.astype(np.int32).view(np.uint32)
    streams = words[groups].transpose(0, 2, 1).reshape(len(firsts), -1)
    return np.concatenate([biases[groups], streams], axis=1).reshape(-1)


def convolution_clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: some pixels are read, then written."""
    p = {name: int(value) for name, value in call.params.items()}
    # A group has been written before the next one is read, and a single pixel is read again for
    # every filter.
    if p["groups"] > 1 or p["lanes"] == 1:
        return [NO_CLEARANCE]
    reads = image_reads(call).reshape(-1)
    first = np.minimum.reduceat(reads, np.arange(0, len(reads), _LANES))
    ends = np.minimum(np.arange(1, len(first) + 1) * _LANES, len(reads)) * p["out_step"]
    return [Clearance(block_clearance(ends, first, call.inputs[0]), None)]


def dense_clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: all of it is needed until the end."""
    return [NO_CLEARANCE] * len(call.inputs)

"""AVERAGE_POOL_2D, MEAN and MAX_POOL_2D of int8 for the DSP instructions and Armv7-M."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.dsp_scale import LINE, DspScale
from lotor.targets.linear_scale import Outputs, Sums, linear_scale
from lotor.targets.overlap import image_reads

_LANES = 4  # channels
_MOST = 255  # pixels: their sum is of 16 bits
_LIFT = 16
_WINDOW = (
    "batches in_h in_w in_c out_h out_w in_step out_step kernel_h kernel_w stride_h stride_w "
    "pad_h pad_w"
)


def averages(call: KernelCall) -> Outputs | None:
    """Return what an average pool makes of sums; None where kernels cannot have it.

    A window has pixels outside or too many, or there are too few channels.
    """
    p = {name: int(value) for name, value in call.params.items()}
    count = p["kernel_h"] * p["kernel_w"]
    inside = all(
        p[f"pad_{axis}"] == 0
        and (p[f"out_{axis}"] - 1) * p[f"stride_{axis}"] + p[f"kernel_{axis}"] <= p[f"in_{axis}"]
        for axis in "hw"
    )
    if p["in_c"] < _LANES or count > _MOST or not inside:
        return None

    def outputs(sums: Array) -> Array:
        if p["half_up"]:
            means = (sums + 128 * count + count // 2) // count - 128
        else:
            means = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
        clamped: Array = np.clip(means, p["out_min"], p["out_max"])
        return clamped

    return outputs


def pack_average(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/average_pool_2d/dsp.h`; None where it would not be exact."""
    if call.function != "average_pool_2d":
        return None
    outputs = averages(call)
    if outputs is None:
        return None
    p = {name: int(value) for name, value in call.params.items()}
    count = p["kernel_h"] * p["kernel_w"]
    ends = np.array([-128 * count]), np.array([127 * count])
    limits = (p["out_min"], p["out_max"])
    line = linear_scale(outputs, np.array([1 / count]), ends, limits, _LIFT)
    if line is None:
        return None
    params = {name: p[name] for name in _WINDOW.split()}
    params |= {"bias": 0, "multiplier": int(line.multiplier[0]), "addend": int(line.addend[0])}
    params |= {"right": 0, "way": LINE, "lift": line.lift, "shift": line.shift}
    params |= {"out_min": p["out_min"], "out_max": p["out_max"]}
    return replace(call, params=params, structure="average_pool_2d_dsp")


def sums_of_mean(p: Mapping[str, int], count: int) -> Sums:
    """Return the sums of a mean over `count` numbers, whatever its walk."""
    one = np.ones(1, np.int64)
    bias = -p["in_zero_points"]
    return Sums(
        False,
        bias * one,
        (bias - 128 * count) * one,
        (bias + 127 * count) * one,
        p["multiplier"] * one,
        p["shift"] * one,
        p["out_offset"],
        (p["out_min"], p["out_max"]),
    )


def mean_sums(call: KernelCall) -> tuple[Sums, dict[str, int]] | None:
    """Return a mean's sums and its walk over the pixels; None where kernels cannot have it."""
    if call.function != "mean":
        return None
    p = {name.removeprefix("at."): int(value) for name, value in call.params.items()}
    channels, count = p["kept_3"], p["size_2"] * p["size_3"]
    if (
        (p["size_0"], p["size_1"], p["kept_1"], p["kept_step_3"]) != (1, 1, 1, 1)
        or p["outputs"] != p["kept_2"] * channels  # one outer axis
        or channels < _LANES
        or count > _MOST
    ):
        return None
    sums = sums_of_mean(p, count)
    params = {
        "rows": p["kept_2"],
        "channels": channels,
        "step": p["kept_step_2"],
        "height": p["size_2"],
        "width": p["size_3"],
        "line_step": p["step_2"],
        "pixel_step": p["step_3"],
    }
    return sums, params


def pack_mean(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/mean/dsp.h`; None where it would not be exact or not work."""
    found = mean_sums(call)
    if found is None:
        return None
    sums, params = found
    scale = DspScale.of(sums)
    if not scale.proved:
        return None
    numbers = [*scale.table[0].tolist(), 0][:4]
    line = dict(zip(("bias", "multiplier", "addend", "right"), numbers, strict=True))
    names = ("way", "lift", "shift", "out_min", "out_max")
    line |= {name: scale.params[name] for name in names}
    return replace(call, params=params | line, structure="mean_dsp")


def pack_maximum(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/max_pool_2d/dsp.h`; None where it would not work."""
    if call.function != "max_pool_2d" or call.params["in_c"] < _LANES:
        return None
    return replace(call, structure="max_pool_2d_dsp")


def pack_maximum_v7m(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/max_pool_2d/v7m.h`; None where it would not work."""
    packed = pack_maximum(call)
    return None if packed is None else replace(packed, structure="max_pool_2d_v7m")


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: pixels, in each four channels at a time."""
    p = {name: value for name, value in call.params.items() if not isinstance(value, float)}
    if call.function == "mean":
        reads, step, channels = np.arange(p["rows"]) * p["step"], p["channels"], p["channels"]
    else:
        reads, step, channels = image_reads(call).reshape(-1), p["out_step"], p["in_c"]
    starts = np.arange(len(reads)) * step
    first = np.minimum(np.arange(0, channels, _LANES), channels - _LANES)
    forward = [-call.inputs[0].nbytes]
    if len(first) > 1:  # four channels have been written before the next ones are read
        within = int((first[:-1] + _LANES - first[1:]).max())
        forward.append(int((starts - reads).max()) + within)
    if len(reads) > 1:
        later = np.minimum.accumulate(reads[::-1])[::-1][1:]
        forward.append(int((starts[:-1] + channels - later).max()))
    return [Clearance(max(forward), None)]

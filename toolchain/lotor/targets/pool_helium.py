"""AVERAGE_POOL_2D, MEAN and MAX_POOL_2D of int8 for Helium."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.helium_weights import half_up, scale_of
from lotor.targets.linear_scale import LinearScale, linear_scale
from lotor.targets.overlap import block_clearance, image_reads
from lotor.targets.pool_dsp import sums_of_mean

_BYTES = 16
_CHANNELS = 8
_MOST = 255  # inputs of a window whose sum has 16 bits
_MOST_WIDE = 1 << 16  # whose sums can be lifted within 32 bits
_LIFTS = (13, 12, 11, 10)
_WINDOW = (
    "batches in_h in_w in_c out_h out_w in_step out_step kernel_h kernel_w stride_h stride_w "
    "pad_h pad_w"
)


def _window(call: KernelCall) -> dict[str, int]:
    """Return the parameters of a pool, and whether all of its windows lie inside the image."""
    p = {name: int(call.params[name]) for name in _WINDOW.split()}
    inside = all(
        p[f"pad_{axis}"] == 0
        and (p[f"out_{axis}"] - 1) * p[f"stride_{axis}"] + p[f"kernel_{axis}"] <= p[f"in_{axis}"]
        for axis in "hw"
    )
    limits = {name: int(call.params[name]) for name in ("out_min", "out_max")}
    return p | {"inside": int(inside)} | limits


def pack_average(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/average_pool_2d/helium.h`; None where it would not be exact."""
    if call.function != "average_pool_2d":
        return None
    p = _window(call)
    heights, widths = _inside(p, "h"), _inside(p, "w")
    counts = {int(count) for count in np.unique(np.outer(heights, widths))}
    whole = p["kernel_h"] * p["kernel_w"]
    if min(counts) < 1 or whole > _MOST:
        return None
    found = _lines(counts | {whole}, p, bool(call.params["half_up"]))
    if found is None:
        return None
    scales = np.zeros((max(counts) + 1, 2), np.int32)
    for count, line in found.items():
        if count <= max(counts):
            scales[count] = line.multiplier[0], line.addend[0] - half_up(line.shift)
    line = found[whole]
    p |= {"multiplier": int(line.multiplier[0]), "addend": int(line.addend[0])}
    p["addend"] -= half_up(line.shift)
    p |= {"lift": line.lift, "shift": line.shift}
    constants = {"scales": scales if not p["inside"] else scales[:1]}
    return replace(call, params=p, constants=constants, structure="average_pool_2d_helium")


def _inside(p: dict[str, int], axis: str) -> Array:
    """Return for each output of an axis how many inputs of its window are inside the image."""
    first = np.arange(p[f"out_{axis}"]) * p[f"stride_{axis}"] - p[f"pad_{axis}"]
    last = np.minimum(first + p[f"kernel_{axis}"], p[f"in_{axis}"])
    inside: Array = last - np.maximum(first, 0)
    return inside


def _lines(counts: set[int], p: dict[str, int], up: bool) -> dict[int, LinearScale] | None:
    """Return the division by each of the counts as a line of one lift and shift."""

    def line_of(count: int, lift: int, shifts: Sequence[int]) -> LinearScale | None:
        def outputs(sums: Array) -> Array:
            if up:
                mean = (sums + 128 * count + count // 2) // count - 128
            else:
                mean = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
            limited: Array = np.clip(mean, p["out_min"], p["out_max"])
            return limited

        ends = np.array([-128 * count]), np.array([127 * count])
        limits = p["out_min"], p["out_max"]
        return linear_scale(outputs, np.array([1 / count]), ends, limits, lift, shifts=shifts)

    for lift in _LIFTS:
        # The steepest line has the least room for a shift.
        first = line_of(min(counts), lift, ())
        if first is None:
            continue
        for shift in range(first.shift, 1, -1):
            found = {count: line_of(count, lift, (shift,)) for count in sorted(counts)}
            lines = {count: line for count, line in found.items() if line is not None}
            if len(lines) == len(counts):
                return lines
    return None


def pack_mean(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/mean/helium.h`; None where it would not be exact or not work."""
    if call.function != "mean":
        return None
    p = {name.removeprefix("at."): int(value) for name, value in call.params.items()}
    channels, count = p["kept_3"], p["size_2"] * p["size_3"]
    if p["size_2"] == 1 and p["size_3"] > _MOST:
        # A line is as good as several.
        width = max(n for n in range(1, _MOST + 1) if p["size_3"] % n == 0)
        p |= {"size_2": count // width, "size_3": width, "step_2": width * p["step_3"]}
    if (
        (p["size_0"], p["size_1"], p["kept_1"], p["kept_step_3"]) != (1, 1, 1, 1)
        or p["outputs"] != p["kept_2"] * channels  # one outer axis
        or p["size_3"] > _MOST
        or count > _MOST_WIDE
    ):
        return None
    sums = sums_of_mean(p, count)
    scale = scale_of(sums)
    if scale is None:
        return None
    numbers = [int(number) for number in scale.table[0]]
    names = ("bias", "multiplier", "addend", "left")[0 if scale.bias else 1 :]
    line = {"bias": 0, "left": 0} | dict(zip(names, numbers, strict=False))
    params = {
        "rows": p["kept_2"],
        "channels": channels,
        "step": p["kept_step_2"],
        "height": p["size_2"],
        "width": p["size_3"],
        "line_step": p["step_2"],
        "pixel_step": p["step_3"],
        "wide": int(count > _MOST),
        "biased": scale.bias,
        "lift": scale.lift,
        "shift": scale.shift,
        "out_min": p["out_min"],
        "out_max": p["out_max"],
    }
    return replace(call, params=params | line, structure="mean_helium")


def pack_maximum(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/max_pool_2d/helium.h`; None where it would not work."""
    if call.function != "max_pool_2d":
        return None
    p = _window(call)
    if min(_inside(p, "h").min(), _inside(p, "w").min()) < 1:
        return None
    return replace(call, params=p, structure="max_pool_2d_helium")


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the input to the output: some channels are read, then written."""
    p = {name: int(value) for name, value in call.params.items()}
    if call.function == "mean":
        reads, step, channels = np.arange(p["rows"]) * p["step"], p["channels"], p["channels"]
    else:
        reads, step, channels = image_reads(call).reshape(-1), p["out_step"], p["in_c"]
    some = _BYTES if call.function == "max_pool_2d" else _CHANNELS
    first = np.minimum(np.arange(0, channels, some), max(channels - some, 0))
    ends = np.arange(len(reads))[:, None] * step + np.minimum(first + some, channels)
    starts = (reads[:, None] + first).reshape(-1)
    return [Clearance(block_clearance(ends.reshape(-1), starts, call.inputs[0]), None)]

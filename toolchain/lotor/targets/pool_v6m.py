"""AVERAGE_POOL_2D and MEAN of int8 for Armv6-M."""

from dataclasses import replace

import numpy as np

from lotor.ops import KernelCall
from lotor.targets import pool_dsp
from lotor.targets.add_dsp import addend_of
from lotor.targets.linear_scale import Outputs
from lotor.targets.v6m_scale import short_line

# In assembly, or dear at run time.
FIXED_AVERAGE = ("kernel_h", "kernel_w", "shift", "out_min", "out_max", "clamped")
FIXED_MEAN = ("height", "width", "shift", "out_min", "out_max", "clamped", "parts")
_OF_PARTS = ("parts", "begin", "reach", "high", "zero", "below", "lowest")
_MOST = 1 << 31
_CHANGES = (0, 1, -1, 2, -2)  # of the obvious multiplier
_WINDOW = (
    "batches in_h in_w in_c out_h out_w in_step out_step kernel_h kernel_w stride_h stride_w "
    "pad_h pad_w out_min out_max"
)


def pack_average(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/average_pool_2d/v6m.h`; None where it would not be exact."""
    if call.function != "average_pool_2d":
        return None
    outputs = pool_dsp.averages(call)
    if outputs is None:
        return None
    p = {name: int(value) for name, value in call.params.items()}
    count = p["kernel_h"] * p["kernel_w"]
    line = _line(outputs, (-128 * count, 127 * count), 1 / count, (p["out_min"], p["out_max"]))
    if line is None:
        return None
    params = {name: p[name] for name in _WINDOW.split()}
    return replace(call, params=params | line, structure="average_pool_2d_v6m")


def pack_mean(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/mean/v6m.h`; None where it would not be exact or not work."""
    found = pool_dsp.mean_sums(call)
    if found is None:
        return None
    sums, params = found
    bias = int(sums.bias[0])
    ends = int(sums.low[0]) - bias, int(sums.high[0]) - bias
    line = _line(lambda x: sums.outputs(x[None] + bias)[0], ends, float(sums.scale[0]), sums.limits)
    parts = dict.fromkeys(_OF_PARTS, 0)
    if line is None:
        short = short_line(sums)
        if short is None:
            return None
        numbers = {
            name: int(getattr(short, name)[0]) for name in ("reach", "high", "zero", "below")
        }
        parts |= {**numbers, "lowest": int(short.lowest[0]), "parts": 3 if short.deep else 2}
        parts["begin"] = bias - int(short.first[0])
        line = {"multiplier": int(short.low[0]), "addend": int(short.addend[0])}
        line |= {"shift": int(short.bits[0]), "clamped": 1}
    params |= {"out_min": sums.limits[0], "out_max": sums.limits[1]}
    numbers = line | parts  # as int32, of which the kernel takes the bits
    words = {name: (value + _MOST) % (2 * _MOST) - _MOST for name, value in numbers.items()}
    return replace(call, params=params | words, structure="mean_v6m")


def _line(
    outputs: Outputs, ends: tuple[int, int], scale: float, limits: tuple[int, int]
) -> dict[str, int] | None:
    """Return the line of 32 bits that gives all outputs between limits; None if there is none."""
    sums = np.arange(ends[0], ends[1] + 1)
    want = outputs(sums)
    low, high = limits
    for shift in range(24, 0, -1):
        for change in _CHANGES:
            multiplier = round(scale * 2.0**shift) + change
            products = sums * multiplier
            addend = addend_of(limits, products, want, shift)
            if addend is None or np.abs(products).max() + abs(addend) >= _MOST:
                continue
            values = (products + addend) >> shift
            clamped = int(values.min() < low or values.max() > high)
            line = {"multiplier": multiplier, "addend": addend, "shift": shift}
            return line | {"clamped": clamped}
    return None

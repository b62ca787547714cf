"""ADD and SUB of int8 for the DSP instructions: one line for both inputs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array
from lotor.memory import Clearance
from lotor.ops import KernelCall

_BLOCK = 4  # elements that are read, then written
_LARGEST = (1 << 31) - 1
VALUES = np.arange(-128, 128, dtype=np.int64)
_CHANGES = (0, 1, -1, 2, -2, 3, -3)  # of the addend, in steps of its smallest effect


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/add/dsp.h`; None where it would not be exact."""
    if not one_shape(call):
        return None
    p, y = {name: int(value) for name, value in call.params.items()}, call.outputs[0]
    sign = -1 if call.function == "sub" else 1
    want = reference(p, sign)
    for away in (0, 1):
        line = _line(p, sign, want, away)
        if line is not None:
            params = {"count": y.elements, **line}
            params |= {name: p[name] for name in ("out_offset", "out_min", "out_max")}
            return replace(
                call,
                kernel="add",
                function="add",
                params=params,
                constants={},
                structure="add_dsp",
            )
    return None


def one_shape(call: KernelCall) -> bool:
    """Return whether a call adds or subtracts two tensors of int8, element by element."""
    if call.function not in ("add", "sub"):
        return False
    (a, b), y = call.inputs, call.outputs[0]
    if not a.shape == b.shape == y.shape:
        return False
    if a.data is not None or b.data is not None or not (a.dense and b.dense and y.dense):
        return False
    p = call.params
    return (p["row"], p["a_step"], p["b_step"]) == (y.elements, 1, 1)


def _scale_down(x: Array, multiplier: int, right: int) -> Array:
    high = (x * multiplier + (1 << 30)) >> 31
    mask = (1 << right) - 1
    return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0))


def reference(p: dict[str, int], sign: int) -> Array:
    """Return int64[256, 256]: the output for all values of both inputs."""
    a = _scale_down((VALUES + p["a_offset"]) << 20, p["a_multiplier"], p["a_right"])
    b = _scale_down((VALUES + p["b_offset"]) << 20, p["b_multiplier"], p["b_right"])
    total = a[:, None] + sign * b[None, :]
    scaled = _scale_down(total, p["out_multiplier"], p["out_right"]) + p["out_offset"]
    limited: Array = np.clip(scaled, p["out_min"], p["out_max"])
    return limited


def _line(p: dict[str, int], sign: int, want: Array, away: int) -> dict[str, int] | None:
    """Return multipliers, addend and shift that give the same outputs; None if none do."""
    out = p["out_multiplier"] * 2.0 ** (20 - 31 - p["out_right"])
    factors = [p[f"{name}_multiplier"] * 2.0 ** (-31 - p[f"{name}_right"]) * out for name in "ab"]
    offset = factors[0] * p["a_offset"] + sign * factors[1] * p["b_offset"]
    offset += 0 if away else p["out_offset"] + 0.5
    for shift in range(23, 12, -1):
        a, b = (round(f * 2.0 ** (shift + 8)) for f in factors)
        b *= sign
        base = round(offset * 2.0**shift)
        for change in _CHANGES:
            addend = base + change
            found = _outputs(a, b, addend, shift, p, away)
            if found is not None and np.array_equal(found, want):
                return {
                    "a_multiplier": a,
                    "b_multiplier": b,
                    "addend": addend,
                    "away": away,
                    "shift": shift,
                }
            if found is None:
                break
    return None


def _outputs(a: int, b: int, addend: int, shift: int, p: dict[str, int], away: int) -> Array | None:
    """Return what the kernel computes, int64[256, 256]; None where it leaves int32."""
    if max(abs(a), abs(b), abs(addend)) > _LARGEST:
        return None
    first = ((VALUES * 256 * a) >> 16) + addend
    total = first[:, None] + ((VALUES * 256 * b) >> 16)[None, :]
    half = 1 << (shift - 1)
    if np.abs(first).max() > _LARGEST or np.abs(total).max() + half > _LARGEST:
        return None
    rounded = ((total + half + (total >> 31)) >> shift) + p["out_offset"]
    scaled = rounded if away else total >> shift
    limited: Array = np.clip(np.clip(scaled, -128, 127), p["out_min"], p["out_max"])
    return limited


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the inputs to the output: four elements are read, then written."""
    return [Clearance(0, None)] * len(call.inputs)

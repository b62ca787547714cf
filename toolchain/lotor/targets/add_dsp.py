"""ADD and SUB of int8 for the DSP instructions: one line for both inputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lotor.graph import Array
from lotor.memory import Clearance
from lotor.ops import KernelCall

_FRACTION = 8  # SMLAWB and SMLAWT have 16 bits of it, and the values 8 bits more
_LARGEST = (1 << 31) - 1
_NEVER = 1 << 40
_VALUES = np.arange(-128, 128, dtype=np.int64)
_CHANGES = (0, 1, -1, 2, -2, 3, -3)  # of the addend, in steps of its smallest effect


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/add/dsp.h`; None where it would not be exact."""
    found = line_of(call, _FRACTION, _cut_off)
    return None if found is None else with_line(call, found, "add_dsp")


def _cut_off(a: int, b: int) -> Array:
    """Return the products as SMLAWB and SMLAWT add them up, each without its fraction."""
    return (_VALUES * a >> _FRACTION)[:, None] + (_VALUES * b >> _FRACTION)[None, :]


@dataclass(frozen=True)
class Line:
    """One line for both inputs.

    Attributes:
        a, b: multipliers, with bits of fraction.
        addend: without.
        away: whether the result is rounded half away from zero, and the zero point added then.
        shift: bits of the sum that are not of the output.
    """

    a: int
    b: int
    addend: int
    away: bool
    shift: int


def line_of(
    call: KernelCall,
    fraction: int,
    products: Callable[[int, int], Array],
    *,
    broadcast: bool = False,
) -> Line | None:
    """Return the line that gives what the reference does; None where there is none.

    Args:
        call: of any kernel.
        fraction: bits of the products that are cut off.
        products: of all values and two multipliers, int64[256, 256], as the kernel has them.
        broadcast: whether the kernel walks through rows; else it takes two tensors of one shape.
    """
    if call.function not in ("add", "sub"):
        return None
    p = {name: int(value) for name, value in call.params.items()}
    if not (broadcast or _one_row(call)):
        return None
    sign = -1 if call.function == "sub" else 1
    want = _reference(p, sign)
    out = p["out_multiplier"] * 2.0 ** (20 - 31 - p["out_right"])
    factors = [p[f"{name}_multiplier"] * 2.0 ** (-31 - p[f"{name}_right"]) * out for name in "ab"]
    factors[1] *= sign
    offset = factors[0] * p["a_offset"] + factors[1] * p["b_offset"]
    for away in (False, True):
        for shift in range(23, 12, -1):
            first, second = (round(f * 2.0 ** (shift + fraction)) for f in factors)
            if max(abs(first), abs(second)) > _LARGEST:
                continue
            # Limits of what is added up, in any order, with half a step.
            most = (128 * (abs(first) + abs(second)) >> fraction) + 2 + (1 << shift)
            sums = products(first, second)
            addend = (
                _addend_away(p, sums, want, shift, round(offset * 2.0**shift))
                if away
                else addend_of((p["out_min"], p["out_max"]), sums, want, shift)
            )
            if addend is not None and most + abs(addend) <= _LARGEST:
                return Line(first, second, addend, away, shift)
    return None


def _one_row(call: KernelCall) -> bool:
    """Return whether a call adds two tensors of one shape, neither of which is constant."""
    (a, b), y, p = call.inputs, call.outputs[0], call.params
    return (
        a.shape == b.shape == y.shape
        and a.data is None
        and b.data is None
        and a.dense
        and b.dense
        and y.dense
        and (p["row"], p["a_step"], p["b_step"]) == (y.elements, 1, 1)
    )


def with_line(call: KernelCall, line: Line, structure: str, **more: int) -> KernelCall:
    """Return the call of a kernel that takes a line and more parameters."""
    params = {
        "count": call.outputs[0].elements,
        "a_multiplier": line.a,
        "b_multiplier": line.b,
        "addend": line.addend,
        "away": int(line.away),
        "shift": line.shift,
    }
    params |= {name: int(call.params[name]) for name in ("out_offset", "out_min", "out_max")}
    return replace(
        call,
        kernel="add",
        function="add",
        params=params | more,
        constants={},
        structure=structure,
    )


def _scale_down(x: Array, multiplier: int, right: int) -> Array:
    high = (x * multiplier + (1 << 30)) >> 31
    mask = (1 << right) - 1
    return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0))


def _reference(p: dict[str, int], sign: int) -> Array:
    """Return int64[256, 256]: the output for all values of both inputs."""
    a = _scale_down((_VALUES + p["a_offset"]) << 20, p["a_multiplier"], p["a_right"])
    b = _scale_down((_VALUES + p["b_offset"]) << 20, p["b_multiplier"], p["b_right"])
    total = a[:, None] + sign * b[None, :]
    scaled = _scale_down(total, p["out_multiplier"], p["out_right"]) + p["out_offset"]
    limited: Array = np.clip(scaled, p["out_min"], p["out_max"])
    return limited


def addend_of(limits: tuple[int, int], sums: Array, want: Array, shift: int) -> int | None:
    """Return the addend with which all sums reach their outputs and no more; None without one."""
    least = np.where(want > limits[0], (want << shift) - sums, -_NEVER).max()
    most = np.where(want < limits[1], ((want + 1) << shift) - 1 - sums, _NEVER).min()
    return int(least + most) // 2 if least <= most else None


def _addend_away(p: dict[str, int], sums: Array, want: Array, shift: int, base: int) -> int | None:
    """Return the addend with which all sums round to their outputs, half away from zero."""
    half = 1 << (shift - 1)
    for change in _CHANGES:
        total = sums + base + change
        scaled = ((total + half + (total >> 63)) >> shift) + p["out_offset"]
        if np.array_equal(np.clip(scaled, p["out_min"], p["out_max"]), want):
            return base + change
    return None


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the inputs to the output: four elements are read, then written."""
    return [Clearance(0, None)] * len(call.inputs)

"""ADD and SUB of int8 for Armv6-M: one line for both inputs."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from lotor.graph import Array
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.add_dsp import VALUES, one_shape, reference

_LARGEST = (1 << 31) - 1
_SHIFTS = range(23, 12, -1)
_CHANGES = (0, 1, -1, 2, -2)  # of multipliers


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/add/v6m.h`; None where it would not be exact."""
    if not one_shape(call):
        return None
    p = {name: int(value) for name, value in call.params.items()}
    sign = -1 if call.function == "sub" else 1
    want = reference(p, sign) - p["out_min"]
    for away in (0, 1):
        line = _line(p, sign, want, away)
        if line is not None:
            params = {"count": call.outputs[0].elements, **line}
            params |= {name: p[name] for name in ("out_min", "out_max")}
            return replace(
                call,
                kernel="add",
                function="add",
                params=params,
                constants={},
                structure="add_v6m",
            )
    return None


def _line(p: dict[str, int], sign: int, want: Array, away: int) -> dict[str, int] | None:
    """Return multipliers, addend and shift that give the same outputs; None if none do."""
    out = p["out_multiplier"] * 2.0 ** (20 - 31 - p["out_right"])
    factors = [p[f"{name}_multiplier"] * 2.0 ** (-31 - p[f"{name}_right"]) * out for name in "ab"]
    most = p["out_max"] - p["out_min"]
    for shift in _SHIFTS:
        whole = [round(f * 2.0**shift) for f in factors]
        for changes in product(_CHANGES, repeat=2):
            a, b = (n + change for n, change in zip(whole, changes, strict=True))
            b *= sign
            total = (VALUES * a)[:, None] + (VALUES * b)[None, :]
            after = 0
            if away:
                # The sum's sign is that of the inputs, so their offsets must meet it exactly.
                addend = a * p["a_offset"] + b * p["b_offset"]
                after = (1 << (shift - 1)) + ((p["out_offset"] - p["out_min"]) << shift)
            else:
                found = _addend(total, want, most, shift)
                if found is None:
                    continue
                addend = found
            total += addend
            rounded = total + after + (total >> 31 if away else 0)
            if max(np.abs(total).max(), np.abs(rounded).max(), after) > _LARGEST:
                break
            if np.array_equal(np.clip(rounded >> shift, 0, most), want):
                names = ("a_multiplier", "b_multiplier", "addend", "away", "after", "shift")
                return dict(zip(names, (a, b, addend, away, after, shift), strict=True))
    return None


def _addend(total: Array, want: Array, most: int, shift: int) -> int | None:
    """Return what makes `(total + it) >> shift` the wanted outputs once clamped; None: nothing."""
    least = ((want << shift) - total)[want > 0].max(initial=-_LARGEST)
    end = (((want + 1) << shift) - total)[want < most].min(initial=_LARGEST)
    return int(least) if least < end else None


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the inputs to the output: each element is read, then written."""
    return [Clearance(0, None)] * len(call.inputs)

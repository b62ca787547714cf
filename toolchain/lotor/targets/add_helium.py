"""ADD and SUB of int8 for Helium: one line for both inputs."""

from dataclasses import replace

import numpy as np

from lotor.graph import Array
from lotor.ops import KernelCall
from lotor.targets.add_dsp import line_of
from lotor.targets.helium_weights import half_up

_LARGEST = (1 << 31) - 1
_VALUES = np.arange(-128, 128, dtype=np.int64)


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/add/helium.h`; None where it would not be exact or not work."""
    if call.function not in ("add", "sub"):
        return None
    steps = {int(call.params["a_step"]), int(call.params["b_step"])}
    if 1 not in steps or not steps <= {0, 1}:
        return None
    line = line_of(call, 0, _products, broadcast=True)
    if line is None:
        return None
    addend, after = line.addend - half_up(line.shift), 0
    if line.away:
        half = 1 << (line.shift - 1)
        after = half + (int(call.params["out_offset"]) << line.shift) - half_up(line.shift)
        addend = line.addend
        if 128 * (abs(line.a) + abs(line.b)) + abs(addend) + abs(after) + 2 * half > _LARGEST:
            return None
    params = {name: int(call.params[name]) for name in ("row", "a_step", "b_step")}
    params |= {"a_multiplier": line.a, "b_multiplier": line.b, "addend": addend}
    params |= {"away": int(line.away), "shift": line.shift, "after": after}
    params |= {name: int(call.params[name]) for name in ("out_min", "out_max")}
    return replace(
        call,
        kernel="add",
        function="add",
        params=params,
        constants={"loops": call.constants["loops"]},
        structure="add_helium",
    )


def _products(a: int, b: int) -> Array:
    return (_VALUES * a)[:, None] + (_VALUES * b)[None, :]

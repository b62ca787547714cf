"""ADD and SUB of int8 for Helium: one line for both inputs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array
from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.targets.add_dsp import line_of, with_line
from lotor.targets.helium_weights import half_up

_LARGEST = (1 << 31) - 1
_VALUES = np.arange(-128, 128, dtype=np.int64)


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/add/helium.h`; None where it would not be exact."""
    line = line_of(call, 0, _products)
    if line is None:
        return None
    addend, after = line.addend - half_up(line.shift), 0
    if line.away:
        half = 1 << (line.shift - 1)
        after = half + (int(call.params["out_offset"]) << line.shift) - half_up(line.shift)
        addend = line.addend
        if 128 * (abs(line.a) + abs(line.b)) + abs(addend) + abs(after) + 2 * half > _LARGEST:
            return None
    return with_line(call, replace(line, addend=addend), "add_helium", after=after)


def _products(a: int, b: int) -> Array:
    return (_VALUES * a)[:, None] + (_VALUES * b)[None, :]


def clearances(call: KernelCall) -> Sequence[Clearance]:
    """Return the clearance of the inputs to the output: four elements are read, then written."""
    return [Clearance(0, None)] * len(call.inputs)

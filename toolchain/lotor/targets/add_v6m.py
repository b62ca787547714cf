"""ADD and SUB of int8 for Armv6-M: one line for both inputs."""

from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from lotor.graph import Array
from lotor.ops import KernelCall
from lotor.targets.add_dsp import line_of, with_line

FIXED = ("away", "shift", "out_offset", "out_min", "out_max")  # in assembly
_CHANGES = (0, 1, -1, 2, -2)  # of multipliers, which have no fraction
_VALUES = np.arange(-128, 128, dtype=np.int64)


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/add/v6m.h`; None where it would not be exact."""
    for changes in product(_CHANGES, _CHANGES):
        line = line_of(call, 0, partial(_products, changes))
        if line is not None:
            a, b = changes
            return with_line(call, replace(line, a=line.a + a, b=line.b + b), "add_v6m")
    return None


def _products(changes: tuple[int, int], a: int, b: int) -> Array:
    """Return the sums of products with multipliers near the obvious ones."""
    sums: Array = _VALUES[:, None] * (a + changes[0]) + _VALUES[None, :] * (b + changes[1])
    return sums

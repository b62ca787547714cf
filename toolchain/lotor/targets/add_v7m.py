"""ADD and SUB of int8 for Armv7-M: one line for both inputs."""

import numpy as np

from lotor.graph import Array
from lotor.ops import KernelCall
from lotor.targets.add_dsp import line_of, with_line

_VALUES = np.arange(-128, 128, dtype=np.int64)


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/add/v7m.h`; None where it would not be exact."""
    line = line_of(call, 0, _products)
    return None if line is None else with_line(call, line, "add_v7m")


def _products(a: int, b: int) -> Array:
    return _VALUES[:, None] * a + _VALUES[None, :] * b

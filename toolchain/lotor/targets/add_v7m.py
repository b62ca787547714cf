"""ADD and SUB of int8 for Armv7-M: one line for both inputs."""

from dataclasses import replace
from functools import partial

import numpy as np

from lotor.graph import Array
from lotor.ops import KernelCall
from lotor.targets.add_dsp import line_of, with_line

_FRACTIONS = (0, 8)  # bits: none if that will do, or a byte
_VALUES = np.arange(-128, 128, dtype=np.int64)


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/add/v7m.h`; None where it would not be exact."""
    for fraction in _FRACTIONS:
        line = line_of(call, fraction, partial(_products, fraction))
        if line is not None:
            low = {
                f"{name}_low": m & ((1 << fraction) - 1)
                for name, m in zip("ab", (line.a, line.b), strict=True)
            }
            whole = replace(line, a=line.a >> fraction, b=line.b >> fraction)
            return with_line(call, whole, "add_v7m", **low)
    return None


def _products(fraction: int, a: int, b: int) -> Array:
    """Return the sums of products as the kernel has them: the fraction is cut off from both."""
    sums: Array = (_VALUES[:, None] * a + _VALUES[None, :] * b) >> fraction
    return sums

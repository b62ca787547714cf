"""SOFTMAX of int8 for Helium: the exponentials of all differences, as a table."""

from dataclasses import replace

import numpy as np

from lotor.graph import Array
from lotor.ops import KernelCall
from lotor.ops.fixed import divide_by_power, multiply_high, wrapped32

_DIFFERENCES = 256  # of two int8
_LEAST = 64  # numbers for which a table of a kilobyte pays
_QUARTER = 1 << 24  # in Q5.26
# exp(-2^k) in Q0.31 for k = -2 ... 4
_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
_EXP_MINUS_EIGHTH = 1895147668
_ONE_THIRD = 715827883
_ONE = (1 << 31) - 1


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/softmax/helium.h`; None where its table does not pay."""
    if call.function != "softmax":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    if p["rows"] * p["depth"] < _LEAST:
        return None
    counting = max(min(1 - p["diff_min"], _DIFFERENCES), 0)
    differences = -np.arange(counting, dtype=np.int64)
    scaled = multiply_high(wrapped32(differences << p["left_shift"]), p["multiplier"])
    exponentials = np.append(_exponential(scaled), 0).astype(np.int32)
    return replace(
        call,
        params={"rows": p["rows"], "depth": p["depth"], "counting": counting},
        constants={"exponentials": exponentials},
        structure="softmax_helium",
    )


def _exponential(x: Array) -> Array:
    """Return exp(x) in Q0.31 of x <= 0 in Q5.26, as `kernels/common/fixed_functions.h` has it."""
    fraction = (x & (_QUARTER - 1)) - _QUARTER
    d = (fraction << 5) + (1 << 28)
    d2 = multiply_high(d, d)
    d4_over_4 = divide_by_power(multiply_high(d2, d2), 2)
    tail = divide_by_power(multiply_high(d4_over_4 + multiply_high(d2, d), _ONE_THIRD) + d2, 1)
    result = _EXP_MINUS_EIGHTH + multiply_high(d + tail, _EXP_MINUS_EIGHTH)
    rest = fraction - x
    for k, power in enumerate(_POWERS):
        result = np.where(rest & (_QUARTER << k), multiply_high(result, power), result)
    return np.where(x == 0, _ONE, result)

"""MUL of int8 for Helium: its products are requantized as sums are."""

from dataclasses import replace

from lotor.ops import KernelCall
from lotor.targets.helium_weights import biased_line_of
from lotor.targets.mul_dsp import sums_of

_MOST_LIFT = 7  # of an input with its offset, so that it stays in 16 bits
# The multiplication by a line doubles.
_LIFTS = tuple(range(2 * _MOST_LIFT + 1, 7, -1))


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/mul/helium.h`; None where it would not be exact."""
    sums = sums_of(call)
    if sums is None:
        return None
    line, twice = biased_line_of(sums, _LIFTS), sums.rounded_twice()
    params = {name: int(call.params[name]) for name in ("row", "a_step", "b_step")}
    params |= {name: int(call.params[name]) for name in ("a_offset", "b_offset")}
    lift = 0
    if line is not None:
        lift = line.lift - 1
        scale = {"multiplier": line.multiplier[0], "addend": line.addend[0], "left": 0}
        scale["shift"] = line.shift
    elif twice is not None:
        scale = {"multiplier": twice.multiplier[0], "addend": twice.addend[0]}
        scale |= {"left": -twice.right[0], "shift": 0}
    else:
        return None
    a_lift = min(lift, _MOST_LIFT)
    params |= {"a_factor": 1 << a_lift, "b_factor": 1 << (lift - a_lift)}
    params |= {name: int(value) for name, value in scale.items()}
    params |= dict(zip(("out_min", "out_max"), sums.limits, strict=True))
    constants = {"loops": call.constants["loops"]}
    return replace(call, params=params, constants=constants, structure="mul_helium")

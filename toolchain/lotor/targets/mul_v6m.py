"""MUL of int8 for Armv6-M: its products are requantized as sums are."""

from dataclasses import replace

from lotor.ops import KernelCall
from lotor.targets.mul_dsp import WALK, sums_of
from lotor.targets.v6m_scale import short_line
from lotor.targets.v6m_weights import table

# In assembly.
FIXED = ("a_step", "b_step", "a_offset", "b_offset", "bent", "deep", "out_min", "out_max")


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/mul/v6m.h`; None where it would not be exact."""
    sums = sums_of(call)
    line = None if sums is None else short_line(sums)
    if sums is None or line is None:
        return None
    params = {name: call.params[name] for name in WALK}
    params |= {"bent": int(line.bent), "deep": int(line.deep)}
    params |= dict(zip(("out_min", "out_max"), sums.limits, strict=True))
    constants = {"loops": call.constants["loops"], "table": table(sums, line).reshape(-1)}
    return replace(call, params=params, constants=constants, structure="mul_v6m")

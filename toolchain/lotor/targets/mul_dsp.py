"""MUL of int8 for the DSP instructions: its products are requantized as sums are."""

from dataclasses import replace

import numpy as np

from lotor.ops import KernelCall
from lotor.targets.dsp_scale import DspScale
from lotor.targets.linear_scale import Sums

WALK = ("row", "a_step", "b_step", "a_offset", "b_offset")
_ENDS = (-128, 127)


def sums_of(call: KernelCall) -> Sums | None:
    """Return the products as sums; None where a row is not read in steps of 0 or 1."""
    if call.function != "mul":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    if not {p["a_step"], p["b_step"]} <= {0, 1}:
        return None
    products = [(a + p["a_offset"]) * (b + p["b_offset"]) for a in _ENDS for b in _ENDS]
    one = np.ones(1, np.int64)
    limits = (p["low"] + p["out_offset"], p["high"] + p["out_offset"])
    return Sums(
        False,
        0 * one,
        min(products) * one,
        max(products) * one,
        p["multiplier"] * one,
        p["shift"] * one,
        p["out_offset"],
        limits,
    )


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/mul/dsp.h`; None where it would not be exact."""
    sums = sums_of(call)
    if sums is None:
        return None
    scale = DspScale.of(sums)
    if not scale.proved:
        return None
    params: dict[str, int | float] = {name: call.params[name] for name in WALK}
    params |= {name: value for name, value in scale.params.items() if name != "entries"}
    constants = {"loops": call.constants["loops"], "numbers": scale.table[0]}
    return replace(call, params=params, constants=constants, structure="mul_dsp")

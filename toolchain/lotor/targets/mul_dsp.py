"""MUL of int8 for the DSP instructions: its products are requantized as sums are."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lotor.ops import KernelCall
from lotor.targets.dsp_scale import DspScale
from lotor.targets.linear_scale import Sums
from lotor.targets.v7m_sums import line_of

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
    return _packed(call, DspScale.of, "mul_dsp")


def pack_v7m(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/mul/v7m.h`; None where it would not be exact."""
    return _packed(call, lambda sums: DspScale.on_line(sums, line_of(sums)), "mul_v7m")


def _packed(
    call: KernelCall, scale_of: Callable[[Sums], DspScale], structure: str
) -> KernelCall | None:
    sums = sums_of(call)
    if sums is None:
        return None
    scale = scale_of(sums)
    if not scale.proved:
        return None
    params: dict[str, int | float] = {name: call.params[name] for name in WALK}
    params |= {name: value for name, value in scale.params.items() if name != "entries"}
    constants = {"loops": call.constants["loops"], "numbers": scale.table[0]}
    return replace(call, params=params, constants=constants, structure=structure)

"""Kernel variants: which C implementation a target uses for a kernel call.

`kernels/<kernel>/portable.h` serves every call and is the specification. A faster variant is one
more row here: the same predicate decides that it is chosen and what it needs, so that the two can
never drift apart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.resources import resource
from lotor.targets import (
    Target,
    add_dsp,
    add_v6m,
    conv_2d_dsp,
    conv_2d_v6m,
    depthwise_conv_2d_dsp,
    depthwise_conv_2d_v6m,
    fully_connected_dsp,
    fully_connected_v6m,
)
from lotor.targets.overlap import portable_clearances


@dataclass(frozen=True)
class Variant:
    """One implementation of one kernel function.

    Attributes:
        kernel: folder under `kernels/`.
        name: header in it and last part of the C function's name.
        pack: the call with what this implementation takes in place of the portable one's
            parameters and constants; None where it would not compute the call exactly.
        clearances: how far the output may lie over each input (`overlap.py`).
    """

    kernel: str
    name: str
    pack: Callable[[KernelCall], KernelCall | None]
    clearances: Callable[[KernelCall], Sequence[Clearance]]

    @property
    def header(self) -> Path:
        """The C header."""
        return resource("kernels", self.kernel, f"{self.name}.h")


_PORTABLE = "portable"
_FASTER: tuple[Variant, ...] = (
    Variant("add", "dsp", add_dsp.pack, add_dsp.clearances),
    Variant("fully_connected", "dsp", fully_connected_dsp.pack, fully_connected_dsp.clearances),
    Variant("conv_2d", "dsp", conv_2d_dsp.pack, conv_2d_dsp.clearances),
    Variant(
        "depthwise_conv_2d", "dsp", depthwise_conv_2d_dsp.pack, depthwise_conv_2d_dsp.clearances
    ),
    Variant("add", "v6m", add_v6m.pack, add_v6m.clearances),
    Variant("fully_connected", "v6m", fully_connected_v6m.pack, fully_connected_v6m.clearances),
    Variant("conv_2d", "v6m", conv_2d_v6m.pack, conv_2d_v6m.clearances),
    Variant(
        "depthwise_conv_2d", "v6m", depthwise_conv_2d_v6m.pack, depthwise_conv_2d_v6m.clearances
    ),
)


def select_variant(call: KernelCall, target: Target) -> tuple[Variant, KernelCall]:
    """Return the variant that the target runs a call with, and the call as it takes it."""
    for name in target.variants:
        for variant in _FASTER:
            packed = variant.pack(call) if variant.name == name else None
            if packed is not None:
                return variant, packed
    return Variant(call.kernel, _PORTABLE, lambda call: call, portable_clearances), call

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
from lotor.targets import Target
from lotor.targets.overlap import portable_clearances


@dataclass(frozen=True)
class Variant:
    """One implementation of one kernel function.

    Attributes:
        kernel: folder under `kernels/`.
        name: header in it and last part of the C function's name.
        accepts: whether it computes this call exactly.
        clearances: how far the output may lie over each input (`overlap.py`).
    """

    kernel: str
    name: str
    accepts: Callable[[KernelCall], bool]
    clearances: Callable[[KernelCall], Sequence[Clearance]]

    @property
    def header(self) -> Path:
        """The C header."""
        return resource("kernels", self.kernel, f"{self.name}.h")


_FASTER: tuple[Variant, ...] = ()


def select_variant(call: KernelCall, target: Target) -> Variant:
    """Return the variant that the target runs a call with."""
    for name in target.variants:
        for variant in _FASTER:
            if (variant.kernel, variant.name) == (call.kernel, name) and variant.accepts(call):
                return variant
    return Variant(call.kernel, "portable", lambda _: True, portable_clearances)

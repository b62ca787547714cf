"""ADD and SUB of int8 for Armv7-M: one line for both inputs."""

from lotor.ops import KernelCall
from lotor.targets.add_dsp import packed


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `kernels/add/v7m.h`; None where it would not be exact."""
    return packed(call, "add_v7m", fraction=0)

"""What variants look at to make the calls of a model alike."""

from dataclasses import dataclass

from lotor.ops import KernelCall


@dataclass(frozen=True)
class SharedCall:
    """A call of a kernel that layers share.

    Attributes:
        source: the call of the portable kernel.
        packed: the variant's.
        macs: multiply-accumulates of the layer.
    """

    source: KernelCall
    packed: KernelCall
    macs: int

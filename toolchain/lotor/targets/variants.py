"""Kernel variants: which C implementation a target uses for a kernel call.

`kernels/<kernel>/portable.h` serves every call and is the specification. A faster variant is one
more row here: the same predicate decides that it is chosen and what it needs, so that the two can
never drift apart.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lotor.memory import Clearance
from lotor.ops import KernelCall
from lotor.resources import resource
from lotor.targets import (
    Target,
    add_dsp,
    add_helium,
    add_v6m,
    add_v7m,
    average_pool_2d_helium,
    conv_2d_dsp,
    conv_2d_dsp_winograd,
    conv_2d_helium,
    conv_2d_v6m,
    conv_2d_v7m,
    depthwise_conv_2d_dsp,
    depthwise_conv_2d_dsp_general,
    depthwise_conv_2d_helium,
    depthwise_conv_2d_v6m,
    depthwise_conv_2d_v7m,
    depthwise_conv_2d_v7m_general,
    dsp_general,
    fully_connected_dsp,
    fully_connected_helium,
    fully_connected_v6m,
    fully_connected_v7m,
    mul_dsp,
    pool_dsp,
    softmax_table,
)
from lotor.targets.overlap import portable_clearances
from lotor.targets.shared_call import SharedCall

_PORTABLE = "portable"


@dataclass(frozen=True)
class Variant:
    """One implementation of one kernel function.

    Attributes:
        kernel: folder under `kernels/`.
        name: header in it and last part of the C function's name.
        pack: the call with what this implementation takes in place of the portable one's
            parameters and constants; None where it would not compute the call exactly.
        clearances: how far the output may lie over each input (`overlap.py`).
        shared: the parameters that must be equal in layers that share one C function; None where
            each layer has its own, specialised for all of its parameters.
        share: a model's calls of it, made more alike so that more of them share, and whether small
            code matters more than fast code; variants with the same function are asked together.
            None where calls are as they are.
        apart: a layer with this part of the model's multiply-accumulates shares nothing all the
            same: a function of its own is worth its bytes.
        shrink: the call with the least scratch memory that it can do with, at some time; None where
            it is so anyway.
        form: which of the ways to use the header; empty where there is one.
        spends: whether its weights take more flash than they need, which must be to spare.
        saved: which part of the time this takes off a call for that, where nobody has measured it.
        general: whether it is only for what no other variant of its instruction set takes.
    """

    kernel: str
    name: str
    pack: Callable[[KernelCall], KernelCall | None]
    clearances: Callable[[KernelCall], Sequence[Clearance]]
    shared: tuple[str, ...] | None = None
    share: Callable[[Sequence[SharedCall], bool], Sequence[KernelCall]] | None = None
    apart: float = 2.0
    shrink: Callable[[KernelCall], KernelCall] | None = None
    form: str = ""
    spends: bool = False
    saved: Callable[[KernelCall], float] = lambda call: 0.0
    general: bool = False

    @property
    def label(self) -> str:
        """What tells it from the other variants of its kernel."""
        return f"{self.name}_{self.form}" if self.form else self.name

    @property
    def portable(self) -> bool:
        """Whether it is the specification, in plain C."""
        return self.name == _PORTABLE

    @property
    def instruction_set(self) -> str:
        """The first part of its name, which targets name."""
        return self.name.partition("_")[0]

    @property
    def header(self) -> Path:
        """The C header."""
        return resource("kernels", self.kernel, f"{self.name}.h")


_SCALE = ("lift", "shift", "out_min", "out_max")  # constants in assembly
_GENERAL = ("way", *_SCALE)
_FASTER: tuple[Variant, ...] = (
    Variant("add", "dsp", add_dsp.pack, add_dsp.clearances, ("away", "shift")),
    Variant("average_pool_2d", "dsp", pool_dsp.pack_average, pool_dsp.clearances, _GENERAL),
    Variant("mean", "dsp", pool_dsp.pack_mean, pool_dsp.clearances, _GENERAL),
    Variant("max_pool_2d", "dsp", pool_dsp.pack_maximum, pool_dsp.clearances),
    Variant("softmax", "dsp", softmax_table.pack, softmax_table.clearances),
    # Four elements are read before they are written, which asks for no more than one by one.
    Variant("mul", "dsp", mul_dsp.pack, portable_clearances, ("a_step", "b_step", *_GENERAL)),
    Variant(
        "fully_connected",
        "dsp",
        fully_connected_dsp.pack,
        fully_connected_dsp.clearances,
        ("back", "turn", "scaled_alike", *_SCALE),
        fully_connected_dsp.share,
    ),
    *(
        Variant(
            "conv_2d",
            "dsp_winograd",
            pack,
            conv_2d_dsp_winograd.clearances,
            ("size", "shift", "out_min", "out_max"),
            form=form,
            spends=True,
            saved=conv_2d_dsp_winograd.saved,
        )
        for form, pack in (
            ("4x4", conv_2d_dsp_winograd.pack_4x4),
            ("2x2", conv_2d_dsp_winograd.pack_2x2),
        )
    ),
    Variant(
        "conv_2d",
        "dsp_pointwise",
        conv_2d_dsp.pack_pointwise,
        conv_2d_dsp.pointwise_clearances,
        (),
        conv_2d_dsp.share,
    ),
    Variant(
        "conv_2d",
        "dsp",
        conv_2d_dsp.pack,
        conv_2d_dsp.clearances,
        ("single", "whole"),
        conv_2d_dsp.share,
    ),
    Variant(
        "depthwise_conv_2d",
        "dsp",
        depthwise_conv_2d_dsp.pack,
        depthwise_conv_2d_dsp.clearances,
        ("stride", "pitch", "pad_w", "turn", "base", *_SCALE),
        depthwise_conv_2d_dsp.share,
        0.04,
        depthwise_conv_2d_dsp.shrink,
    ),
    Variant("add", "helium", add_helium.pack, add_helium.clearances),
    Variant(
        "fully_connected",
        "helium",
        fully_connected_helium.pack,
        fully_connected_helium.clearances,
        ("few", "rest", "turn", *_SCALE),
    ),
    Variant(
        "average_pool_2d",
        "helium",
        average_pool_2d_helium.pack,
        average_pool_2d_helium.clearances,
    ),
    Variant("conv_2d", "helium", conv_2d_helium.pack, conv_2d_helium.clearances),
    Variant(
        "depthwise_conv_2d",
        "helium",
        depthwise_conv_2d_helium.pack,
        depthwise_conv_2d_helium.clearances,
    ),
    Variant("average_pool_2d", "v7m", pool_dsp.pack_average, pool_dsp.clearances, _GENERAL),
    Variant("mean", "v7m", pool_dsp.pack_mean, pool_dsp.clearances, _GENERAL),
    Variant("max_pool_2d", "v7m", pool_dsp.pack_maximum_v7m, pool_dsp.clearances),
    Variant("softmax", "v7m", softmax_table.pack, softmax_table.clearances),
    Variant("mul", "v7m", mul_dsp.pack_v7m, portable_clearances, ("a_step", "b_step", *_GENERAL)),
    Variant("add", "v7m", add_v7m.pack, add_dsp.clearances, ("away", "shift")),
    Variant(
        "fully_connected",
        "v7m",
        fully_connected_v7m.pack,
        fully_connected_dsp.clearances,
        ("inputs", "rest", *_SCALE),
    ),
    Variant(
        "conv_2d",
        "v7m_pointwise",
        conv_2d_v7m.pack_pointwise,
        conv_2d_v7m.pointwise_clearances,
        (),
    ),
    Variant("conv_2d", "v7m", conv_2d_v7m.pack, conv_2d_v7m.clearances, ()),
    Variant(
        "depthwise_conv_2d",
        "v7m",
        depthwise_conv_2d_v7m.pack,
        depthwise_conv_2d_dsp.clearances,
        ("stride", "pitch", "out_w", "out_step", *_SCALE),
        shrink=depthwise_conv_2d_dsp.shrink,
    ),
    Variant("add", "v6m", add_v6m.pack, add_dsp.clearances, add_v6m.FIXED),
    *(
        Variant(
            "fully_connected",
            "v6m",
            pack,
            fully_connected_v6m.clearances,
            fully_connected_v6m.FIXED,
        )
        for pack in (fully_connected_v6m.pack, fully_connected_v6m.pack_convolution)
    ),
    Variant("conv_2d", "v6m", conv_2d_v6m.pack, conv_2d_v6m.clearances, conv_2d_v6m.FIXED),
    Variant(
        "depthwise_conv_2d",
        "v6m",
        depthwise_conv_2d_v6m.pack,
        depthwise_conv_2d_v6m.clearances,
        depthwise_conv_2d_v6m.FIXED,
    ),
    Variant(
        "depthwise_conv_2d",
        "dsp_general",
        depthwise_conv_2d_dsp_general.pack,
        depthwise_conv_2d_dsp_general.clearances,
        ("kernel_h", "kernel_w", "stride_w", "dilation_w", "words", "rest", *_GENERAL),
        apart=0.02,
        shrink=depthwise_conv_2d_dsp_general.shrink,
        general=True,
    ),
    Variant(
        "depthwise_conv_2d",
        "v7m_general",
        depthwise_conv_2d_v7m_general.pack,
        depthwise_conv_2d_dsp_general.clearances,
        (
            "kernel_h",
            "kernel_w",
            "stride_w",
            "dilation_w",
            "run",
            "joint",
            "row_step",
            "rest",
            *_GENERAL,
        ),
        apart=0.02,
        shrink=depthwise_conv_2d_v7m_general.shrink,
        general=True,
    ),
    *(
        Variant(
            "fully_connected",
            "dsp_general",
            pack,
            dsp_general.dense_clearances,
            _GENERAL,
            general=True,
        )
        for pack in (dsp_general.pack_dense, dsp_general.pack_pixels)
    ),
    Variant(
        "conv_2d",
        "dsp_general",
        dsp_general.pack_convolution,
        dsp_general.convolution_clearances,
        ("pointwise", "lanes", *_GENERAL),
        general=True,
    ),
)


def candidates(
    call: KernelCall, target: Target, spend: bool = False
) -> Iterator[tuple[Variant, KernelCall]]:
    """Yield the variants that a target can run a call with, each with the call as it takes it.

    By rank: what is fastest as a rule comes first, the portable one last. Packing takes time, so
    take no more of them than needed.

    Args:
        call: of the portable kernel.
        target: the target.
        spend: whether those that take more flash than they need are among them.
    """
    found = False
    for name in target.variants:
        for variant in _FASTER:
            if variant.instruction_set != name or (variant.general and found):
                continue
            if spend or not variant.spends:
                packed = variant.pack(call)
                if packed is not None:
                    found = True
                    yield variant, packed
    yield Variant(call.kernel, _PORTABLE, lambda call: call, portable_clearances), call

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
    conv_2d_dsp,
    conv_2d_dsp_winograd,
    conv_2d_helium,
    conv_2d_v6m,
    conv_2d_v7m,
    conv_2d_wide,
    depthwise_conv_2d_dsp,
    depthwise_conv_2d_dsp_general,
    depthwise_conv_2d_helium,
    depthwise_conv_2d_helium_general,
    depthwise_conv_2d_v6m,
    depthwise_conv_2d_v6m_general,
    depthwise_conv_2d_v7m,
    depthwise_conv_2d_v7m_general,
    depthwise_conv_2d_wide,
    dsp_general,
    dsp_int4,
    fully_connected_dsp,
    fully_connected_helium,
    fully_connected_v6m,
    fully_connected_v7m,
    mul_dsp,
    mul_helium,
    mul_v6m,
    pool_dsp,
    pool_helium,
    pool_v6m,
    softmax_helium,
    softmax_table,
    table_helium,
)
from lotor.targets.blocks import Block
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
        thrifty: whether it is only for want of RAM.
        general: whether it is only for what no other variant of its instruction set takes.
        blocks: sizes in which it can work.
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
    thrifty: bool = False
    general: bool = False
    blocks: tuple[Block, ...] = ()

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


def _winograd(form: str, pack: Callable[[KernelCall], KernelCall | None]) -> Variant:
    return Variant(
        "conv_2d",
        "dsp_winograd",
        pack,
        conv_2d_dsp_winograd.clearances,
        ("size", "shift", "out_min", "out_max"),
        form=form,
        spends=True,
        saved=conv_2d_dsp_winograd.saved,
    )


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
        blocks=(fully_connected_dsp.TURN,),
    ),
    _winograd("4x4", conv_2d_dsp_winograd.pack_4x4),
    *(
        Variant(
            "conv_2d",
            "dsp_winograd_tile",
            conv_2d_dsp_winograd.pack_tile(size, in_place),
            conv_2d_dsp_winograd.tile_clearances,
            ("size", "in_place", "shift", "out_min", "out_max"),
            form=f"{size}x4_in_place" if in_place else f"{size}x4",
            spends=True,
            thrifty=True,
        )
        for size, in_place in ((4, False), (4, True), (2, False), (2, True))
    ),
    _winograd("2x2", conv_2d_dsp_winograd.pack_2x2),
    Variant(
        "conv_2d",
        "dsp_pointwise",
        conv_2d_dsp.pack_pointwise,
        conv_2d_dsp.pointwise_clearances,
        (),
        conv_2d_dsp.share,
        blocks=(conv_2d_dsp.TURN,),
    ),
    Variant(
        "conv_2d",
        "dsp",
        conv_2d_dsp.pack,
        conv_2d_dsp.clearances,
        ("single", "whole"),
        conv_2d_dsp.share,
        blocks=(conv_2d_dsp.TURN,),
    ),
    *(
        Variant(
            "int4",
            name,
            pack,
            dsp_int4.blockwise(clearances),
            shared,
            conv_2d_dsp.share,
            shrink=dsp_int4.shrink,
            blocks=(conv_2d_dsp.TURN, dsp_int4.FILTERS),
        )
        for name, pack, clearances, shared in (
            (
                "dsp_pointwise",
                conv_2d_dsp.pack_int4_pointwise,
                conv_2d_dsp.pointwise_clearances,
                (),
            ),
            (
                "dsp",
                conv_2d_dsp.pack_int4,
                conv_2d_dsp.clearances,
                ("layer.single", "layer.whole"),
            ),
        )
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
        blocks=(depthwise_conv_2d_dsp.TURN, depthwise_conv_2d_dsp.ROWS),
    ),
    # They read several elements before they write them, which asks for no more than one by one.
    Variant("add", "helium", add_helium.pack, portable_clearances),
    Variant("mul", "helium", mul_helium.pack, portable_clearances),
    Variant("softmax", "helium", softmax_helium.pack, softmax_table.clearances),
    Variant("table", "helium", table_helium.pack, table_helium.clearances),
    *(
        Variant(
            "fully_connected",
            "helium",
            pack,
            fully_connected_helium.clearances,
            ("few", "rest", "turn", *_SCALE),
            blocks=(fully_connected_helium.TURN,),
        )
        for pack in (fully_connected_helium.pack, fully_connected_helium.pack_pixels)
    ),
    Variant("average_pool_2d", "helium", pool_helium.pack_average, pool_helium.clearances),
    Variant("mean", "helium", pool_helium.pack_mean, pool_helium.clearances),
    Variant("max_pool_2d", "helium", pool_helium.pack_maximum, pool_helium.clearances),
    Variant("conv_2d", "helium", conv_2d_helium.pack, conv_2d_helium.clearances),
    Variant(
        "depthwise_conv_2d",
        "helium",
        depthwise_conv_2d_helium.pack,
        depthwise_conv_2d_helium.clearances,
    ),
    Variant(
        "depthwise_conv_2d",
        "helium_general",
        depthwise_conv_2d_helium_general.pack,
        depthwise_conv_2d_helium_general.clearances,
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
        ("inputs", "weights_offset", "rest", *_SCALE),
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
        blocks=(depthwise_conv_2d_dsp.ROWS,),
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
        "average_pool_2d",
        "v6m",
        pool_v6m.pack_average,
        pool_dsp.clearances,
        pool_v6m.FIXED_AVERAGE,
    ),
    Variant("softmax", "v6m", softmax_table.pack, softmax_table.clearances),
    Variant("mul", "v6m", mul_v6m.pack, portable_clearances, mul_v6m.FIXED),
    Variant("mean", "v6m", pool_v6m.pack_mean, pool_dsp.clearances, pool_v6m.FIXED_MEAN),
    Variant(
        "depthwise_conv_2d",
        "dsp_general",
        depthwise_conv_2d_dsp_general.pack,
        depthwise_conv_2d_dsp_general.clearances,
        ("kernel_h", "kernel_w", "stride_w", "dilation_w", "words", "rest", *_GENERAL),
        apart=0.02,
        shrink=depthwise_conv_2d_dsp_general.shrink,
        general=True,
        blocks=(depthwise_conv_2d_dsp_general.ROWS,),
    ),
    Variant(
        "depthwise_conv_2d",
        "v6m_general",
        depthwise_conv_2d_v6m_general.pack,
        depthwise_conv_2d_dsp_general.clearances,
        depthwise_conv_2d_v6m_general.FIXED,
        shrink=depthwise_conv_2d_v6m_general.shrink,
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
    Variant("conv_2d", "wide", conv_2d_wide.pack, conv_2d_wide.clearances),
    Variant("depthwise_conv_2d", "wide", depthwise_conv_2d_wide.pack, conv_2d_wide.clearances),
)


def candidates(
    call: KernelCall, target: Target, spend: bool = False, thrifty: bool = False
) -> Iterator[tuple[Variant, KernelCall]]:
    """Yield the variants that a target can run a call with, each with the call as it takes it.

    By rank: what is fastest as a rule comes first, the portable one last. Packing takes time, so
    take no more of them than needed.

    Args:
        call: of the portable kernel.
        target: the target.
        spend: whether those that take more flash than they need are among them.
        thrifty: whether those for want of RAM are.
    """
    found = False
    for name in target.variants:
        for variant in _FASTER:
            if variant.instruction_set != name or (variant.general and found):
                continue
            if (spend or not variant.spends) and (thrifty or not variant.thrifty):
                packed = variant.pack(call)
                if packed is not None:
                    found = True
                    yield variant, packed
    yield Variant(call.kernel, _PORTABLE, lambda call: call, portable_clearances), call

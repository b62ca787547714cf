"""Where the time goes on a board, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lotor.board import Board, load_board
from lotor.compiler import Compiled
from lotor.device import emulator
from lotor.device.budget import Took, milliseconds, missed
from lotor.device.counting import Counted, count, instructions
from lotor.device.cycles import TARGETS, Cycles, Program
from lotor.device.hot_loops import HotLoop, hot_loop, hottest
from lotor.device.messages import LayerProfile
from lotor.device.ready import compile_for, open_with_model
from lotor.errors import LotorError
from lotor.graph import short_name
from lotor.targets.preference import Optimize
from lotor.verify import random_inputs


@dataclass(frozen=True)
class LayerTime:
    """One layer of a profile.

    Attributes:
        index: from 0, in the order in which layers run.
        name: as in the model.
        kind: its operator.
        kernel: operator and variant, e.g. "conv_2d/dsp".
        macs: multiply-accumulates.
        ticks: in the board's unit.
        ticks_per_mac: None without multiply-accumulates.
        share: of the whole inference's ticks, 0 to 1.
        cycles_estimate: on an emulated Cortex-M4 or M7, see `lotor.device.cycles`.
        cycles_parts: what the estimate is made of.
    """

    index: int
    name: str
    kind: str
    kernel: str
    macs: int
    ticks: int
    ticks_per_mac: float | None
    share: float
    cycles_estimate: int | None
    cycles_parts: Cycles | None


@dataclass(frozen=True)
class Profile:
    """One measured inference.

    Attributes:
        model: its name.
        board: where it ran.
        layers: in the order in which they ran.
        ticks: the whole inference: the sum over the layers.
        tick_unit: "instructions" on an emulated board, "cycles" on a real one.
        cycles_estimate: the sum over the layers; None where cycles are not estimated.
        ram_bytes: the arena.
        arena_touched_bytes: the part of it that the board found overwritten.
        stack_bytes: the deepest the stack has been since the board started.
        hot: the hottest loops of the hottest layers, if they were asked for.
    """

    model: str
    board: str
    layers: list[LayerTime]
    ticks: int
    tick_unit: str
    cycles_estimate: int | None
    ram_bytes: int
    arena_touched_bytes: int | None
    stack_bytes: int | None
    hot: list[HotLoop] | None = None

    def __str__(self) -> str:
        return as_text(self)


def as_text(found: Profile) -> str:
    """Return a profile as a table."""
    estimated = found.cycles_estimate is not None
    cycles = f" {'est. cycles':>12}" if estimated else ""
    lines = [
        f"{'#':>3}  {'kernel':<24} {found.tick_unit:>12}{cycles} {'MACs':>10} {'per MAC':>7} "
        f"{'share':>6}  layer"
    ]
    for layer in found.layers:
        cycles = f" {layer.cycles_estimate:12,}" if layer.cycles_estimate is not None else ""
        per_mac = "" if layer.ticks_per_mac is None else f"{layer.ticks_per_mac:.2f}"
        lines.append(
            f"{layer.index:3}  {layer.kernel:<24.24} {layer.ticks:12,}{cycles} {layer.macs:10,} "
            f"{per_mac:>7} {layer.share:6.1%}  {short_name(layer.name)}"
        )
    return "\n".join([*lines, summary(found)])


def summary(found: Profile) -> str:
    """Return the totals in a line."""
    cycles = ""
    if found.cycles_estimate is not None:
        cycles = f"{found.cycles_estimate:,} estimated cycles, "
    return (
        f"{found.model} on {found.board}: {found.ticks:,} {found.tick_unit}, {cycles}"
        f"RAM {found.ram_bytes:,} bytes, stack {found.stack_bytes or 0:,} bytes"
    )


def over_budget(found: Profile) -> list[str]:
    """Return a line for each part of its board's budget that a profile shows more of.

    Estimated cycles count where there are some; the board's own ticks else.
    """
    board = load_board(found.board)
    took = Took(found.model, *milliseconds(board, found.ticks), found.ticks, found.tick_unit)
    if (cycles := found.cycles_estimate) is not None:
        ms = 1e3 * cycles / board.clock_hz
        took = Took(found.model, ms, False, cycles, "estimated cycles")
    return missed(board, took, found.stack_bytes)


def hot_as_text(found: Profile) -> str:
    """Return the hottest loops with their layers."""
    texts = []
    for loop in found.hot or ():
        layer = found.layers[loop.layer]
        cycles = ""
        if layer.cycles_estimate is not None:
            cycles = f", {layer.cycles_estimate:,} estimated cycles"
        texts.append(
            f"layer {layer.index} {short_name(layer.name)}, {layer.kernel}: {layer.ticks:,} "
            f"{found.tick_unit}{cycles}\n{loop}"
        )
    return "\n\n".join(texts) or "no layer has a loop"


def profile(
    model: str,
    board: str,
    seed: int = 0,
    ram: int | None = None,
    optimize: Optimize = "speed",
    hot: int | None = None,
) -> Profile:
    """Run one inference on a board and read what every layer took.

    The kernels' time does not depend on the data but for clamping, so one random input will do; the
    same seed gives the same input.

    Args:
        model: its name or path.
        board: where to measure.
        seed: of the input.
        ram: bytes that the arena may take; layers run in stripes where it would take more.
        optimize: what kernels are chosen for.
        hot: find the hottest loop of so many layers, on an emulated board.

    Raises:
        LotorError: the model does not compile or is not on the board, or the board's trouble.
    """
    chosen = load_board(board)
    if hot is not None and not chosen.emulated:
        raise LotorError(
            f"loops are found on emulated boards only, and {board} is none: see `lotor boards`"
        )
    return profile_compiled(compile_for(board, model, ram, optimize), model, board, seed, hot)


def profile_compiled(
    compiled: Compiled, model: str, board: str, seed: int = 0, hot: int | None = None
) -> Profile:
    """Return the profile of a model that was compiled for the board; see `profile`."""
    chosen = load_board(board)
    (inputs,) = random_inputs(compiled.graph, 1, seed)
    with open_with_model(board, model, compiled) as session:
        session.require_layers(compiled)
        session.progress = True
        for index, array in enumerate(inputs):
            session.load(index, array)
        ticks = session.run().ticks
        measured = session.profile()
        statistics = session.statistics()
        unit = session.greeting.tick_unit
    estimated = chosen.emulated and chosen.target in TARGETS
    cycles: Sequence[Cycles | None] = [None] * len(measured)
    loops = None
    if estimated or hot is not None:
        elf = _image(chosen)
        counted = count(chosen, elf, compiled, inputs)
        _check(chosen, counted, measured)
        program = Program.read(elf)
        times = [took.ticks for took in measured]
        if estimated:
            overhead = program.total(counted.overhead)
            found = [program.total(counts) - overhead for counts in counted.layers]
            cycles, times = found, [each.total for each in found]
        if hot is not None:
            possible = (
                hot_loop(program, index, counted.layers[index], estimated)
                for index in hottest(times, hot)
            )
            loops = [loop for loop in possible if loop]
    layers = [
        LayerTime(
            index,
            layer.name,
            layer.kind,
            _kernel(compiled, index),
            layer.macs,
            took.ticks,
            round(took.ticks / layer.macs, 4) if layer.macs else None,
            round(took.ticks / ticks, 4) if ticks else 0.0,
            parts.total if parts else None,
            parts,
        )
        for index, (layer, took, parts) in enumerate(
            zip(compiled.layers, measured, cycles, strict=True)
        )
    ]
    return Profile(
        compiled.name,
        board,
        layers,
        ticks,
        unit,
        sum(layer.cycles_estimate or 0 for layer in layers) if estimated else None,
        compiled.plan.arena_bytes,
        statistics.arena_bytes,
        statistics.stack_bytes,
        loops,
    )


def _image(board: Board) -> Path:
    """Return the image that an emulated board runs."""
    state = emulator.running(board.name)
    if state is None:
        raise LotorError(f"board {board.name} has ended meanwhile: measure again")
    return state.elf


def _check(board: Board, counted: Counted, measured: Sequence[LayerProfile]) -> None:
    """See that all instructions were counted and no other."""
    overhead = instructions(counted.overhead)
    for index, (counts, took) in enumerate(zip(counted.layers, measured, strict=True)):
        found = instructions(counts) - overhead
        if found != took.ticks:
            raise LotorError(
                f"layer {index} took {took.ticks} instructions on {board.name} and {found} when "
                "they were counted one by one: measure again, and report it if it comes back"
            )


def _kernel(compiled: Compiled, index: int) -> str:
    kernel: Any = compiled.report["layers"][index]["kernel"]
    return str(kernel)

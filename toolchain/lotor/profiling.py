"""Where the time goes on a board, layer by layer."""

from dataclasses import dataclass
from typing import Any

from lotor.board import load_board
from lotor.compiler import Compiled
from lotor.device.ready import compile_for, open_with_model
from lotor.graph import short_name
from lotor.targets.preference import Optimize
from lotor.verify import random_inputs


@dataclass(frozen=True)
class LayerTime:
    """One layer of a profile; `ticks` in the board's unit."""

    index: int
    name: str
    kind: str
    kernel: str
    macs: int
    ticks: int


@dataclass(frozen=True)
class Profile:
    """One measured inference.

    Attributes:
        model: its name.
        board: where it ran.
        layers: in the order in which they ran.
        ticks: the whole inference: the sum over the layers.
        tick_unit: "instructions" on an emulated board, "cycles" on a real one.
        cycles_estimate: None until there is an estimator for the board.
        ram_bytes: the arena.
        arena_touched_bytes: the part of it that the board found overwritten.
        stack_bytes: the deepest the stack has been since the board started.
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

    def __str__(self) -> str:
        unit = self.tick_unit
        lines = [f"{'#':>3}  {'operator':<18} {unit:>13} {'share':>6} {'per MAC':>7}  layer"]
        for layer in self.layers:
            share = layer.ticks / self.ticks if self.ticks else 0.0
            per_mac = f"{layer.ticks / layer.macs:7.2f}" if layer.macs else " " * 7
            bar = "#" * round(20 * share)
            lines.append(
                f"{layer.index:3}  {layer.kind:<18} {layer.ticks:13,} {share:6.1%} {per_mac}  "
                f"{short_name(layer.name):<36.36} {bar}"
            )
        lines.append(
            f"{self.model} on {self.board}: {self.ticks:,} {unit}, RAM {self.ram_bytes:,} bytes, "
            f"stack {self.stack_bytes or 0:,} bytes"
        )
        return "\n".join(lines)


def profile(
    model: str,
    board: str,
    seed: int = 0,
    ram: int | None = None,
    optimize: Optimize = "speed",
) -> Profile:
    """Run one inference on a board and read what every layer took.

    The kernels' time does not depend on the data but for clamping, so one random input will do; the
    same seed gives the same input.

    Raises:
        LotorError: the model does not compile or is not on the board, or the board's trouble.
    """
    load_board(board)
    compiled = compile_for(board, model, ram, optimize)
    with open_with_model(board, model, compiled) as session:
        session.require_layers(compiled)
        session.progress = True
        (inputs,) = random_inputs(compiled.graph, 1, seed)
        for index, array in enumerate(inputs):
            session.load(index, array)
        ticks = session.run().ticks
        measured = session.profile()
        statistics = session.statistics()
        unit = session.greeting.tick_unit
    layers = [
        LayerTime(i, layer.name, layer.kind, _kernel(compiled, i), layer.macs, m.ticks)
        for i, (layer, m) in enumerate(zip(compiled.layers, measured, strict=True))
    ]
    return Profile(
        compiled.name,
        board,
        layers,
        ticks,
        unit,
        None,
        compiled.plan.arena_bytes,
        statistics.arena_bytes,
        statistics.stack_bytes,
    )


def _kernel(compiled: Compiled, index: int) -> str:
    kernel: Any = compiled.report["layers"][index]["kernel"]
    return str(kernel)

"""Measures the variants of a model's kernels on a board, so that compiling can choose by them.

Every round runs the model once, each call with another variant that can run it, then with other
sizes of its blocks; what a layer took is the cost of these for calls of its size.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lotor.board import load_board
from lotor.build import in_stripes
from lotor.compiler import Compiled, compile_model
from lotor.device.flash import flash_compiled
from lotor.ops import KernelCall
from lotor.profiling import profile_compiled
from lotor.progress import Progress
from lotor.sizes import code_bytes
from lotor.targets import find_target
from lotor.targets.blocks import Block
from lotor.targets.select import signature
from lotor.targets.variants import Variant, candidates
from lotor.tuned import Costs, load_costs, preference, save_costs
from lotor.zoo import find_model

_LAST = 1e12  # the cost of variants that shall not be chosen


@dataclass(frozen=True)
class Tuned:
    """What `lotor tune` has found.

    Attributes:
        model: its name.
        board: where it was measured.
        unit: of the costs: "cycles" (estimated on emulated boards), or "instructions".
        costs: by call and variant, new ones only.
        before: what all layers took as they were chosen before; `after`, as they are now.
        code: bytes of code before and now; None where no compiler tells.
        arena: bytes of RAM before and now.
        table: the file.
    """

    model: str
    board: str
    unit: str
    costs: Costs
    before: int
    after: int
    code: tuple[int | None, int | None]
    arena: tuple[int, int]
    table: str

    def __str__(self) -> str:
        lines = []
        for name, values in self.costs.items():
            shown = sorted(values.items(), key=lambda item: item[1])
            lines.append(f"{name}\n    " + ", ".join(f"{k} {v:,.0f}" for k, v in shown))
        lines.append(
            f"{self.model} on {self.board}: {self.before:,} {self.unit} before, {self.after:,} "
            f"now; {len(self.costs)} sizes measured: {self.table}"
        )
        for name, (before, now) in (("code", self.code), ("RAM", self.arena)):
            if before is not None and now is not None:
                lines.append(
                    f"    {name}: {before:,} bytes before, {now:,} now ({now - before:+,})"
                )
        return "\n".join(lines)


def tune(model: str, board: str) -> Tuned:
    """Measure the variants of a model's kernels on a board, and add them to the board's table.

    Args:
        model: its name or path.
        board: the board's name; it is flashed several times, also a real one.

    Raises:
        LotorError: the model does not compile or fit, or the board's trouble.
    """
    file, chosen = find_model(model), load_board(board)
    wanted = preference(chosen)

    def measured(costs: Costs) -> tuple[Compiled, list[int], str]:
        def compile_(ram: int | None) -> Compiled:
            return compile_model(
                file.path,
                chosen.target,
                labels=file.labels or (),
                ram=ram,
                preference=replace(wanted, costs=costs),
            )

        compiled = in_stripes(chosen, compile_(None), compile_)
        flash_compiled(chosen, compiled, file.path)
        profile = profile_compiled(compiled, model, board)
        estimates = [layer.cycles_estimate for layer in profile.layers]
        if all(estimate is not None for estimate in estimates):
            return compiled, [estimate or 0 for estimate in estimates], "cycles"
        return compiled, [layer.ticks for layer in profile.layers], profile.tick_unit

    old = load_costs(board)
    compiled, took, unit = measured(old)
    new: Costs = {}
    rounds = [*_rounds(compiled), *_block_rounds(compiled)]
    with Progress(f"tune {board}", len(rounds), "rounds") as progress:
        for costs in rounds:
            again, times, _ = measured(costs)
            for layer, time in zip(again.layers, times, strict=True):
                if len(layer.steps) == 1:
                    (step,) = layer.steps
                    found = new.setdefault(signature(step.source), {})
                    label = step.variant.label
                    # The first counts: later rounds have another block that is not its own.
                    found.setdefault(label, time)
                    for block in step.variant.blocks:
                        found.setdefault(block.label(label, block.of(step.call)), time)
            progress.advance()
    new = {name: values for name, values in map(_choices, new.items()) if len(values) > 1}
    path = save_costs(board, {**old, **new})
    now, times, _ = measured({**old, **new})
    return Tuned(
        compiled.name,
        board,
        unit,
        new,
        sum(took),
        sum(times),
        (code_bytes(compiled), code_bytes(now)),
        (compiled.plan.arena_bytes, now.plan.arena_bytes),
        str(path),
    )


def _choices(measured: tuple[str, dict[str, float]]) -> tuple[str, dict[str, float]]:
    """Return what a call takes without the blocks whose size makes no difference to it."""
    name, values = measured
    blocks: dict[str, set[float]] = {}
    for label, value in values.items():
        blocks.setdefault(label.partition("=")[0], set()).add(value)
    kept = {k: v for k, v in values.items() if " " not in k or len(blocks[k.partition("=")[0]]) > 1}
    return name, kept


def _candidates(compiled: Compiled) -> dict[str, list[tuple[Variant, KernelCall]]]:
    """Return what can run each call of a model, by its signature."""
    target = find_target(compiled.target.name)
    return {
        signature(step.source): list(candidates(step.source, target, compiled.preference.spends))
        for layer in compiled.layers
        for step in layer.steps
    }


def _rounds(compiled: Compiled) -> Iterator[Costs]:
    """Yield costs that make a compiler choose every variant of every call once."""
    labels = {
        name: [variant.label for variant, _ in found]
        for name, found in _candidates(compiled).items()
    }
    for number in range(max(map(len, labels.values()), default=0)):
        yield {
            name: _only(known, known[min(number, len(known) - 1)]) for name, known in labels.items()
        }


def _block_rounds(compiled: Compiled) -> Iterator[Costs]:
    """Yield costs that make a compiler choose every size of the blocks of the best variants once.

    All calls have the same size in a round, as those that share a function must.
    """
    plans: dict[str, tuple[list[str], list[tuple[Variant, KernelCall, Block, int]]]] = {}
    for name, found in _candidates(compiled).items():
        variant, call = next((v, c) for v, c in found if not v.spends)
        settings = [(variant, call, b, size) for b in variant.blocks for size in b.sizes]
        plans[name] = [v.label for v, _ in found], settings
    for number in range(max((len(settings) for _, settings in plans.values()), default=0)):
        costs: Costs = {}
        for name, (labels, settings) in plans.items():
            if number < len(settings):
                variant, call, block, size = settings[number]
                values = {block.value(call, size) for size in block.sizes} | {block.of(call)}
                known = [block.label(variant.label, value) for value in values if value]
                chosen = block.value(call, size)
                costs[name] = _only(labels, variant.label)
                if chosen:
                    costs[name] |= _only(known, block.label(variant.label, chosen))
        yield costs


def _only(labels: Iterable[str], chosen: str) -> dict[str, float]:
    return {label: 1.0 if label == chosen else _LAST for label in labels}

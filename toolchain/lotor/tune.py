"""Measures the variants of a model's kernels on a board, so that compiling can choose by them.

Every round runs the model once, each call with another variant that can run it; what a layer took
is the variant's cost for calls of its size.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lotor.board import load_board
from lotor.compiler import Compiled, compile_model
from lotor.device.flash import flash_compiled
from lotor.profiling import profile_compiled
from lotor.progress import Progress
from lotor.targets import find_target
from lotor.targets.select import signature
from lotor.targets.variants import candidates
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
        table: the file.
    """

    model: str
    board: str
    unit: str
    costs: Costs
    before: int
    after: int
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
        return "\n".join(lines)


def tune(model: str, board: str) -> Tuned:
    """Measure the variants of a model's kernels on a board, and add them to the board's table.

    Args:
        model: its name or path.
        board: the board's name; it is flashed several times, also a real one.

    Raises:
        LotorError: the model does not compile or fit, or the board's trouble.
    """
    found, chosen = find_model(model), load_board(board)
    wanted = preference(chosen)

    def measured(costs: Costs) -> tuple[Compiled, list[int], str]:
        compiled = compile_model(
            found.path,
            chosen.target,
            labels=found.labels or (),
            preference=replace(wanted, costs=costs),
        )
        flash_compiled(chosen, compiled, found.path)
        profile = profile_compiled(compiled, model, board)
        estimates = [layer.cycles_estimate for layer in profile.layers]
        if all(estimate is not None for estimate in estimates):
            return compiled, [estimate or 0 for estimate in estimates], "cycles"
        return compiled, [layer.ticks for layer in profile.layers], profile.tick_unit

    old = load_costs(board)
    compiled, took, unit = measured(old)
    new: Costs = {}
    rounds = list(_rounds(compiled))
    with Progress(f"tune {board}", len(rounds), "rounds") as progress:
        for costs in rounds:
            again, times, _ = measured(costs)
            for layer, time in zip(again.layers, times, strict=True):
                if len(layer.steps) == 1:
                    (step,) = layer.steps
                    new.setdefault(signature(step.source), {})[step.variant.label] = time
            progress.advance()
    new = {name: values for name, values in new.items() if len(values) > 1}
    path = save_costs(board, {**old, **new})
    after = sum(measured({**old, **new})[1])
    return Tuned(compiled.name, board, unit, new, sum(took), after, str(path))


def _rounds(compiled: Compiled) -> Iterator[Costs]:
    """Yield costs that make a compiler choose every variant of every call once."""
    target = find_target(compiled.target.name)
    labels: dict[str, list[str]] = {}
    for layer in compiled.layers:
        for step in layer.steps:
            found = candidates(step.source, target, compiled.preference.spends)
            labels[signature(step.source)] = [variant.label for variant, _ in found]
    for number in range(max(map(len, labels.values()), default=0)):
        yield {
            name: {
                label: 1.0 if label == known[min(number, len(known) - 1)] else _LAST
                for label in known
            }
            for name, known in labels.items()
        }

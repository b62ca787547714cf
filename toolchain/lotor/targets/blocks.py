"""Sizes of the blocks in which variants work: they change time, code or scratch memory, no result.

What a variant has by itself is a rule of thumb; `lotor tune` measures others, and where a board has
measurements, compiling takes the best: of code, one size for all calls that share a function, so
that no size breaks sharing; of scratch memory, what makes the arena no larger.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from lotor.ops import KernelCall

_WORTH = 1e-6  # the part of a model's time that a byte of code must save


@dataclass(frozen=True)
class Block:
    """One size of a variant's blocks, which is a parameter of its packed calls.

    Attributes:
        name: of the parameter, as tables of costs have it.
        sizes: what `lotor tune` tries.
        value: the parameter of a call for one of the sizes; None where that does not work.
        of: the parameter that a call has.
        fit: the call with another one.
        code: bytes that the code grows by with the parameter; 0 where scratch memory does.
        function: what calls have in common that share a C function of this size within the
            variant's own; None where it is the size of that one.
    """

    name: str
    sizes: tuple[int, ...]
    value: Callable[[KernelCall, int], int | None]
    of: Callable[[KernelCall], int]
    fit: Callable[[KernelCall, int], KernelCall]
    code: int = 0
    function: Callable[[KernelCall], str] | None = None

    def label(self, variant: str, value: int) -> str:
        """Return what a variant with this parameter is called in a table of costs."""
        return f"{variant} {self.name}={value}"

    def known(self, call: KernelCall, variant: str, costs: Mapping[str, float]) -> dict[int, float]:
        """Return what a call was measured to take, by the parameter; none that do not work."""
        values = [self.value(call, size) for size in self.sizes]
        found = {v: costs.get(self.label(variant, v)) for v in (*values, self.of(call)) if v}
        return {value: cost for value, cost in found.items() if cost is not None}


def turn_block(
    sizes: tuple[int, ...], code: int, works: Callable[[KernelCall, int], bool] | None = None
) -> Block:
    """Return the block of a loop that does `turn` steps in a turn.

    Args:
        sizes: what to try.
        code: bytes of a step.
        works: whether a call can have a size; by default any.
    """
    return Block(
        "turn",
        sizes,
        lambda call, size: size if works is None or works(call, size) else None,
        lambda call: int(call.params["turn"]),
        lambda call, turn: replace(call, params={**call.params, "turn": turn}),
        code,
    )


def rows_block(with_rows: Callable[[KernelCall, int], KernelCall]) -> Block:
    """Return the block of outputs for which a kernel gathers the rows of inputs at once.

    Args:
        with_rows: the call with so many rows of outputs.
    """
    return Block(
        "rows",
        (1, 2, 4, 8),  # times that a channel is gathered
        lambda call, times: -(-int(call.params["out_h"]) // times),
        lambda call: int(call.params["rows"]),
        with_rows,
    )


def best_for_all(
    block: Block, calls: Sequence[tuple[KernelCall, str, Mapping[str, float]]], total: float
) -> int:
    """Return the parameter for calls that share a function: the fastest that is worth its code.

    Args:
        block: one that takes code.
        calls: with their variants' labels and what was measured of them. Calls that nothing was
            measured of have no say.
        total: what the whole model takes.
    """
    now = max(block.of(call) for call, _, _ in calls)
    known = [block.known(*call) for call in calls]
    known = [costs for costs in known if now in costs]
    if not known:
        return now

    def works(value: int) -> bool:
        return all(
            value == now or any(block.value(call, size) == value for size in block.sizes)
            for call, _, _ in calls
        )

    def cost(value: int) -> float:
        return sum(costs[value] for costs in known) + _WORTH * total * block.code * value

    common = set.intersection(*(set(costs) for costs in known))
    # Of equal ones, what there is.
    return min((v for v in common if works(v)), key=lambda v: (cost(v), v != now, v), default=now)

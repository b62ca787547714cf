"""The loop in which a layer spends most of its time, as annotated disassembly."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lotor.device.counting import Count, Counts
from lotor.device.cycles import Instruction, Program

# Multiply-accumulates that an instruction does; those of requantization (SMULL, SMMLA) are none.
_MACS = {
    re.compile(r"smla[ds]x?|sml[as]ldx?|smlsldx?|smu[as]dx?|smlsdx?"): 2,
    re.compile(r"smlal?[bt][bt]|smul[bt][bt]|ml[as]|muls?|vfma\.f32|vmla\.f32"): 1,
}
_VECTOR = re.compile(r"v(?:ml[as]|rml[as]|mullb|mullt)\w*\.[suif](8|16|32)")


_KINDS = ("multiply", "load", "store", "branch", "other")


@dataclass(frozen=True)
class LoopLine:
    """One instruction of a loop: how often it came up, and its estimated cycles each time."""

    address: int
    executed: int
    cycles: float | None
    text: str


@dataclass(frozen=True)
class HotLoop:
    """A loop, from the target of its backward branch to that branch.

    Attributes:
        layer: the layer's index.
        function: where it lies.
        offset: bytes from the start of the function.
        entries: how often it was entered.
        iterations: how often it was run through.
        instructions: all that were executed in it, without functions that it calls.
        cycles_estimate: theirs; None where cycles are not estimated.
        macs: multiply-accumulates, by its instructions.
        instructions_per_mac: None without multiply-accumulates.
        mix: how many of its instructions multiply, load, store, branch or do something else.
        share: of the layer's instructions, 0 to 1.
        lines: the disassembly.
    """

    layer: int
    function: str
    offset: int
    entries: int
    iterations: int
    instructions: int
    cycles_estimate: int | None
    macs: int
    instructions_per_mac: float | None
    mix: dict[str, int]
    share: float
    lines: list[LoopLine]

    def __str__(self) -> str:
        each = self.instructions / self.iterations
        first, last = self.lines[0].address, self.lines[-1].address
        lines = [
            f"{self.function} + {self.offset}, {first:#x} to {last:#x}: {self.share:.1%} of the "
            f"layer's instructions",
            f"entered {self.entries:,} times, {self.iterations:,} iterations of {each:.1f} "
            f"instructions: "
            + ", ".join(
                f"{count / self.iterations:.1f} {kind}" for kind, count in self.mix.items()
            ),
        ]
        if self.macs:
            cycles = (
                f" and {self.cycles_estimate / self.macs:.2f} estimated cycles"
                if self.cycles_estimate is not None
                else ""
            )
            lines.append(
                f"{self.macs / self.iterations:.1f} multiply-accumulates an iteration: "
                f"{self.instructions / self.macs:.2f} instructions{cycles} for each"
            )
        for line in self.lines:
            cycles = f"{line.cycles:5.1f}" if line.cycles is not None else ""
            lines.append(f"  {line.address:8x} {line.executed:11,} {cycles}  {line.text}".rstrip())
        return "\n".join(lines)


def hot_loop(program: Program, layer: int, counts: Counts, cycles: bool) -> HotLoop | None:
    """Return the loop that took most of a layer, not counting the loops in it; None without one.

    Args:
        program: the image.
        layer: the layer's index.
        counts: of that layer.
        cycles: whether cycles are estimated.
    """
    loops = _loops(program, counts)
    if not loops:
        return None
    took = {at: count.executed for at, count in counts.items()}
    if cycles:
        took = {at: each.total for at, each in program.cycles(counts).items()}
    first, last = max(loops, key=lambda loop: _own(loop, loops, took))
    inside = [at for at in sorted(counts) if first <= at <= last and counts[at].executed]
    instructions = sum(counts[at].executed for at in inside)
    macs = sum(counts[at].executed * macs_of(program.at(at)) for at in inside)
    ends = [at for at in inside if program.at(at).target == first]
    back = sum(_taken(program.at(at), counts[at]) for at in ends)
    # A loop may be entered in its middle, or left there.
    iterations = max(counts[first].executed, sum(counts[at].executed for at in ends))
    head, mix = program.at(first), Counter[str]()
    for at in inside:
        mix[_kind(program.at(at))] += counts[at].executed
    return HotLoop(
        layer,
        head.function,
        first - head.start,
        iterations - back,
        iterations,
        instructions,
        sum(took[at] for at in inside) if cycles else None,
        macs,
        round(instructions / macs, 4) if macs else None,
        {kind: mix[kind] for kind in _KINDS if mix[kind]},
        round(instructions / sum(count.executed for count in counts.values()), 4),
        [
            LoopLine(
                at,
                counts[at].executed,
                round(took[at] / counts[at].executed, 2) if cycles else None,
                program.at(at).text,
            )
            for at in inside
        ],
    )


_Range = tuple[int, int]


def _loops(program: Program, counts: Counts) -> list[_Range]:
    """Return the first and last instruction of every loop that went round."""
    ends: dict[int, int] = {}
    for at, count in counts.items():
        one = program.at(at)
        target = one.target
        if target is None or target > at or one.mnemonic.startswith("bl"):
            continue
        if _taken(one, count) and program.at(target).start == one.start and target in counts:
            ends[target] = max(at, ends.get(target, 0))
    return sorted(ends.items())


def _taken(one: Instruction, count: Count) -> int:
    return count.left if one.conditional else count.executed


def _own(loop: _Range, loops: Sequence[_Range], took: dict[int, int]) -> int:
    """Return what a loop took without the loops in it."""
    inner = [
        other for other in loops if other != loop and loop[0] <= other[0] <= other[1] <= loop[1]
    ]
    return sum(
        time
        for at, time in took.items()
        if loop[0] <= at <= loop[1] and not any(low <= at <= high for low, high in inner)
    )


def _kind(one: Instruction) -> str:
    """Return which of `_KINDS` an instruction is."""
    if macs_of(one):
        return "multiply"
    if one.branches:
        return "branch"
    if re.match(r"v?(ldr|ldm|pop)|vld", one.mnemonic):
        return "load"
    return "store" if re.match(r"v?(str|stm|push)|vst", one.mnemonic) else "other"


def macs_of(one: Instruction) -> int:
    """Return how many multiply-accumulates an instruction does."""
    for pattern, macs in _MACS.items():
        if pattern.fullmatch(one.mnemonic) and not one.operands.startswith("q"):
            return macs
    vector = _VECTOR.fullmatch(one.mnemonic)
    if one.mnemonic.startswith("vfma") and one.operands.startswith("q"):
        return 4
    return 128 // int(vector[1]) if vector else 0


def hottest(times: Sequence[int], count: int) -> Iterator[int]:
    """Return the indices of the largest of some times, the largest first."""
    yield from sorted(range(len(times)), key=lambda index: -times[index])[:count]

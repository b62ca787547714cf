"""Which variant runs each call, by what matters most: time, RAM or flash.

What is fastest as a rule comes first (`variants.candidates`); where a board was measured
(`lotor tune`), what was fastest there. Variants that spend flash are taken as long as there is some
to spare, first where a byte of it saves the most time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lotor.ops import KernelCall
from lotor.targets import Target
from lotor.targets.preference import Preference
from lotor.targets.variants import Variant, candidates

# The time that a variant saves by spending flash, where nobody has measured it: a part of the next
# best one's, which takes about an instruction for a multiply-accumulate.
_SAVED = 0.4
# Parameters that say nothing of a call's time.
_UNTIMED = frozenset(["in_offset", "out_offset", "out_min", "out_max", "weights_offset"])


@dataclass(frozen=True)
class Choice:
    """A variant, the call as it takes it, and its measured cost if there is one."""

    variant: Variant
    call: KernelCall
    cost: float | None


def signature(call: KernelCall) -> str:
    """Return what calls of a portable kernel that take equal time have in common."""
    sizes = [
        f"{name}={value}"
        for name, value in call.params.items()
        if isinstance(value, int) and name not in _UNTIMED
    ]
    return " ".join([call.function, *sizes])


def ranked(call: KernelCall, target: Target, preference: Preference) -> list[Choice]:
    """Return what can run a call of a portable kernel, the best first."""
    costs = preference.costs.get(signature(call), {})
    choices = [
        Choice(variant, packed, costs.get(variant.label))
        for variant, packed in candidates(call, target, preference.spends)
    ]
    measured = [choice for choice in choices if choice.cost is not None]
    # What was not measured keeps its rank behind what was.
    return [*sorted(measured, key=_cost), *(c for c in choices if c.cost is None)]


def select(
    calls: Sequence[tuple[KernelCall, int]], target: Target, preference: Preference
) -> list[Choice]:
    """Return the choice for every call of a model.

    Args:
        calls: of the portable kernels, with the multiply-accumulates of their layers.
        target: what they run on.
        preference: what the choice goes by.
    """
    found, dearer = [], []
    for place, (call, macs) in enumerate(calls):
        choices = ranked(call, target, preference)
        base = next(choice for choice in choices if not choice.variant.spends)
        found.append(base)
        for choice in choices:
            if choice.variant.spends:
                extra = constant_bytes(choice.call) - constant_bytes(base.call)
                saved = _saved(choice, base, macs)
                if saved > 0:
                    dearer.append((saved / max(extra, 1), place, extra, choice))
    room = preference.flash - sum(constant_bytes(c.call) for c in found) if preference.flash else 0
    taken: dict[int, int] = {}  # what is spent on each call
    for _, place, extra, choice in sorted(dearer, key=lambda entry: -entry[0]):
        more = extra - taken.get(place, 0)
        better = place not in taken or _faster(choice, found[place])
        if more <= room and better:
            found[place] = choice
            taken[place] = extra
            room -= more
    return found


def constant_bytes(call: KernelCall) -> int:
    """Return the bytes of a call's constants."""
    return sum(array.nbytes for array in call.constants.values())


def scratch_bytes(call: KernelCall) -> int:
    """Return the bytes of a call's scratch memory: what follows its first output."""
    return sum(tensor.nbytes for tensor in call.outputs[1:])


def _cost(choice: Choice) -> float:
    return choice.cost if choice.cost is not None else float("inf")


def _saved(choice: Choice, base: Choice, macs: int) -> float:
    if choice.cost is not None and base.cost is not None:
        return base.cost - choice.cost
    return _SAVED * macs


def _faster(choice: Choice, other: Choice) -> bool:
    return choice.cost is not None and other.cost is not None and choice.cost < other.cost

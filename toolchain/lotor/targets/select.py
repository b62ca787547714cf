"""Which variant runs each call, by what matters most: time, RAM or flash.

What is fastest as a rule comes first (`variants.candidates`); where a board was measured
(`lotor tune`), what was fastest there. Variants that spend flash are taken as long as there is some
to spare, first where a byte of it saves the most time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lotor.ops import KernelCall
from lotor.targets import Target
from lotor.targets.preference import Preference
from lotor.targets.variants import Variant, candidates

# How parameters end that say nothing of a call's size: they come from scales and zero points.
_UNTIMED = (
    "offset",
    "point",
    "points",
    "min",
    "max",
    "low",
    "high",
    "multiplier",
    "shift",
    "right",
)


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
        if isinstance(value, int) and not name.endswith(_UNTIMED)
    ]
    return " ".join([call.function, *sizes])


def ranked(
    call: KernelCall, target: Target, preference: Preference, thrifty: bool = False
) -> Iterator[Choice]:
    """Yield what can run a call of a portable kernel, the best first.

    Args:
        call: the call.
        target: what it runs on.
        preference: what the choice goes by.
        thrifty: whether variants for want of RAM are among them.
    """
    costs = preference.costs.get(signature(call), {})
    found = candidates(call, target, preference.spends, thrifty)
    choices: Iterator[Choice] = (Choice(v, packed, costs.get(v.label)) for v, packed in found)
    if costs:
        known = list(choices)
        # A table that lacks a kernel is older than it, and says nothing of the best.
        if all(c.cost is not None or c.variant.spends or c.variant.portable for c in known):
            # What is only for want of RAM is not measured, and a little slower than the one before.
            keys, last = {}, 0.0
            for choice in known:
                if choice.cost is not None or not choice.variant.thrifty:
                    last = _cost(choice)
                keys[id(choice)] = last
            known.sort(key=lambda choice: keys[id(choice)])
        choices = iter(known)
    yield from choices


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
        spending = []
        for base in ranked(call, target, preference):
            if not base.variant.spends:  # what is slower spends for nothing
                break
            spending.append(base)
        found.append(base)
        for choice in spending:
            extra = constant_bytes(choice.call) - constant_bytes(base.call)
            dearer.append(_Dearer(place, choice, extra, _saved(choice, base, macs)))
    room = preference.flash - sum(constant_bytes(c.call) for c in found) if preference.flash else 0
    taken = [_Dearer(place, base, 0, 0.0) for place, base in enumerate(found)]
    while True:
        better = [d for d in dearer if d.saved > taken[d.place].saved]
        fitting = [d for d in better if d.extra - taken[d.place].extra <= room]
        if not fitting:
            return [d.choice for d in taken]
        best = max(fitting, key=lambda d: d.gain(taken[d.place]))
        room -= best.extra - taken[best.place].extra
        taken[best.place] = best


@dataclass(frozen=True)
class _Dearer:
    """A choice for the call at a place: how many more bytes it takes, how much time it saves."""

    place: int
    choice: Choice
    extra: int
    saved: float

    def gain(self, other: "_Dearer") -> float:
        """Return the time that a further byte saves."""
        return (self.saved - other.saved) / max(self.extra - other.extra, 1)


def constant_bytes(call: KernelCall) -> int:
    """Return the bytes of a call's constants."""
    return sum(array.nbytes for array in call.constants.values())


def _cost(choice: Choice) -> float:
    return choice.cost if choice.cost is not None else float("inf")


def _saved(choice: Choice, base: Choice, macs: int) -> float:
    if choice.cost is not None and base.cost is not None:
        return base.cost - choice.cost
    return choice.variant.saved(choice.call) * (macs if base.cost is None else base.cost)

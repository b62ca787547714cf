"""What variants of kernels are chosen by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from lotor.errors import LotorError
from lotor.suggest import did_you_mean

Optimize = Literal["speed", "ram", "size"]
OPTIMIZE: tuple[Optimize, ...] = get_args(Optimize)


@dataclass(frozen=True)
class Preference:
    """What a choice of variants goes by.

    Attributes:
        optimize: "speed"; "ram" for the smallest arena, at some time; "size" for the least flash.
        flash: bytes that the constants of a model may take; None where that is not known: then
            none are spent.
        ram: bytes that there are for the arena; None where that is not known. Where it would take
            more, kernels have less scratch memory, as with "ram", until it does not.
        costs: what variants were measured to take, in any unit, by `signature` and label.
    """

    optimize: Optimize = "speed"
    flash: int | None = None
    ram: int | None = None
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def spends(self) -> bool:
        """Whether flash may be spent."""
        return self.optimize != "size" and self.flash is not None


def find_optimize(name: str) -> Optimize:
    """Return what to optimize for by its name.

    Raises:
        LotorError: there is no such thing.
    """
    for known in OPTIMIZE:
        if name == known:
            return known
    hint = did_you_mean(name, OPTIMIZE)
    raise LotorError(f"nothing is optimized for '{name}'{hint}; it may be {', '.join(OPTIMIZE)}")

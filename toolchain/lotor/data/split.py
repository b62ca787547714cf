"""`lotor data split`: which photographs a model learns from, is chosen by, and is judged by.

Whole groups go to one split: near duplicates, and whatever else shares a source, a place or a
visit. What has a split keeps it, so that a data set can grow without a test that moves.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lotor.data.manifest import SPLITS, Photo
from lotor.data.store import commit, locked, open_store
from lotor.errors import LotorError
from lotor.suggest import did_you_mean

KEYS = ("source", "place", "visit")
"""What can hold photographs together beside their group."""


@dataclass(frozen=True)
class Divided:
    """What a split did: photographs by class and split, how many were placed, what to beware of."""

    counts: dict[str, dict[str, int]]
    placed: int
    units: int
    warnings: list[str]
    version: str

    def __str__(self) -> str:
        width = max(map(len, self.counts), default=5) + 2
        lines = [" " * width + "".join(f"{name:>8}" for name in SPLITS)]
        for kind, row in sorted(self.counts.items()):
            lines.append(kind.ljust(width) + "".join(f"{row[name]:>8}" for name in SPLITS))
        lines += [f"warning: {text}" for text in self.warnings]
        lines.append(f"{self.placed} photographs placed, in {self.units} units that stay together")
        return "\n".join([*lines, f"version {self.version}"])


def split(
    folder: Path,
    shares: Sequence[float] = (0.7, 0.15, 0.15),
    by: Sequence[str] = (),
    seed: int = 0,
    anew: bool = False,
) -> Divided:
    """Give the photographs of a data set that have no split one.

    Args:
        folder: of the data set.
        shares: of train, val and test.
        by: which of `KEYS` hold photographs together too.
        seed: of the order in which units are placed.
        anew: split everything again; figures on the old test split are then worth nothing.

    Raises:
        LotorError: a wrong share or key, or what must stay together is in two splits already.
    """
    for key in by:
        if key not in KEYS:
            raise LotorError(f"cannot split by '{key}'{did_you_mean(key, KEYS)}: {', '.join(KEYS)}")
    if len(shares) != 3 or min(shares) < 0 or sum(shares) <= 0:
        raise LotorError(
            f"shares {', '.join(f'{share:g}' for share in shares)} must be three parts for train, "
            "val and test, for instance 70,15,15"
        )
    with locked(folder):
        photos = list(open_store(folder).photos)
        if anew:
            photos = [replace(photo, split="") for photo in photos]
        units = together(photos, by)
        divided = _divide(photos, units, [share / sum(shares) for share in shares], seed)
        placed = sum(not photo.split for photo in photos)
        version = commit(folder, divided).manifest_hash
    counts = count(divided)
    return Divided(counts, placed, len(units), missing(counts, shares), version)


def together(photos: Sequence[Photo], by: Iterable[str] = ()) -> list[list[int]]:
    """Return which photographs must stay together, as indices: by group and by these keys."""
    parent = list(range(len(photos)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[tuple[str, str], int] = {}
    for index, photo in enumerate(photos):
        for key in ("group", *by):
            if value := getattr(photo, key):
                parent[root(index)] = root(first.setdefault((key, value), index))
    units: dict[int, list[int]] = defaultdict(list)
    for index in range(len(photos)):
        units[root(index)].append(index)
    return list(units.values())


def _divide(
    photos: Sequence[Photo], units: Sequence[list[int]], shares: Sequence[float], seed: int
) -> list[Photo]:
    """Place units, rare classes and large units first, where their classes lack the most."""
    wanted: dict[str, list[float]] = {}
    totals = Counter(photo.kind for photo in photos)
    for kind, total in totals.items():
        has = Counter(photo.split for photo in photos if photo.kind == kind)
        wanted[kind] = [
            share * total - has[name] for share, name in zip(shares, SPLITS, strict=True)
        ]
    result = list(photos)
    open_units = []
    for unit in units:
        names = {photos[index].split for index in unit} - {""}
        if len(names) > 1:
            a, b = (
                next(photos[i] for i in unit if photos[i].split == n) for n in sorted(names)[:2]
            )
            raise LotorError(
                f"{a.path.name} is in {a.split} and {b.path.name} in {b.split}, and they must stay "
                "together; split by fewer keys, or everything again with --anew"
            )
        if names:
            _place(photos, result, unit, names.pop(), wanted)
        else:
            open_units.append(unit)

    def order(unit: list[int]) -> tuple[int, int, str]:
        rarest = min(totals[photos[index].kind] for index in unit)
        token = min(photos[index].sha256 or str(photos[index].path) for index in unit)
        return rarest, -len(unit), hashlib.sha256(f"{seed}:{token}".encode()).hexdigest()

    for unit in sorted(open_units, key=order):
        kinds = Counter(photos[index].kind for index in unit)

        def lack(name: int, kinds: Counter[str] = kinds) -> tuple[float, float]:
            each = [wanted[kind][name] * n / totals[kind] for kind, n in kinds.items()]
            return sum(each), shares[name]

        best = max((n for n in range(3) if shares[n] > 0), key=lack)
        _place(photos, result, unit, SPLITS[best], wanted)
    return result


def _place(
    photos: Sequence[Photo],
    result: list[Photo],
    unit: Iterable[int],
    name: str,
    wanted: dict[str, list[float]],
) -> None:
    for index in unit:
        if not photos[index].split:
            result[index] = replace(photos[index], split=name)
            wanted[photos[index].kind][SPLITS.index(name)] -= 1


def count(photos: Iterable[Photo]) -> dict[str, dict[str, int]]:
    """Return how many photographs each class has in each split."""
    counts: dict[str, dict[str, int]] = {}
    for photo in photos:
        row = counts.setdefault(photo.kind, dict.fromkeys(SPLITS, 0))
        if photo.split:
            row[photo.split] += 1
    return counts


def missing(counts: dict[str, dict[str, int]], shares: Sequence[float] = (1, 1, 1)) -> list[str]:
    """Return a warning for every class that a split lacks, and for every empty split."""
    found = []
    for share, name in zip(shares, SPLITS, strict=True):
        lacking = sorted(kind for kind, row in counts.items() if not row[name])
        if share and len(lacking) == len(counts):
            found.append(f"the {name} split is empty")
        elif share and lacking:
            found.append(f"the {name} split has no {', '.join(lacking)}: nothing there tells of it")
    return found

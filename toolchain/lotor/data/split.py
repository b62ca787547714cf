"""`lotor data split`: which photographs a model learns from, is chosen by, and is judged by.

Whole units go to one split: near duplicates, which are looked for, what has one group, and whatever
else shares a source, a place or a visit. What has a split keeps it, so that a data set can grow
without a test that moves.
"""

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lotor.data.dedupe import MOST_BITS, Hashes, grouped, hashes_of, near_rows
from lotor.data.manifest import SPLITS, Photo
from lotor.data.store import commit, locked, open_store
from lotor.data.units import Units, together
from lotor.errors import LotorError
from lotor.suggest import did_you_mean

KEYS = {"source": "origin", "place": "place", "visit": "visit"}
"""What can hold photographs together beside their group, and the manifest's column of it."""

_NUMBERED = re.compile(r"(.*?)(\d+)\.\w+")  # a file's name that ends with a number


@dataclass(frozen=True)
class Divided:
    """What a split did.

    Attributes:
        counts: photographs by class and split.
        placed: how many got a split.
        units: how many sets of photographs stay together.
        near_duplicates: how many photographs are in one with a near duplicate.
        warnings: what to beware of.
        version: hash of the data set now.
    """

    counts: dict[str, dict[str, int]]
    placed: int
    units: int
    near_duplicates: int
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

    Near duplicates get one group, unless they lie in two splits already, which is warned of.

    Args:
        folder: of the data set.
        shares: of train, val and test.
        by: which of `KEYS` hold photographs together too.
        seed: of the order in which units are placed.
        anew: split everything again; figures on the old test split are then worth nothing.

    Raises:
        LotorError: a wrong share or key, one that no photograph has, or what must stay together is
            in two splits already.
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
        warnings = [text for key in by if (text := _without(photos, key))]
        hashes = hashes_of(photos)
        units = together(photos, [KEYS[key] for key in by])
        alike, near = _link(photos, units, hashes)
        photos = grouped(photos, alike)
        divided = _divide(photos, units.lists(), [part / sum(shares) for part in shares], seed)
        version = commit(folder, divided).manifest_hash
    if near:
        print(
            f"{near} photographs have a near duplicate (at most {MOST_BITS} bits of their "
            "perceptual hashes differ) and stay together with it",
            file=sys.stderr,
        )
    counts = count(divided)
    warnings += missing(counts, shares) + _leaks(divided, hashes, folder)
    return Divided(
        counts,
        placed=sum(not photo.split for photo in photos),
        units=len(units.lists()),
        near_duplicates=near,
        warnings=warnings + _frames(photos, units.lists()),
        version=version,
    )


def _without(photos: Sequence[Photo], key: str) -> str:
    """Return a warning that photographs lack what they are split by; empty where none does.

    Raises:
        LotorError: none of them has it.
    """
    lacking = sum(not getattr(photo, KEYS[key]) for photo in photos)
    if lacking == len(photos):
        raise LotorError(
            f"cannot split by '{key}': no photograph here has a {key}; import them with one "
            f"(column {KEYS[key]} of a manifest.csv), or split by something else"
        )
    if not lacking:
        return ""
    return f"{lacking} photographs have no {key}: each of them may go anywhere"


def _link(photos: Sequence[Photo], units: Units, hashes: Hashes) -> tuple[Units, int]:
    """Join the units of near duplicates, unless they lie in two splits: what has one keeps it.

    Returns:
        near duplicates that are together now, and what has one group; how many have a near one.
    """
    alike, has = together(photos), np.zeros(len(photos), np.bool_)
    splits = {int(units.labels[i]): photo.split for i, photo in enumerate(photos) if photo.split}
    for row, columns, _ in near_rows(hashes):
        has[row] = has[columns] = True
        for column in _one_each(columns, units):
            one, other = (splits.get(int(units.labels[i]), "") for i in (row, column))
            if not one or not other or one == other:
                units.join(row, column)
                splits[int(units.labels[row])] = one or other
        for column in _one_each(columns[units.labels[columns] == units.labels[row]], alike):
            alike.join(row, column)
    return alike, int(has.sum())


def _one_each(indices: npt.NDArray[np.int64], units: Units) -> list[int]:
    """Return one of these indices for every unit that they are in."""
    return [int(i) for i in indices[np.unique(units.labels[indices], return_index=True)[1]]]


def _leaks(photos: Sequence[Photo], hashes: Hashes, folder: Path) -> list[str]:
    """Return a warning of near duplicates in two splits."""
    splits = np.array([photo.split for photo in photos])
    leaks = sum(int((splits[cols] != splits[row]).sum()) for row, cols, _ in near_rows(hashes))
    if not leaks:
        return []
    return [
        f"{leaks} pairs of near duplicates lie in two splits, since some had these before: "
        f"`lotor data dedupe {folder} --fix` drops those that would be learnt from"
    ]


def _frames(photos: Sequence[Photo], units: Sequence[Sequence[int]]) -> list[str]:
    """Return a warning where most photographs are alone, and called like frames of a recording."""
    alone = sum(len(unit) == 1 for unit in units)
    numbers: dict[tuple[str, str, int], Photo] = {}
    for photo in photos:
        if found := _NUMBERED.fullmatch(Path(photo.source).name):
            numbers[photo.origin, found[1], int(found[2])] = photo
    row = next((key for key in sorted(numbers) if (*key[:2], key[2] + 1) in numbers), None)
    following = sum((*key[:2], key[2] + 1) in numbers for key in numbers)
    if row is None or 2 * alone <= len(units) or 2 * following <= len(photos):
        return []
    names = (numbers[key].source for key in (row, (*row[:2], row[2] + 1)))
    return [
        f"{following} files are called as if they followed another ({', '.join(names)}) and most "
        "photographs are units of their own: if these are frames of recordings, say which in the "
        "column visit of a manifest.csv, import that, and split --by visit"
    ]


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

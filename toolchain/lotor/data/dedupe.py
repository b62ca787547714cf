"""`lotor data dedupe`: photographs that are nearly the same, above all across splits.

By perceptual hashes (pHash of 64 bits; Zauner, "Implementation and Benchmarking of Perceptual
Image Hash Functions", 2010), compared all with all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import imagehash
import numpy as np
import numpy.typing as npt

from lotor.data.manifest import Photo
from lotor.data.picture import read_picture
from lotor.data.store import commit, locked, open_store
from lotor.data.units import Units, together
from lotor.errors import LotorError
from lotor.progress import Progress

MOST_BITS = 6
"""Bits in which near duplicates' hashes differ at most, unless one says otherwise."""
Hashes = npt.NDArray[np.uint64]

_ROWS = 512
_HASH_BITS = 64
# A flat picture's hash says nothing: its bits are those of noise.
_LEAST_SET = 4


@dataclass(frozen=True)
class Pair:
    """Two photographs that are nearly the same, and in how many bits their hashes differ."""

    a: Photo
    b: Photo
    bits: int

    @property
    def leaks(self) -> bool:
        """Whether a model would be judged by what it has learned from."""
        return bool(self.a.split and self.b.split and self.a.split != self.b.split)

    @property
    def contradicts(self) -> bool:
        """Whether the two are said to show different things."""
        return self.a.kind != self.b.kind


@dataclass(frozen=True)
class Found:
    """Near duplicates, and what was done about them."""

    pairs: list[Pair]
    bits: int
    merged: int = 0
    dropped: tuple[str, ...] = ()
    version: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        rows = [
            {
                "a": pair.a.path.name,
                "b": pair.b.path.name,
                "bits": pair.bits,
                "splits": [pair.a.split, pair.b.split],
                "classes": [pair.a.kind, pair.b.kind],
            }
            for pair in self.pairs
        ]
        return {
            "pairs": rows,
            "leaks": sum(pair.leaks for pair in self.pairs),
            "contradictions": sum(pair.contradicts for pair in self.pairs),
            "merged": self.merged,
            "dropped": list(self.dropped),
            "version": self.version,
        }

    def __str__(self) -> str:
        leaks = [pair for pair in self.pairs if pair.leaks]
        odd = [pair for pair in self.pairs if pair.contradicts]
        lines = [
            f"{len(self.pairs)} pairs differ in at most {self.bits} of {_HASH_BITS} bits; "
            f"{len(leaks)} of them lie in two splits, {len(odd)} have two classes"
        ]
        for title, pairs in (("two splits", leaks), ("two classes", odd)):
            for pair in pairs[:20]:
                a, b = pair.a, pair.b
                lines.append(
                    f"  {title}: {a.path.name} ({a.kind}, {a.split or 'no split'}) and "
                    f"{b.path.name} ({b.kind}, {b.split or 'no split'}), {pair.bits} bits"
                )
            if len(pairs) > 20:
                lines.append(f"  ... and {len(pairs) - 20} more")
        if self.version:
            lines.append(
                f"{self.merged} photographs share a group now, {len(self.dropped)} dropped from "
                f"train or val\nversion {self.version}"
            )
        return "\n".join(lines)


def find_duplicates(photos: Sequence[Photo], bits: int = MOST_BITS) -> list[Pair]:
    """Return all pairs whose perceptual hashes differ in at most `bits` bits."""
    pairs = [
        Pair(photos[row], photos[column], differ)
        for row, columns, found in near_rows(hashes_of(photos), bits)
        for column, differ in zip(columns.tolist(), found.tolist(), strict=True)
    ]
    return sorted(pairs, key=lambda pair: (pair.bits, pair.a.path, pair.b.path))


def near_rows(
    hashes: Hashes, bits: int = MOST_BITS
) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.uint8]]]:
    """Yield the pairs of hashes that differ in at most `bits` bits, all of one hash at a time.

    Thousands of frames of one camera make millions of pairs, which do not fit into memory at once.

    Args:
        hashes: uint64 [n].
        bits: 0..31.

    Yields:
        an index, later ones that are near, [m], and how many bits differ, [m].
    """
    if not 0 <= bits < _HASH_BITS // 2:
        raise LotorError(f"{bits} bits: give 0 (the same) to {_HASH_BITS // 2 - 1}; 6 is usual")
    told = np.bitwise_count(hashes) >= _LEAST_SET
    for start in range(0, len(hashes), _ROWS):
        differ = np.bitwise_count(hashes[start : start + _ROWS, None] ^ hashes[None, start:])
        differ[~told[start : start + _ROWS]] = _HASH_BITS
        differ[:, ~told[start:]] = _HASH_BITS
        for row, found in enumerate(differ):
            columns = row + 1 + np.flatnonzero(found[row + 1 :] <= bits)
            if columns.size:
                yield start + row, start + columns, found[columns]


def hashes_of(photos: Sequence[Photo]) -> Hashes:
    """Return the perceptual hashes of photographs, [n], computed where the manifest has none.

    Raises:
        LotorError: what the manifest has is no hash, or a file cannot be read.
    """
    hashes = np.zeros(len(photos), np.uint64)
    with Progress("hashing", len(photos), "photographs") as progress:
        for index, photo in enumerate(photos):
            text = photo.phash or str(imagehash.phash(read_picture(photo.path).image()))
            try:
                hashes[index] = int(text, 16)
            except (ValueError, OverflowError) as error:
                raise LotorError(f"{photo.path.name}: '{text}' is no perceptual hash") from error
            progress.advance()
    return hashes


def grouped(photos: Sequence[Photo], units: Units) -> list[Photo]:
    """Return photographs with the group of their unit: one that they have, or one by an id."""
    result = list(photos)
    for unit in units.lists():
        names = [photos[number].group for number in unit if photos[number].group]
        if len(unit) > 1:
            name = names[0] if names else f"id/{photos[unit[0]].id}"
            for number in unit:
                result[number] = replace(photos[number], group=name)
    return result


def dedupe(folder: Path, bits: int = MOST_BITS) -> Found:
    """Put near duplicates into one group; what lies in two splits stays where it is judged by.

    Of a group in several splits, test keeps its photographs, or else val; those in the other splits
    are dropped from the data set: their files stay, for the versions that have them.
    """
    with locked(folder):
        data = open_store(folder)
        photos = list(data.photos)
        pairs = find_duplicates(photos, bits)
        index = {photo.path: number for number, photo in enumerate(photos)}
        units = together(photos)
        for pair in pairs:
            units.join(index[pair.a.path], index[pair.b.path])
        joined = grouped(photos, units)
        keep, dropped, merged = [], [], 0
        for unit in units.lists():
            splits = [
                name for name in ("test", "val") if any(joined[i].split == name for i in unit)
            ]
            best = splits[0] if splits else ""
            for number in unit:
                photo = joined[number]
                merged += photo.group != photos[number].group
                if best and photo.split and photo.split != best:
                    dropped.append(photo.id)
                else:
                    keep.append(photo)
        version = commit(folder, keep).manifest_hash
    return Found(pairs, bits, merged, tuple(sorted(dropped)), version)

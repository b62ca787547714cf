"""Which photographs must stay together: by what they share, and by what links them."""

from collections.abc import Iterable, Sequence

import numpy as np

from lotor.data.manifest import Photo


class Units:
    """Indices that belong together, in disjoint sets.

    Args:
        count: of what is put together; each is alone at first.

    Attributes:
        labels: int64 [count], equal in one unit; the smaller of two that are joined is renamed.
    """

    def __init__(self, count: int) -> None:
        self.labels = np.arange(count)
        self._members = [[index] for index in range(count)]

    def join(self, a: int, b: int) -> None:
        """Put the units of two indices together."""
        large, small = int(self.labels[a]), int(self.labels[b])
        if large == small:
            return
        if len(self._members[large]) < len(self._members[small]):
            large, small = small, large
        self.labels[self._members[small]] = large
        self._members[large] += self._members[small]
        self._members[small] = []

    def lists(self) -> list[list[int]]:
        """Return all units, each in order, in the order of their first indices."""
        return sorted(sorted(unit) for unit in self._members if unit)


def together(photos: Sequence[Photo], by: Iterable[str] = ()) -> Units:
    """Return which photographs must stay together: by group and by these fields of theirs."""
    units = Units(len(photos))
    first: dict[tuple[str, str], int] = {}
    for key in ("group", *by):
        for index, photo in enumerate(photos):
            if value := getattr(photo, key):
                units.join(first.setdefault((key, value), index), index)
    return units

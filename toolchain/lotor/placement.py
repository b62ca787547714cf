"""Where pieces of memory lie, as low as possible, given how near to each other they may begin.

Algorithm: greedy placement at the lowest free offset, pieces in order of falling size (Pisarchyk
and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020); then the piece that
ends highest moves to the front of the order and all are placed anew, a few times. At last, pieces
are moved in the order by chance, a local search that now and then keeps what is worse (compare
simulated annealing). All of this until what is asked for is reached; the smallest placement wins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

_TRIES = 1000  # placements that are tried
_PROMOTED = 0.06  # besides, this part of them from each of the first orders
_PAIRS = 400_000  # that all tries look at, so that models of hundreds of tensors take no longer
_DARING = 0.2  # part of the moves after which a placement may be higher
_WORSE = 1.2  # so many times as high at most
_NEVER = 1 << 62

# Offsets of one piece from that of another that are forbidden: between, but not at, both ends.
Interval = tuple[int, int]


@dataclass(frozen=True)
class Piece:
    """A piece of memory that waits for its offset.

    Attributes:
        nbytes: size.
        multiple: what its offset is a multiple of.
        first: when it is needed first.
    """

    nbytes: int
    multiple: int
    first: int


# For every piece, the pieces that it may meet and where it must not begin, seen from their offset.
Conflicts = Sequence[Mapping[int, Sequence[Interval]]]


def place(
    pieces: Sequence[Piece], conflicts: Conflicts, enough: int, effort: float = 1.0
) -> list[int]:
    """Return the offset of every piece, so that the highest end is low.

    Args:
        pieces: at least one.
        conflicts: of every piece; those of a pair must be each other's mirror image.
        enough: bytes; a placement below that is not improved.
        effort: the part of all tries that is made, from 0 to 1.
    """
    tries = effort * _tries(conflicts)
    search = _Search(pieces, conflicts, enough)
    # The later first leaves room below an input for the output that lies over it.
    for later in (1, -1):
        search.promote(
            sorted(range(len(pieces)), key=lambda i: (-pieces[i].nbytes, later * pieces[i].first)),
            max(1, int(tries * _PROMOTED)),
        )
    search.move(int(tries))
    return search.best


def work(conflicts: Conflicts) -> int:
    """Return how many pairs of pieces `place` looks at with all its tries."""
    return _tries(conflicts) * sum(map(len, conflicts))


def _tries(conflicts: Conflicts) -> int:
    return min(_TRIES, _PAIRS // max(1, sum(map(len, conflicts))))


class _Search:
    """The lowest placement so far."""

    def __init__(self, pieces: Sequence[Piece], conflicts: Conflicts, enough: int) -> None:
        self._pieces, self._enough = pieces, enough
        self._conflicts = [
            [(other, low, high) for other, found in of.items() for low, high in found]
            for of in conflicts
        ]
        self.best: list[int] = []
        self._best_order: list[int] = []
        self._height = _NEVER

    def promote(self, order: list[int], tries: int) -> None:
        """Place anew with the piece that ends highest before all others, again and again."""
        for _ in range(tries):
            if self._height < self._enough:
                return
            _, highest = self._try(order, _NEVER)
            order.insert(0, order.pop(highest))

    def move(self, tries: int) -> None:
        """Move a piece somewhere else in the order, and mostly keep only what is no worse."""
        random = Random(0)
        order, top, highest = self._best_order, self._height, 0
        for _ in range(tries):
            if self._height < self._enough:
                return
            moved = list(order)
            chosen = highest if random.random() < 0.5 else random.randrange(len(order))
            moved.insert(random.randrange(len(order)), moved.pop(chosen))
            most = int(top * _WORSE) if random.random() < _DARING else top
            reached, at = self._try(moved, most)
            if reached <= most:
                order, top, highest = moved, reached, at

    def _try(self, order: Sequence[int], most: int) -> tuple[int, int]:
        """Place all pieces in an order, each as low as those before it leave room.

        Args:
            order: the numbers of pieces.
            most: bytes; a placement that becomes higher is of no use.

        Returns:
            How high it becomes, and which in the order ends highest.
        """
        offsets = [-1] * len(order)
        top = highest = 0
        for at, i in enumerate(order):
            piece = self._pieces[i]
            forbidden = [
                (offsets[other] + low, offsets[other] + high)
                for other, low, high in self._conflicts[i]
                if offsets[other] >= 0
            ]
            forbidden.sort()
            offset = 0
            for low, high in forbidden:
                if offset <= low:
                    break
                if offset < high:
                    offset = -(-high // piece.multiple) * piece.multiple
            offsets[i] = offset
            if offset + piece.nbytes > top:
                top, highest = offset + piece.nbytes, at
                if top > most:
                    return top, at
        if top < self._height:
            self.best, self._best_order, self._height = offsets, list(order), top
        return top, highest


def height(pieces: Sequence[Piece], offsets: Sequence[int]) -> int:
    """Return the highest end of all pieces."""
    return max(offset + piece.nbytes for piece, offset in zip(pieces, offsets, strict=True))

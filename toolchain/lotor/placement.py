"""Where pieces of memory lie, as low as possible, given how near to each other they may begin.

Algorithm: greedy placement at the lowest free offset, pieces in order of falling size (Pisarchyk
and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020); then the piece that
ends highest moves to the front of the order and all are placed anew, as long as what is asked for
is not reached and for at most `_ROUNDS` rounds. The smallest placement wins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_ROUNDS = 200
_PAIRS = 1_000_000  # that all rounds look at, so that models of hundreds of tensors take no longer

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


def place(pieces: Sequence[Piece], conflicts: Conflicts, enough: int) -> list[int]:
    """Return the offset of every piece, so that the highest end is low.

    Args:
        pieces: at least one.
        conflicts: of every piece; those of a pair must be each other's mirror image.
        enough: bytes; a placement below that is not improved.
    """
    rounds = max(1, min(_ROUNDS, _PAIRS // max(1, sum(map(len, conflicts)))))
    best: list[int] = []
    # The later first leaves room below an input for the output that lies over it.
    for later in (1, -1):
        order = sorted(
            range(len(pieces)), key=lambda i: (-pieces[i].nbytes, later * pieces[i].first)
        )
        for _ in range(rounds):
            if best and height(pieces, best) < enough:
                return best
            offsets = _lowest(order, pieces, conflicts)
            best = min(best or offsets, offsets, key=lambda found: height(pieces, found))
            order.insert(0, order.pop(_highest(order, pieces, offsets)))
    return best


def height(pieces: Sequence[Piece], offsets: Sequence[int]) -> int:
    """Return the highest end of all pieces."""
    return max(offset + piece.nbytes for piece, offset in zip(pieces, offsets, strict=True))


def _highest(order: Sequence[int], pieces: Sequence[Piece], offsets: Sequence[int]) -> int:
    return max(range(len(order)), key=lambda at: offsets[order[at]] + pieces[order[at]].nbytes)


def _lowest(order: Sequence[int], pieces: Sequence[Piece], conflicts: Conflicts) -> list[int]:
    """Return every piece's lowest offset that those before it in the order leave."""
    placed: list[int | None] = [None] * len(pieces)
    for i in order:
        forbidden = []
        for other, intervals in conflicts[i].items():
            start = placed[other]
            if start is not None:
                forbidden += [(start + low, start + high) for low, high in intervals]
        offset = 0
        for low, high in sorted(forbidden):
            if offset <= low:
                break
            if offset < high:
                offset = -(-high // pieces[i].multiple) * pieces[i].multiple
        placed[i] = offset
    return [offset for offset in placed if offset is not None]

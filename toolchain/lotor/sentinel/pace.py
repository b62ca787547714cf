"""How far apart a camera's pictures are."""

from collections import deque
from itertools import pairwise

SLOWEST_S = 100.0
"""Seconds between two pictures at most: `rate` is 0.01 at least."""


class Pace:
    """Measures it, whatever a source says of its rate: uploads come as they come."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=3)

    def see(self, monotonic: float) -> None:
        """Take in when a picture was taken."""
        self._times.append(monotonic)

    @property
    def seconds(self) -> float:
        """The shorter of the last two pauses, so that a drop-out is none; 0 before the second."""
        gaps = [later - earlier for earlier, later in pairwise(self._times)]
        return min(SLOWEST_S, *gaps) if gaps else 0.0

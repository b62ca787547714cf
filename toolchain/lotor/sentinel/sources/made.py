"""A garden that is made up, to try the sentinel with nothing attached (`sentinel/garden.py`)."""

from lotor.preprocess import Image
from lotor.sentinel.garden import Garden, Walk, Who
from lotor.sentinel.sources import Opening, Source

_STEP_S = 0.2
_WALKS = (
    Walk(Who.RACCOON, 10, 15, 0.3, rest=0.3),
    Walk(Who.CAT, 40, 12, 0.3, right=False),
    Walk(Who.RACCOON, 65, 20, 0.35, right=False),
    Walk(Who.PERSON, 68, 12, 0.8),
)
_SECONDS = 100.0


class MadeUp(Source):
    """A raccoon, a cat, and a raccoon with a person, in 100 seconds; by "day" or "night".

    Once: from beginning to end. Else: over and over.
    """

    def __init__(self, opening: Opening, light: str) -> None:
        self.finite = opening.once
        self._clock, self._ended = opening.clock, opening.ended
        self._garden = Garden(list(_WALKS), night=light != "day")
        self._began, self._count = self._clock.monotonic(), -1

    def grab(self) -> bool:
        """Go on to the next picture, five a second."""
        self._count += 1
        at = self._count * _STEP_S
        if self.finite:
            self.at = at
            return at < _SECONDS
        wait = self._began + at - self._clock.monotonic()
        return not self._clock.wait(self._ended, max(0.0, wait))

    def picture(self) -> Image:
        """Return what was grabbed last."""
        return self._garden.picture(self._count * _STEP_S % _SECONDS)

    def close(self) -> None:
        """Nothing is open."""

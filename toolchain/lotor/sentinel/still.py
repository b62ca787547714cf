"""What the veto model says of a camera's view while nothing moves: some gardens look like people.

A trunk or a lamp post may score as a person all night, above a threshold that is low on purpose,
and then the model's word on whole frames says nothing. So what it says of the still view is
remembered, and a whole frame must say more than that; but never more than likelier than not: beyond
that a person is taken to be there, whatever the view scored before. What moves is asked about by
itself, and by the threshold alone.
"""

import math
from collections import deque

from lotor.sentinel.scene import Light
from lotor.veto import PERSON_SCORE

EVERY_S = 5.0
"""Seconds between two looks at the still view."""
KEPT_S = 600.0
"""Seconds for which one is remembered."""
MORE = 0.1
"""So much more than the still view a frame must score."""


class StillView:
    """One camera's."""

    def __init__(self) -> None:
        self._scores: deque[tuple[float, float]] = deque()
        self._light: Light | None = None

    def see_by(self, light: Light) -> None:
        """Take in by what light the camera sees now; in another one, all is forgotten."""
        if light is not self._light:
            self._light = light
            self._scores.clear()

    def due(self, monotonic: float, light: Light) -> bool:
        """Return whether the still view is to be looked at again; in another light, all anew."""
        self.see_by(light)
        return not self._scores or monotonic - self._scores[-1][0] >= EVERY_S

    def take(self, monotonic: float, score: float) -> None:
        """Remember the veto model's score of a frame on which nothing moves, 0..1."""
        if not math.isnan(score):
            self._scores.append((monotonic, score))
        self._forget(monotonic)

    def threshold(self, monotonic: float, least: float) -> float:
        """Return the score from which on a whole frame shows a person.

        Args:
            monotonic: of the frame.
            least: the veto's threshold, which holds as long as nothing is known of the view.
        """
        self._forget(monotonic)
        if not self._scores:
            return least
        highest = max(score for _, score in self._scores)
        return max(least, min(PERSON_SCORE, highest + MORE))

    def _forget(self, monotonic: float) -> None:
        while self._scores and monotonic - self._scores[0][0] > KEPT_S:
            self._scores.popleft()

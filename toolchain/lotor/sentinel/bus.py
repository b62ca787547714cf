"""Who wants to know what happens is told: the page, MQTT, messengers.

A message is an instance of a class below. Subscribers are called in the thread that tells, one
after another; they must be quick, and put what takes time into a queue of their own.
"""

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lotor.sentinel.event import Act, Decision, Event
from lotor.sentinel.scene import Scene

log = logging.getLogger(__name__)

_PARTS = re.compile(r"(?<=[;?]) ")


@dataclass(frozen=True)
class SceneSeen:
    """A frame was looked at."""

    scene: Scene


@dataclass(frozen=True)
class Decided:
    """A decision was made, and is on record."""

    decision: Decision


@dataclass(frozen=True)
class EventChanged:
    """An event began, changed (label, picture, actions), or ended (`end` is set); on record."""

    event: Event
    began: bool = False


@dataclass(frozen=True)
class Acted:
    """An action began, ended, was refused or failed; on record as far as there is room."""

    act: Act


@dataclass(frozen=True)
class HealthChanged:
    """A part of the sentinel is well again, or is not.

    Attributes:
        part: e.g. "camera garden", "mqtt", "store".
        well: whether it is.
        text: what is wrong and what is being done, one line; empty when well.
        blocks: whether deterrents are off for as long as it is not well.
    """

    part: str
    well: bool
    text: str = ""
    blocks: bool = False

    def line(self, before: "HealthChanged | None") -> str:
        """Return it as a line of a log: without hints that the last one has given already."""
        parts = _PARTS.split(self.text or "well")
        said = _PARTS.split(before.text) if before is not None and not before.well else []
        text = " ".join(parts[:1] + [part for part in parts[1:] if part not in said])
        blocks = self.blocks and not self.well
        return f"{self.part}: {text}{'; nothing acts meanwhile' if blocks else ''}"


@dataclass(frozen=True)
class ArmedChanged:
    """Deterrents were armed or disarmed, by whom."""

    armed: bool
    by: str


Message = SceneSeen | Decided | EventChanged | Acted | HealthChanged | ArmedChanged
Subscriber = Callable[[Message], None]


class Bus:
    """Tells all subscribers; one that fails is reported and asked again next time."""

    def __init__(self) -> None:
        self._subscribers: tuple[Subscriber, ...] = ()
        self._lock = threading.Lock()

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call a function with every message from now on; returns what ends that."""
        with self._lock:
            self._subscribers += (subscriber,)

        def leave() -> None:
            with self._lock:
                self._subscribers = tuple(s for s in self._subscribers if s is not subscriber)

        return leave

    def tell(self, message: Message) -> None:
        """Tell all subscribers."""
        for subscriber in self._subscribers:
            try:
                subscriber(message)
            except Exception:  # one that fails must not stop the others, nor the sentinel
                log.exception("%s was not told of %s", subscriber, type(message).__name__)


class Controls(Protocol):
    """What the page, MQTT and other hands may ask of the sentinel, from any thread."""

    @property
    def name(self) -> str:
        """Of the sentinel, as the configuration has it."""
        ...

    @property
    def armed(self) -> bool:
        """Whether deterrents may act."""
        ...

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that the sentinel looks for, then `UNKNOWN`."""
        ...

    def arm(self, armed: bool, by: str) -> None:
        """Let deterrents act, or no longer; ends what is running when disarmed.

        Args:
            armed: whether they may.
            by: who wants that, e.g. "the page", "MQTT".
        """
        ...

    def test(self, action: str, by: str) -> Act:
        """Try an action for a moment, also when disarmed; dry runs stay dry.

        Raises:
            LotorError: there is none of that name.
        """
        ...

    def latest(self, camera: str) -> Scene | None:
        """Return what was seen last; None before the first frame."""
        ...

    def health(self) -> tuple[HealthChanged, ...]:
        """Return the last state of every part."""
        ...

    def counters(self) -> dict[str, int]:
        """Return how often since the program began: `frames`, `decisions`, `events`, `acts`..."""
        ...

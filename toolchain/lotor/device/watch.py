"""A board's camera loop over its link: frames in, events out, and none of them lost.

A board sends an event as it comes, numbered without gaps, and keeps the last ones. What a damaged
line swallows is missed by its number and fetched. See docs/link.md.
"""

import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum, IntFlag
from typing import Any, NamedTuple, Self

import numpy as np

from lotor.board_camera import FORMATS
from lotor.device.link import ErrorCode, FrameError, Request
from lotor.device.session import DeviceError, Session
from lotor.errors import LotorError
from lotor.preprocess import Image

KEPT = 32  # events that a board keeps
MOST_FRAMES = 32  # that vote
NO_INDEX, CHOSEN = 0xFF, -1


class Kind(IntEnum):
    """What an event tells: a frame, an alarm, one that was forbidden, an error."""

    FRAME = 0
    ALARM = 1
    HELD = 2
    ERROR = 3


class Flag(IntFlag):
    """Why: the frame votes; there are enough votes; within the last frames a person was seen.

    SECOND is a person by the second model; the cool-down holds; the frame is unlike all known ones.
    """

    VOTED = 1
    ENOUGH = 2
    PERSON = 4
    SECOND = 8
    COOLING = 16
    UNKNOWN = 32


class Action(IntEnum):
    """What the output did: nothing was asked of it, it went on, it was on or rested."""

    NONE = 0
    ON = 1
    REFUSED = 2


ERRORS = {
    0: "",
    1: "a model failed",
    2: "a frame's time went back",
    17: "no camera answers on the bus",
    18: "another sensor answers",
    19: "the sensor's reset did not end",
    20: "the sensor has no such mode",
    21: "the sensor's registers cannot be reached",
    22: "no frame comes",
}
"""Of an event, by number; from 16 on the camera's."""


@dataclass(frozen=True)
class Event:
    """One event of the loop.

    Attributes:
        number: of the event, since the board's start.
        time_ms: of the frame, since the camera's start.
        frame: its number.
        kind: what it tells.
        model: index of the model that votes.
        flags: why.
        error: a key of `ERRORS`.
        view: that with the target's highest score; 0 is the full frame.
        votes: among the last frames.
        action: of the output.
        score: of the target in half steps of the model's output.
        person: the highest of the model's own person; -1 where it has none.
        second: the second model's target; -1 without one.
        box: x0, y0, x1, y1 of the view in pixels, ends excluded.
    """

    number: int
    time_ms: int
    frame: int
    kind: Kind
    model: int
    flags: Flag
    error: int
    view: int
    votes: int
    action: Action
    score: int
    person: int
    second: int
    box: tuple[int, int, int, int]

    FORM = struct.Struct("<IQI7B3h4H")

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read one event.

        Raises:
            FrameError: it is none.
        """
        if len(payload) != cls.FORM.size:
            raise FrameError(f"an event of {len(payload)} bytes where {cls.FORM.size} belong")
        number, time_ms, frame, kind, model, flags, error, view, votes, action, *rest = (
            cls.FORM.unpack(payload)
        )
        try:
            told, did = Kind(kind), Action(action)
        except ValueError as wrong:
            raise FrameError(f"an event says {wrong}") from wrong
        score, person, second, *box = rest
        return cls(
            number, time_ms, frame, told, model, Flag(flags), error, view, votes, did,
            score, person, second, (box[0], box[1], box[2], box[3]),
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Return what `lotor watch --json` prints."""
        named = [flag.name.lower() for flag in Flag if flag in self.flags and flag.name]
        return asdict(self) | {
            "kind": self.kind.name.lower(),
            "flags": named,
            "action": self.action.name.lower(),
            "error": ERRORS.get(self.error, f"error {self.error}"),
            "box": list(self.box),
        }


class State(NamedTuple):
    """How the loop fares; see docs/link.md."""

    running: int
    camera: int
    lit: int
    frames: int
    events: int
    errors: int
    longest_ms: int
    threshold: int
    veto_from: int


@dataclass(frozen=True)
class Settings:
    """How to watch: see `voting.Rule`; scores in half steps, `CHOSEN` for training's."""

    model: int
    veto: int = NO_INDEX
    views: bool = True
    every: bool = False
    votes: int = 3
    of: int = 5
    output: int = NO_INDEX
    on_ms: int = 0
    memory_ms: int = 10_000
    cooldown_ms: int = 60_000
    threshold: int = CHOSEN
    veto_from: int = CHOSEN

    def pack(self) -> bytes:
        """Return the request's payload."""
        flags = self.views | self.every << 1
        small = self.model, self.veto, flags, self.votes, self.of, self.output
        return struct.pack(
            "<7B3I2h",
            1,
            *small,
            self.on_ms,
            self.memory_ms,
            self.cooldown_ms,
            self.threshold,
            self.veto_from,
        )


class Captured(NamedTuple):
    """A frame as the loop has looked at it.

    Attributes:
        number: of the frame.
        time_ms: since the camera's start.
        rgb: uint8 [height, width, 3].
    """

    number: int
    time_ms: int
    rgb: Image


class Watching:
    """One loop on a board, as a session drives it.

    Attributes:
        fetched: events that did not arrive by themselves and were asked for.
        missed: events that the board no longer kept.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.fetched = self.missed = 0
        self._came: dict[int, Event] = {}
        self._next: int | None = None  # the first number that was not handed out
        session.on_event = self._take

    def _take(self, payload: bytes) -> None:
        event = Event.parse(payload)
        if self._next is not None and event.number >= self._next:
            self._came[event.number] = event

    def start(self, settings: Settings) -> State:
        """Begin; earlier events are left alone.

        Raises:
            DeviceError: the board refuses the settings.
            LotorError: its camera does not start.
        """
        self._next = None
        state = self._state(settings.pack())
        self._came.clear()
        self._next = state.events
        if not state.running:
            raise LotorError(
                f"the camera of {self.session.where} does not start: "
                f"{ERRORS.get(16 + state.camera, f'error {state.camera}')}; see docs/cameras.md"
            )
        return state

    def follow(self) -> State:
        """Listen to a loop from now on that may have been started before."""
        self._next = None
        state = self.state()
        self._came.clear()
        self._next = state.events
        return state

    def stop(self) -> State:
        """End; return how it fared."""
        return self._state(b"\0")

    def state(self) -> State:
        """Ask how it fares."""
        return self._state(b"\2")

    def _state(self, payload: bytes) -> State:
        # A frame that is being looked at comes first.
        answer = self.session.request(Request.WATCH, payload, self.session.run_timeout)
        form = "<3B4I2h"
        if len(answer) != struct.calcsize(form):
            raise FrameError(f"{self.session.where} answered watch with {len(answer)} bytes")
        return State(*struct.unpack(form, answer))

    def feed(self, number: int, time_ms: int, raw: bytes, pixel_format: str) -> None:
        """Send a frame of the camera's size to a synthetic camera.

        Args:
            number: of the frame, another one than the last.
            time_ms: since the start, never before the last frame's.
            raw: its bytes in `pixel_format`, one of `board_camera.FORMATS`.
            pixel_format: of them.
        """
        session, camera = self.session, self.session.greeting.camera
        if camera is None:
            raise LotorError(f"{session.where} has no camera")
        head = struct.pack(
            "<IQHHB", number, time_ms, camera.width, camera.height, FORMATS.index(pixel_format)
        )
        (bytes_,) = struct.unpack(
            "<I", session.request(Request.CAMERA_FRAME, head, session.run_timeout)
        )
        if bytes_ != len(raw):
            raise LotorError(f"a frame of {len(raw)} bytes; {session.where} takes {bytes_}")
        for start in range(0, len(raw), session.data_bytes):
            piece = raw[start : start + session.data_bytes]
            payload = struct.pack("<II", number, start) + piece
            session.request(Request.CAMERA_DATA, payload, session.run_timeout)

    def captured(self, seen: int | None = None) -> Captured | None:
        """Read the frame that was looked at last; the loop waits meanwhile.

        Args:
            seen: number of a frame that is not wanted again.

        Returns:
            None where there is no other frame.

        Raises:
            LotorError: the board has no camera, or its frames change while they are read.
        """
        session, camera = self.session, self.session.greeting.camera
        if camera is None:
            raise LotorError(f"{session.where} has no camera: take a board that has (lotor boards)")
        for _ in range(3):
            found = self._piece(0, 0)
            if found is None or found[0] == seen:
                return None
            head, pieces = found[:2], []
            for start in range(0, camera.frame_bytes, session.data_bytes):
                size = min(session.data_bytes, camera.frame_bytes - start)
                piece = self._piece(start, size)
                if piece is None or piece[:2] != head:
                    break
                pieces.append(piece[2])
            else:
                shape = camera.height, camera.width, 3
                return Captured(*head, np.frombuffer(b"".join(pieces), np.uint8).reshape(shape))
        raise LotorError(f"the frames of {session.where} change faster than the line carries them")

    def _piece(self, offset: int, length: int) -> tuple[int, int, bytes] | None:
        """Return number, time and bytes of the last frame; None where there is none."""
        request = struct.pack("<IH", offset, length)
        # The first question waits for the frame that is being looked at.
        wait = self.session.timeout if length else self.session.run_timeout
        try:
            answer = self.session.request(Request.FRAME, request, wait)
        except DeviceError as refusal:
            if refusal.code == ErrorCode.NOT_READY:
                return None
            raise
        if len(answer) != 12 + length:
            raise FrameError(f"{self.session.where} answered frame with {len(answer)} bytes")
        number, time_ms = struct.unpack("<IQ", answer[:12])
        return number, time_ms, answer[12:]

    def events(self, upto: int) -> Iterator[Event]:
        """Yield events in order, those below number `upto`; fetch what did not come."""
        while self._next is not None and self._next < upto:
            if self._next not in self._came:
                self._fetch()
            event = self._came.pop(self._next, None)
            self._next += 1
            if event is None:
                self.missed += 1
            else:
                yield event

    def _fetch(self) -> None:
        if self._next is None:
            return
        request = struct.pack("<I", self._next)
        answer = self.session.request(Request.EVENTS, request, self.session.run_timeout)
        size = Event.FORM.size
        if len(answer) < 8 or (len(answer) - 8) % size:
            raise FrameError(f"{self.session.where} answered events with {len(answer)} bytes")
        for at in range(8, len(answer), size):
            event = Event.parse(answer[at : at + size])
            if event.number >= self._next and event.number not in self._came:
                self._came[event.number] = event
                self.fetched += 1

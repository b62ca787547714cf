"""A board with a camera that runs Lotor, over its link: frames on request, and its events."""

import logging
from collections.abc import Sequence

import numpy as np

from lotor.device.link import ErrorCode
from lotor.device.session import DeviceError, Session
from lotor.device.watch import (
    CHOSEN,
    ERRORS,
    Captured,
    Event,
    Flag,
    Kind,
    Settings,
    Watching,
)
from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.sentinel.sources import BoardEvent, Opening, Seen, Source

_ASK_S = 0.2  # between two questions for a new frame
_FRAME_S = 10.0  # that an alarm waits for its frame
_FULL_SCORE, _HALF = 512, 256  # of a score in half steps of 1/256
_HELD = {
    Flag.PERSON: "it sees a person",
    Flag.SECOND: "its second model sees a person",
    Flag.COOLING: "it alarmed just now",
}

log = logging.getLogger(__name__)


class BoardCamera(Source):
    """`board:NAME`, or `board:` and the path or url of a port.

    The board's own loop looks at every frame first, with its first model that watches frames and no
    output; one that runs already is left as it is. What it sees is told with the frame on which it
    saw that, or one soon after. With `frames = "alarms"` no other frame is read.

    Raises:
        LotorError: no such board, no answer, no camera, or its camera does not start.
    """

    silent_s = 60.0  # a large frame takes long on a slow line

    def __init__(self, opening: Opening) -> None:
        name = opening.camera.source.partition(":")[2]
        self._name, self._clock = opening.camera.name, opening.clock
        self._ended = opening.ended
        self._frame: Captured | None = None
        self._waiting: list[tuple[Event, float, float]] = []  # with Unix and monotonic time
        self._told: list[BoardEvent] = []
        self._failure: Exception | None = None
        self._gives = True  # frames on request: an image of before that request does not
        self._frames = 0  # that the board had looked at
        self._threshold = 0  # half steps from which on a frame votes there
        self.looks = opening.camera.frames == "all"
        self._session = Session.open(name)
        try:
            self._watching = _watching(self._session)
        except BaseException:
            self._session.close()
            raise
        # What is fed has no noise.
        self.changes = self._session.greeting.camera is None or bool(
            self._session.greeting.camera.kind
        )

    def grab(self) -> bool:
        """Wait for a frame that was not read yet, and read it, or for word of the board."""
        while not self._ended.is_set():
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure
            found = alive = False
            try:
                alive = self._ask()
                found = self._read()
            except (LotorError, OSError) as error:
                if not self._waiting:
                    raise
                self._failure = error  # once what was told before is handed out
            self._hand_out()
            self.fresh = found and self.looks
            if self.fresh or self._told:
                return True
            self._clock.wait(self._ended, _ASK_S)
            if alive and not self.looks:
                return True
        return False

    def _ask(self) -> bool:
        """Take in what the board says; return whether it looked at another frame."""
        state = self._watching.state()
        self._threshold = state.threshold
        for event in self._watching.events(state.events):
            self._waiting.append((event, self._clock.now(), self._clock.monotonic()))
        if not state.running:
            raise LotorError(f"{self._session.where} no longer watches: was it restarted?")
        if state.camera:
            why = ERRORS.get(16 + state.camera, f"error {state.camera}")
            raise LotorError(f"the camera of {self._session.where}: {why}")
        before, self._frames = self._frames, state.frames
        return state.frames != before

    def _read(self) -> bool:
        """Read a frame that is new, if it is wanted."""
        if not self._gives or not (self.looks or any(_tells(e) for e, _, _ in self._waiting)):
            return False
        try:
            found = self._watching.captured(self._frame.number if self._frame else None)
        except DeviceError as refusal:
            if refusal.code != ErrorCode.UNKNOWN_REQUEST:
                raise
            log.warning(
                "%s gives no frames, as its image is of before that request; it is listened to "
                "alone: flash it again",
                self._session.where,
            )
            self._gives = self.looks = False
            return False
        self._frame = found or self._frame
        return found is not None

    def picture(self) -> Image:
        """Return what was grabbed last."""
        if self._frame is None:
            raise LotorError("no frame was read yet")
        return np.ascontiguousarray(self._frame.rgb[:, :, ::-1])

    def events(self) -> Sequence[BoardEvent]:
        """Return what the board's loop has told since it was asked last."""
        told, self._told = self._told, []
        return told

    def close(self) -> None:
        """Give the port back; the board's loop goes on."""
        self._session.close()

    def _hand_out(self) -> None:
        """Tell, in order, what waits for no frame any more; the last one gets the frame."""
        count = 0
        while count < len(self._waiting) and not self._waits(*self._waiting[count]):
            count += 1
        ready, self._waiting = self._waiting[:count], self._waiting[count:]
        last = max((n for n, (event, *_) in enumerate(ready) if _tells(event)), default=None)
        for n, (event, time, monotonic) in enumerate(ready):
            self._told.append(self._event(event, time, monotonic, n == last))

    def _waits(self, event: Event, time: float, monotonic: float) -> bool:
        if not _tells(event) or not self._gives or self._failure is not None:
            return False
        here = self._frame is not None and self._frame.number >= event.frame
        return not here and self._clock.monotonic() - monotonic < _FRAME_S

    def _event(self, event: Event, time: float, monotonic: float, pictured: bool) -> BoardEvent:
        kind = event.kind.name.lower()
        if event.kind is Kind.ERROR:
            text = ERRORS.get(event.error, f"error {event.error}")
            return BoardEvent(self._name, time, event.number, kind, text)
        text = f"score {event.score / _FULL_SCORE:.2f}, {event.votes} votes"
        flags = [flag.name.lower() for flag in event.flags if flag.name]
        text += f" ({', '.join(flags)})" if flags else ""
        seen = self._seen(event, monotonic, pictured)
        return BoardEvent(self._name, time, event.number, kind, text, seen)

    def _seen(self, event: Event, monotonic: float, pictured: bool) -> Seen | None:
        hello = self._session.greeting
        model = next((m for m in hello.models if m.index == event.model), None)
        if model is None or hello.camera is None:
            return None
        held = [why for flag, why in _HELD.items() if flag in event.flags]
        frame = self._frame if pictured else None
        if frame is not None and frame.number < event.frame:
            frame = None
        return Seen(
            board=hello.board,
            model=model.name,
            hash=model.hash,
            score=max(0, event.score) / _FULL_SCORE,
            least=self._threshold / _FULL_SCORE,
            votes=event.votes,
            enough=Flag.ENOUGH in event.flags,
            held="" if event.kind is Kind.ALARM else ", ".join(held) or "it does not say why",
            person=bool(event.flags & (Flag.PERSON | Flag.SECOND)),
            person_score=event.person / _FULL_SCORE if event.person >= 0 else None,
            unknown=Flag.UNKNOWN in event.flags,
            frame=event.frame,
            box=event.box if event.view else None,
            size=(hello.camera.width, hello.camera.height),
            monotonic=monotonic,
            image=np.ascontiguousarray(frame.rgb[:, :, ::-1]) if frame else None,
            image_frame=frame.number if frame else None,
        )


def _tells(event: Event) -> bool:
    """Whether it is about something that the board sees."""
    return event.kind in (Kind.ALARM, Kind.HELD)


def _watching(session: Session) -> Watching:
    """Return a loop that runs."""
    if session.greeting.camera is None:
        raise LotorError(
            f"{session.where} has no camera: take a board whose file has [camera] (docs/cameras.md)"
        )
    watching = Watching(session)
    if watching.follow().running:
        return watching
    for index in range(len(session.greeting.models)):
        for threshold in (CHOSEN, _HALF):  # training may have chosen none
            try:
                # No cool-down: the sentinel has one for all that it sees.
                watching.start(
                    Settings(model=index, views=False, threshold=threshold, cooldown_ms=0)
                )
            except DeviceError as refusal:
                if refusal.code not in (ErrorCode.BAD_INDEX, ErrorCode.OUT_OF_RANGE):
                    raise
            else:
                return watching
    raise LotorError(
        f"no model on {session.where} watches frames: `lotor flash --board "
        f"{session.greeting.board} --model raccoon`"
    )

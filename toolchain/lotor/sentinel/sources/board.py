"""A board with a camera that runs Lotor, over its link: frames on request, and its events."""

from collections.abc import Sequence

import numpy as np

from lotor.device.link import ErrorCode
from lotor.device.session import DeviceError, Session
from lotor.device.watch import CHOSEN, ERRORS, Captured, Event, Kind, Settings, Watching
from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.sentinel.sources import BoardEvent, Opening, Source

_ASK_S = 0.2  # between two questions for a new frame
_FULL_SCORE, _HALF = 512, 256  # of a score in half steps of 1/256


class BoardCamera(Source):
    """`board:NAME`, or `board:` and the path or url of a port.

    The board's own loop looks at every frame first, with its first model that watches frames and no
    output; one that runs already is left as it is.

    Raises:
        LotorError: no such board, no answer, no camera, or its camera does not start.
    """

    silent_s = 60.0  # a large frame takes long on a slow line

    def __init__(self, opening: Opening) -> None:
        name = opening.camera.source.partition(":")[2]
        self._name, self._clock = opening.camera.name, opening.clock
        self._ended = opening.ended
        self._frame: Captured | None = None
        self._told: list[BoardEvent] = []
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
        """Wait for a frame that was not read yet, and read it."""
        seen = self._frame.number if self._frame else None
        while not self._ended.is_set():
            state = self._watching.state()
            self._told += map(self._event, self._watching.events(state.events))
            if not state.running:
                raise LotorError(f"{self._session.where} no longer watches: was it restarted?")
            if state.camera:
                why = ERRORS.get(16 + state.camera, f"error {state.camera}")
                raise LotorError(f"the camera of {self._session.where}: {why}")
            found = self._watching.captured(seen)
            if found is not None:
                self._frame = found
                return True
            self._clock.wait(self._ended, _ASK_S)
        return False

    def picture(self) -> Image:
        """Return what was grabbed last."""
        if self._frame is None:
            raise LotorError("no frame was read yet")
        return np.ascontiguousarray(self._frame.rgb[:, :, ::-1])

    def events(self) -> Sequence[BoardEvent]:
        """Return what the board's loop has told since it was asked last."""
        told, self._told = self._told, []
        return told

    def _event(self, event: Event) -> BoardEvent:
        kind = event.kind.name.lower()
        if event.kind is Kind.ERROR:
            text = ERRORS.get(event.error, f"error {event.error}")
        else:
            text = f"score {event.score / _FULL_SCORE:.2f}, {event.votes} votes"
            flags = [flag.name.lower() for flag in event.flags if flag.name]
            text += f" ({', '.join(flags)})" if flags else ""
        return BoardEvent(self._name, self._clock.now(), event.number, kind, text)

    def close(self) -> None:
        """Give the port back; the board's loop goes on."""
        self._session.close()


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
                watching.start(Settings(model=index, views=False, threshold=threshold))
            except DeviceError as refusal:
                if refusal.code not in (ErrorCode.BAD_INDEX, ErrorCode.OUT_OF_RANGE):
                    raise
            else:
                return watching
    raise LotorError(
        f"no model on {session.where} watches frames: `lotor flash --board "
        f"{session.greeting.board} --model raccoon`"
    )

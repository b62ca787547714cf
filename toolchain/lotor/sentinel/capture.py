"""A camera in a thread of its own: the newest frame wins, and what is lost is opened again.

A reader thread opens the source and reads it; it may hang in a driver. A second thread watches
over it, tells what is wrong, and opens the source anew with a reader of its own, later and later.
"""

import logging
import math
import random
import threading
import traceback
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from lotor.errors import LotorError, said
from lotor.preprocess import Image
from lotor.sentinel.bus import HealthChanged
from lotor.sentinel.clock import Clock
from lotor.sentinel.config import Camera
from lotor.sentinel.scene import Frame
from lotor.sentinel.sources import BoardEvent, Source, Unusable, open_source, redact
from lotor.sentinel.worker import Worker

OPEN_S = 30.0
"""Seconds that opening may take."""
BACK_OFF_S = (2.0, 60.0)
"""The first and the longest pause before a camera is opened again; each is cut by up to half."""
STEADY_S = 60.0
"""A camera that delivered for so long begins with the first pause again."""
FROZEN_S = 60.0
"""Seconds of the same picture, bit by bit, after which a camera is said to be frozen."""
_CLOSE_S = 2.0  # that the end of the program waits for a reader
_HANGING = 3  # readers that hang in a driver; there are no more until one comes back
_EVENTS = 64
_LONG = 3600.0

log = logging.getLogger(__name__)


class Capture:
    """Frames of one camera; begins at once.

    Args:
        camera: what the configuration says of it.
        clock: for the times of frames, and for waiting.
        report: gets a `HealthChanged` when the camera is lost and when it is back, from a thread.
        once: a file or folder is read from beginning to end, and no frame is dropped.
        folder: paths of sources are relative to it.

    Attributes:
        dropped: frames that came and were replaced by newer ones before anybody took them.
        lacks: what of its file or folder could not be read, in words; empty: nothing.
    """

    def __init__(
        self,
        camera: Camera,
        clock: Clock,
        report: Callable[[HealthChanged], None],
        *,
        once: bool = False,
        folder: Path = Path(),
    ) -> None:
        self.camera, self.clock, self.once, self.folder = camera, clock, once, folder
        self.dropped = 0
        self.lacks = ""
        self._report = report
        self._there = threading.Condition()  # guards all that follows
        self._frame: Frame | None = None
        self._number = 0
        self._over = False
        self._error: LotorError | None = None
        self._events: deque[BoardEvent] = deque(maxlen=_EVENTS)
        self._reader: _Reader | None = None
        self._telling = threading.Lock()
        self._told: tuple[bool, str] | None = None
        self._stop = threading.Event()
        self.wake = threading.Event()
        self._hanging: list[_Reader] = []
        self._begun = False
        self._thread = Worker(
            f"camera {camera.name}", self._supervise, report, failed=self._broke, blocks=True
        )
        self._thread.start()

    def next(self, seconds: float | None = None) -> Frame | None:
        """Take the newest frame that was not taken yet.

        Args:
            seconds: real ones to wait for it; None waits until there is one or will be none.

        Returns:
            None if none came in time, a board told something instead, or none will come any more
            (`ended`).

        Raises:
            LotorError: the source cannot be used, ever, as its first opening says; or with `once`,
                it cannot be opened or read on. Says why.
        """
        with self._there:
            self._there.wait_for(
                lambda: self._frame or self._over or (self._events and seconds is not None), seconds
            )
            frame, self._frame = self._frame, None
            self._there.notify_all()
            if frame is None and self._error:
                raise self._error
            return frame

    @property
    def ended(self) -> bool:
        """Whether there will be no frame any more: the end of a file, or it was closed."""
        with self._there:
            return self._over and self._frame is None

    @property
    def frames(self) -> int:
        """How many pictures the camera gave, those that were dropped among them."""
        with self._there:
            return self._number

    def events(self) -> list[BoardEvent]:
        """Take what a board told beside its frames; the last 64 are kept."""
        with self._there:
            events = list(self._events)
            self._events.clear()
            return events

    def close(self) -> None:
        """End; does not wait for a driver that hangs for longer than two seconds."""
        self._stop.set()
        with self._there:
            reader, self._reader = self._reader, None
            self._over, self._frame = True, None
            self._there.notify_all()
        for each in [reader, *self._hanging]:
            if each is not None:
                each.ended.set()
        self.wake.set()
        self._thread.end(_CLOSE_S)
        if reader is not None and threading.current_thread() is not reader.thread:
            reader.thread.join(_CLOSE_S)
            if reader.thread.is_alive():
                log.warning("camera %s hangs in its driver and is left", self.camera.name)

    # The thread that watches over the reader.

    def _broke(self, error: BaseException) -> None:
        if self.once:  # else it begins anew; a film is not read a second time
            self._stop.set()
            with self._there:
                self._error = LotorError(f"camera {self.camera.name}: {redact(said(error))}")
                self._over = True
                self._there.notify_all()

    def _supervise(self) -> None:
        failures = 0
        while not self._stop.is_set():
            self._hanging = [reader for reader in self._hanging if not reader.done]
            if len(self._hanging) >= _HANGING:
                why, steady = "its driver hangs; a restart of this machine may help", False
                unusable = False
            else:
                began = self.clock.monotonic()
                reader = _Reader(self)
                with self._there:
                    if self._stop.is_set():
                        return
                    self._reader = reader
                reader.thread.start()
                found = self._watch(reader)
                if found is None or self._stop.is_set():
                    break
                why, steady = found, reader.lasted(began) >= STEADY_S
                # Later, something may have changed in the night, and other cameras watch.
                unusable, self._begun = reader.unusable and not self._begun, True
            if self.once or unusable:
                with self._there:  # `next` raises it, which says it once
                    kind = Unusable if unusable else LotorError
                    self._error = kind(f"camera {self.camera.name}: {redact(why)}")
                break
            failures = 1 if steady else failures + 1
            pause = min(BACK_OFF_S[1], BACK_OFF_S[0] * 2.0 ** min(failures - 1, 30))
            end = "" if why.endswith("?") else ";"
            self._tell(False, f"{why}{end} it is tried again within {pause:.0f} s")
            self._wait(self.clock.monotonic() + pause * random.uniform(0.5, 1.0))
        with self._there:
            self._over = True
            self._there.notify_all()

    def _watch(self, reader: "_Reader") -> str | None:
        """Wait for the end of a reader; return why it failed, or None at the end of a file."""
        while not reader.done and not self._stop.is_set():
            due = reader.due()
            if self.clock.monotonic() >= due:
                with self._there:
                    self._reader = None
                reader.ended.set()
                self._hanging.append(reader)
                return f"it {reader.doing} for {reader.patience:.0f} s"
            self._wait(due, reader)
            self._thread.turn()
        return reader.why

    def _wait(self, until: float, reader: "_Reader | None" = None) -> None:
        """Wait for a moment (monotonic), the end of everything, or news of a reader."""
        while (left := until - self.clock.monotonic()) > 0:
            self.clock.wait(self.wake, min(left, _LONG))
            self.wake.clear()  # before looking at what may have set it
            if self._stop.is_set() or reader:
                return

    def _tell(self, well: bool, text: str = "", reader: "_Reader | None" = None) -> None:
        """Report a state, unless it is the last one, or of a reader that was given up."""
        text = " ".join(redact(text).split())
        with self._telling:
            if reader is not None and self._reader is not reader:
                return
            if self._told == (well, text) or self._stop.is_set():
                return
            self._told = well, text
            message = HealthChanged(f"camera {self.camera.name}", well, text)
            try:
                self._report(message)
            except Exception:  # whoever is told must not stop the camera
                log.exception("the state of camera %s was not told", self.camera.name)

    # What a reader calls.

    def count(self, reader: "_Reader", events: Sequence[BoardEvent]) -> int | None:
        """Return the number of a picture; None for a reader that nobody reads any more."""
        with self._there:
            if self._reader is not reader:
                return None
            self._number += 1
            self._keep(events)
            return self._number - 1

    def hear(self, reader: "_Reader", events: Sequence[BoardEvent]) -> bool:
        """Take what a board told without a picture; False for a reader that nobody reads."""
        with self._there:
            if self._reader is not reader:
                return False
            self._keep(events)
            self._there.notify_all()
            return True

    def _keep(self, events: Sequence[BoardEvent]) -> None:
        """Keep events; of those that wait only the newest picture, as they are large."""
        self._events.extend(events)
        newer = False
        for index in reversed(range(len(self._events))):
            event = self._events[index]
            if event.seen is not None and event.seen.image is not None:
                if newer:
                    seen = replace(event.seen, image=None, image_frame=None)
                    self._events[index] = replace(event, seen=seen)
                newer = True

    def offer(self, reader: "_Reader", frame: Frame, keep: bool) -> None:
        """Hand a frame over; with `keep`, when the last one was taken."""
        with self._there:
            if keep:
                self._there.wait_for(lambda: self._frame is None or self._reader is not reader)
            if self._reader is not reader:
                return
            self.dropped += self._frame is not None
            self._frame = frame
            self._there.notify_all()

    def well(self, reader: "_Reader", text: str = "") -> None:
        """Tell that the camera delivers; with a text, that something is wrong with its pictures."""
        self._tell(not text, text, reader)


class _Reader:
    """One opening of the source, in a thread.

    Attributes:
        thread: it.
        ended: set when nobody wants its pictures any more.
        done: whether it has ended.
        why: why it failed; None at the end of a file.
        unusable: whether that will never be otherwise.
        doing: what it did not do while nothing came, in words.
        patience: how many seconds that may take.
    """

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self.ended = threading.Event()
        self.done = False
        self.why: str | None = None
        self.unusable = False
        self.doing, self.patience = "did not open", OPEN_S
        self._seen = capture.clock.monotonic()
        self._due = -math.inf
        self._mark: int | None = None  # of the last picture
        self._same = 0.0  # since when it is the same
        name = f"camera {capture.camera.name} reader"
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def due(self) -> float:
        """Return when it counts as hanging, monotonic."""
        return self._seen + self.patience

    def lasted(self, began: float) -> float:
        """Return for how many seconds it gave pictures, if it began then."""
        return self._seen - began

    def _run(self) -> None:
        capture = self._capture
        try:
            source = open_source(
                capture.camera,
                capture.clock,
                once=capture.once,
                folder=capture.folder,
                ended=self.ended,
            )
            try:
                self._seen = capture.clock.monotonic()
                self.doing = "gave no picture"
                self.patience = math.inf if source.finite else source.silent_s
                capture.wake.set()  # which waits as long as opening may take
                self._read(source)
            finally:
                source.close()
        except LotorError as error:
            self.why, self.unusable = str(error), isinstance(error, Unusable)
        except Exception as error:  # a driver may raise anything; the camera is then lost
            self.why = f"{type(error).__name__}: {error}"
            log.error("camera %s: %s", capture.camera.name, redact(traceback.format_exc()))
        finally:
            self.done = True
            capture.wake.set()

    def _read(self, source: Source) -> None:
        capture, clock = self._capture, self._capture.clock
        begin = clock.now(), clock.monotonic()
        while not self.ended.is_set() and source.grab():
            now, monotonic = clock.now(), clock.monotonic()
            self._seen = monotonic
            if not source.fresh:
                if not capture.hear(self, source.events()):
                    return
                if not source.looks:
                    capture.well(self)
                continue
            if source.at is not None:
                now, monotonic = (moment + source.at for moment in begin)
            number = capture.count(self, source.events())
            if number is None:
                return
            if not self._is_due(monotonic, 0.001 if source.finite else math.inf):
                continue
            image = _checked(source.picture())
            frozen = self._frozen(image, monotonic) if source.changes else ""
            # Of what is read once, the end tells it.
            capture.well(self, frozen or ("" if source.finite else source.lacks))
            frame = Frame(capture.camera.name, number, now, monotonic, image)
            capture.offer(self, frame, keep=source.finite)
        if source.finite:
            capture.lacks = source.lacks
            if source.lacks:
                capture.well(self, source.lacks)
        elif not self.ended.is_set():
            raise LotorError("it ended by itself")

    def _is_due(self, time: float, most: float) -> bool:
        """Return whether a picture is to be looked at, so that `rate` are on the average.

        Args:
            time: of the picture, monotonic.
            most: it may be so many seconds early, and never more than half of the time between two:
                a camera of that very rate is not quite regular.
        """
        step = 1 / self._capture.camera.rate
        if time < self._due - min(most, step / 2):
            return False
        self._due = self._due + step if time - self._due < step else time + step
        return True

    def _frozen(self, image: Image, time: float) -> str:
        """Return what is wrong when a picture is the same for long, else nothing."""
        mark = zlib.crc32(image.data)
        if mark != self._mark:
            self._mark, self._same = mark, time
        if time - self._same < FROZEN_S:
            return ""
        return f"its picture has not changed by a bit for {FROZEN_S:.0f} s: restart the camera"


def _checked(image: Image) -> Image:
    """Return a picture as BGR that nobody can write to."""
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0:
        raise LotorError(f"a picture of {image.dtype} {list(image.shape)} cannot be used")
    if image.ndim == 2 or image.shape[2] == 1:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
    elif image.shape[2] != 3:
        raise LotorError(f"a picture of {image.shape[2]} channels cannot be used")
    image = np.ascontiguousarray(image)
    image.setflags(write=False)
    return image

"""The best picture of an event, and a clip of it: JPEG and WebM files in the store's folder.

    FOLDER/media/2026-11-30/<event id>.jpg     the day is in UTC
    FOLDER/media/2026-11-30/<event id>.webm    VP8, which browsers play

The last seconds of every camera are kept as JPEG in memory, once a second while nothing moves. A
file is written to another name, reaches the disk, takes its name, and then the event's row names
it; what no row names is removed at the start. A thread of the lowest priority writes. Whatever goes
wrong here is told, and stops no decision.
"""

import contextlib
import logging
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from lotor.errors import LotorError
from lotor.files import make_folder, sync, sync_folder, write_files
from lotor.preprocess import Image
from lotor.sentinel import config
from lotor.sentinel.bus import Bus, EventChanged, HealthChanged
from lotor.sentinel.clock import Clock
from lotor.sentinel.database import MEDIA
from lotor.sentinel.event import Event
from lotor.sentinel.pace import Pace
from lotor.sentinel.scene import Frame
from lotor.sentinel.store import Store
from lotor.sentinel.webm import Kept, write_webm
from lotor.sentinel.worker import Worker

log = logging.getLogger(__name__)

PART = "media"
"""What its health is told of (`HealthChanged`)."""

_PICTURE_WIDTH, _PICTURE_QUALITY = 1280, 88
_CLIP_WIDTH, _CLIP_QUALITY = 512, 80
_RATE = 5.0  # frames of a clip in a second
_IDLE_S = 1.0  # between kept frames while nothing moves
_RING_BYTES = 8_000_000  # of a camera
_CLIP_FRAMES, _CLIP_BYTES = 200, 8_000_000  # a larger clip has fewer in a second
_CLIPS = 4  # being gathered or written at once
_PICTURES = 32  # waiting to be written
NICENESS = 19
"""Of the thread that encodes: seeing comes first."""
CLOSE_S = 20.0
"""Seconds that the end of the program waits for clips."""
_STALLED_S = 2.0  # without a frame, after which a clip does not wait for more


@dataclass
class _Camera:
    """A camera's last frames, whose time is not the clock's where it is a film.

    Attributes:
        ring: frames that are kept, the earliest first.
        pace: how far apart its frames are, kept or not.
        monotonic: of the last frame, kept or not.
        time: likewise, Unix.
        came: when it came, by the clock.
    """

    ring: deque[Kept] = field(default_factory=deque)
    pace: Pace = field(default_factory=Pace)
    monotonic: float = 0.0
    time: float = 0.0
    came: float = 0.0

    @property
    def second(self) -> float:
        """What counts as a second of a clip: a picture, where they are farther apart than that."""
        return max(1.0, self.pace.seconds)


@dataclass
class _Clip:
    """A clip that is being gathered."""

    event: str
    camera: str
    start: float
    frames: list[Kept] = field(default_factory=list)
    until: float | None = None  # the end of it, once it is known
    apart: float = 0.9 / _RATE  # seconds between frames; 0.9: cameras are not that exact


class Media:
    """Keeps frames, and writes pictures and clips.

    Args:
        store: whose events they belong to.
        settings: how long clips are, and how much of the disk stays free.
        clock: whose monotonic time frames have.
        bus: is told when an event got a file, and of what goes wrong.
        film: frames come when they come; no time passes between them that is not theirs.

    Attributes:
        left_out: how many events got no clip, as too many were being made.
    """

    def __init__(
        self,
        store: Store,
        settings: config.Store,
        clock: Clock,
        bus: Bus | None = None,
        *,
        film: bool = False,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._bus = bus or Bus()
        self._film = film
        self.left_out = 0
        self._changed = threading.Condition()  # of all below
        self._cameras: dict[str, _Camera] = {}
        self._open: dict[str, _Clip] = {}
        self._clips: deque[_Clip] = deque()
        self._pictures: dict[str, bytes] = {}
        self._busy = True
        self._closing: float | None = None
        self._ill = ""
        self._thread = Worker("media", self._write_all, self._bus.tell)
        self._thread.start()

    def see(self, frame: Frame, moving: bool) -> None:
        """Take a frame in; `moving`: something moves on it."""
        with self._guarded("a frame could not be kept"):
            with self._changed:
                camera = self._cameras.setdefault(frame.camera, _Camera())
                ring = camera.ring
                clips = [clip for clip in self._open.values() if clip.camera == frame.camera]
                camera.monotonic, camera.time = frame.monotonic, frame.time
                camera.came = self._clock.monotonic()
                camera.pace.see(frame.monotonic)
                apart = 0.9 / _RATE if moving or clips else 0.9 * _IDLE_S
                wanted = not ring or frame.monotonic - ring[-1][0] >= apart
            if wanted:
                kept = frame.monotonic, jpeg(frame.image, _CLIP_WIDTH, _CLIP_QUALITY)
                with self._changed:
                    ring.append(kept)
                    self._shorten(camera)
                    for clip in clips:
                        _add(clip, kept)
            with self._changed:
                for clip in clips:
                    self._finish_if_over(clip, frame.monotonic)

    def begin(self, event: Event) -> None:
        """Gather a clip of an event that has begun (`Store.save_event` comes first)."""
        with self._changed:
            if len(self._open) + len(self._clips) >= _CLIPS:
                self.left_out += 1
                log.warning("event %s gets no clip: %d are being made", event.id, _CLIPS)
                return
            camera = self._camera(event.camera)
            start = self._monotonic(camera, event.begin) - self._settings.before_s * camera.second
            clip = _Clip(event.id, event.camera, start)
            for kept in camera.ring:
                _add(clip, kept)
            self._open[event.id] = clip

    def picture(self, event_id: str, frame: Frame) -> None:
        """Make a frame the picture of a saved event, in place of an earlier one."""
        with self._guarded("a picture could not be kept"):
            content = jpeg(frame.image, _PICTURE_WIDTH, _PICTURE_QUALITY)
            with self._changed:
                if len(self._pictures) >= _PICTURES and event_id not in self._pictures:
                    raise LotorError(f"{_PICTURES} pictures are waiting to be written")
                self._pictures[event_id] = content
                self._changed.notify_all()

    def end(self, event: Event) -> None:
        """Let an event's clip end `after_s` after the event (its `end`)."""
        with self._changed:
            if clip := self._open.get(event.id):
                end = event.begin if event.end is None else event.end
                camera = self._camera(event.camera)
                after_s = self._settings.after_s * camera.second
                clip.until = self._monotonic(camera, end) + after_s
                self._finish_if_over(clip, self._now(camera))

    def idle(self, timeout: float) -> bool:
        """Return when nothing waits to be written; False when that took longer (real seconds)."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not (self._busy or self._clips or self._pictures), timeout
            )

    def room(self, timeout: float) -> bool:
        """Return when there is room for a clip, or none that waits could make it (real seconds)."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._clips or len(self._open) + len(self._clips) < _CLIPS, timeout
            )

    def close(self, seconds: float = CLOSE_S) -> None:
        """Write what was gathered, for some seconds at most, and end."""
        with self._changed:
            if self._closing is None:
                self._closing = self._clock.monotonic() + seconds
            for clip in list(self._open.values()):
                self._finish(clip)
            self._changed.notify_all()
        self._thread.end(seconds + 2 * CLOSE_S)

    # Gathering; the lock is held

    def _camera(self, name: str) -> _Camera:
        camera = self._cameras.get(name)
        if camera is None:  # an event of a camera that gave no frame
            camera = _Camera(monotonic=self._clock.monotonic(), time=self._clock.now())
            camera.came = camera.monotonic
        return camera

    def _now(self, camera: _Camera) -> float:
        """Return the camera's time: that of its last frame, and what passed since it came."""
        passed = 0.0 if self._film else self._clock.monotonic() - camera.came
        return camera.monotonic + passed

    def _longest(self, camera: _Camera) -> float:
        return self._settings.clip_s * camera.second

    def _monotonic(self, camera: _Camera, time: float) -> float:
        """Return when a Unix time of a camera's frames was, by the clock that never goes back."""
        # A clock that was set meanwhile must not ask for hours.
        return camera.monotonic - min(max(0.0, camera.time - time), self._longest(camera))

    def _shorten(self, camera: _Camera) -> None:
        # An event begins after its first frame: a few seconds more than asked for.
        ring = camera.ring
        oldest = ring[-1][0] - (self._settings.before_s + 10.0) * camera.second
        size = sum(len(content) for _, content in ring)
        while len(ring) > 1 and (ring[0][0] < oldest or size > _RING_BYTES):
            size -= len(ring.popleft()[1])

    def _finish_if_over(self, clip: _Clip, now: float) -> None:
        over = clip.until is not None and now >= clip.until
        if over or now - clip.start >= self._longest(self._camera(clip.camera)):
            self._finish(clip)

    def _finish(self, clip: _Clip) -> None:
        if self._open.pop(clip.event, None):
            end = clip.start + self._longest(self._camera(clip.camera))
            if clip.until is not None:
                end = min(end, clip.until)
            clip.frames = [kept for kept in clip.frames if kept[0] <= end]
            if clip.frames:
                self._clips.append(clip)
            self._changed.notify_all()

    # Writing, in the thread

    def _write_all(self) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        with self._guarded("files that belong to nothing could not be removed"):
            sweep(self._store)
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                if not self._pictures and not self._clips:
                    if self._closing is not None:
                        return
                    self._changed.wait(0.5)
                for clip in list(self._open.values()):  # a camera may send nothing any more
                    self._finish_if_over(clip, self._now(self._camera(clip.camera)) - _STALLED_S)
                self._busy = True
                clip_now = self._clips.popleft() if self._clips else None
            self._write_pictures()
            if clip_now is not None:
                with self._guarded("a clip could not be written"):
                    self._write_clip(clip_now)
                    self._well()
            self._thread.turn()

    def _write_pictures(self) -> None:
        while True:
            with self._changed:
                if not self._pictures:
                    return
                event = next(iter(self._pictures))
                content = self._pictures.pop(event)
            with self._guarded("a picture could not be written"):
                self._check_room(len(content))
                path = self._path(event, "jpg")
                write_files({path: content})
                self._tell(self._store.set_picture, event, path)
                self._well()

    def _write_clip(self, clip: _Clip) -> None:
        self._check_room(sum(len(content) for _, content in clip.frames))
        path = self._path(clip.event, "webm")
        make_folder(path.parent)
        scratch = path.with_name(f".{path.name}")
        try:
            write_webm(scratch, clip.frames, between=self._between_frames)
            sync(scratch)
            scratch.replace(path)
            sync_folder(path.parent)
        finally:
            scratch.unlink(missing_ok=True)
        self._tell(self._store.set_clip, clip.event, path)

    def _between_frames(self) -> None:
        """A clip takes long: pictures, which people wait for, come first, and so does the end."""
        self._write_pictures()
        if self._closing is not None and self._clock.monotonic() > self._closing:
            raise LotorError("the sentinel ended before it was written")

    def _tell(self, set_file: Callable[[str, str, int], bool], event: str, path: Path) -> None:
        name = path.relative_to(self._store.folder).as_posix()
        known = False
        try:
            known = set_file(event, name, path.stat().st_size)
        finally:
            if not known:  # forgotten meanwhile, or not on record
                path.unlink(missing_ok=True)
        if known and (now := self._store.event(event)):
            self._bus.tell(EventChanged(now))

    def _path(self, event: str, suffix: str) -> Path:
        day = datetime.fromtimestamp(float(event.partition("-")[0]), UTC).strftime("%Y-%m-%d")
        return self._store.folder / MEDIA / day / f"{event}.{suffix}"

    def _check_room(self, size: int) -> None:
        free = shutil.disk_usage(self._store.folder).free
        if free - size < self._settings.free_mb * 10**6:
            raise LotorError(
                f"less than store.free_mb ({self._settings.free_mb} MB) of the disk is free: no "
                "pictures and clips are kept until there is room"
            )

    # Health

    @contextlib.contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever it is, deciding goes on
            text = f"{what}: {getattr(error, 'strerror', None) or error}"
            if not isinstance(error, (LotorError, OSError)):
                log.exception("%s", what)
            if text != self._ill:
                self._ill = text
                self._bus.tell(HealthChanged(PART, False, text))

    def _well(self) -> None:
        if self._ill:
            self._ill = ""
            self._bus.tell(HealthChanged(PART, True))


def jpeg(image: Image, width: int, quality: int) -> bytes:
    """Return a BGR image as JPEG, shrunk to a width in pixels where it is wider.

    Raises:
        LotorError: OpenCV cannot encode it.
    """
    if image.shape[1] > width:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        # Where nearly every pixel counts, bilinear is as good, and takes a fifth of the time.
        method = cv2.INTER_AREA if image.shape[1] > 2 * width else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
    good, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise LotorError("a frame cannot be written as JPEG")
    return content.tobytes()


def sweep(store: Store) -> int:
    """Remove the files that no event names, as a crash leaves them; return how many there were.

    Raises:
        StoreError, OSError: it cannot be told, or they cannot be removed.
    """
    root = store.folder / MEDIA
    named = {name for kept in store.media() for name in kept.files}
    removed = 0
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_dir():
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()
        elif path.relative_to(store.folder).as_posix() not in named:
            path.unlink()
            removed += 1
    return removed


def _add(clip: _Clip, kept: Kept) -> None:
    if kept[0] < clip.start or (clip.frames and kept[0] - clip.frames[-1][0] < clip.apart):
        return
    clip.frames.append(kept)
    size = sum(len(content) for _, content in clip.frames)
    if len(clip.frames) > _CLIP_FRAMES or size > _CLIP_BYTES:  # every second one, from now on
        clip.frames = clip.frames[::2]
        clip.apart *= 2

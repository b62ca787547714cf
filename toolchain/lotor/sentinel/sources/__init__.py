"""Where frames come from: one file for each kind of source; `open_source` finds it."""

import os
import re
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import urlsplit

from lotor.errors import LotorError
from lotor.sentinel.clock import Clock
from lotor.suggest import did_you_mean

if TYPE_CHECKING:
    from lotor.detect import Box
    from lotor.preprocess import Image
    from lotor.sentinel.config import Camera

Kind = Literal["v4l2", "stream", "file", "picamera", "board", "ros2", "garden"]

_PREFIXES: dict[str, Kind] = {
    "rtsp": "stream",
    "rtsps": "stream",
    "http": "stream",
    "https": "stream",
    "picamera": "picamera",
    "board": "board",
    "ros2": "ros2",
    "garden": "garden",
}
_KINDS = (
    "/dev/video0 or 0 (a webcam), rtsp://… or http://… (a network camera), a video file, a folder "
    "of images, picamera:0, board:NAME, ros2:/topic, garden: (made up, to try it)"
)
_PREFIX = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_USER = re.compile(r"(?<=://)[^\s'\"]*@")  # to the last @: a password may hold any other sign
_QUERY = re.compile(r"(?<=[?&;])([^=&;\s]*=)[^&;\s'\"]*")
_WORD = re.compile(r"(?i)((?:user|pass|pw|token|key|auth|secret)\w*?=)[^_&;/?\s'\"]*")


_PACKAGES: dict[Kind, tuple[str, str]] = {
    "picamera": (
        "picamera2",
        "Picamera2 is not there: `sudo apt install python3-picamera2`, then make the virtual "
        "environment anew with `python3 -m venv --system-site-packages`, which lets it see "
        "Debian's packages (pip cannot install it whole)",
    ),
    "ros2": (
        "rclpy",
        "ROS 2 for Python is not there: `source /opt/ros/DISTRIBUTION/setup.bash` first, in an "
        "environment made with `python3 -m venv --system-site-packages`",
    ),
}
"""What kinds need that pip does not install with Lotor, and how it is got."""
_FORMS: dict[str, tuple[str, str]] = {
    "picamera": (r"\d*", "has no number of a camera; write picamera:0"),
    "board": (r".+", "names no board; write board:NAME or board:/dev/ttyACM0"),
    "ros2": (r"[~/]?/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", "names no topic; write ros2:/TOPIC"),
    "garden": (r"(night|day)?", "is none; there is garden:night and garden:day"),
}
"""What follows the colon, and what to say of anything else."""


class Unusable(LotorError):
    """A source that waiting does not mend: somebody must change its address or this machine."""


@dataclass(frozen=True)
class Seen:
    """What a board's own model saw on a frame, and the frame where the board could give it.

    Attributes:
        board: its name.
        model: name of its model.
        hash: SHA-256 of that model's file, hexadecimal.
        score: of the model's target, 0..1.
        least: from which on a frame votes there, 0..1.
        votes: how many of the board's last frames voted.
        enough: whether those are enough there.
        held: why the board raises no alarm all the same; empty for an alarm.
        person: whether one of its last frames showed a person, by its own models.
        person_score: of this frame, by the model's own label, 0..1; None where it has none.
        unknown: the frame is unlike everything that the model knows.
        frame: number of the frame on the board.
        box: the part of it with the highest score, in pixels; None for the whole frame.
        size: width and height of the board's frames, in pixels.
        monotonic: when it came, in seconds of a clock that never goes back.
        image: that frame or one soon after, BGR, uint8 [height, width, 3]; None without.
        image_frame: number of the frame that `image` is, on the board.
    """

    board: str
    model: str
    hash: str
    score: float
    least: float
    votes: int
    enough: bool
    held: str
    person: bool
    person_score: float | None
    unknown: bool
    frame: int
    box: "Box | None"
    size: tuple[int, int]
    monotonic: float
    image: "Image | None" = None
    image_frame: int | None = None


@dataclass(frozen=True)
class BoardEvent:
    """What a board that watches by itself says, beside its frames.

    Attributes:
        camera: name of the camera in the configuration.
        time: Unix time at which it came.
        number: of the event, since the board's start.
        kind: "frame", "alarm", "held" or "error" (docs/cameras.md).
        text: the same in words.
        seen: what it saw; None for an error.
    """

    camera: str
    time: float
    number: int
    kind: str
    text: str
    seen: Seen | None = None


class Source(Protocol):
    """A camera that is open; used by one thread, which also closes it.

    Attributes:
        finite: it ends by itself; then every picture counts.
        changes: two pictures in a row differ, because a sensor's noise does.
        silent_s: seconds without a picture after which it is taken for lost.
        at: seconds since the beginning at which the picture was taken; None: just now.
        looks: it gives pictures; else events alone.
        fresh: what was grabbed last is a picture; else there are events, or it is alive.
        lacks: what of it could not be read so far, in words; empty: nothing.
    """

    finite: bool = False
    changes: bool = True
    silent_s: float = 10.0
    at: float | None = None
    looks: bool = True
    fresh: bool = True
    lacks: str = ""

    def grab(self) -> bool:
        """Wait for the next picture; False at the end of what is finite, or when told to end.

        Raises:
            LotorError, OSError: it is lost.
        """
        ...

    def picture(self) -> "Image":
        """Return what was grabbed last: BGR, uint8 [height, width, 3]; nobody else has it.

        Raises:
            LotorError: it cannot be decoded.
        """
        ...

    def events(self) -> Sequence[BoardEvent]:
        """Return what has come beside pictures since it was asked last."""
        return ()

    def close(self) -> None:
        """Give the camera back."""
        ...


@dataclass(frozen=True)
class Opening:
    """How a source is opened.

    Attributes:
        camera: what the configuration says of it.
        clock: for waiting.
        ended: is set when nobody wants pictures any more; a source that waits then returns.
        once: files are read from beginning to end, not at their pace.
        folder: paths are relative to it.
    """

    camera: "Camera"
    clock: Clock
    ended: threading.Event
    once: bool = False
    folder: Path = Path()


def kind_of(source: str) -> Kind:
    """Return what kind of source a text names; opens nothing.

    A number or a path in /dev (but /dev/shm) is a webcam; what stands before the first colon may
    name a kind; all else is the path of a file or folder.

    Raises:
        LotorError: it names none; lists the kinds and the nearest one.
    """
    if source.isdecimal() or (source.startswith("/dev/") and not source.startswith("/dev/shm/")):
        return "v4l2"
    found = _PREFIX.match(source)
    if found is None:
        return "file"
    prefix = found[1].lower()
    if prefix not in _PREFIXES:
        raise LotorError(
            f"'{redact(source)}' names no source of frames{did_you_mean(prefix, _PREFIXES)}; one "
            f"is {_KINDS}"
        )
    kind = _PREFIXES[prefix]
    if kind == "stream":
        _check_url(source, prefix)
    else:
        form, said = _FORMS[prefix]
        if not re.fullmatch(form, source[len(found[0]) :], re.ASCII):
            raise LotorError(f"'{redact(source)}' {said}")
    return kind


def _check_url(source: str, prefix: str) -> None:
    if not re.match(r"[a-z]+://[^/]", source.lower()):
        raise LotorError(f"'{redact(source)}' has no host; write {prefix}://HOST/PATH")
    try:
        host, _ = urlsplit(source).hostname, urlsplit(source).port
    except ValueError:
        raise LotorError(
            f"'{redact(source)}' has no port up to 65535 (/ in a password is written %2F)"
        ) from None
    if not host:
        raise LotorError(f"'{redact(source)}' has no host; write {prefix}://HOST/PATH")


def check_source(source: str) -> None:
    """See that nothing stands against a source that waiting does not mend; opens nothing.

    Its text makes sense, the package of its kind is there, and a board has a known name. A device,
    a host or a file that is not there is no such thing: it may come.

    Raises:
        Unusable: something does; says what to change.
    """
    try:
        kind = kind_of(source)
        name = source.partition(":")[2]
        if kind == "board":
            from lotor.board import load_board
            from lotor.device.ports import is_url

            if not is_url(name):
                load_board(name)
    except LotorError as error:
        raise Unusable(str(error)) from error
    package, way = _PACKAGES.get(kind, ("", ""))
    if package and package not in sys.modules and find_spec(package) is None:
        raise Unusable(way)


def open_source(
    camera: "Camera",
    clock: Clock,
    *,
    once: bool = False,
    folder: Path = Path(),
    ended: threading.Event | None = None,
) -> Source:
    """Open a camera's source; may take seconds, and hang where its driver does.

    Args:
        camera: what the configuration says of it.
        clock: for waiting.
        once: files are read from beginning to end, not at their pace.
        folder: paths are relative to it.
        ended: set it when nobody wants pictures any more; a source that waits then returns.

    Raises:
        Unusable: as `check_source`, or its package cannot be loaded.
        LotorError: there is none, or it cannot be opened.
    """
    import cv2  # the configuration, which asks for kinds alone, need not wait for it

    # FFmpeg's own lines name addresses with their passwords; it reads this when it is used first.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # A source that does not open is told of in our own words.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    opening = Opening(camera, clock, ended or threading.Event(), once, folder)
    check_source(camera.source)
    kind = kind_of(camera.source)
    if kind == "v4l2":
        from lotor.sentinel.sources.v4l2 import Webcam

        return Webcam(opening)
    if kind == "stream":
        from lotor.sentinel.sources.stream import Stream

        return Stream(opening)
    if kind == "picamera":
        from lotor.sentinel.sources.picamera import PiCamera

        return PiCamera(opening)
    if kind == "board":
        from lotor.sentinel.sources.board import BoardCamera

        return BoardCamera(opening)
    if kind == "ros2":
        from lotor.sentinel.sources.ros2 import Topic

        return Topic(opening)
    if kind == "garden":
        from lotor.sentinel.sources.made import MadeUp

        return MadeUp(opening, camera.source.partition(":")[2])
    path = folder / Path(camera.source).expanduser()
    if path.is_dir():
        from lotor.sentinel.sources.folder import Folder

        return Folder(opening, path)
    if not path.exists():
        raise LotorError(missing(camera.source))
    from lotor.sentinel.sources.video import Video

    return Video(opening, path)


def is_missing(source: str, folder: Path = Path()) -> bool:
    """Return whether a source is the path of a file or folder that is not there."""
    return kind_of(source) == "file" and not (folder / Path(source).expanduser()).exists()


def missing(source: str) -> str:
    """Return what to say of a file or folder that is not there."""
    hint = did_you_mean(source, _PREFIXES)
    return f"there is no file or folder '{redact(source)}'{hint}; a source is {_KINDS}"


def redact(text: str) -> str:
    """Return a text without what may be a secret in the addresses in it.

    User and password before an @, the values of a query, and of words such as `password=` in a
    path, as some cameras want them.
    """
    text = _USER.sub("…@", text)
    return _WORD.sub(r"\1…", _QUERY.sub(r"\1…", text))

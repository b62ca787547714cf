"""A video file, in place of a camera."""

import os
from pathlib import Path
from typing import BinaryIO

import cv2

from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.sentinel.sources import Opening, Source

_SHORT = 0.02
"""Share of its length that may be missing: some containers only estimate it."""
_TRY = "; see what `ffmpeg -i FILE` says of it, or record it anew"


class Video(Source):
    """A file that OpenCV reads.

    Once: every picture in order, as fast as they are taken, at the file's times. Else: over and
    over at the file's pace.

    Raises:
        LotorError: it is no video that can be read.
    """

    changes = False

    def __init__(self, opening: Opening, path: Path) -> None:
        self.finite, self._path = opening.once, path
        self._clock, self._ended = opening.clock, opening.ended
        self._capture = self._open()
        self._count, self._last = 0, -1.0
        self._began = self._clock.monotonic()

    def _open(self) -> cv2.VideoCapture:
        try:
            with self._path.open("rb"):
                pass
        except OSError as error:
            raise LotorError(f"cannot read {self._path}: {error.strerror}") from error
        capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise LotorError(f"{self._path} {_why(self._path)}")
        rate = capture.get(cv2.CAP_PROP_FPS)
        self._step = 1 / rate if 0.1 <= rate <= 1000 else 1 / 25
        self._said = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return capture

    def grab(self) -> bool:
        """Go on to the next picture; unless once, when its time has come."""
        if not self._capture.grab():
            if not self._count:
                raise LotorError(
                    f"{self._path} has no picture that OpenCV can read; it was cut off, or its "
                    f"codec is unknown{_TRY}"
                )
            self._look_at_length()
            if self.finite:
                return False
            self._capture.release()
            self._began += self._last + self._step
            self._capture, self._count, self._last = self._open(), 0, -1.0
            if not self._capture.grab():
                raise LotorError(f"{self._path} has no picture that OpenCV can read any more")
        # The container's times may be missing or damaged; the rate is then all there is.
        at = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not self._last < at < self._last + 3600:
            at = max(self._last, 0.0) + self._step if self._count else 0.0
        self._count, self._last = self._count + 1, at
        if self.finite:
            self.at = at
            return True
        late = self._clock.monotonic() - self._began - at
        if late > 1:  # it was held up; what was missed is not caught up
            self._began += late
        return not self._clock.wait(self._ended, max(0.0, -late))

    def _look_at_length(self) -> None:
        """Say so where the file ended before what its container says, in pictures and in time."""
        enough = (1 - _SHORT) * self._said
        if self._count < min(enough, self._said - 1) and self._last + self._step < enough * (
            self._step
        ):
            self.lacks = (
                f"{self._path.name} ends after {self._count} of {self._said:.0f} pictures: it is "
                "cut off or damaged"
            )

    def picture(self) -> Image:
        """Return what was grabbed last."""
        found, image = self._capture.retrieve()
        if not found:
            raise LotorError(f"picture {self._count} of {self._path} cannot be decoded")
        return image  # type: ignore[return-value]

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


def _why(path: Path) -> str:
    """Return why FFmpeg does not open a file, as far as its content tells; it says nothing."""
    with path.open("rb") as file:
        head = file.read(8)
        if not head:
            return "is empty"
        if head[4:8] == b"ftyp" and not _has_index(file):
            return (
                "is cut off: the index (moov), which an MP4 has at its end, is missing; copy it "
                "again, or end the recording in order"
            )
    return f"is no video that OpenCV can read, or damaged{_TRY}"


def _has_index(file: BinaryIO) -> bool:
    """Return whether an MP4's boxes (ISO/IEC 14496-12, section 4.2) have one called moov."""
    at, end = 0, file.seek(0, os.SEEK_END)
    while at + 8 <= end:
        file.seek(at)
        size, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        if kind == b"moov":
            return at + size <= end
        if size < 8:  # 0: to the end of the file
            return False
        at += size
    return False

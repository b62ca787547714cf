"""A video file, in place of a camera."""

from pathlib import Path

import cv2

from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.sentinel.sources import Opening, Source


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
            raise LotorError(f"{self._path} is no video that OpenCV can read, or damaged")
        rate = capture.get(cv2.CAP_PROP_FPS)
        self._step = 1 / rate if 0.1 <= rate <= 1000 else 1 / 25
        return capture

    def grab(self) -> bool:
        """Go on to the next picture; unless once, when its time has come."""
        if not self._capture.grab():
            if not self._count:
                raise LotorError(f"{self._path} has no picture that OpenCV can read")
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

    def picture(self) -> Image:
        """Return what was grabbed last."""
        found, image = self._capture.retrieve()
        if not found:
            raise LotorError(f"picture {self._count} of {self._path} cannot be decoded")
        return image  # type: ignore[return-value]

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

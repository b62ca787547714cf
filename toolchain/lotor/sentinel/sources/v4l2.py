"""A webcam, or any other camera of Linux' video4linux, through OpenCV."""

import errno
import os
from pathlib import Path

import cv2

from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.sentinel.sources import Opening, Source

_PLAIN = 640 * 480  # pixels up to which USB carries frames that are not compressed


class Webcam(Source):
    """`/dev/videoN`, `N`, or one of the lasting names in /dev/v4l/by-id.

    Raises:
        LotorError: no such device (lists those there are), no permission, busy, or no camera.
    """

    silent_s = 15.0  # OpenCV itself gives up after 10

    def __init__(self, opening: Opening) -> None:
        source, (width, height) = opening.camera.source, opening.camera.size
        self._path = f"/dev/video{int(source)}" if source.isdecimal() else source
        _check(self._path)
        wish = [cv2.CAP_PROP_FRAME_WIDTH, width, cv2.CAP_PROP_FRAME_HEIGHT, height]
        if width * height > _PLAIN:
            # First, since drivers take a size for the format that is set.
            wish = [cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"), *wish]
        self._capture = cv2.VideoCapture(os.path.realpath(self._path), cv2.CAP_V4L2, wish)
        if not self._capture.isOpened():
            self._capture.release()
            raise LotorError(
                f"{self._path} opens as no camera: many cameras have a second device without "
                f"pictures, so try another one{_others(self._path)}"
            )

    def grab(self) -> bool:
        """Wait for the next picture."""
        if not self._capture.grab():
            _check(self._path)  # has better words when it was unplugged
            raise LotorError(f"{self._path} gives no picture: is it plugged in well?")
        return True

    def picture(self) -> Image:
        """Return what was grabbed last."""
        found, image = self._capture.retrieve()
        if not found:
            raise LotorError(f"{self._path} gave a picture that cannot be decoded")
        return image  # type: ignore[return-value]

    def close(self) -> None:
        """Give the device back."""
        self._capture.release()


def _check(path: str) -> None:
    """See that a device can be opened; OpenCV says only that it could not."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    except FileNotFoundError:
        raise LotorError(f"there is no camera {path}{_others(path)}") from None
    except PermissionError:
        raise LotorError(
            f"no permission to open {path}: run `sudo usermod -aG video $USER` and log in again"
        ) from None
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise LotorError(f"{path} is busy: close the program that uses it") from error
        raise LotorError(f"cannot open {path}: {error.strerror}; is it a camera?") from error


def _others(path: str) -> str:
    """Return the cameras that there are, to end an error with."""
    have = [str(found) for found in sorted(Path("/dev").glob("video*")) if str(found) != path]
    return f"; others here: {', '.join(have)}" if have else "; there is no other in /dev"

"""A camera on a Raspberry Pi's ribbon cable, through Picamera2 (the Picamera2 Manual)."""

from typing import Any

import numpy as np

from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.sentinel.sources import Opening, Source, Unusable

_SLOWEST = 10.0  # frames a second asked for at least: a longer exposure blurs what runs


class PiCamera(Source):
    """`picamera:N`, the camera of that number.

    Raises:
        Unusable: Picamera2 cannot be loaded.
        LotorError: no such camera, or it is in use.
    """

    def __init__(self, opening: Opening) -> None:
        word = opening.camera.source.partition(":")[2] or "0"
        number = int(word)
        kind = _picamera2()
        have = kind.global_camera_info()
        if number >= len(have):
            names = ", ".join(f"{i} ({info.get('Model', '?')})" for i, info in enumerate(have))
            raise LotorError(
                f"there is no camera {number} on a ribbon cable; there is {names or 'none'}: see "
                "`rpicam-hello --list-cameras`"
            )
        try:
            self._camera = kind(number)
        except (RuntimeError, IndexError) as error:
            raise LotorError(
                f"camera {number} does not open ({error}): close the program that uses it"
            ) from error
        try:
            # "RGB888" is B, G, R in memory: Manual, appendix A. Two buffers: one is filled while
            # the other is copied.
            plan = self._camera.create_video_configuration(
                main={"size": opening.camera.size, "format": "RGB888"},
                buffer_count=2,
                controls={"FrameRate": max(opening.camera.rate, _SLOWEST)},
            )
            self._camera.configure(plan)
            self._camera.start()
        except BaseException as error:
            self._camera.close()
            if isinstance(error, RuntimeError):
                raise LotorError(f"camera {number} does not start: {error}") from error
            raise
        self._image: Any = None

    def grab(self) -> bool:
        """Wait for the next picture."""
        self._image = self._camera.capture_array("main")
        return True

    def picture(self) -> Image:
        """Return what was grabbed last."""
        return np.asarray(self._image)

    def close(self) -> None:
        """Give the camera back."""
        try:
            self._camera.stop()
        finally:
            self._camera.close()


def _picamera2() -> Any:
    try:
        from picamera2 import Picamera2
    except (ImportError, ValueError) as error:
        # Debian's is built for Debian's numpy; another one in the environment breaks it.
        raise Unusable(
            f"Picamera2 cannot be loaded ({error}): let it have Debian's numpy, with `pip "
            "uninstall numpy` in an environment made with --system-site-packages"
        ) from error
    return Picamera2

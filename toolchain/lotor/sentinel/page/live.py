"""Live pictures: one JPEG of a camera's newest frame for all who look, made when they ask."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

import cv2

from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.sentinel.page import answers
from lotor.sentinel.scene import Scene

_WIDEST = 960
_QUALITY = 80
_EVERY_S = 0.2
_EARLY_S = 0.02  # so much too early a sleep may end
_PATIENCE_S = 1.0  # a browser has six connections; who waits for a still camera gives one back


@dataclass(frozen=True)
class Picture:
    """A frame for the page.

    Attributes:
        number: of the frame.
        monotonic: when it was taken.
        jpeg: itself, at most 960 pixels wide.
        scene: what is drawn over it.
    """

    number: int
    monotonic: float
    jpeg: bytes
    scene: answers.Json


@dataclass
class _Camera:
    picture: Picture | None = None
    made: float = -1.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    looking: int = 0


class Live:
    """Pictures of all cameras; its methods belong to the page's thread, but for `saw`.

    Args:
        cameras: their names.
        latest: the newest scene of a camera, from any thread.
        pool: where it is asked for, and pictures are made.
    """

    def __init__(
        self,
        cameras: tuple[str, ...],
        latest: Callable[[str], Scene | None],
        pool: Executor,
    ) -> None:
        self._latest, self._pool = latest, pool
        self._cameras = {name: _Camera() for name in cameras}
        self._loop = asyncio.get_running_loop()

    def saw(self, camera: str) -> None:
        """Wake those who wait for a frame; from any thread, costs nothing where nobody does."""
        watched = self._cameras.get(camera)
        if watched and watched.looking and not watched.news.is_set():
            self._loop.call_soon_threadsafe(watched.news.set)

    async def picture(self, camera: str, after: int | None) -> Picture | None:
        """Return the newest picture that is not the one of a number; None if none comes.

        Raises:
            KeyError: no such camera.
        """
        watched = self._cameras[camera]
        until = self._loop.time() + _PATIENCE_S
        watched.looking += 1
        try:
            while True:
                if watched.picture and watched.picture.number == after:
                    pause = watched.made + _EVERY_S - self._loop.time()
                    await asyncio.sleep(max(0.0, pause))
                watched.news.clear()
                picture = await self._newest(camera, watched)
                if picture and picture.number != after:
                    return picture
                left = until - self._loop.time()
                if left <= 0:
                    return None
                try:
                    async with asyncio.timeout(left):
                        await watched.news.wait()
                except TimeoutError:
                    return None
        finally:
            watched.looking -= 1
            if not watched.looking:
                watched.news.clear()

    async def _newest(self, camera: str, watched: _Camera) -> Picture | None:
        async with watched.lock:  # whoever came meanwhile takes what the first one made
            if self._loop.time() - watched.made >= _EVERY_S - _EARLY_S:
                have = watched.picture.number if watched.picture else None
                made = await self._loop.run_in_executor(self._pool, self._make, camera, have)
                if made:
                    watched.picture, watched.made = made, self._loop.time()
            return watched.picture

    def _make(self, camera: str, have: int | None) -> Picture | None:
        found = self._latest(camera)
        if found is None or found.frame.number == have:
            return None
        frame = found.frame
        return Picture(frame.number, frame.monotonic, jpeg(frame.image), answers.scene(found))


def jpeg(image: Image) -> bytes:
    """Return an image as a JPEG that is no wider than the page has room for.

    Raises:
        LotorError: it is no image.
    """
    try:
        height, width = image.shape[:2]
        if width > _WIDEST:
            size = (_WIDEST, max(1, round(height * _WIDEST / width)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    except (cv2.error, ValueError) as error:
        raise LotorError("the camera's frame is no picture") from error
    if not done:
        raise LotorError("the camera's frame cannot be made a JPEG")
    return data.tobytes()

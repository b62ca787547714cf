"""A folder of images: read once, or watched for new ones, as a camera's uploads come."""

import logging
import math
import os
from pathlib import Path

from lotor.errors import LotorError
from lotor.preprocess import Image, read_image
from lotor.sentinel.sources import Opening, Source

_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
_LOOK_S = 0.5  # between two looks; a file that stays the same from one to the next is complete
_GIVE_UP_S = 10.0  # a file that does not change for so long and cannot be read never will be

log = logging.getLogger(__name__)


class Folder(Source):
    """Images in a folder itself, not in those inside.

    Once: all, in the order of their names, `rate` a second; one that cannot be read is named and
    left out. Else: those that come from now on.

    Raises:
        LotorError: the folder cannot be read, or, once, has no image that can be.
    """

    changes = False
    silent_s = math.inf

    def __init__(self, opening: Opening, path: Path) -> None:
        self.finite, self._path = opening.once, path
        self._clock, self._ended = opening.clock, opening.ended
        self._step = 1 / opening.camera.rate
        names = sorted(self._sizes())
        if self.finite and not names:
            raise LotorError(f"there is no image ({', '.join(sorted(_ENDINGS))}) in folder {path}")
        if not self.finite:
            log.info(
                "%s: images that come from now on are looked at%s",
                path,
                f", not the {len(names)} that are there (--once does that)" if names else "",
            )
        self._left = names[::-1] if self.finite else []
        self._count = self._bad = 0
        self._all = len(names)
        self._known = set(names)
        self._coming: dict[str, tuple[tuple[int, int], float]] = {}
        self._image: Image | None = None

    def _sizes(self) -> dict[str, tuple[int, int]]:
        """Return size and time of change of every image."""
        found = {}
        try:
            with os.scandir(self._path) as entries:
                for entry in entries:
                    if Path(entry.name).suffix.lower() in _ENDINGS and entry.name[0] != ".":
                        try:
                            state = entry.stat()
                        except OSError:
                            continue  # gone again
                        found[entry.name] = (state.st_size, state.st_mtime_ns)
        except OSError as error:
            raise LotorError(f"cannot read folder {self._path}: {error.strerror}") from error
        return found

    def grab(self) -> bool:
        """Go on to the next image; unless once, wait for one that is complete."""
        if self.finite:
            return self._go_on()
        while True:
            while self._left:
                name = self._left.pop()
                try:
                    self._image = read_image(self._path / name)
                except LotorError:
                    self._known.discard(name)  # not complete, or no image: it is looked at again
                else:
                    self._coming.pop(name, None)
                    return True
            if self._clock.wait(self._ended, _LOOK_S):
                return False
            self._look()

    def _go_on(self) -> bool:
        """Read the next image that can be; False after the last one.

        Raises:
            LotorError: none could be read.
        """
        while self._left:
            at = self._count * self._step
            self._count += 1  # also of one that is left out: the others keep their times
            try:
                self._image = read_image(self._path / self._left.pop())
            except LotorError as error:
                log.warning("%s; it is left out", error)
                self._bad += 1
                self.lacks = f"{self._bad} of {self._all} images cannot be read: left out"
                continue
            self.at = at
            return True
        if self._bad == self._all:
            raise LotorError(f"no image in folder {self._path} can be read: {self._all} were tried")
        return False

    def _look(self) -> None:
        """Find files that are new, and have not changed since the last look."""
        now, sizes = self._clock.monotonic(), self._sizes()
        self._known &= sizes.keys()
        for name in self._coming.keys() - sizes.keys():
            del self._coming[name]
        ready = []
        for name, size in sizes.items():
            if name in self._known:
                continue
            before, since = self._coming.get(name, (None, now))
            if before != size:
                self._coming[name] = size, now
                continue
            self._known.add(name)
            if now - since > _GIVE_UP_S:
                log.warning("%s is no image that can be read; it is left out", self._path / name)
                del self._coming[name]
            else:
                ready.append((size[1], name))
        self._left = [name for _, name in sorted(ready, reverse=True)]

    def picture(self) -> Image:
        """Return the image that was grabbed last."""
        if self._image is None:
            raise LotorError("no image was grabbed yet")
        image, self._image = self._image, None
        return image

    def close(self) -> None:
        """Nothing is kept open."""

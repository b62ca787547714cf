"""Frames for a camera that is fed: of photographs, folders of them, sequences, videos."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lotor.data.sequences import FRAMES, read_sequences
from lotor.detect import find_images
from lotor.errors import LotorError
from lotor.preprocess import IMAGE_SUFFIXES, Image, read_image

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


@dataclass(frozen=True)
class Clip:
    """Frames that belong together: what came before is forgotten where one begins."""

    name: str
    files: tuple[tuple[float, Path], ...] = ()
    video: Path | None = None
    rate: float = 1.0

    def frames(self) -> Iterator[tuple[int, Image]]:
        """Yield each frame's milliseconds since the first, and its BGR pixels.

        Raises:
            LotorError: a file cannot be read.
        """
        if self.video:
            yield from self._of_video(self.video)
            return
        for time, path in self.files:
            yield round(1000 * (time - self.files[0][0])), read_image(path)

    def _of_video(self, path: Path) -> Iterator[tuple[int, Image]]:
        video = cv2.VideoCapture(str(path))
        try:
            own = video.get(cv2.CAP_PROP_FPS)
            each = own / self.rate if math.isfinite(own) and own > self.rate else 1.0
            place = taken = 0
            while video.grab():
                if place >= each * taken:
                    good, image = video.retrieve()
                    if not good:
                        break
                    yield round(1000 * taken / self.rate), np.asarray(image, np.uint8)
                    taken += 1
                place += 1
            if not taken:
                raise LotorError(f"{path} has no frame that can be read; give another video")
        finally:
            video.release()


def find_clips(sources: Sequence[Path], rate: float) -> list[Clip]:
    """Return what sources hold, in their order.

    Args:
        sources: photographs (one clip of all), folders (a clip each; with `frames.csv` one for each
            of its sequences), videos.
        rate: frames a second, of photographs without listed times, and taken of videos.

    Raises:
        LotorError: a source is not there, or is none of these.
    """
    clips, loose = [], []
    for path in sources:
        if path.is_dir() and (path / FRAMES).is_file():
            for sequence in read_sequences(path):
                times = sequence.times(rate)
                paths = [frame.path for frame in sequence.frames]
                clips.append(Clip(sequence.name, tuple(zip(times, paths, strict=True))))
        elif path.is_dir():
            clips.append(_of_photographs(path.name, find_images([path]), rate))
        elif path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
            clips.append(Clip(path.name, video=path, rate=rate))
        else:
            if path.is_file() and path.suffix.lower() not in IMAGE_SUFFIXES:
                known = ", ".join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
                raise LotorError(f"{path} is no photograph and no video: none of {known}")
            loose += find_images([path])
    if loose:
        clips.append(_of_photographs("photographs", loose, rate))
    return clips


def _of_photographs(name: str, paths: Sequence[Path], rate: float) -> Clip:
    return Clip(name, tuple((index / rate, path) for index, path in enumerate(paths)))

"""What a clip of the sentinel costs: containers that OpenCV can write, time on one core, bytes.

The scene is made up: blurred noise through which something walks, with a camera's noise.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from lotor.sentinel.media import jpeg
from lotor.sentinel.webm import write_webm

COUNT, RATE = 50, 5.0


def garden(width: int) -> list[np.ndarray]:
    """Return frames of ten seconds, uint8 [width * 3 / 4, width, 3]."""
    rng = np.random.default_rng(0)
    shape = (width * 3 // 4, width, 3)
    noise = cv2.GaussianBlur(rng.integers(0, 255, shape, dtype=np.uint8), (0, 0), 4)
    ground = np.empty_like(noise)
    cv2.normalize(noise, ground, 0, 255, cv2.NORM_MINMAX)
    frames = []
    for number in range(COUNT):
        frame = ground.copy()
        centre = (width * (number + 4) // (COUNT + 8), shape[0] // 2)
        cv2.circle(frame, centre, width // 16, (30, 60, 90), -1)
        frames.append(cv2.add(frame, np.abs(rng.normal(0, 3, shape)).astype(np.uint8)))
    return frames


def other(code: str) -> Callable[[Path, list[np.ndarray]], None]:
    """Return what writes frames with another of OpenCV's encoders."""

    def write(path: Path, frames: list[np.ndarray]) -> None:
        height, width = frames[0].shape[:2]
        writer = cv2.VideoWriter(
            str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), RATE, (width, height)
        )
        for frame in frames:
            writer.write(frame)
        writer.release()

    return write


def vp8(path: Path, frames: list[np.ndarray]) -> None:
    """Write them as the sentinel does: JPEG in memory, then WebM."""
    write_webm(path, [(n / RATE, jpeg(frame, 640, 80)) for n, frame in enumerate(frames)])


def pictures(path: Path, frames: list[np.ndarray]) -> None:
    """Only the JPEGs, one behind the other."""
    path.write_bytes(b"".join(jpeg(frame, 640, 80) for frame in frames))


def animation(path: Path, frames: list[np.ndarray]) -> None:
    """Write an animated WebP."""
    film = cv2.Animation()
    film.frames, film.durations = frames, np.full(len(frames), 1000 / RATE, np.int32)
    path.write_bytes(cv2.imencodeanimation(".webp", film, [cv2.IMWRITE_WEBP_QUALITY, 60])[1])


def main() -> None:
    """Print a line for each."""
    cv2.setNumThreads(1)
    for name, width, write in (
        ("JPEG only", 640, pictures),
        ("VP8 WebM", 640, vp8),
        ("VP8 WebM", 512, vp8),
        ("VP8 WebM", 320, vp8),
        ("VP8 by OpenCV", 640, other("VP80")),
        ("VP9 WebM", 640, other("VP90")),
        ("MPEG-4 MP4", 640, other("mp4v")),
        ("MJPEG AVI", 640, other("MJPG")),
        ("animated WebP", 640, animation),
    ):
        frames = garden(width)
        suffix = ".avi" if "AVI" in name else ".mp4" if "MP4" in name else ".webm"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"film{suffix}"
            start = time.process_time()
            write(path, frames)
            each = (time.process_time() - start) / COUNT * 1000
            print(f"{name:<14} {width:4} wide {each:7.1f} ms and "
                  f"{path.stat().st_size / COUNT / 1000:5.1f} kB a frame")  # fmt: skip


if __name__ == "__main__":
    main()

"""Pixels as cameras send them, in Python what `firmware/camera/pixels.c` does in C."""

import numpy as np
import numpy.typing as npt

from lotor.board_camera import FORMAT_BYTES
from lotor.preprocess import Image


def to_rgb(raw: bytes, pixel_format: str, height: int, width: int) -> Image:
    """Return a frame as uint8 [height, width, 3], RGB.

    Args:
        raw: its bytes, rows one after the other.
        pixel_format: one of `board_camera.FORMATS`.
        height: pixels.
        width: the same.
    """
    data = np.frombuffer(raw, np.uint8, FORMAT_BYTES[pixel_format] * height * width)
    if pixel_format == "rgb888":
        return data.reshape(height, width, 3).copy()
    if pixel_format == "grey":
        return np.asarray(np.repeat(data.reshape(height, width, 1), 3, axis=2))
    if pixel_format == "yuyv":
        return _from_yuyv(data).reshape(height, width, 3)
    words = data.view(">u2" if pixel_format == "rgb565" else "<u2").astype(np.int64)
    red, green, blue = words >> 11, words >> 5 & 63, words & 31
    wide = [red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2]
    return np.stack(wide, axis=1).astype(np.uint8).reshape(height, width, 3)


def _from_yuyv(data: npt.NDArray[np.uint8]) -> Image:
    """BT.601 in its full range, as in JFIF 1.02, with weights in 1/65536, rounded half up."""
    pairs = data.reshape(-1, 4).astype(np.int64)
    y = pairs[:, (0, 2)] * 65536 + 32768
    cb, cr = pairs[:, 1:2] - 128, pairs[:, 3:4] - 128
    channels = [y + 91881 * cr, y - 22554 * cb - 46802 * cr, y + 116130 * cb]
    clipped = np.clip(np.stack(channels, axis=2) >> 16, 0, 255)
    return np.asarray(clipped, np.uint8)


def from_rgb(rgb: Image, pixel_format: str) -> bytes:
    """Return a frame as a camera of this format would send it; what is lost is lost.

    Args:
        rgb: uint8 [height, width, 3]; an even width for `yuyv`.
        pixel_format: one of `board_camera.FORMATS`.
    """
    if pixel_format == "rgb888":
        return rgb.tobytes()
    wide = rgb.astype(np.int64)
    red, green, blue = wide[..., 0], wide[..., 1], wide[..., 2]
    # BT.601 as in JFIF 1.02.
    y = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    if pixel_format == "grey":
        return y.astype(np.uint8).tobytes()
    if pixel_format == "yuyv":
        cb = ((-11059 * red - 21709 * green + 32768 * blue + 32768) >> 16) + 128
        cr = ((32768 * red - 27439 * green - 5329 * blue + 32768) >> 16) + 128
        pair = [y[:, ::2], _of_pairs(cb), y[:, 1::2], _of_pairs(cr)]
        return np.clip(np.stack(pair, axis=2), 0, 255).astype(np.uint8).tobytes()
    word = (red >> 3) << 11 | (green >> 2) << 5 | blue >> 3
    return word.astype(">u2" if pixel_format == "rgb565" else "<u2").tobytes()


def _of_pairs(colour: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.asarray((colour[:, ::2] + colour[:, 1::2] + 1) >> 1)

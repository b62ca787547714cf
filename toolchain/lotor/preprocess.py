"""From a photograph to a model's exact input: the one place where it is defined.

Training, evaluation, detection and the device all see what `resize` returns, so that a model is
never fed pixels prepared differently from those it learned on.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from lotor.errors import LotorError
from lotor.suggest import did_you_mean

Image = npt.NDArray[np.uint8]
"""uint8 [height, width, 3] in OpenCV's channel order (BGR) unless said otherwise."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
ASPECTS = ("stretch", "crop", "pad")

_JPEG = b"\xff\xd8"  # how such a file begins; it is never transparent
_BEHIND = np.float32(128)  # what shows through where an image is transparent

# The real ranges that image models are quantized over when nothing else is said about them.
_PIXEL_RANGES = ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-128.0, 127.0))


class _Quantization(Protocol):
    scale: Any
    zero_point: Any


class InputTensor(Protocol):
    """What is read of a graph's input tensor."""

    name: str
    shape: tuple[int, ...]
    quant: Any

    @property
    def np_dtype(self) -> Any:
        """The numpy dtype."""
        ...


@dataclass(frozen=True)
class ImageInput:
    """How a photograph becomes an input tensor [1, height, width, channels].

    A pixel p in 0..255 stands for the real number (p - mean) / std, which is quantized as
    round(real / scale) + zero_point; a float tensor (scale 0) takes the real number itself.
    """

    height: int
    width: int
    channels: int
    dtype: np.dtype[Any]
    scale: float
    zero_point: int
    mean: float
    std: float
    aspect: str = "stretch"

    def tensor(self, image: Image) -> npt.NDArray[Any]:
        """Return the exact input for a BGR image: dtype of the model, [1, h, w, c]."""
        pixels = resize(image, self.height, self.width, self.aspect)
        if self.channels == 1:
            grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
            pixels = np.asarray(grey, np.uint8)[:, :, None]
        return np.take(self._of_pixels, pixels)[None]

    @cached_property
    def _of_pixels(self) -> npt.NDArray[Any]:
        """What each of the 256 pixels becomes: a table is faster than to compute it anew."""
        return self.quantize(normalize(np.arange(256, dtype=np.uint8), self.mean, self.std))

    def quantize(self, real: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return real numbers in the tensor's own dtype (half away from zero, as LiteRT does)."""
        if self.dtype.kind == "f":
            return real.astype(self.dtype)
        scaled = real.astype(np.float64) / self.scale
        steps = np.sign(scaled) * np.floor(np.abs(scaled) + 0.5) + self.zero_point
        limits = np.iinfo(self.dtype)
        return np.asarray(np.clip(steps, limits.min, limits.max), self.dtype)


def read_image(path: Path) -> Image:
    """Read an image file as BGR uint8 [height, width, 3].

    As `lotor data import` would make it plain: turned upright by its EXIF tag, 8 bits, the first
    frame of an animation, grey behind what is transparent.

    Raises:
        LotorError: it cannot be read, or is no image that is whole.
    """
    try:
        raw = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise LotorError(f"cannot read image {path}: {error.strerror}") from error
    image = _decode(raw)
    if image is None:
        raise LotorError(
            f"{path} is no image that OpenCV can read (JPEG, PNG, BMP, WebP, TIFF), or damaged or "
            "cut off"
        )
    return image


def _decode(raw: npt.NDArray[np.uint8]) -> Image | None:
    if raw.size == 0:
        return None
    try:
        decoded: Any = cv2.imdecode(raw, cv2.IMREAD_COLOR)
        if decoded is not None and raw[:2].tobytes() != _JPEG:
            decoded = _opaque(decoded, cv2.imdecode(raw, cv2.IMREAD_UNCHANGED))
    except cv2.error:
        return None
    return None if decoded is None else np.asarray(decoded, np.uint8)


def _opaque(colour: Any, whole: Any) -> Any:
    """Return colours with grey behind what is transparent.

    Args:
        colour: uint8 [h, w, 3].
        whole: the same as it is in the file: uint8 or uint16, perhaps with a fourth channel.
    """
    if whole is None or whole.ndim != 3 or whole.shape[2] != 4:
        return colour
    most = np.iinfo(whole.dtype).max
    part = whole[:, :, 3:].astype(np.float32) / most
    if whole.shape[:2] != colour.shape[:2] or (part == 1).all():
        return colour
    return np.rint(colour * part + _BEHIND * (1 - part)).astype(np.uint8)


def resize(image: Image, height: int, width: int, aspect: str = "stretch") -> Image:
    """Return a BGR (or grey) image as RGB uint8 [height, width, 3].

    Args:
        image: uint8 [h, w, 3] BGR, [h, w, 4] BGRA or [h, w] grey.
        height: pixels of the result.
        width: pixels of the result.
        aspect: "stretch" squeezes the whole view into the frame, "crop" keeps the largest centred
            part of the frame's shape, "pad" keeps the whole view between black bars.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0:
        raise LotorError(
            f"an image must be uint8 [height, width, 3], not {image.dtype} {list(image.shape)}"
        )
    if image.ndim == 2 or image.shape[2] == 1:
        grey = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
        return np.asarray(_framed(grey, height, width, aspect), np.uint8)
    # Channels are scaled each by itself, so that their order can be changed when they are few.
    code = cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(_framed(image, height, width, aspect), code), np.uint8)


def _framed(image: Any, height: int, width: int, aspect: str) -> Any:
    if aspect == "crop":
        image = _centre(image, height, width)
    if aspect == "pad":
        return _padded(image, height, width)
    return _scaled(image, height, width)


def _scaled(rgb: Any, height: int, width: int) -> Image:
    shrinks = rgb.shape[0] >= height and rgb.shape[1] >= width
    # INTER_AREA averages every source pixel when shrinking, but only repeats pixels when enlarging.
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=method), np.uint8)


def _centre(rgb: Any, height: int, width: int) -> Any:
    h, w = rgb.shape[:2]
    scale = min(h / height, w / width)
    ch, cw = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (h - ch) // 2, (w - cw) // 2
    return rgb[top : top + ch, left : left + cw]


def _padded(rgb: Any, height: int, width: int) -> Image:
    h, w = rgb.shape[:2]
    scale = min(height / h, width / w)
    ih, iw = max(1, round(h * scale)), max(1, round(w * scale))
    out = np.zeros((height, width, rgb.shape[2]), np.uint8)
    top, left = (height - ih) // 2, (width - iw) // 2
    out[top : top + ih, left : left + iw] = _scaled(rgb, ih, iw)
    return out


def normalize(
    pixels: Image | npt.NDArray[np.float32], mean: float, std: float
) -> npt.NDArray[np.float32]:
    """Return pixels 0..255 as the real numbers (p - mean) / std, float32."""
    return ((pixels.astype(np.float32) - np.float32(mean)) / np.float32(std)).astype(np.float32)


def image_input(tensor: InputTensor, recipe: Mapping[str, Any] | None = None) -> ImageInput:
    """Say how photographs enter a model.

    Args:
        tensor: the graph's input, [1, height, width, 1 or 3].
        recipe: the model's recipe; its `[input]` table gives `mean`, `std` and `aspect`. Without
            one, the quantized range must be a usual one ([-1, 1], [0, 1], [0, 255] or
            [-128, 127]), which the pixels 0..255 are spread over.
    """
    shape = tensor.shape
    if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3):
        raise LotorError(
            f"input '{tensor.name}' has shape {list(shape)}, not [1, height, width, 1 or 3]: "
            "this model does not take an image; give the exact tensor as .npy"
        )
    dtype = np.dtype(tensor.np_dtype)
    scale, zero_point = _quantization(tensor)
    table = dict((recipe or {}).get("input", {}))
    if "mean" in table and "std" in table:
        mean, std = float(table["mean"]), float(table["std"])
    else:
        mean, std = _usual_range(tensor.name, dtype, scale, zero_point)
    aspect = str(table.get("aspect", "stretch"))
    if aspect not in ASPECTS:
        raise LotorError(
            f"recipe: input.aspect '{aspect}'{did_you_mean(aspect, ASPECTS)} is none of "
            f"{', '.join(ASPECTS)}"
        )
    return ImageInput(shape[1], shape[2], shape[3], dtype, scale, zero_point, mean, std, aspect)


def _quantization(tensor: InputTensor) -> tuple[float, int]:
    quant: _Quantization | None = tensor.quant
    if quant is None:
        return 0.0, 0
    scale, zero_point = np.ravel(quant.scale), np.ravel(quant.zero_point)
    return float(scale[0]), int(zero_point[0])


def _usual_range(
    name: str, dtype: np.dtype[Any], scale: float, zero_point: int
) -> tuple[float, float]:
    if dtype.kind == "f" or scale == 0.0:
        raise LotorError(
            f"input '{name}' is {dtype.name}: what a pixel means is not in the model; state "
            "mean and std under [input] in a recipe.toml beside it"
        )
    limits = np.iinfo(dtype)
    low, high = (limits.min - zero_point) * scale, (limits.max - zero_point) * scale
    for first, last in _PIXEL_RANGES:
        slack = 0.02 * (last - first)
        if math.isclose(low, first, abs_tol=slack) and math.isclose(high, last, abs_tol=slack):
            # Pixel p maps to step p exactly, whatever the last digits of the scale are.
            return float(zero_point - limits.min), 1.0 / scale
    raise LotorError(
        f"input '{name}' is quantized over {low:.3g}..{high:.3g}, no usual pixel range; state "
        "mean and std under [input] in a recipe.toml beside the model"
    )

"""Image files as they come from anywhere, made into plain ones: upright, RGB, 8 bits a channel."""

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lotor.errors import LotorError

_PLAIN = {"JPEG": ".jpg", "PNG": ".png"}  # kept as they are, if their pixels are plain
_SUFFIXES = (
    ".bmp",
    ".gif",
    ".jfif",
    ".jpeg",
    ".jpg",
    ".pgm",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
_MOST_PIXELS = 100_000_000
_BEHIND = (128, 128, 128)  # what shows through where an image is transparent


@dataclass(frozen=True)
class Picture:
    """A plain image file: JPEG or PNG, upright, RGB or grey, 8 bits, one frame, opaque.

    Attributes:
        content: the file's bytes: those that were read, where these were plain already.
        suffix: ".jpg" or ".png".
        width: of the upright image, pixels.
        height: of the upright image, pixels.
        native_short_side: pixels of the short side before shrinking.
        changed: what had to be done to make it plain, in words; empty for nothing.
    """

    content: bytes
    suffix: str
    width: int
    height: int
    native_short_side: int
    changed: str = ""

    @property
    def sha256(self) -> str:
        """Content hash, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    def image(self) -> Image.Image:
        """Return the pixels."""
        return Image.open(io.BytesIO(self.content)).convert("RGB")


def is_image_name(path: Path) -> bool:
    """Whether a file's name says that it is an image."""
    return path.suffix.lower() in _SUFFIXES


def read_picture(path: Path, short_side: int | None = None) -> Picture:
    """Read any image file as a plain one.

    Turned by its EXIF tag; CMYK, palettes and 16 bits become RGB of 8 bits; grey stands behind
    transparent parts; of an animation the first frame is taken.

    Args:
        path: of the file.
        short_side: pixels to shrink the short side to, where it is longer.

    Raises:
        LotorError: no image, cut off, or damaged.
    """
    try:
        raw = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name
        reason = getattr(error, "strerror", None) or error
        raise LotorError(f"cannot read image {path}: {reason}") from error
    if not raw:
        raise LotorError(f"{path} is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata does no harm
            return _plain(raw, short_side)
    except UnidentifiedImageError as error:
        raise LotorError(f"{path} is no image that can be read (JPEG, PNG, WebP, ...)") from error
    except Image.DecompressionBombError as error:
        raise LotorError(f"{path} has more than {_MOST_PIXELS:,} pixels; shrink it") from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        raise LotorError(f"{path} is damaged or cut off: {error}") from error


def _plain(raw: bytes, short_side: int | None) -> Picture:
    with Image.open(io.BytesIO(raw)) as opened:
        if opened.width * opened.height > _MOST_PIXELS:
            raise Image.DecompressionBombError
        kind, mode = opened.format or "", opened.mode
        frames = getattr(opened, "n_frames", 1)
        opened.load()
        upright = ImageOps.exif_transpose(opened)
        changed = []
        if frames > 1:
            changed.append(f"first of {frames} frames")
        if upright.size != opened.size or opened.getexif().get(0x0112, 1) != 1:
            changed.append("turned upright")
        if mode not in ("RGB", "L"):
            changed.append(f"{mode} to RGB")
        native = min(upright.size)
        if short_side and native > short_side:
            changed.append(f"short side {native} to {short_side}")
        if kind in _PLAIN and not changed:
            return Picture(raw, _PLAIN[kind], *upright.size, native)
        if kind not in _PLAIN:
            changed.insert(0, f"{kind} stored as PNG")
        image = _rgb(upright)
    if short_side and native > short_side:
        scale = short_side / native
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(
            size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.LANCZOS
        )
    out = io.BytesIO()
    # A photograph that was a JPEG loses little as one; anything else stays exact.
    lossy = kind in ("JPEG", "MPO")
    image.save(out, "JPEG", quality=95, subsampling=0) if lossy else image.save(out, "PNG")
    suffix = ".jpg" if lossy else ".png"
    return Picture(out.getvalue(), suffix, *image.size, native, ", ".join(changed))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # 16 or 32 bits: Pillow would clip, not scale
        values = np.asarray(image, np.float64)
        scaled = values * (255 / 65535) if values.max() > 255 else values
        return Image.fromarray(np.clip(scaled, 0, 255).round().astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        over = image.convert("RGBA")
        behind = Image.new("RGBA", over.size, (*_BEHIND, 255))
        return Image.alpha_composite(behind, over).convert("RGB")
    return image.convert("RGB")

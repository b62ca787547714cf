"""Views of a frame in C against what Python says of the same pixels."""

import ctypes
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from conftest import CHECKOUT
from lotor import preprocess
from lotor.detect import views
from lotor.integer_views import resize
from lotor.preprocess import Image

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-pedantic")
LANGUAGES = {"C": ("-x", "c", "-std=c11"), "C++": ("-x", "c++", "-std=c++11")}
TRAPS = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")

# Height and width of frames, then of inputs: smaller and larger ones, odd, tall, single pixels.
SHAPES = [
    ((120, 160), (96, 96)),
    ((96, 128), (96, 96)),  # a third of all means lie in the middle
    ((96, 96), (96, 96)),
    ((192, 192), (96, 96)),
    ((190, 270), (96, 96)),
    ((84, 112), (96, 96)),
    ((480, 31), (96, 96)),
    ((97, 211), (32, 48)),
    ((1, 1), (96, 96)),
    ((1, 200), (9, 7)),
    ((200, 3), (9, 7)),
    ((5, 5), (1, 1)),
    ((2, 3), (3, 2)),
]


def pictures(height: int, width: int, seed: int = 4) -> Iterator[Image]:
    """Noise, something like a photograph, and the extremes."""
    rng = np.random.default_rng(seed)
    yield rng.integers(0, 256, (height, width, 3), np.uint8)
    blobs = rng.integers(0, 256, (6, 8, 3), np.uint8)
    smooth = cv2.resize(blobs, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float64)
    yield np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    yield np.full((height, width, 3), 255, np.uint8)
    yield rng.choice(np.array([0, 255], np.uint8), (height, width, 3))


def with_stride(image: Image, more: int) -> Image:
    """Return the same pixels with `more` bytes after each row, which nobody may read."""
    height, width = image.shape[:2]
    rows = np.full((height, 3 * width + more), 0xA5, np.uint8)
    rows[:, : 3 * width] = image.reshape(height, -1)
    flat = rows.reshape(-1)[: rows.size - more]  # and none after the last
    steps = (rows.strides[0], 3, 1)
    return np.lib.stride_tricks.as_strided(flat, image.shape, steps)


def build(folder: Path, source: str, *files: str, language: str = "C") -> Any:
    """Return a library whose undefined behaviour traps."""
    (folder / "all").write_text(source)
    command = ["gcc", *LANGUAGES[language], *WARNINGS, *TRAPS, "-O2", "-shared", "-fPIC", "all"]
    command += ["-x", "c", *files, "-o", "all.so"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(folder / "all.so"))


KERNEL = f"""
#include "{CHECKOUT / "kernels/views/portable.h"}"
int fits(const uint8_t *, const int32_t *, const int32_t *, int32_t);
int fits(const uint8_t *rgb, const int32_t *sizes, const int32_t *crops, int32_t count) {{
    const struct lotor_frame frame = {{rgb, sizes[0], sizes[1], sizes[2]}};
    return lotor_views_fit(&frame, (const struct lotor_view *)(const void *)crops, count);
}}
void grid(const int32_t *, int32_t *);
void grid(const int32_t *sizes, int32_t *out) {{
    const struct lotor_frame frame = {{NULL, sizes[0], sizes[1], 0}};
    for (int32_t i = 0; i <= LOTOR_VIEWS_CROPS; i++) {{
        const struct lotor_view view = lotor_view_of(&frame, i);
        *out++ = view.x0, *out++ = view.y0, *out++ = view.x1, *out++ = view.y1;
    }}
}}
void squeeze(const uint8_t *, const int32_t *, const int32_t *, int32_t, int32_t, const int8_t *,
             int8_t *);
void squeeze(const uint8_t *rgb, const int32_t *sizes, const int32_t *box, int32_t out_h,
             int32_t out_w, const int8_t *steps, int8_t *out) {{
    const struct lotor_frame frame = {{rgb, sizes[0], sizes[1], sizes[2]}};
    const struct lotor_view view = {{box[0], box[1], box[2], box[3]}};
    lotor_view_resize(&frame, &view, out_h, out_w, steps, out);
}}
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The functions of `kernels/views/portable.h`."""
    return build(tmp_path_factory.mktemp("kernel"), KERNEL)


def _ints(*values: int) -> Any:
    return (ctypes.c_int32 * len(values))(*values)


def _pointer(array: np.ndarray) -> Any:
    return array.ctypes.data_as(ctypes.c_void_p)


@pytest.mark.parametrize(("frame", "size"), SHAPES)
def test_every_view_is_squeezed_as_in_python(
    kernel: Any, frame: tuple[int, int], size: tuple[int, int]
) -> None:
    table = np.random.default_rng(1).permutation(256).astype(np.uint8).view(np.int8)
    for number, image in enumerate(pictures(*frame)):
        placed = with_stride(image, 7 * (number % 2))
        sizes = _ints(*frame, placed.strides[0])
        for x0, y0, x1, y1 in views(*frame):
            expected = resize(image[y0:y1, x0:x1], *size)
            out = np.zeros((*size, 3), np.int8)
            box = _ints(x0, y0, x1, y1)
            kernel.squeeze(_pointer(placed), sizes, box, *size, None, _pointer(out))
            assert (out.astype(int) + 128 == expected).all()
            kernel.squeeze(_pointer(placed), sizes, box, *size, _pointer(table), _pointer(out))
            assert (out == table[expected]).all()


@pytest.mark.parametrize(("frame", "size"), SHAPES)
def test_python_squeezes_as_opencv_does(frame: tuple[int, int], size: tuple[int, int]) -> None:
    """But for few of the means in the middle, which OpenCV's sums in floats take for others."""
    different = pixels = 0
    for image in pictures(*frame):
        for x0, y0, x1, y1 in views(*frame):
            view = image[y0:y1, x0:x1]
            found = resize(view, *size).astype(int)
            apart = np.abs(found - preprocess.resize(view[:, :, ::-1], *size))
            assert apart.max() <= 1
            different, pixels = different + int((apart > 0).sum()), pixels + apart.size
    assert different <= 0.001 * pixels


def test_means_are_exact() -> None:
    """By hand: of 4, 4, 4 and 6 of an area, in the middle, which goes to the even one."""
    row = np.array([[[10, 11, 0]], [[11, 12, 1]]], np.uint8)
    assert resize(row, 1, 1).tolist() == [[[10, 12, 0]]]
    square = np.array([[[0], [1]], [[1], [0]]], np.uint8).repeat(3, axis=2)
    assert resize(square, 1, 1).tolist() == [[[1, 1, 1]]]  # half up: 2 by 2
    three = np.array([[[0, 0, 0], [90, 30, 255], [3, 3, 3]]], np.uint8)
    assert resize(three, 1, 2).tolist() == [[[30, 10, 85], [32, 12, 87]]]


def test_the_grid_is_that_of_python(kernel: Any) -> None:
    sides = [*range(1, 40), 96, 97, 120, 160, 199, 240, 319, 320, 480, 639, 640, 1200, 1600, 32767]
    for height in sides:
        for width in sides:
            found = (ctypes.c_int32 * 40)()
            kernel.grid(_ints(height, width), found)
            boxes = [tuple(found[at : at + 4]) for at in range(0, 40, 4)]
            assert boxes == views(height, width)


def test_what_cannot_be_read_is_refused(kernel: Any) -> None:
    data = _pointer(np.zeros(1, np.uint8))

    def fits(height: int, width: int, stride: int, *box: int) -> bool:
        crops = _ints(*box) if box else None
        return bool(kernel.fits(data, _ints(height, width, stride), crops, len(box) // 4))

    assert not kernel.fits(None, _ints(4, 4, 12), None, 0)
    assert fits(4, 4, 12)
    assert fits(4, 4, 13)
    assert fits(4096, 4096, 3 * 4096)
    assert not any(fits(*s) for s in [(0, 4, 12), (4, 0, 12), (-1, 4, 12), (4, -4, 12), (4, 4, 11)])
    assert not any(fits(*s) for s in [(4, 4, -12), (4096, 4097, 3 * 4097), (1, 32768, 3 * 32768)])
    assert fits(4, 5, 15, 0, 0, 5, 4)
    assert fits(4, 5, 15, 4, 3, 5, 4)
    for box in [
        (-1, 0, 5, 4),
        (0, -1, 5, 4),
        (0, 0, 6, 4),
        (0, 0, 5, 5),
        (2, 0, 2, 4),
        (0, 3, 5, 2),
    ]:
        assert not fits(4, 5, 15, 0, 0, 1, 1, *box)

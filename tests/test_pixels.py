"""Pixels of cameras: C and Python turn them into the same RGB888, also where they lie."""

import ctypes
from typing import Any

import numpy as np
import pytest

from c_library import library
from lotor.board_camera import FORMAT_BYTES, FORMATS
from lotor.pixels import from_rgb, to_rgb
from lotor.resources import resource

HEIGHT, WIDTH = 17, 38


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return library(tmp_path_factory.mktemp("pixels"), resource("firmware", "camera", "pixels.c"))


def convert(pixels: Any, name: str, raw: bytes, count: int, in_place: bool) -> bytes:
    """Convert with C; the guard bytes around the result stay as they are."""
    memory = (ctypes.c_uint8 * (3 * count + 32))(*([0xA5] * (3 * count + 32)))
    rgb = ctypes.addressof(memory) + 16
    source: Any = (ctypes.c_uint8 * len(raw))(*raw)
    if in_place:
        at = rgb + 3 * count - len(raw)
        ctypes.memmove(at, source, len(raw))
        source = ctypes.c_void_p(at)
    pixels.pixels_to_rgb(FORMATS.index(name), source, ctypes.c_size_t(count), ctypes.c_void_p(rgb))
    assert bytes(memory)[:16] == bytes(memory)[-16:] == b"\xa5" * 16
    return bytes(memory)[16:-16]


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_c_is_python(pixels: Any, name: str, in_place: bool) -> None:
    rng = np.random.default_rng(1)
    assert pixels.pixels_bytes(FORMATS.index(name)) == FORMAT_BYTES[name]
    for height, width in ((HEIGHT, WIDTH), (1, 2), (120, 160)):
        raw = rng.bytes(FORMAT_BYTES[name] * height * width)
        expected = to_rgb(raw, name, height, width).tobytes()
        assert convert(pixels, name, raw, height * width, in_place) == expected


def test_all_values_of_yuv_and_565(pixels: Any) -> None:
    """Every pair of colour differences with some lightness, and every word of 16 bits."""
    y, colour = np.array([0, 1, 127, 255]), np.arange(256)
    grid = np.stack(np.meshgrid(y, colour, y, colour), -1).reshape(-1, 4)
    raw = grid.astype(np.uint8).tobytes()
    expected = to_rgb(raw, "yuyv", 1, len(raw) // 2).tobytes()
    assert convert(pixels, "yuyv", raw, len(raw) // 2, False) == expected
    words = np.arange(1 << 16).astype(">u2").tobytes()
    expected = to_rgb(words, "rgb565", 256, 256).tobytes()
    assert convert(pixels, "rgb565", words, 1 << 16, True) == expected
    swapped = np.frombuffer(words, ">u2").astype("<u2").tobytes()
    assert convert(pixels, "rgb565le", swapped, 1 << 16, True) == expected


def test_black_white_and_colours() -> None:
    """Against floats: BT.601 in its full range to a step, five bits of colour to four."""
    corners = np.array([[[r, g, b] for b in (0, 255)] for r in (0, 255) for g in (0, 255)])
    flat = np.repeat(corners.reshape(-1, 1, 3), 2, axis=1).astype(np.uint8)
    for name in ("rgb888", "rgb565", "rgb565le", "yuyv"):
        back = to_rgb(from_rgb(flat, name), name, *flat.shape[:2])
        assert np.abs(back.astype(int) - flat).max() <= (1 if name == "yuyv" else 0), name
    rng = np.random.default_rng(5)
    raw = rng.integers(0, 256, (1000, 4)).astype(np.uint8)
    cb, cr = raw[:, 1:2].astype(float) - 128, raw[:, 3:4].astype(float) - 128
    luma = raw[:, ::2].astype(float)
    real = np.stack([luma + 1.402 * cr, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.772 * cb], 2)
    found = to_rgb(raw.tobytes(), "yuyv", 1000, 2)
    assert np.abs(found - np.clip(real, 0, 255)).max() <= 0.51
    grey = to_rgb(bytes(range(6)), "grey", 2, 3)
    assert (grey[..., 0].reshape(-1) == range(6)).all() and (grey == grey[..., :1]).all()


def test_a_format_that_does_not_exist_has_no_bytes(pixels: Any) -> None:
    assert pixels.pixels_bytes(len(FORMATS)) == 0

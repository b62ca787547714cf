"""From pixels to a model's exact input."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lotor.errors import LotorError
from lotor.graph import DType, Quantization, Tensor
from lotor.preprocess import image_input, normalize, read_image, resize


def tensor(
    shape: tuple[int, ...] = (1, 2, 2, 3),
    dtype: DType = DType.INT8,
    scale: float = 1 / 128,
    zero_point: int = 0,
) -> Tensor:
    quant = Quantization(np.array([scale], np.float32), np.array([zero_point], np.int64))
    return Tensor("image", shape, dtype, quant if dtype is not DType.FLOAT32 else None)


RECIPE = {"input": {"mean": 128.0, "std": 128.0}}


def test_channels_are_swapped_and_pixels_keep_their_value() -> None:
    image = np.array([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [255, 0, 128]]], np.uint8)
    got = image_input(tensor(), RECIPE).tensor(image)
    assert got.dtype == np.int8
    assert got.shape == (1, 2, 2, 3)
    expected = image[:, :, ::-1].astype(int) - 128
    assert got[0].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("scale", "zero_point"),
    [(1 / 255, -128), (2 / 255, 0), (2 / 255, -1), (1 / 128, 0), (1.0, -128), (1.0, 0)],
)
def test_without_a_recipe_pixels_fill_a_usual_range(scale: float, zero_point: int) -> None:
    every = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    got = image_input(tensor((1, 16, 16, 3), scale=scale, zero_point=zero_point)).tensor(every)
    assert got[0, :, :, 0].ravel().tolist() == list(range(-128, 128))


def test_quantization_rounds_half_away_from_zero_and_saturates() -> None:
    how = image_input(tensor(scale=0.5, zero_point=3), RECIPE)
    real = np.array([0.25, -0.25, 0.2, 0.75, 500.0, -500.0], np.float32)
    assert how.quantize(real).tolist() == [4, 2, 3, 5, 127, -128]


def test_float_input_takes_real_numbers() -> None:
    image = np.full((2, 2, 3), 64, np.uint8)
    got = image_input(tensor(dtype=DType.FLOAT32), RECIPE).tensor(image)
    assert got.dtype == np.float32
    assert got.ravel().tolist() == [-0.5] * 12


def test_grey_models_get_one_channel() -> None:
    image = np.full((4, 4, 3), 200, np.uint8)
    got = image_input(tensor((1, 2, 2, 1)), RECIPE).tensor(image)
    assert got.shape == (1, 2, 2, 1)
    assert got.ravel().tolist() == [72] * 4


def test_shrinking_averages_areas() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, :2, 2] = [[10, 20], [30, 40]]
    assert resize(image, 2, 2)[:, :, 0].tolist() == [[25, 0], [0, 0]]


def test_aspects() -> None:
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, 2:6] = 255  # the middle square is white, both sides are black
    assert resize(image, 4, 4, "crop").min() == 255
    assert resize(image, 4, 4, "stretch")[:, :, 0].tolist() == [[0, 255, 255, 0]] * 4
    padded = resize(np.full((4, 8, 3), 255, np.uint8), 4, 4, "pad")[:, 0, 0]
    assert padded.tolist() == [0, 255, 255, 0]


def test_grey_and_transparent_images_are_taken() -> None:
    grey = np.full((3, 3), 7, np.uint8)
    assert resize(grey, 3, 3).tolist() == np.full((3, 3, 3), 7).tolist()
    transparent = np.dstack([np.full((3, 3), v, np.uint8) for v in (1, 2, 3, 99)])
    assert resize(transparent, 3, 3)[0, 0].tolist() == [3, 2, 1]


def test_normalize_is_exact_in_float32() -> None:
    got = normalize(np.array([[[0, 128, 255]]], np.uint8), 128, 128)
    assert got.dtype == np.float32
    assert got.ravel().tolist() == [-1.0, 0.0, 0.9921875]


def test_training_and_inference_see_the_same_pixels(tmp_path: Path) -> None:
    """What `Photos.plain` trains on, quantized, is what a model is given."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (50, 70, 3), np.uint8)
    how = image_input(tensor((1, 32, 32, 3)), RECIPE)
    trained_on = normalize(resize(image, 32, 32, "stretch"), 128, 128)
    assert (trained_on * 128).astype(np.int8).tolist() == how.tensor(image)[0].tolist()


@dataclass
class Case:
    tensor: Tensor
    recipe: dict[str, Any]
    says: str


@pytest.mark.parametrize(
    "case",
    [
        Case(tensor((1, 10)), {}, "does not take an image"),
        Case(tensor((1, 4, 4, 2)), {}, "does not take an image"),
        Case(tensor(scale=0.02), {}, "no usual pixel range"),
        Case(tensor(dtype=DType.FLOAT32), {}, "state mean and std"),
        Case(tensor(), {"input": {"aspect": "strech"}}, "did you mean 'stretch'"),
    ],
)
def test_inputs_that_no_photograph_fits(case: Case) -> None:
    with pytest.raises(LotorError, match=case.says):
        image_input(case.tensor, case.recipe)


def test_files_that_are_no_image(tmp_path: Path) -> None:
    for name, content in {"text.jpg": b"no image at all", "empty.png": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LotorError, match=f"{name} is no image"):
            read_image(tmp_path / name)
    with pytest.raises(LotorError, match="No such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(LotorError, match="uint8"):
        resize(np.zeros((4, 4, 3), np.float32), 2, 2)


def test_reading_keeps_pixels(tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(0, 256, (5, 6, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    assert (read_image(tmp_path / "a.png") == image).all()

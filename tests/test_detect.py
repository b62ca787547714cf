"""Detection: which files, which views, what is said."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import CHECKOUT, Lotor
from lotor.detect import combine, detect, find_images, score_image, views
from lotor.errors import LotorError
from lotor.graph import DType, Quantization, Tensor
from lotor.preprocess import Image, ImageInput, image_input
from lotor.zoo import find_model


class Brightness:
    """A classifier whose first label's probability is the mean of the red channel."""

    labels = ["raccoon", "person", "background"]  # noqa: RUF012

    def __init__(self) -> None:
        quant = Quantization(np.array([1 / 128], np.float32), np.array([0]))
        tensor = Tensor("image", (1, 8, 8, 3), DType.INT8, quant)
        self.input: ImageInput = image_input(tensor, {"input": {"mean": 128, "std": 128}})

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        return np.array([[(tensor[..., 0].mean() + 128) / 256]])

    def probabilities(self, output: np.ndarray) -> np.ndarray:
        red = float(output[0, 0])
        return np.array([red, (1 - red) / 4, (1 - red) * 3 / 4])

    def unlike(self, output: np.ndarray) -> float | None:
        return None


def red_square(x: int, y: int) -> Image:
    image = np.zeros((64, 96, 3), np.uint8)
    image[y : y + 16, x : x + 16, 2] = 255
    return image


def test_views_are_the_frame_and_nine_crops_of_two_sizes() -> None:
    boxes = views(60, 100)
    assert boxes[0] == (0, 0, 100, 60)
    assert len(set(boxes)) == 10
    sizes = [(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes[1:]]
    assert sizes == [(50, 30)] * 5 + [(70, 42)] * 4
    assert boxes[5] == (25, 15, 75, 45)  # the centre half
    assert (50, 30, 100, 60) in boxes and (30, 18, 100, 60) in boxes


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (101, 67)])
def test_views_stay_inside_and_cover_all(shape: tuple[int, int]) -> None:
    covered = np.zeros(shape, bool)
    for x0, y0, x1, y1 in views(*shape)[1:]:
        assert 0 <= x0 < x1 <= shape[1]
        assert 0 <= y0 < y1 <= shape[0]
        covered[y0:y1, x0:x1] = True
    assert covered.mean() > 0.95


def test_the_two_best_views_decide() -> None:
    classifier, image = Brightness(), red_square(80, 40)
    whole, _ = score_image(classifier, image)
    best, view = score_image(classifier, image, target=0)
    # The square fills 16 x 16 of 96 x 64, and of 48 x 32 and 67 x 44.
    assert whole[0] == pytest.approx(255 / 256 * 256 / (96 * 64), abs=1e-3)
    assert best[0] == pytest.approx((256 / (48 * 32) + 256 / (67 * 44)) / 2, abs=1e-3)
    assert view == (48, 32, 96, 64)
    assert best.sum() == pytest.approx(1)


def test_combining_keeps_proportions_and_sum() -> None:
    scores = np.array([[0.2, 0.6, 0.2], [0.7, 0.1, 0.2], [0.3, 0.1, 0.6]])
    joined, best = combine(scores, 0)
    assert best == 1
    assert joined.tolist() == pytest.approx([0.5, 0.375, 0.125])
    assert combine(np.array([[1.0, 0.0], [1.0, 0.0]]), 0)[0].tolist() == [1.0, 0.0]
    assert combine(np.array([[0.3, 0.7]]), 0)[0].tolist() == [0.3, 0.7]


def test_detect_reports_each_image(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "red.png"), np.full((20, 20, 3), (0, 0, 255), np.uint8))
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((20, 20, 3), np.uint8))
    black, red = detect(Brightness(), find_images([tmp_path]))
    assert (black["label"], red["label"]) == ("background", "raccoon")
    assert red["score"] == red["scores"]["raccoon"] > 0.99
    assert set(black["scores"]) == set(Brightness.labels)
    assert "view" not in red
    assert detect(Brightness(), [tmp_path / "red.png"], 0)[0]["view"] == [0, 0, 20, 20]


def test_finding_images(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "sub/c.jpeg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [path.name for path in find_images([tmp_path, tmp_path / "notes.txt"])]
    assert names == ["a.png", "b.JPG", "c.jpeg", "notes.txt"]
    with pytest.raises(LotorError, match=r"did you mean 'a.png'"):
        find_images([tmp_path / "aa.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(LotorError, match="no image in"):
        find_images([tmp_path / "empty"])


def test_command(lotor: Lotor, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "a.png"), rng.integers(0, 256, (120, 160, 3), np.uint8))
    done = lotor("detect", tmp_path / "a.png", "--model", "raccoon", "--views", "--json")
    assert done.returncode == 0, done.stderr
    (image,) = json.loads(done.stdout)["images"]
    assert list(image["scores"]) == find_model("raccoon").labels
    assert image["score"] == max(image["scores"].values())
    # The int8 probabilities are multiples of 1/256, so that their sum may be a little off 1.
    assert sum(image["scores"].values()) == pytest.approx(1, abs=0.02)
    text = lotor("detect", tmp_path, "--model", "raccoon-128")
    assert "a.png" in text.stdout
    assert "%" in text.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.png", "--model", "raccoon"], "no image none.png"),
        ([str(CHECKOUT / "README.md"), "--model", "raccoon"], "is no image that OpenCV can read"),
        ([str(CHECKOUT / "README.md"), "--model", "racoon"], "did you mean 'raccoon'"),
    ],
)
def test_mistakes(lotor: Lotor, arguments: list[str], says: str) -> None:
    done = lotor("detect", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1

"""The whole road, from scratch, on pictures made here: data, training, int8, C, a board's bytes.

`make train-smoke` runs this alone.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import Lotor
from lotor.classifier import BoardClassifier, open_classifier
from lotor.data.store import open_store
from lotor.device import emulator
from lotor.oracle import Oracle
from lotor.preprocess import read_image
from lotor.zoo import ModelFile, find_model

pytestmark = [
    pytest.mark.train,
    pytest.mark.xdist_group("smoke"),  # one training for all
    pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="needs qemu-system-arm"),
]
BOARD = "netduinoplus2"
RECIPE = """
name = "shapes"
target = "disc"
labels = ["disc", "square", "nothing"]
[input]
height = 32
width = 32
[data]
folder = "nowhere"
other = "nothing"
[data.classes]
disc = "disc"
square = "square"
[data.share]
disc = 0.35
square = 0.35
nothing = 0.3
[network]
kind = "ds_cnn"
width = 0.5
dropout = 0.1
[fit]
steps = 150
batch = 16
rate = 3e-3
head_steps = 0
average = 0.9
seed = 1
[augment]
full = 1.0
zoom = 0.0
soften = 0.2
grey = 0.0
infrared = 0.0
colour = 0.1
rotate = 0.0
[quantize]
samples = 40
steps = 4
equalize = true
"""
EACH = 40
FILES = ("shapes.tflite", "shapes_float.tflite")


def draw(folder: Path) -> Path:
    """Write pictures of red discs, of blue squares, and of noise."""
    rng = np.random.default_rng(0)
    for kind in ("disc", "square", "nothing"):
        (folder / kind).mkdir(parents=True)
        for number in range(EACH):
            image = rng.integers(60, 200, (40, 48, 3), np.uint8)
            x, y, size = (int(v) for v in rng.integers((12, 12, 7), (36, 28, 12)))
            bright = int(rng.integers(200, 256))
            if kind == "disc":
                cv2.circle(image, (x, y), size, (30, 30, bright), -1)
            if kind == "square":
                cv2.rectangle(
                    image, (x - size, y - size), (x + size, y + size), (bright, 60, 0), -1
                )
            cv2.imwrite(str(folder / kind / f"{number}.png"), image)
    return folder


@dataclass(frozen=True)
class Road:
    """Where the data set is, and two trainings of one seed."""

    data: Path
    one: Path
    two: Path

    @property
    def model(self) -> ModelFile:
        return find_model(str(self.one / FILES[0]))


@pytest.fixture(scope="module")
def road(lotor: Lotor, tmp_path_factory: pytest.TempPathFactory) -> Road:
    """Go the way that a person goes, by commands; the training in two processes."""
    pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("smoke")
    found = Road(folder / "set", folder / "one" / "shapes", folder / "two" / "shapes")
    (folder / "recipe.toml").write_text(RECIPE)
    commands: list[tuple[object, ...]] = [
        ("data", "import", draw(folder / "drawn"), "--into", found.data),
        ("data", "split", found.data, "--shares", "50,25,25"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        # No network: golden vectors are made of noise then.
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("LOTOR_CACHE", str(folder / "cache"))
        for out in (found.one, found.two):
            commands.append(
                ("train", folder / "recipe.toml", "--data", found.data, "--out", out, "--test")
            )
        for command in commands:
            done = lotor(*command, timeout=500)
            assert done.returncode == 0, done.stderr
    return found


def test_it_learned_the_task(road: Road) -> None:
    """On pictures that it has never seen, by the int8 file; one label in three would be chance."""
    metrics = json.loads((road.one / "metrics.json").read_text())
    for part in ("test", "test_float"):
        assert metrics[part]["all"]["photos"] == 3 * EACH // 4
        assert metrics[part]["all"]["accuracy"] >= 0.8
        assert metrics[part]["all"]["average_precision"] >= 0.9


def test_a_seed_decides_every_byte_in_any_process(road: Road) -> None:
    """Float, integers, and what a lineage says: of code, machine and data, and no time or path."""
    for name in (*FILES, "metrics.json", "lineage.json"):
        assert (road.one / name).read_bytes() == (road.two / name).read_bytes(), name


def test_the_board_computes_what_the_reference_computes(
    road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every test picture, over the serial line: the board's bytes are LiteRT's."""
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))  # another test may hold this board
    photos = open_store(road.data).split("test")
    oracle = Oracle(road.model.path)
    right = 0
    with open_classifier(road.model, BOARD) as board:
        assert isinstance(board, BoardClassifier)
        for photo in photos:
            tensor = board.input.tensor(read_image(photo.path))
            found = board.infer(tensor)
            assert found.tobytes() == oracle.run(tensor).tobytes(), photo.path
            right += board.labels[int(found.argmax())] == photo.kind
    emulator.stop(BOARD)
    assert right >= 0.8 * len(photos)

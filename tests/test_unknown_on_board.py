"""The unknown, told by a board's own second output, and compared byte by byte as the first is."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from camera import write_frames
from garden import COLUMNS
from lotor import visits
from lotor.classifier import BoardClassifier, HostClassifier, open_classifier
from lotor.data.samples import Stored
from lotor.decision import Chosen, read_chosen
from lotor.demo import demo
from lotor.detect import UNKNOWN, detect
from lotor.device import emulator
from lotor.device.hil import run_hil
from lotor.device.ready import compile_for
from lotor.device.session import Session
from lotor.evaluate import as_text as evaluated
from lotor.evaluate import evaluate
from lotor.preprocess import read_image
from lotor.verify import verify
from lotor.zoo import ModelFile
from two_outputs import DIRECTIONS, LABELS, write

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-arm") or not shutil.which("arm-none-eabi-gcc"),
    reason="needs qemu-system-arm and arm-none-eabi-gcc",
)
BOARD = "netduinoplus2"
SIDES = {"whole": 32, "stripes": 96}  # the second has 144 KiB of activations
KINDS = ("raccoon", "person", "deer", "background")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of four photographs, all of test."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(3)
    rows = []
    for number, kind in enumerate(KINDS):
        image = rng.integers(0, 60 * number + 40, (40, 56, 3), np.uint8)
        cv2.imwrite(str(folder / f"{kind}.png"), image)
        rows.append([f"{kind}.png", kind, "val", kind, "400", "", "made up"])
    lines = [",".join(row) for row in [COLUMNS, *rows]]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module", params=SIDES)
def model(
    request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelFile]:
    """A model that fits the board, and one that fits in stripes alone; an emulator of its own."""
    images = [read_image(data / f"{kind}.png") for kind in KINDS]
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOTOR_RUN_DIR", str(folder / "run"))
        found = write(folder / "model", SIDES[request.param], images)
        assert bool(compile_for(BOARD, str(found.path)).striped) == (request.param == "stripes")
        yield found
        emulator.stop(BOARD)


@pytest.fixture
def wrong_second_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """One bit of a board's second output is not what this machine computes."""
    right = Session.read

    def read(self: Session, index: int = 0) -> bytes:
        found = bytearray(right(self, index))
        found[-1] ^= 64 if index == 1 else 0
        return bytes(found)

    monkeypatch.setattr(Session, "read", read)


def _detected(
    model: ModelFile, data: Path, board: str | None, kinds: Sequence[str] = KINDS
) -> list[dict[str, object]]:
    paths = [data / f"{kind}.png" for kind in kinds]
    with open_classifier(model, board) as classifier:
        assert isinstance(classifier, BoardClassifier if board else HostClassifier)
        return detect(classifier, paths, None, read_chosen(model))


def test_detection(model: ModelFile, data: Path) -> None:
    found = _detected(model, data, BOARD)
    assert found == _detected(model, data, None)
    limit = read_chosen(model).unknown
    assert limit is not None
    for image in found:
        assert (image["label"] == UNKNOWN) == (float(str(image["ood"])) > round(limit, 4))
    assert [image["label"] == UNKNOWN for image in found].count(True) == len(KINDS) // 2


@pytest.mark.usefixtures("wrong_second_output")
def test_detection_by_what_the_board_sent(model: ModelFile, data: Path) -> None:
    (found,), (here,) = (_detected(model, data, board, KINDS[:1]) for board in (BOARD, None))
    assert found["scores"] == here["scores"]
    assert found["ood"] != here["ood"]


def test_evaluation(model: ModelFile, data: Path) -> None:
    found = evaluate(model, data, board=BOARD)
    assert (found["mismatches"], found["runs"]) == (0, len(KINDS))
    here = evaluate(model, data)
    for key in ("all", "sharp", "unknown"):
        assert found[key] == here[key]
    assert found["unknown"] == {"threshold": read_chosen(model).unknown, "share": 0.5}
    assert "50.0% of them" in evaluated(found)


def test_verification(model: ModelFile) -> None:
    found = verify(str(model.path), samples=2, seed=1, board=BOARD)
    assert found.ok
    assert found.elements == 2 * (len(LABELS) + DIRECTIONS)


def test_visits(model: ModelFile, tmp_path: Path) -> None:
    frames = [("none", ""), ("raccoon", "raccoon"), ("person", "person")]
    folder = write_frames(tmp_path, {"yard": frames})
    found, here = (visits.watch(model, folder, board) for board in (BOARD, None))
    assert (found["mismatches"], found["runs"]) == (0, len(frames))
    assert found["at"] == here["at"]
    paths = sorted((folder / "yard").glob("*.png"))
    seen = detect(HostClassifier(model), paths, None, read_chosen(model))
    assert found["unknown"] == sum(image["label"] == UNKNOWN for image in seen)
    assert f"{found['unknown']} frames are unlike" in visits.as_text(found)


@pytest.fixture
def samples(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set takes the place of the sample photographs."""
    stored = [Stored(data / f"{kind}.png", kind, "made", "free", "") for kind in KINDS[1:3]]
    monkeypatch.setattr("lotor.demo.get_samples", lambda out: stored)


@pytest.mark.usefixtures("samples")
def test_demonstration(model: ModelFile, data: Path, tmp_path: Path) -> None:
    found = demo(BOARD, str(model.path), tmp_path)
    here = _detected(model, data, None, KINDS[1:3])
    for key in ("label", "scores", "ood"):
        assert [image[key] for image in found["images"]] == [image[key] for image in here]
    assert all(image["host_equal"] and image["litert_equal"] for image in found["images"])
    assert {image["label"] == UNKNOWN for image in found["images"]} == {True, False}
    assert Path(found["sheet"]).stat().st_size > 1000


@pytest.mark.usefixtures("wrong_second_output", "samples")
def test_a_wrong_second_output_is_found(model: ModelFile, data: Path, tmp_path: Path) -> None:
    assert evaluate(model, data, board=BOARD, limit=1)["mismatches"] == 1
    folder = write_frames(tmp_path / "frames", {"yard": [("none", "")]})
    assert visits.watch(model, folder, BOARD)["mismatches"] == 1
    checked = verify(str(model.path), samples=1, seed=1, board=BOARD)
    assert (checked.ok, checked.mismatches) == (False, 1)
    shown = demo(BOARD, str(model.path), tmp_path)
    assert not shown["ok"]
    assert not any(image["host_equal"] or image["litert_equal"] for image in shown["images"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["output", "output_1"])
def test_hil(model: ModelFile, name: str, tmp_path: Path) -> None:
    """The golden vector's second output counts, too."""
    pytest.importorskip("labgrid")
    folder = tmp_path / "model"
    shutil.copytree(model.path.parent, folder)
    path = folder / model.path.name
    assert run_hil(BOARD, str(path), tmp_path / "right.xml").outcome == "passed"
    vector = dict(np.load(folder / "golden" / "first.npz"))
    vector[name] = vector[name] ^ np.int8(1)
    np.savez(folder / "golden" / "first.npz", **vector)
    found = run_hil(BOARD, str(path), tmp_path / "wrong.xml")
    assert found.outcome == "mismatch"
    assert [failure.test.partition("[")[0] for failure in found.failures] == ["test_golden_vectors"]


def test_what_was_chosen_decides() -> None:
    assert not Chosen({}).is_unknown(9.0)
    assert not Chosen({}, 2.0).is_unknown(None)
    assert not Chosen({}, 2.0).is_unknown(2.0)
    assert Chosen({}, 2.0).is_unknown(2.0001)


def test_metrics_hold_it(model: ModelFile) -> None:
    metrics = json.loads(model.path.with_name("metrics.json").read_text())
    assert read_chosen(model).unknown == metrics["ood"]["threshold"]

"""Real models on an emulated board: the reference's bytes, in as much memory as was planned."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from exactness import as_list, difference
from lotor.board import load_board
from lotor.build import build_firmware
from lotor.compiler import Compiled, compile_model
from lotor.device import emulator
from lotor.device.flash import flash_image
from lotor.device.session import Session
from lotor.infer import infer_on
from lotor.oracle import Oracle
from lotor.targets.preference import Preference
from lotor.verify import random_inputs
from model_files import with_axes_in_place

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="needs qemu-system-arm"),
]

BOARD = "netduinoplus2"
INPUTS = 2


@dataclass(frozen=True)
class Limit:
    """A model file under ../shared/models and the most that its arena may take."""

    file: str
    arena_bytes: int
    ram: int | None = None


_TINY = "mlcommons+tiny/benchmark/training"
LIMITS = {
    "vww": Limit(f"{_TINY}/visual_wake_words/trained_models/vww_96_int8.tflite", 38_000),
    "ic": Limit(
        f"{_TINY}/image_classification/trained_models/pretrainedResnet_quant.tflite", 35_000
    ),
    "kws": Limit(f"{_TINY}/keyword_spotting/trained_models/kws_ref_model.tflite", 9_500),
    "ad": Limit(f"{_TINY}/anomaly_detection/trained_models/ad01_int8.tflite", 1_300),
    "person": Limit(
        "tensorflow+tflite-micro/tensorflow/lite/micro/models/person_detect.tflite", 38_000
    ),
    "vww_stripes": Limit(
        f"{_TINY}/visual_wake_words/trained_models/vww_96_int8.tflite", 31_000, 31_000
    ),
}


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    yield
    emulator.stop(BOARD)


def test_the_plan_is_what_the_board_touches(shared: Path, tmp_path: Path) -> None:
    board = load_board(BOARD)
    models: list[tuple[Compiled, bytes]] = []
    for name, limit in LIMITS.items():
        path = shared / "models" / limit.file
        if not path.is_file():
            pytest.skip(f"no {path.name} in ../shared/models")
        content = path.read_bytes()
        compiled = compile_model(content, board.target, name, ram=limit.ram)
        smallest = compile_model(
            content, board.target, name, ram=limit.ram, preference=Preference("ram")
        )
        assert smallest.plan.arena_bytes <= limit.arena_bytes
        on_host = compile_model(content, "host", ram=limit.ram)
        assert on_host.plan.arena_bytes <= limit.arena_bytes
        models.append((compiled, with_axes_in_place(content)))
    image = build_firmware(board, [compiled for compiled, _ in models], tmp_path)
    url, _ = flash_image(board, image)
    with Session.open(url) as session:
        for number, (compiled, content) in enumerate(models):
            oracle = Oracle(content)
            session.select(number)  # paints the arena
            for inputs in random_inputs(compiled.graph, INPUTS, 0):
                expected = as_list(oracle.run(*inputs))
                wrong = difference(infer_on(session, compiled, inputs).outputs, expected)
                assert not wrong, f"{compiled.name}: {wrong}"
            assert session.statistics().arena_bytes == compiled.plan.arena_bytes, compiled.name

"""Two models in a board's image watch the same frames, each in its turn."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from camera import draw, write_frames
from lotor import visits
from lotor.device import emulator
from lotor.device.flash import flash
from lotor.device.session import Session
from lotor.zoo import ModelFile
from two_outputs import write

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-arm") or not shutil.which("arm-none-eabi-gcc"),
    reason="needs qemu-system-arm and arm-none-eabi-gcc",
)
BOARD = "netduinoplus2"
FRAMES = [("none", ""), ("raccoon", "raccoon"), ("raccoon", "raccoon+person"), ("person", "person")]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ModelFile, ModelFile]]:
    """One that looks for raccoons and one that looks for people; an emulator of its own."""
    folder = tmp_path_factory.mktemp("models")
    images = [draw(shapes.split("+") if shapes else []) for _, shapes in FRAMES]
    first = write(folder / "first", 32, images)
    second = write(folder / "second", 24, images, "guard", "person")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOTOR_RUN_DIR", str(folder / "run"))
        yield first, second
        emulator.stop(BOARD)


def test_both_run_there_where_the_image_holds_both(
    models: tuple[ModelFile, ModelFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = models
    folder = write_frames(tmp_path, {"yard": FRAMES})
    here = visits.watch(first, folder, veto=second)
    assert here["veto"]["where"] == "int8, this machine"
    alone = visits.watch(first, folder, BOARD, veto=second)
    assert alone["veto"]["where"] == "int8, this machine, as the board lacks it"
    assert "runs" not in alone["veto"]
    flash(BOARD, [str(first.path), str(second.path)])
    both = visits.watch(first, folder, BOARD, veto=second)
    assert both["veto"]["where"] == f"int8, board {BOARD}"
    for each in (both, both["veto"]):
        assert (each["mismatches"], each["runs"]) == (0, len(FRAMES))
    assert here["at"] == alone["at"] == both["at"]
    text = visits.as_text(both)
    for model in models:
        assert f"0 of {len(FRAMES)} outputs of {model.name} differ from the host's" in text

    right, sizes = Session.read, set[int]()

    def read(self: Session, index: int = 0) -> bytes:
        """One bit of what the second model says is not what this machine computes."""
        found = bytearray(right(self, index))
        sizes.add(self.model.inputs[0])
        found[-1] ^= 64 if self.model.inputs[0] == 24 * 24 * 3 and index == 1 else 0
        return bytes(found)

    monkeypatch.setattr(Session, "read", read)
    wrong = visits.watch(first, folder, BOARD, veto=second)
    assert sizes == {32 * 32 * 3, 24 * 24 * 3}
    assert (wrong["mismatches"], wrong["veto"]["mismatches"]) == (0, len(FRAMES))

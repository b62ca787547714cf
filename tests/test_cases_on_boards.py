"""Every operator on the emulated boards, byte for byte against LiteRT's reference kernels."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cases import Build, built, cases
from exactness import as_list, inputs_of
from lotor.board import load_board
from lotor.build import build_firmware
from lotor.compiler import Compiled, compile_model
from lotor.device import emulator
from lotor.device.flash import flash_image
from lotor.device.session import Session
from lotor.oracle import Oracle

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="needs qemu-system-arm")

ROOM = 790  # bytes of the hello answer for the list of models, with safety
INPUTS = 3  # the serial line is slow: random, near the zero point, extremes


def _images() -> list[list[Build]]:
    """The cases, as many to an image as the hello answer can list."""
    sizes = {}
    for build in cases():
        model = built(build)
        sizes[build] = 50 + 4 * (len(model.inputs) + len(model.outputs))
    images: list[list[Build]] = []
    for build in sorted(cases(), key=lambda b: -sizes[b]):
        for image in images:
            if sum(sizes[b] for b in image) + sizes[build] <= ROOM:
                image.append(build)
                break
        else:
            images.append([build])
    return images


IMAGES = _images()


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    yield
    for board in ("netduinoplus2", "mps2-an386"):
        emulator.stop(board)


@pytest.mark.parametrize(
    "board", ["netduinoplus2", pytest.param("mps2-an386", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("image", range(len(IMAGES)))
def test_cases_equal_the_reference(board: str, image: int, tmp_path: Path) -> None:
    chosen = load_board(board)
    builds = IMAGES[image]
    models: list[Compiled] = []
    for number, build in enumerate(builds):
        # Short names leave room for more models in the hello answer.
        models.append(compile_model(built(build).build(), chosen.target, f"m{number}"))
    url, _ = flash_image(chosen, build_firmware(chosen, models, tmp_path))
    with Session.open(url) as session:
        for number, build in enumerate(builds):
            model = built(build)
            oracle = Oracle(model.build())
            session.select(number)
            for inputs, _ in zip(inputs_of(model), range(INPUTS), strict=False):
                expected = [y.tobytes() for y in as_list(oracle.run(*inputs))]
                got = [bytes(y) for y in session.infer(*inputs)]
                assert got == expected, f"{build.__name__} on {board}"

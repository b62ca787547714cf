"""Every operator on the emulated boards, byte for byte against LiteRT's reference kernels."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cases import Build, built, cases
from cases.conv_2d import conv_2d
from exactness import as_list, inputs_of
from lotor.board import list_boards, load_board
from lotor.build import build_firmware
from lotor.compiler import Compiled, compile_model
from lotor.device import emulator
from lotor.device.flash import flash_image
from lotor.device.session import Session
from lotor.oracle import Oracle
from played import skip_unless_played

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
ROOM_BYTES = 32 << 10  # of RAM that the cases need
BOARDS = [
    name
    for name in list_boards()
    if load_board(name).emulated and load_board(name).ram_limit >= ROOM_BYTES
]


# Each has kernels that the default board does not: of M-profile without DSP, Helium, AArch64.
OTHERS = ("mps2-an385-m0plus", "mps3-an547", "pi-a72")


def _slow(board: str, image: int) -> bool:
    """One board runs all in the fast tests, some others the image with the convolutions."""
    other = board in OTHERS and conv_2d in IMAGES[image]
    return not (load_board(board).default or other)


@pytest.fixture(autouse=True)
def nothing_left(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    skip_unless_played(request)
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    yield
    for board in BOARDS:
        emulator.stop(board)


@pytest.mark.parametrize(
    ("board", "image"),
    [
        pytest.param(board, image, marks=pytest.mark.slow if _slow(board, image) else ())
        for board in BOARDS
        for image in range(len(IMAGES))
    ],
)
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

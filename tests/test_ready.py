"""A board runs what it is asked about: flashed when it does not, left alone when it does."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cases import built
from cases.conv_2d import conv_2d
from cases.network import network
from lotor.compiler import compile_model
from lotor.device import emulator
from lotor.device.ready import compile_for, open_with_model
from lotor.verify import verify

BOARD = "mps2-an386"
pytestmark = [
    pytest.mark.hil,
    pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="qemu-system-arm is missing"),
]


@pytest.fixture
def models(tmp_path: Path) -> Iterator[list[str]]:
    """Two small models as files; the board is stopped at the end."""
    paths = []
    for build in (network, conv_2d):
        paths.append(tmp_path / f"{build.__name__}.tflite")
        paths[-1].write_bytes(built(build).build())
    yield [str(path) for path in paths]
    emulator.stop(BOARD)


def test_an_emulated_board_is_flashed_only_when_it_must_be(models: list[str]) -> None:
    def build_id(model: str) -> str:
        with open_with_model(BOARD, model, compile_for(BOARD, model)) as session:
            return session.greeting.build_id

    first = build_id(models[0])
    state = emulator.running(BOARD)
    assert build_id(models[0]) == first
    assert emulator.running(BOARD) == state
    assert build_id(models[1]) != first


def test_c_of_another_compiler_is_replaced(models: list[str]) -> None:
    """Else a board would be verified, profiled and trusted for what it no longer runs."""
    with open_with_model(BOARD, models[0], compile_for(BOARD, models[0])):
        before = emulator.running(BOARD)
    assert before is not None
    stale = replace(before, models=[before.models[0] | {"program": "0" * 64}])
    emulator._write(stale)
    with open_with_model(BOARD, models[0], compile_for(BOARD, models[0])):
        after = emulator.running(BOARD)
    assert after is not None
    assert after.pid != before.pid
    assert after.models == before.models


def test_an_image_for_another_target_is_left_alone(models: list[str]) -> None:
    with open_with_model(BOARD, models[0], compile_for(BOARD, models[0])):
        before = emulator.running(BOARD)
    with open_with_model(BOARD, models[0], compile_model(Path(models[0]), "portable")):
        assert emulator.running(BOARD) == before


def test_verify_flashes_what_it_verifies(models: list[str]) -> None:
    for model in models:
        found = verify(model, samples=3, seed=1, board=BOARD)
        assert (found.where, found.mismatches) == (BOARD, 0)

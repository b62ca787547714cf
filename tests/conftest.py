"""Fixtures of the host tests."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lotor.board import list_boards
from lotor.device import emulator

CHECKOUT = Path(__file__).resolve().parents[1]

Lotor = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def _no_uses_of_the_real_test_split(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What tests measure on their made-up data is written down elsewhere."""
    os.environ["LOTOR_STATE_DIR"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where this process's emulators run; they are stopped when its tests end."""
    folder = tmp_path_factory.mktemp("run")
    yield folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOTOR_RUN_DIR", str(folder))
        for board in list_boards():
            emulator.stop(board)


@pytest.fixture(autouse=True)
def _boards_of_its_own(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boards of these tests are neither a person's nor those that `hil_tests` hold meanwhile."""
    if "LOTOR_RUN_DIR" not in os.environ:
        monkeypatch.setenv("LOTOR_RUN_DIR", str(run_folder))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The optional folder of data beside the checkout; a test that needs it skips without."""
    folder = CHECKOUT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no folder ../shared beside the checkout")
    return folder


@pytest.fixture(scope="session")
def lotor() -> Lotor:
    """Run `lotor ARGUMENT...` in a process of its own, as a person would."""

    def run(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lotor", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )

    return run

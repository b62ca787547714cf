"""Fixtures of the host tests."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

Lotor = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def _no_uses_of_the_real_test_split(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What tests measure on their made-up data is written down elsewhere."""
    os.environ["LOTOR_STATE_DIR"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(autouse=True)
def _clips_in_time(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentinel's clips are not starved by other tests, which take all the time there is."""
    if request.path.name.startswith("test_sentinel"):
        monkeypatch.setattr("lotor.sentinel.media.NICENESS", 0)


@pytest.fixture(autouse=True)
def _same_weights_each_time(request: pytest.FixtureRequest) -> None:
    """Networks made in a test of training draw the same weights in every run of it."""
    if request.node.get_closest_marker("train") is not None:
        keras = pytest.importorskip("keras")
        keras.utils.set_random_seed(1)


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

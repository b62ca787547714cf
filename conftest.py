"""What every test run of this checkout shares."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tests build into the checkout's cache, so that a second run is fast.
os.environ.setdefault("LOTOR_CACHE", str(Path(__file__).parent / ".cache" / "lotor"))


@pytest.fixture(scope="session", autouse=True)
def _own_run_dir(pytestconfig: pytest.Config) -> Iterator[None]:
    """Emulators of a test process are its own: they replace none of a person or another process.

    Not so for a board that was named: then it is that board which is meant.
    """
    if pytestconfig.getoption("lotor_board", None):
        yield
        return
    folder = tempfile.mkdtemp(prefix="lotor-run-")
    before = os.environ.get("LOTOR_RUN_DIR")
    os.environ["LOTOR_RUN_DIR"] = folder
    yield
    if before is None:
        del os.environ["LOTOR_RUN_DIR"]
    else:
        os.environ["LOTOR_RUN_DIR"] = before
    shutil.rmtree(folder, ignore_errors=True)

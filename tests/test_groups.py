"""Tests of one `xdist_group` run in one process: what they share is then made once."""

import subprocess
import sys
from pathlib import Path

TESTS = """
import os, pytest

@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("group", [pytest.param(n, marks=pytest.mark.xdist_group(n)) for n in "ab"])
def test_where(group, number):
    with open(f"{os.environ['PYTEST_XDIST_WORKER']}-{group}", "a") as file:
        file.write("x")
"""


def test_a_group_runs_in_one_process(tmp_path: Path) -> None:
    (tmp_path / "test_where.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = {path.name: len(path.read_text()) for path in tmp_path.glob("gw?-?")}
    assert sorted(ran.values()) == [8, 8], ran
    assert {name[-1] for name in ran} == {"a", "b"}

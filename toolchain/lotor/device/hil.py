"""Running the hardware-in-the-loop tests of a board, and what they found."""

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from lotor.board import load_board
from lotor.device.emulator import running
from lotor.device.ports import Lock, locate, port_lock
from lotor.errors import LotorError
from lotor.resources import cache_dir, resource
from lotor.zoo import find_model

_FINISHED = (0, 1, 5)  # pytest's status: all passed, some failed, none ran
TEST_SECONDS = 120  # no single test of a board takes longer
# What went wrong first matters most: without a flashed board nothing else can be said.
OUTCOMES = ("flash-error", "no-boot", "protocol", "mismatch")


@dataclass(frozen=True)
class Failure:
    """One test that failed: its name, what kind of failure it was, and its first line."""

    test: str
    outcome: str
    message: str


@dataclass(frozen=True)
class HilReport:
    """What the tests of one board found; `junit` is the path of the whole report."""

    board: str
    model: str
    tests: int
    passed: int
    failures: tuple[Failure, ...]
    skipped: int
    seconds: float
    junit: str

    @property
    def outcome(self) -> str:
        """Return "passed", or the gravest of `OUTCOMES` that happened."""
        if not self.failures:
            return "passed" if self.passed else "no tests ran"
        return min((failure.outcome for failure in self.failures), key=OUTCOMES.index)

    def __str__(self) -> str:
        lines = [
            f"{self.board}: {self.outcome}: {self.tests} tests, {self.passed} passed, "
            f"{len(self.failures)} failed, {self.skipped} skipped in {self.seconds:.0f} s",
            *(f"  {f.outcome:11} {f.test}: {f.message}" for f in self.failures),
            f"report: {self.junit}",
        ]
        return "\n".join(lines)


def default_model(board: str) -> str:
    """Return the model that a board is tested with when none is named: its name or path."""
    name = load_board(board).test_model
    own = resource("hil_tests", f"{name}.tflite")
    return str(own) if own.is_file() else name


def run_hil(
    board: str,
    model: str | None = None,
    junit: Path | None = None,
    marker: str | None = None,
    keep: bool = False,
) -> HilReport:
    """Flash a board and run `hil_tests` on it; pytest's own output goes to stderr.

    Args:
        board: the board's name.
        model: the name or path of the model to flash; `default_model` when None.
        junit: where the JUnit XML report goes; `hil-BOARD.xml` in the cache when
            None.
        marker: a pytest marker expression, e.g. "smoke".
        keep: leave an emulated board running afterwards.

    Raises:
        LotorError: no such board or model, or the `hil` extra is not installed.
        Busy: another test run has the board, or another program its port.
    """
    for package in ("labgrid", "pytest"):
        if find_spec(package) is None:
            raise LotorError(f'tests of boards need {package}: `pip install "lotor[hil]"`')
    emulated, name = load_board(board).emulated, board
    path = find_model(model or default_model(name)).path.resolve()
    Lock(f"board-{name}", f"board {name}").release()  # says now that another run has it
    if not emulated or running(name):
        port_lock(locate(name)[0]).release()  # or that another program has its port
    junit = (junit or cache_dir() / f"hil-{name}.xml").resolve()
    try:
        junit.parent.mkdir(parents=True, exist_ok=True)
        junit.touch()
        junit.unlink()  # what is there afterwards is of this run
    except OSError as error:
        raise LotorError(
            f"cannot write the report {junit}: {error.strerror}; give another --junit"
        ) from error
    command = [sys.executable, "-m", "pytest", str(resource("hil_tests")), "-q", "-rfE"]
    # Tests of an installed package have no configuration and a folder that may be read-only.
    command += ["-c", os.devnull, "--rootdir", str(resource("hil_tests"))]
    command += ["-p", "no:cacheprovider", "--import-mode=importlib", f"--timeout={TEST_SECONDS}"]
    command += ["--junitxml", str(junit), "-o", "junit_family=xunit1", "--tb=short"]
    command += ["--lotor-board", name, "--lotor-model", str(path)]
    command += ["-m", marker] if marker else []
    command += ["--lotor-keep"] if keep else []
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, stdout=sys.stderr, env=environ, check=False)
    if done.returncode not in _FINISHED or not junit.is_file():
        raise LotorError(f"pytest ended with status {done.returncode} before its time: see above")
    return read_junit(junit, name, str(path))


def read_junit(path: Path, board: str, model: str) -> HilReport:
    """Read the report of one board's tests."""
    suite = ElementTree.parse(path).getroot().find("testsuite")
    if suite is None:
        raise LotorError(f"{path} is no JUnit report: run the tests again")
    count = {key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")}
    failures = []
    for case in suite.iter("testcase"):
        problem = case.find("failure")
        problem = case.find("error") if problem is None else problem
        if problem is None:
            continue
        kinds = [p.get("value", "") for p in case.iter("property") if p.get("name") == "outcome"]
        outcome = kinds[0] if kinds and kinds[0] in OUTCOMES else "protocol"
        message = (problem.get("message") or "").splitlines() or [""]
        line = message[0].removeprefix("lotor.device.bench.")
        failures.append(Failure(case.get("name", ""), outcome, line))
    return HilReport(
        board=board,
        model=model,
        tests=count["tests"],
        passed=count["tests"] - count["failures"] - count["errors"] - count["skipped"],
        failures=tuple(failures),
        skipped=count["skipped"],
        seconds=float(suite.get("time", "0")),
        junit=str(path),
    )

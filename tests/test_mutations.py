"""Damaged model files: refused in one line or compiled, in time and memory, to C that is clean."""

import signal
import subprocess
import time
from typing import Any

import numpy as np
import pytest

import mutations
from lotor.errors import LotorError

COUNT = 200


def test_a_few_hundred_mutations() -> None:
    summary = mutations.run(0, COUNT, build=0.05)
    assert not summary.bad, str(summary)
    assert summary.kinds["compiled"] > COUNT // 20, "mutations too wild to reach the compiler"
    assert summary.ran > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_tens_of_thousands_of_mutations() -> None:
    summary = mutations.run(1_000_000, 20_000, build=0.02)
    print(summary)
    assert not summary.bad, str(summary)


def test_a_mutation_follows_from_its_number() -> None:
    again = [mutations.mutation(n) for n in range(20)]
    assert again == [mutations.mutation(n) for n in range(20)]
    assert len({content for _, content in again}) == 20


@pytest.mark.parametrize("error", [IndexError("x"), AssertionError(), LotorError("two\nlines")])
def test_the_watch_sees_a_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: bytes) -> None:
        raise error

    monkeypatch.setattr(mutations, "compile_model", fail)
    assert mutations.try_one(0, 0).kind == "failed"


def test_the_watch_sees_a_loop_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def loop(_: bytes) -> None:
        while True:
            time.sleep(0)

    signal.signal(signal.SIGPROF, mutations._alarm)
    monkeypatch.setattr(mutations, "SECONDS", 0.2)
    monkeypatch.setattr(mutations, "compile_model", loop)
    assert mutations.try_one(0, 0).kind == "hung"


def test_the_watch_sees_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(_: bytes) -> None:
        np.ones(1 << 27, np.uint8).sum()
        raise LotorError("too large")

    monkeypatch.setattr(mutations, "compile_model", take)
    assert 100 < mutations.try_one(0, 0).megabytes < 300


def test_the_watch_survives_a_worker_that_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen

    def broken(command: list[str], **options: Any) -> Any:
        return real([command[0], "-c", "import os; os.abort()"], **options)

    monkeypatch.setattr(subprocess, "Popen", broken)
    assert [o.kind for o in mutations.outcomes(0, 2, 0)] == ["died", "died"]

"""Latency on this machine against LiteRT, measured alternately in one process."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lotor.errors import LotorError
from lotor.graph import Array
from lotor.host import load
from lotor.verify import random_inputs
from lotor.zoo import find_model

_ROUNDS = 200
_SECONDS = 5.0


@dataclass(frozen=True)
class Timing:
    """Median latencies of one model, one thread, in microseconds, and LiteRT's over Lotor's."""

    model: str
    rounds: int
    lotor_us: float
    litert_us: float
    ratio: float


def bench(models: Sequence[str]) -> list[Timing]:
    """Time models against LiteRT's default (XNNPACK) with one thread.

    The two take turns, so that a machine whose speed drifts is fair to both.

    Raises:
        LotorError: a model does not compile, or LiteRT is missing.
    """
    return [_time(name) for name in models]


def as_text(rows: Sequence[dict[str, Any]]) -> str:
    """Return timings as a table."""
    lines = [f"{'model':<28} {'Lotor us':>10} {'LiteRT us':>10} {'LiteRT / Lotor':>15}"]
    for row in rows:
        lines.append(
            f"{row['model']:<28} {row['lotor_us']:10.1f} {row['litert_us']:10.1f} "
            f"{row['ratio']:15.2f}"
        )
    return "\n".join(lines)


def _time(name: str) -> Timing:
    found = find_model(name)
    host = load(str(found.path))
    (inputs,) = random_inputs(host.compiled.graph, 1, seed=0)
    runs: tuple[Callable[[], Any], ...] = (lambda: host.run(*inputs), _litert(found.path, inputs))
    taken: tuple[list[float], list[float]] = ([], [])
    until = time.monotonic() + _SECONDS
    while len(taken[0]) < _ROUNDS and (time.monotonic() < until or len(taken[0]) < 5):
        for run, times in zip(runs, taken, strict=True):
            begun = time.perf_counter_ns()
            run()
            times.append((time.perf_counter_ns() - begun) / 1000)
    ours, theirs = (statistics.median(times[1:]) for times in taken)
    return Timing(found.name, len(taken[0]), ours, theirs, theirs / ours)


def _litert(model: Path, inputs: Sequence[Array]) -> Callable[[], Array]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import ai_edge_litert.interpreter as litert
    except ImportError as error:
        raise LotorError("LiteRT is not installed; pip install 'lotor[verify]'") from error
    make: Any = litert.Interpreter
    interpreter = make(str(model), num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()
    output = interpreter.get_output_details()[0]["index"]

    def run() -> Array:
        for detail, array in zip(details, inputs, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        value: Array = interpreter.get_tensor(output)
        return value

    return run

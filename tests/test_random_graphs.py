"""Random graphs of 2 to 12 operators: every tensor that survives the rewrites equals the reference.

    python tests/test_random_graphs.py COUNT [SEED]    # the same without pytest, with figures

A graph that differs is shrunk and saved under tests/regressions/, where it is a test from then on.
"""

import re
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

import random_graphs
from lotor.errors import LotorError
from lotor.ops import model_operators
from lotor.ops.conv_2d import Conv2D
from lotor.oracle import Oracle
from random_graphs import MAKERS, Recipe, Step, first_difference, grown, quick_build

FAST, MANY = 80, 2100  # some of them have no output
_PART = 100  # graphs of one seed


class Runner:
    """Counts what the graphs were made of."""

    def __init__(self) -> None:
        self.graphs = 0
        self.kinds: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()

    def difference(self, recipe: Recipe) -> tuple[str, bytes]:
        """Where a graph differs, and its file; a graph that the reference refuses is skipped."""
        g = grown(recipe)
        if not g.m.outputs:
            return "", b""
        content = g.m.build()
        try:
            Oracle(content)
        except LotorError as error:
            self.skipped[str(error)[:200]] += 1
            return "", content
        self.graphs += 1
        self.kinds.update(op.kind for op in g.m.operators)
        try:
            wrong = first_difference(content, g.m, g.approximate)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        return (f"{wrong}\n{recipe}\n{g.m!r}" if wrong else ""), content


def explore(first: int, count: int, runner: Runner) -> None:
    """Check `count` graphs that follow from a seed; one that fails is shrunk, saved and raised."""
    failing: list[bytes] = []

    @seed(first)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(random_graphs.recipes())
    def check(recipe: Recipe) -> None:
        wrong, content = runner.difference(recipe)
        if wrong:
            failing.append(content)
            raise AssertionError(wrong)

    try:
        with quick_build():
            check()
    except AssertionError as error:
        path = random_graphs.save(failing[-1])  # hypothesis runs the smallest one last
        raise AssertionError(f"seed {first}, {path.name}: {error}") from None


def test_random_graphs() -> None:
    runner = Runner()
    explore(0, FAST, runner)
    assert runner.graphs > 0.95 * FAST, runner.skipped


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_many_random_graphs() -> None:
    runner = Runner()
    explore(1_000_000, MANY, runner)
    print(f"{runner.graphs} graphs of {runner.kinds.total()} operators: {dict(runner.kinds)}")
    assert runner.graphs >= 2000, runner.skipped
    assert set(random_graphs.kinds()) <= set(runner.kinds)


def test_every_operator_has_a_maker_or_a_case() -> None:
    assert set(model_operators()) <= set(random_graphs.kinds())


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_every_maker_makes_its_operator(kind: str) -> None:
    for number in range(3):
        g = grown(Recipe((Step("CONV_2D", 0, number), Step(kind, 0, number)), number))
        assert kind in {op.kind for op in g.m.operators}


@pytest.mark.parametrize(
    "path", sorted(random_graphs.REGRESSIONS.glob("*.tflite")), ids=lambda path: path.stem
)
def test_graphs_that_once_differed(path: Path) -> None:
    assert not random_graphs.file_difference(path.read_bytes())


def test_a_difference_is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Conv2D.lower

    def wrong(self: Conv2D, op: object) -> object:
        calls = real(self, op)  # type: ignore[arg-type]
        for call in calls:
            if "out_offset" in call.params:
                call.params = {**call.params, "out_offset": int(call.params["out_offset"]) + 1}
        return calls

    monkeypatch.setattr(Conv2D, "lower", wrong)
    monkeypatch.setattr(random_graphs, "save", lambda _: Path("found"))
    monkeypatch.setattr(random_graphs, "kinds", lambda: ["RELU", "CONV_2D", "TANH", "SPLIT"])
    with pytest.raises(AssertionError, match=r"seed 3, found: .*CONV_2D") as caught:
        explore(3, 20, Runner())
    steps = re.findall(r"Step\(kind='(\w+)'", str(caught.value))
    assert sorted(steps) == ["CONV_2D", "RELU"]


def main() -> None:
    """Check many graphs and print the figures."""
    runner, begun = Runner(), time.monotonic()
    count, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for part, done in enumerate(range(0, count, _PART)):
        try:
            explore(first + part, min(_PART, count - done), runner)
        except AssertionError as error:
            print(error, flush=True)
    print(f"{runner.graphs} graphs in {time.monotonic() - begun:.0f} s; {runner.skipped}")
    print(runner.kinds)


if __name__ == "__main__":
    main()

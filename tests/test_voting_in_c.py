"""The firmware's voting takes the decisions of `lotor.sentinel.voting`, one by one."""

import ctypes
import math
from typing import Any

import numpy as np
import pytest

from c_library import library
from lotor.resources import resource
from lotor.sentinel.voting import Decision, Rule, Voting

LABELS, FRAMES, WHOLE, UNKNOWN = 4, 32, 1024, -1


class CRule(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint8) for name in ("labels", "vetoes", "votes", "of")),
        ("threshold", ctypes.c_int16 * LABELS),
        ("veto_from", ctypes.c_int16 * LABELS),
        ("memory_ms", ctypes.c_uint32),
        ("cooldown_ms", ctypes.c_uint32),
    )


class CDecision(ctypes.Structure):
    _fields_ = (
        ("alarm", ctypes.c_int8),
        ("enough", ctypes.c_int8),
        ("votes", ctypes.c_uint8 * LABELS),
        ("vetoed_by", ctypes.c_uint8),
        ("cooling", ctypes.c_bool),
    )


@pytest.fixture(scope="module")
def voting(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return library(tmp_path_factory.mktemp("voting"), resource("firmware", "watch", "voting.c"))


class Both:
    """One memory in C, one in Python."""

    def __init__(self, voting: Any, rule: CRule) -> None:
        self.c, self.rule, self.memory = voting, rule, (ctypes.c_uint8 * 2048)()
        self.names = [f"label {i}" for i in range(rule.labels)]
        self.vetoes = [f"veto {i}" for i in range(rule.vetoes)]
        self.python = Voting(
            Rule(
                {n: rule.threshold[i] / WHOLE for i, n in enumerate(self.names)},
                {n: rule.veto_from[i] / WHOLE for i, n in enumerate(self.vetoes)},
                rule.votes,
                rule.of,
                rule.memory_ms,
                rule.cooldown_ms,
            )
        )
        voting.voting_start.restype = voting.voting_decide.restype = ctypes.c_bool
        assert voting.voting_start(self.memory, ctypes.byref(rule))

    def decide(self, time_ms: int, scores: list[int], vetoes: list[int]) -> tuple[Decision, Any]:
        said = CDecision()
        numbers = [(ctypes.c_int16 * LABELS)(*values) for values in (scores, vetoes)]
        assert self.c.voting_decide(
            self.memory, ctypes.c_uint64(time_ms), *numbers, ctypes.byref(said)
        )
        named = dict(zip(self.names + self.vetoes, scores + vetoes, strict=True))
        real = {n: math.nan if s == UNKNOWN else s / WHOLE for n, s in named.items()}
        return self.python.decide(time_ms, real), said

    def check(self, time_ms: int, scores: list[int], vetoes: list[int]) -> Decision:
        python, c = self.decide(time_ms, scores, vetoes)
        index: dict[str | None, int] = {name: i for i, name in enumerate(self.names)}
        index[None] = -1
        assert (c.alarm, c.enough) == (index[python.alarm], index[python.enough])
        assert {n: c.votes[i] for i, n in enumerate(self.names) if c.votes[i]} == python.votes
        by = tuple(n for i, n in enumerate(self.vetoes) if c.vetoed_by >> i & 1)
        assert (by, c.cooling) == (python.vetoed_by, python.cooling)
        return python


def random_rule(rng: np.random.Generator) -> CRule:
    of = int(rng.integers(1, (6, FRAMES + 1)[int(rng.integers(2))]))
    rule = CRule(int(rng.integers(1, LABELS + 1)), int(rng.integers(0, LABELS + 1)))
    rule.of, rule.votes = of, int(rng.integers(1, min(of, 6) + 1))
    for i in range(LABELS):
        rule.threshold[i] = int(rng.choice([0, 250, 256, 300, 512]))
        rule.veto_from[i] = int(rng.choice([300, 500, 512, 513]))
    rule.memory_ms = int(rng.choice([0, 1, 3000, 10_000, 2**32 - 1]))
    rule.cooldown_ms = int(rng.choice([0, 1, 5000, 60_000, 2**32 - 1]))
    return rule


def test_random_streams(voting: Any) -> None:
    """Also frames of which nothing is known, equal times, and times beyond 32 bits."""
    rng, seen = np.random.default_rng(3), set()
    for turn in range(300):
        both = Both(voting, random_rule(rng))
        time = int(rng.choice([0, 2**32 - 5000, 2**53 - 10**9]))
        high = rng.integers(513) if turn % 2 else 513
        for _ in range(80):
            time += int(rng.choice([0, 1, 500, 1000, 1000, 3001, 20_000]))
            drawn = rng.integers(0, (high + 1, 513)[int(rng.integers(2))], 2 * LABELS)
            values = [UNKNOWN if rng.random() < 0.03 else int(value) for value in drawn]
            values[LABELS:] = [v // 2 if rng.random() < 0.9 else v for v in values[LABELS:]]
            rule = both.rule
            said = both.check(time, values[: rule.labels], values[LABELS : LABELS + rule.vetoes])
            seen.add((said.alarm is None, said.enough is None, bool(said.vetoed_by), said.cooling))
    # alarm; none; enough and vetoed, cooling, both; and not enough with each of these
    assert len(seen) == 8


def test_a_night_of_visits(voting: Any) -> None:
    """Long runs of frames with a target, a person now and then: what `lotor visits` measures."""
    rng = np.random.default_rng(8)
    rule = CRule(1, 2, 3, 5)
    rule.threshold[0], rule.veto_from[0], rule.veto_from[1] = 424, 256, 66
    rule.memory_ms, rule.cooldown_ms = 10_000, 60_000
    both, alarms, held = Both(voting, rule), 0, 0
    for frame in range(4000):
        visit, person = frame % 200 < 40, frame % 530 < 30
        score = int(rng.normal(430 if visit else 90, 60))
        veto = int(rng.normal(300 if person else 20, 30))
        scores = [min(512, max(0, value)) for value in (score, veto, veto // 4)]
        said = both.check(1000 * frame, scores[:1], scores[1:])
        alarms += said.alarm is not None
        held += bool(said.enough and said.vetoed_by)
    assert alarms > 10
    assert held > 10


@pytest.mark.parametrize(
    ("labels", "votes", "of"), [(1, 0, 5), (1, 6, 5), (1, 1, FRAMES + 1), (LABELS + 1, 1, 1)]
)
def test_a_rule_without_sense_is_refused(voting: Any, labels: int, votes: int, of: int) -> None:
    memory, rule = (ctypes.c_uint8 * 2048)(*([0xA5] * 2048)), CRule(labels, 0, votes, of)
    voting.voting_start.restype = ctypes.c_bool
    assert not voting.voting_start(memory, ctypes.byref(rule))
    assert bytes(memory) == b"\xa5" * 2048


def test_time_does_not_go_back(voting: Any) -> None:
    rule = CRule(1, 0, 1, 3)
    both = Both(voting, rule)
    assert both.check(5000, [500], []).alarm
    before, said = bytes(both.memory), CDecision()
    scores = (ctypes.c_int16 * LABELS)(500)
    late = ctypes.c_uint64(4999)
    assert not voting.voting_decide(both.memory, late, scores, scores, ctypes.byref(said))
    assert bytes(both.memory) == before
    both.check(5000, [0], [])

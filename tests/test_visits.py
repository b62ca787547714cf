"""Visits seen and false alarms a night, on drawn sequences and with a classifier made for them."""

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from camera import write_frames
from conftest import Lotor
from lotor.data.sequences import Truth, read_sequences
from lotor.decision import LEAST_COST, Chosen
from lotor.errors import LotorError
from lotor.sentinel.voting import Rule
from lotor.veto import DEFAULT, GIVEN, PERSON_SCORE, Veto, check_veto, veto_threshold
from lotor.visits import (
    Options,
    Visit,
    as_text,
    find_visits,
    judge,
    measure_visits,
    poisson_upper,
    summary,
    watch,
)
from lotor.zoo import ModelFile, find_model

T, A, U = Truth.THERE, Truth.ABSENT, Truth.UNCLEAR
SPELT = {"T": T, "A": A, "u": U}
RECIPE = {"target": "raccoon", "data": {"classes": {"raccoon": "raccoon", "person": "person"}}}


class Colours:
    """A classifier that sees the share of red and green."""

    def __init__(self) -> None:
        self.labels = ["raccoon", "person", "background"]
        self.input: Any = SimpleNamespace(tensor=lambda image: image)

    def infer(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        blue, green, red = (tensor[..., i].astype(int) for i in range(3))
        found = [(red - np.maximum(green, blue) > 99).mean(), (green - red > 99).mean()]
        found = [min(1.0, 8 * share) for share in found]
        return np.array([[*found, max(0.0, 1 - sum(found))]])

    def probabilities(self, output: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return output.reshape(-1)

    def unlike(self, output: npt.NDArray[Any]) -> float | None:
        return None


class Unsure(Colours):
    """One that does not know frames with anything on them."""

    def unlike(self, output: npt.NDArray[Any]) -> float:
        return 1 + float(output.reshape(-1)[:2].any())


class Raccoons(Colours):
    """One that has no label for people, as it has many."""

    def __init__(self) -> None:
        super().__init__()
        self.labels = ["raccoon", "somebody", "background"]


PEOPLE = Veto("people", Colours(), 0.3, GIVEN, "here", 1)


@pytest.mark.parametrize(
    ("truths", "apart", "visits"),
    [
        ("AATTA", 5, [Visit(2, 3, 2, 3)]),
        ("", 5, []),
        ("AuuA", 5, []),
        ("TTAAT", 3, [Visit(0, 4, 0, 4)]),
        ("TTAAT", 2, [Visit(0, 1, 0, 1), Visit(4, 4, 4, 4)]),
        ("AuTuuuTuA", 1, [Visit(2, 6, 1, 7)]),
        ("TuAuT", 2, [Visit(0, 0, 0, 1), Visit(4, 4, 3, 4)]),
    ],
)
def test_visits_are_runs_that_join_over_short_gaps(
    truths: str, apart: int, visits: list[Visit]
) -> None:
    assert find_visits([SPELT[c] for c in truths], apart) == visits


def judged(truths: str, seen: str, **rule: Any) -> dict[str, Any]:
    """Judge a frame a second; `seen` has an `x` where the target is seen, `p` beside a person."""
    scores = [{"raccoon": float(c in "xp"), "person": float(c == "p")} for c in seen]
    times = [float(i) for i in range(len(truths))]
    options = {"votes": 2, "of": 2, "cooldown_s": 3.0} | rule
    found = Rule({"raccoon": 0.5}, {"person": 0.5}, **options)
    return judge(times, [SPELT[c] for c in truths], scores, found, 1.0)


def test_an_alarm_in_a_visit_is_seen_and_one_outside_is_false() -> None:
    found = judged("AAAAAuTTTTAAAAA", "xx.....xx.....x")
    assert found["visits"] == [{"first": 6, "last": 9, "seen": True, "delay": 2}]
    assert found["false_alarms"] == [1]
    assert (found["frames"], found["negatives"], found["negative_s"]) == (15, 10, 10.0)


def test_a_visit_without_an_alarm_is_missed() -> None:
    found = judged("AATTTTAAAA", "xx.x.x.xx.", cooldown_s=5.0)
    assert found["visits"] == [{"first": 2, "last": 5, "seen": False, "delay": None}]
    assert found["false_alarms"] == [1, 8]


def test_an_alarm_while_the_animal_enters_is_its_own() -> None:
    found = judged("AuuuTTTuA", ".xxxxxxxx")
    assert found["visits"][0] == {"first": 4, "last": 6, "seen": True, "delay": 0}
    assert found["false_alarms"] == [8]  # the third: alarms are at 2, 5 and 8
    alone = judged("AuuuA", ".xxx.")
    assert (alone["visits"], alone["false_alarms"], alone["negatives"]) == ([], [], 2)


def test_frames_between_two_parts_of_a_visit_are_no_negatives() -> None:
    found = judged("TTAATT", "..xx..", of=3)
    assert found["visits"] == [{"first": 0, "last": 5, "seen": True, "delay": 3}]
    assert (found["negatives"], found["false_alarms"]) == (0, [])


def test_what_a_person_held_back_is_told() -> None:
    found = judged("TTTTT", "xpxxx")
    assert found["vetoed"] == [1, 2]
    assert found["vetoed_by"] == {"person": [1, 2]}
    assert found["somebody"] == {"person": 1}
    assert found["visits"][0]["delay"] == 3


def test_frames_stand_for_the_time_until_the_next() -> None:
    found = judge(
        [0.0, 1.0, 4.0, 400.0],
        [A] * 4,
        [{"raccoon": 0.0}] * 4,
        Rule({"raccoon": 0.5}, memory_s=10.0),
        0.5,
    )
    assert found["negative_s"] == 1 + 3 + 10 + 0.5


@pytest.mark.parametrize("count", [0, 1, 3, 20, 300])
def test_the_upper_bound_is_exact(count: int) -> None:
    mean = poisson_upper(count)
    chance = sum(
        math.exp(event * math.log(mean) - mean - math.lgamma(event + 1))
        for event in range(count + 1)
    )
    assert chance == pytest.approx(0.05, rel=1e-6)


def test_the_rule_of_three() -> None:
    assert poisson_upper(0) == pytest.approx(-math.log(0.05))
    rule = Rule({"raccoon": 0.5}, cooldown_s=60.0)
    part: dict[str, Any] = {"visits": [], "negatives": 3600, "negative_s": 3600.0}
    part |= {"false_alarms": [], "vetoed": [], "vetoed_by": {}, "somebody": {}}
    found = summary([part | {"frames": 3600}] * 2, rule)
    assert (found["per_night"], found["per_night_95"]) == (0.0, 15.0)
    many = summary([part | {"frames": 3600, "false_alarms": [1] * 200}], rule)
    assert (many["per_night"], many["per_night_95"]) == (600.0, 600.0)  # a cool-down is a minute
    none = summary([part | {"frames": 3600, "negatives": 0, "negative_s": 0.0}], rule)
    assert (none["per_night"], none["per_night_95"]) == (None, None)


@pytest.fixture
def yard(tmp_path: Path) -> Path:
    """A raccoon comes, a cat that is none, and a raccoon that a person holds."""
    return write_frames(
        tmp_path / "yard",
        {
            "visit": [("none", "")] * 6 + [("raccoon", "raccoon")] * 6 + [("none", "")] * 6,
            "cat": [("cat or empty", "cat")] * 8,
            "held": [("raccoon", "raccoon+person")] * 8,
            "wrong": [("none", "raccoon")] * 8,
        },
    )


def test_a_classifier_watches_drawn_sequences(yard: Path) -> None:
    sequences = read_sequences(yard)
    found = measure_visits(Colours(), RECIPE, sequences, {"1%": 0.5, "never": 1.0}, Options())
    visit, cat, held, wrong = found["at"]["1%"]["sequences"]
    assert visit["visits"] == [{"first": 6, "last": 11, "seen": True, "delay": 2}]
    assert (visit["false_alarms"], visit["negatives"], visit["synthetic"]) == ([], 12, True)
    assert (cat["false_alarms"], cat["negatives"]) == ([], 8)
    assert not held["visits"][0]["seen"]
    assert held["vetoed"] == [2, 3, 4, 5, 6, 7]
    assert wrong["false_alarms"] == [2]
    total = found["at"]["1%"]["all"]
    assert (total["visits"], total["seen"], total["missed"], total["delays"]) == (2, 1, 1, [2])
    assert (total["false_alarms"], total["negatives"], total["scenes"]) == (1, 28, 3)
    assert found["rule"]["vetoes"] == {"person": 0.5}


def test_crops_find_what_is_small_and_the_person_beside_it(yard: Path) -> None:
    # A square fills 5/6 of what the stub asks of a frame, and all of it in a crop.
    sequences, thresholds = read_sequences(yard), {"given": 0.9}
    full = measure_visits(Colours(), RECIPE, sequences, thresholds, Options())
    crops = measure_visits(Colours(), RECIPE, sequences, thresholds, Options(views=True))
    assert full["at"]["given"]["all"]["seen"] == 0
    assert crops["at"]["given"]["all"]["seen"] == 1
    assert crops["at"]["given"]["sequences"][2]["vetoed"] == [2, 3, 4, 5, 6, 7]


def test_a_model_about_persons_is_not_vetoed_by_them(yard: Path) -> None:
    recipe = RECIPE | {"target": "person"}
    found = measure_visits(Colours(), recipe, read_sequences(yard), {"given": 0.5}, Options())
    assert found["rule"]["vetoes"] == {}
    assert found["at"]["given"]["sequences"][2]["false_alarms"] == [2]


def test_a_second_model_forbids_what_the_first_would_alarm_at(yard: Path) -> None:
    sequences, thresholds = read_sequences(yard), {"given": 0.5}
    alone = measure_visits(Raccoons(), RECIPE, sequences, thresholds, Options())
    assert alone["at"]["given"]["sequences"][2]["visits"][0]["seen"]
    found = measure_visits(Raccoons(), RECIPE, sequences, thresholds, Options(), veto=PEOPLE)
    visit, _, held, wrong = found["at"]["given"]["sequences"]
    assert visit["visits"][0]["seen"]
    assert not held["visits"][0]["seen"]
    assert held["vetoed_by"] == {"person by people": [2, 3, 4, 5, 6, 7]}
    assert wrong["false_alarms"] == [2]
    assert found["rule"]["vetoes"] == {"person by people": 0.3}
    crops = Options(views=True)
    found = measure_visits(Raccoons(), RECIPE, sequences, thresholds, crops, veto=PEOPLE)
    assert found["at"]["given"]["all"]["vetoed_by"] == {"person by people": 6}


def test_either_of_two_models_forbids_an_alarm(yard: Path) -> None:
    sequences, thresholds = read_sequences(yard), {"given": 0.5}
    blind = Veto("people", Colours(), 1.0, GIVEN, "here", 1)
    for second, by in ((PEOPLE, [6, 6]), (blind, [6, 0])):
        found = measure_visits(Colours(), RECIPE, sequences, thresholds, Options(), veto=second)
        assert list(found["at"]["given"]["all"]["vetoed_by"].values()) == by


def test_who_is_seen_once_is_remembered_and_the_unknown_is_no_raccoon(tmp_path: Path) -> None:
    shown = [("raccoon", "raccoon+person")] + [("raccoon", "raccoon")] * 7
    sequences = read_sequences(write_frames(tmp_path, {"yard": shown}))

    def alarms(classifier: Colours, limit: float | None, veto: Veto | None) -> dict[str, Any]:
        found = measure_visits(
            classifier, RECIPE, sequences, {"given": 0.0}, Options(), Chosen({}, limit), veto
        )
        part: dict[str, Any] = found["at"]["given"]["sequences"][0]
        return {"delay": part["visits"][0]["delay"], "vetoed": part["vetoed"]}

    assert alarms(Raccoons(), None, None) == {"delay": 2, "vetoed": []}
    # Five frames, the first with the person.
    assert alarms(Raccoons(), None, PEOPLE) == {"delay": 5, "vetoed": [2, 3, 4]}
    assert alarms(Unsure(), 2.0, None) == {"delay": 5, "vetoed": [2, 3, 4]}
    # Not even a threshold of 0 lets the unknown vote.
    assert alarms(Unsure(), 1.5, None) == {"delay": None, "vetoed": []}


@pytest.mark.parametrize("second", [None, PEOPLE])
def test_a_person_on_an_unknown_frame_vetoes(tmp_path: Path, second: Veto | None) -> None:
    class Startled(Raccoons if second else Colours):  # type: ignore[misc]
        def unlike(self, output: npt.NDArray[Any]) -> float:
            return 1 + float(output.reshape(-1)[1])

    shown = [("raccoon", "raccoon")] * 2 + [("person", "person")] + [("raccoon", "raccoon")] * 6
    sequences = read_sequences(write_frames(tmp_path, {"yard": shown}))
    found = measure_visits(
        Startled(), RECIPE, sequences, {"given": 0.5}, Options(), Chosen({}, 1.5), second
    )
    assert found["unknown"] == 1
    assert found["at"]["given"]["sequences"][0]["vetoed"] == [3, 4, 5, 6]
    assert found["at"]["given"]["sequences"][0]["visits"][0]["delay"] == 7


def test_a_veto_comes_from_where_mistakes_cost_least(tmp_path: Path) -> None:
    model = ModelFile("m", tmp_path / "m.tflite")
    assert veto_threshold(model) == (PERSON_SCORE, DEFAULT)
    # Above 1 where it is cheapest never to veto; crops have a threshold of their own.
    for threshold, used in ((0.1, 0.1), (1.1, 1.0)):
        metrics = {"decision": {"full": {"threshold": threshold}, "views": {"threshold": 0.7}}}
        (tmp_path / "metrics.json").write_text(json.dumps(metrics))
        assert veto_threshold(model) == (used, LEAST_COST)
        assert veto_threshold(model, views=True) == (0.7, LEAST_COST)


def test_the_model_that_ships_for_it_has_a_threshold_for_it() -> None:
    threshold, source = veto_threshold(find_model("person"))
    assert source == LEAST_COST
    assert 0 < threshold < PERSON_SCORE


@pytest.mark.parametrize(
    ("recipe", "watched", "says"),
    [
        ({"target": "raccoon"}, "raccoon", "--veto m: its target is raccoon; give a model whose"),
        ({}, "raccoon", "--veto m: its recipe.toml beside it names no target"),
        ({"target": "person", "task": "locate"}, "raccoon", "--veto m says where people are"),
        ({"target": "person"}, "person", "n alarms at people: leave out --veto m"),
    ],
)
def test_what_cannot_veto(recipe: dict[str, str], watched: str, says: str) -> None:
    place = Path("nowhere.tflite")
    with pytest.raises(LotorError, match=says):
        check_veto(
            ModelFile("m", place, None, recipe), ModelFile("n", place, None, {"target": watched})
        )


def test_the_report_says_what_it_rests_on(yard: Path) -> None:
    found = measure_visits(Colours(), RECIPE, read_sequences(yard), {"1%": 0.5}, Options())
    text = as_text(found | {"model": "m", "where": "here", "folder": "yard", "views": True} | RATE)
    assert "3 votes of 5 frames, 2 frames a second, cool-down 60 s, nothing beside person" in text
    assert "threshold 0.500, for 1% false alarms on val without crops" in text
    assert "visits: 1 of 2 seen, 1 missed; 2 of them made, not filmed" in text
    assert "6 frames had the votes, but a person was seen: 6 by its own label" in text
    assert "a person is seen on frames: 8 by its own label, of 42" in text
    assert "1 in 28 frames without raccoon (28 s, 3 scenes)" in text
    assert "in a night of 10 hours: 600, with 95 % confidence at most 600" in text


RATE = {"rate": 2.0}


def test_what_was_filmed_and_what_was_made_are_told_apart(yard: Path) -> None:
    rows = (yard / "frames.csv").read_text().splitlines()
    filmed = [row.replace(",1,made up", ",0,a camera") if "wrong/" in row else row for row in rows]
    (yard / "frames.csv").write_text("\n".join(filmed) + "\n")
    found = measure_visits(Colours(), RECIPE, read_sequences(yard), {"1%": 0.5}, Options())
    every, real, made = (found["at"]["1%"][name] for name in ("all", "filmed", "made"))
    assert [each["false_alarms"] for each in (every, real, made)] == [1, 1, 0]
    assert [each["negatives"] for each in (every, real, made)] == [28, 8, 20]
    assert [each["visits"] for each in (every, real, made)] == [2, 0, 2]
    text = as_text(found | {"model": "m", "where": "here", "folder": "yard", "views": False} | RATE)
    assert "filmed alone: 1 in 8 frames, 600 in a night, at most 600" in text
    assert "made alone: 0 in 20 frames, 0 in a night, at most 600" in text


def test_sequences_of_visits_alone_say_nothing_of_false_alarms(tmp_path: Path) -> None:
    folder = write_frames(tmp_path, {"visit": [("raccoon", "raccoon")] * 6})
    found = measure_visits(Colours(), RECIPE, read_sequences(folder), {"given": 0.5}, Options())
    text = as_text(found | {"model": "m", "where": "here", "folder": "yard", "views": False} | RATE)
    assert "visits: 1 of 1 seen, 0 missed" in text
    assert "no frame without raccoon: false alarms are not known" in text


def test_a_slow_camera_is_remembered_for_longer(yard: Path) -> None:
    found = measure_visits(
        Colours(), RECIPE, read_sequences(yard), {"given": 0.5}, Options(rate=0.1)
    )
    assert found["rule"]["memory_s"] == 50
    assert found["at"]["given"]["all"]["seen"] == 1


def test_command(lotor: Lotor, yard: Path) -> None:
    done = lotor("visits", "raccoon", yard, "--votes", "1/1", "--threshold", 0, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    total = found["at"]["given"]["all"]
    assert (total["visits"], total["frames"]) == (2, 42)
    assert total["seen"] + total["false_alarms"] + total["vetoed"] > 0
    usual = lotor("visits", "raccoon", yard, "--views")
    assert usual.returncode == 0, usual.stderr
    assert "for 1% false alarms on val:" in usual.stdout


def test_command_with_a_veto(lotor: Lotor, yard: Path, tmp_path: Path) -> None:
    shutil.copytree(find_model("person").path.parent, tmp_path / "guard")
    guard = (tmp_path / "guard" / "person.tflite").rename(tmp_path / "guard" / "guard.tflite")
    metrics = {"decision": {"full": {"threshold": 0.0}}}  # it sees somebody everywhere
    guard.with_name("metrics.json").write_text(json.dumps(metrics))
    told = ("visits", "raccoon", yard, "--votes", "1/1", "--threshold", 0, "--veto")
    done = lotor(*told, guard, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["veto"] == {
        "model": "guard",
        "label": "person by guard",
        "threshold": 0.0,
        "source": "least cost",
        "where": "int8, this machine",
    }
    assert found["rule"]["vetoes"] == {"person": 0.5, "person by guard": 0.0}
    total = found["at"]["given"]["all"]
    assert (total["seen"], total["false_alarms"], total["vetoed"]) == (0, 0, 42)
    assert total["vetoed_by"]["person by guard"] == 42
    shown = lotor(*told, "person", "--veto-threshold", 0)
    assert "person (int8, this machine) vetoes from 0.000 on (given)" in shown.stdout
    assert (
        "42 frames had the votes, but a person was seen: 0 by its own label, 42 by" in shown.stdout
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--veto", "raccoon-128"], "--veto raccoon-128: its target is raccoon; give a model"),
        (["--veto", "persom"], "no model 'persom'"),
        (["--veto-threshold", "0.2"], "--veto-threshold 0.2 is of a second model: name it"),
        (["--rate", "0"], "--rate 0: frames a second"),
        (["--votes", "3"], "--votes 3: give it as 3/5"),
        (["--votes", "6/5"], "6 votes of 5 frames"),
        (["--threshold", "2"], "the threshold 2 of raccoon must be between 0 and 1"),
    ],
)
def test_mistakes(lotor: Lotor, yard: Path, arguments: list[str], says: str) -> None:
    done = lotor("visits", "raccoon", yard, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_model_without_thresholds_needs_one(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match=r"m has no thresholds from training.*--threshold"):
        watch(ModelFile("m", tmp_path / "m.tflite"))

"""Which model is asked, what it says, and from which score on that counts."""

import math
import time

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lotor.classifier import HostClassifier, classify
from lotor.decision import Chosen, read_chosen
from lotor.errors import LotorError
from lotor.sentinel.config import Camera, Config, Model, Veto, When
from lotor.sentinel.models import LIKELY, Models, is_met, rescaled
from lotor.sentinel.scene import Detection, Light
from lotor.veto import veto_threshold
from lotor.zoo import find_model

CAMERA = (Camera("yard", "0"),)
NOON = time.mktime((2026, 7, 1, 12, 0, 0, 0, 0, -1))


def at(hour: int, minute: int = 0, month: int = 7) -> float:
    """Unix time of a local one."""
    return time.mktime((2026, month, 1, hour, minute, 0, 0, 0, -1))


@pytest.fixture(scope="module")
def models() -> Models:
    return Models(Config(CAMERA, model=(Model("raccoon"), Model("raccoon", When("night")))))


def picture(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (320, 240)), np.uint8)


def test_a_model_named_twice_is_opened_once(models: Models) -> None:
    assert [model.name for model in models.opened] == ["raccoon"]


def test_says_what_the_portable_kernels_say_of_the_same_part(models: Models) -> None:
    image, box = picture(), (40, 20, 200, 180)
    detection = models.opened[0].score(image, box)
    reference = HostClassifier(find_model("raccoon"))
    expected = classify(reference, image[20:180, 40:200])
    assert list(detection.scores) == reference.labels
    assert list(detection.scores.values()) == expected.tolist()
    assert (detection.box, detection.model) == (box, "raccoon")
    tensor = reference.input.tensor(image[20:180, 40:200])
    assert detection.unlike == reference.unlike(reference.infer(tensor))
    assert detection.unknown  # colours that were drawn


def test_person_of_the_whole_frame_and_of_a_part(models: Models) -> None:
    image, veto = picture(1), HostClassifier(find_model("person"))
    index = veto.labels.index("person")
    assert models.person(image) == classify(veto, image)[index]
    whole, _ = veto_threshold(find_model("person"))
    part, _ = veto_threshold(find_model("person"), views=True)
    assert models.veto == ("person", whole)
    score = float(classify(veto, image[:96, :96])[index])
    assert models.person(image, (0, 0, 96, 96)) == rescaled(score, part, whole)


def test_a_persons_label_of_the_main_model_counts(models: Models) -> None:
    def by(score: float) -> float:
        found = models.person_by(Detection((0, 0, 1, 1), "raccoon", {"person": score}))
        assert found is not None
        assert models.veto is not None
        return found - models.veto[1]

    least = Veto().label_threshold
    assert by(least - 0.001) < 0 <= by(least)
    assert models.person_by(Detection((0, 0, 1, 1), "m", {"cat": 1.0})) is None


def test_threshold_of_the_veto_can_be_given_and_it_can_be_left_out() -> None:
    assert Models(Config(CAMERA, veto=Veto(threshold=0.7))).veto == ("person", 0.7)
    without = Models(Config(CAMERA, veto=Veto("")))
    assert without.veto == ("raccoon", 0.03)  # which has a label of its own for people
    assert Models(Config(CAMERA, veto=Veto("", label_threshold=0.2))).veto == ("raccoon", 0.2)
    assert without.person(picture()) is None


@pytest.mark.parametrize("name", ["raccoon-boxes", "raccoon-locate"])
def test_what_says_where_is_refused(name: str) -> None:
    with pytest.raises(LotorError, match=f"model {name} says where .* such as raccoon"):
        Models(Config(CAMERA, model=(Model(name),)))


def test_what_sees_people_cannot_be_watched_and_the_veto_must() -> None:
    with pytest.raises(LotorError, match=r"alarms at people: leave out veto\.model person"):
        Models(Config(CAMERA, model=(Model("person"),)))
    with pytest.raises(LotorError, match=r"veto\.model raccoon-128: its target is raccoon"):
        Models(Config(CAMERA, veto=Veto("raccoon-128")))
    with pytest.raises(LotorError, match=r"no model 'racoon'.*raccoon"):
        Models(Config(CAMERA, model=(Model("racoon"),)))


def test_thresholds(models: Models) -> None:
    chosen = read_chosen(find_model("raccoon")).alarm
    for light in Light:
        assert models.threshold_of("raccoon", "raccoon", light) == chosen
        assert models.threshold_of("raccoon", "cat", light) == LIKELY
        assert models.threshold_of("another", "raccoon", light) == LIKELY


def test_what_is_unlike_all_known_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models(Config(CAMERA))
    (opened,) = models.opened
    monkeypatch.setattr(opened, "chosen", Chosen({}, 1.5))
    for unlike, unknown in ((1.4, False), (1.6, True)):
        monkeypatch.setattr(opened._classifier, "unlike", lambda output, u=unlike: u)
        detection = opened.score(picture(), (0, 0, 96, 96))
        assert (detection.unlike, detection.unknown) == (unlike, unknown)


def test_the_first_model_whose_condition_is_met() -> None:
    models = Models(
        Config(
            CAMERA,
            model=(
                Model("raccoon-128", When("night", zones=("pond",))),
                Model("raccoon", When("night")),
                Model("raccoon-128", When(months=(7,), hours=("11:00-13:00",))),
            ),
        )
    )

    def name(light: Light, zones: tuple[str, ...], time: float) -> str | None:
        model = models.choose(light, "yard", zones, time)
        return None if model is None else model.name

    assert name(Light.NIGHT, ("pond",), NOON) == "raccoon-128"
    assert name(Light.NIGHT, (), NOON) == "raccoon"
    assert name(Light.DAY, (), NOON) == "raccoon-128"
    assert name(Light.DAY, (), at(14)) is None


@pytest.mark.parametrize(
    ("when", "time", "met"),
    [
        (When(hours=("21:00-06:00",)), at(20, 59), False),
        (When(hours=("21:00-06:00",)), at(21), True),
        (When(hours=("21:00-06:00",)), at(5, 59), True),
        (When(hours=("21:00-06:00",)), at(6), False),
        (When(hours=("01:00-02:00", "09:00-12:30")), NOON, True),
        (When(months=(6, 8)), NOON, False),
        (When(months=(1,)), at(3, month=1), True),
        (When(cameras=("front",)), NOON, False),
        (When(cameras=("front", "yard")), NOON, True),
        (When("night"), NOON, False),
        (When("day"), NOON, True),
        (When(zones=("pond",)), NOON, False),
        (When(), NOON, True),
    ],
)
def test_conditions(when: When, time: float, met: bool) -> None:
    assert is_met(when, Light.DAY, "yard", (), time) is met


def test_what_failed_stays_so_on_any_scale() -> None:
    for threshold in (0.0, 0.5):
        assert math.isnan(rescaled(math.nan, threshold, 0.13))


scores = st.floats(0, 1)


@given(scores, scores, scores, st.floats(1 / 256, 1))
def test_rescaled(a: float, b: float, threshold: float, to: float) -> None:
    low, high = sorted((a, b))
    assert 0 <= rescaled(low, threshold, to) <= rescaled(high, threshold, to) <= 1
    assert (rescaled(a, threshold, to) >= to) == (a >= threshold)

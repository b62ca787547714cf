"""From frames to scenes, with made-up models where what they say matters, and with real ones."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import pytest

from garden_scene import Garden, grey
from lotor.detect import Box
from lotor.resources import resource
from lotor.sentinel.config import Camera, Config, Model, Veto, When, Zone
from lotor.sentinel.light import LightMeter
from lotor.sentinel.models import Models
from lotor.sentinel.pipeline import LOOKS, NEAR, Pipeline
from lotor.sentinel.scene import Detection, Frame, Light, Scene
from lotor.sentinel.tracks import LOST_S, REST_S
from lotor.sentinel.voting import Rule, Voting

SEQUENCES = resource("../shared/data/sequences")


@dataclass
class Said:
    """A model that says what it is told, and counts."""

    label: str = "cat"
    unknown: bool = False
    fails: bool = False
    name: str = "said"
    boxes: list[Box] = field(default_factory=list)
    person: float | None = None

    def score(self, image: Any, box: Box) -> Detection:
        self.boxes.append(box)
        if self.fails:
            raise RuntimeError("no luck\nsecond line")
        scores = {self.label: 0.9, "background": 0.1}
        if self.person is not None:
            scores["person"] = self.person
        return Detection(box, self.name, scores, None, self.unknown)


@dataclass
class Made:
    """Models for a pipeline, made up."""

    model: Said | None = field(default_factory=Said)
    veto: tuple[str, float] | None = ("person", 0.5)
    says: Callable[[Box | None], float | None] = lambda box: 0.1
    asked: list[Box | None] = field(default_factory=list)
    shown: list[Any] = field(default_factory=list)
    chosen: list[tuple[Light, str, tuple[str, ...], float]] = field(default_factory=list)

    def choose(self, light: Light, camera: str, zones: Sequence[str], at: float) -> Said | None:
        self.chosen.append((light, camera, tuple(zones), at))
        return self.model

    def person(self, image: Any, box: Box | None = None) -> float | None:
        self.asked.append(box)
        self.shown.append(image)
        return self.says(box)

    def person_by(self, detection: Detection) -> float | None:
        return detection.scores.get("person")


class Yard:
    """A camera before a garden, its pipeline, and the time."""

    def __init__(self, models: Any = None, **camera: Any) -> None:
        own = Camera("yard", "0", **camera)
        self.models: Any = models or Made()
        self.pipeline = Pipeline(own, Config((own,)), self.models)
        self.garden, self.time, self.number = Garden(), 0.0, -1
        for _ in range(15):
            self.look()

    def show(self, image: Any, step: float = 0.2) -> Scene:
        self.time, self.number = self.time + step, self.number + 1
        frame = Frame("yard", self.number, 1.7e9 + self.time, self.time, image)
        return self.pipeline.look(frame)

    def look(self, *blobs: tuple[int, int, int], step: float = 0.2) -> Scene:
        return self.show(self.garden.frame(*blobs), step)


def test_where_nothing_moves_the_veto_looks_now_and_then_and_no_other_model() -> None:
    yard = Yard()
    yard.models.asked.clear()
    for _ in range(50):  # ten seconds
        scene = yard.look()
    assert scene == Scene(scene.frame, Light.DAY, veto=("person", 0.5), suspects=())
    assert not scene.shows_person
    assert yard.models.model.boxes == [] and yard.models.asked == [None, None]


@pytest.mark.parametrize(("whole", "part", "seen"), [(0.45, 0.1, False), (0.6, 0.1, True),
                                                     (0.45, 0.2, True)])  # fmt: skip
def test_a_view_that_looks_like_a_person_forbids_nothing_by_itself(
    whole: float, part: float, seen: bool
) -> None:
    yard = Yard(Made(veto=("person", 0.13), says=lambda box: 0.4))
    yard.models.says = lambda box: whole if box is None else part
    scene = yard.look((100, 150, 20))
    assert scene.person is not None and (scene.person >= 0.13) is seen


def test_what_the_view_looked_like_by_day_says_nothing_by_night() -> None:
    yard = Yard(Made(veto=("person", 0.13), says=lambda box: 0.4))
    yard.models.says = lambda box: 0.45 if box is None else 0.1
    yard.pipeline._light = LightMeter("night")  # while somebody moves
    scene = yard.look((100, 150, 20))
    assert scene.light is Light.NIGHT and scene.person == 0.45


def test_what_moves_is_followed_and_said() -> None:
    yard = Yard(zone=(Zone("below", ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0))),))
    for count, x in enumerate(range(60, 200, 20), 1):
        scene = yard.look((x, 150, 20))
        (track,) = scene.tracks
        assert (track.number, track.frames, track.zones) == (1, count, ("below",))
        assert track.box == scene.moving[0]
        assert track.detection is not None
        assert track.detection.label == "cat"
        x0, y0, x1, y1 = track.detection.box
        assert x1 - x0 == y1 - y0 == 96
        assert x0 < x < x1
        assert (scene.person, scene.errors) == (0.1, ())
    assert yard.models.chosen[-1] == (Light.DAY, "yard", ("below",), 1.7e9 + yard.time)
    assert yard.models.asked[-2:] == [yard.models.model.boxes[-1], None]  # the part, the whole


def test_a_person_far_away_counts() -> None:
    yard = Yard(Made(says=lambda box: 0.2 if box is None else 0.8))
    assert yard.look((150, 150, 20)).person == 0.8
    near = yard.look((160, 120, 110))  # too large to be asked about by itself
    assert near.moving
    assert near.person == 0.2
    yard.models.model.person = 0.01  # unless another witness knows it
    assert yard.look((160, 125, 110)).person == 0.8


def dark(image: Any, x: int, y: int) -> bool:
    """Whether a blob of the garden is there."""
    return bool(image[y, x].max() < 60)


def test_what_two_witnesses_know_is_not_asked_about_in_the_whole_frame() -> None:
    yard = Yard(Made(Said("raccoon", person=0.01)))
    yard.look((100, 150, 20))
    scene = yard.look((110, 150, 20))
    assert yard.models.asked[-1] is None
    assert dark(scene.frame.image, 110, 150) and not dark(yard.models.shown[-1], 110, 150)
    assert dark(yard.models.shown[-2], 110, 150)  # the part is shown as it is
    # Of two, only what was asked about: the rest of the frame stays in view.
    many = [(40 + 80 * (i % 4), 60 + 120 * (i // 4), 14) for i in range(8)]
    scene = yard.look(*many)
    hidden = [not dark(yard.models.shown[-1], x, y) for x, y, _ in many]
    assert sum(hidden) == LOOKS


@pytest.mark.parametrize("said", [Said("cat"), Said("cat", unknown=True, person=0.01)])
def test_what_one_witness_knows_stays_in_the_whole_frame(said: Said) -> None:
    yard = Yard(Made(said))
    yard.look((100, 150, 20))
    yard.look((110, 150, 20))
    assert yard.models.asked[-1] is None and dark(yard.models.shown[-1], 110, 150)


def test_what_is_the_most_of_the_frame_stays_in_it() -> None:
    yard = Yard(Made(Said("cat", person=0.01)))
    scene = yard.look((160, 120, 155))
    ((x0, y0, x1, y1),) = scene.moving
    assert (x1 - x0) * (y1 - y0) > NEAR * 240 * 320 and yard.models.asked[-1] is None
    assert dark(yard.models.shown[-1], 160, 120)


def test_who_likely_is_a_person_in_the_still_view_is_there() -> None:
    yard = Yard(Made(says=lambda box: 0.6))
    scenes = [yard.look() for _ in range(30)]
    assert any(scene.shows_person and scene.suspects == (None,) for scene in scenes)
    yard = Yard(Made(veto=("person", 0.1), says=lambda box: 0.4))
    assert not any(yard.look().person for _ in range(30))


def test_what_rests_stays_in_the_whole_frame() -> None:
    yard = Yard(Made(Said("cat", person=0.01)))
    yard.look((100, 150, 20))
    yard.pipeline._motion.restart()
    scene = yard.look((100, 150, 20))
    assert scene.tracks[0].detection and not scene.moving
    assert dark(yard.models.shown[-1], 100, 150)


def test_who_may_be_a_person() -> None:
    def suspects(whole: float, part: float, label: float) -> tuple[int | None, ...]:
        yard = Yard(Made(Said(person=label), says=lambda box: whole if box is None else part))
        return yard.look((100, 150, 20)).suspects

    assert suspects(0.1, 0.1, 0.1) == ()
    assert suspects(0.1, 0.5, 0.1) == suspects(0.1, 0.1, 0.5) == suspects(0.1, 0.9, 0.9) == (1,)
    assert suspects(0.5, 0.1, 0.1) == (None,)
    assert suspects(0.5, 0.5, 0.1) == (1, None)
    assert suspects(0.1, math.nan, 0.1) == (None,)  # nobody knows


def test_who_likely_is_a_person() -> None:
    """Each witness on its own scale, whatever the veto's threshold is."""

    def likely(veto: float, whole: float, part: float, label: float) -> bool:
        yard = Yard(Made(Said(person=label), ("person", veto), lambda box: 0.0))
        yard.models.says = lambda box: whole if box is None else part
        scene = yard.look((100, 150, 20))
        assert scene.suspects  # all of these may be one
        return scene.shows_person

    assert not likely(0.1, 0.4, 0.4, 0.4)
    assert likely(0.1, 0.5, 0.0, 0.0) and likely(0.1, 0.0, 0.5, 0.0) and likely(0.1, 0.0, 0.0, 0.5)
    assert likely(0.6, 0.6, 0.0, 0.0) and not likely(0.3, 0.49, 0.0, 0.0)


def test_a_person_by_the_main_model_counts() -> None:
    yard = Yard(Made(Said("person")))
    assert yard.look((150, 150, 20)).person == 0.9


def test_the_veto_is_asked_on_every_frame_while_a_track_lives() -> None:
    yard = Yard()
    yard.look((100, 150, 20))
    yard.models.model.label = "background"  # it has gone
    lasted = 0.0
    while yard.pipeline._tracker.living:
        scene = yard.look()
        lasted += 0.2
        assert (scene.person is None) == (not scene.tracks)
    assert scene.ended[0].number == 1
    assert lasted >= LOST_S or yard.models.model.boxes


def test_failures_are_said_and_never_raised() -> None:
    yard = Yard(Made(Said(fails=True)))
    scene = yard.look((150, 150, 20))
    assert scene.errors == ("camera yard, model said: no luck",)
    assert scene.person is not None and math.isnan(scene.person)  # it may have been one
    assert scene.tracks[0].detection is None

    def broken(box: Box | None) -> float:
        raise ValueError

    yard = Yard(Made(says=broken))
    scene = yard.look((150, 150, 20))
    assert scene.person is not None
    assert math.isnan(scene.person)
    assert "camera yard, veto: ValueError" in scene.errors


@pytest.mark.parametrize("part", [True, False])
def test_nobody_knows_of_people_where_one_look_failed(part: bool) -> None:
    def half(box: Box | None) -> float:
        if (box is not None) == part:
            raise ValueError
        return 0.2

    scene = Yard(Made(says=half)).look((150, 150, 20))
    assert scene.person is not None
    assert math.isnan(scene.person)


def test_a_failing_part_asks_for_people_and_does_not_stop_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    yard = Yard()

    def fail(*_: Any) -> None:
        raise cv2.error("broken")

    monkeypatch.setattr(yard.pipeline._motion, "look", fail)
    scene = yard.look((150, 150, 20))
    assert scene.errors == ("camera yard, motion: broken",)
    assert scene.person == 0.1


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((240, 320, 2), np.uint8),
        np.zeros((240, 320, 3), np.float32),
        None,
    ],
    ids=["empty", "two channels", "floats", "none"],
)
def test_what_is_no_picture(image: Any) -> None:
    yard = Yard()
    scene = yard.show(image)
    (error,) = scene.errors
    assert error.startswith("camera yard, frame: the frame ")
    assert scene.person is not None
    assert math.isnan(scene.person)
    assert yard.look().errors == ()


@pytest.mark.parametrize(
    "shape", [(240, 320), (240, 320, 1), (240, 320, 4), (120, 160, 3), (1, 1, 3)]
)
def test_odd_frames_survive(shape: tuple[int, ...]) -> None:
    yard = Yard()
    yard.look((150, 150, 20))
    rng = np.random.default_rng(0)
    for step in range(8):
        odd = rng.integers(0, 256, shape, dtype=np.uint8)
        scene = yard.show(odd if step % 2 else np.full(shape, 128, np.uint8))
        assert scene.errors == ()


def test_another_size_ends_all_tracks() -> None:
    yard = Yard()
    assert yard.look((150, 150, 20)).tracks
    scene = yard.show(np.zeros((120, 160, 3), np.uint8))
    assert (scene.tracks, [track.number for track in scene.ended]) == ((), [1])


def test_tracks_end_once_where_giving_up_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    yard = Yard()
    assert yard.look((150, 150, 20)).tracks

    def fail(*_: float) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(yard.pipeline._tracker, "give_up", fail)
    scene = yard.show(np.zeros((120, 160, 3), np.uint8))
    assert [track.number for track in scene.ended] == [1]
    assert scene.errors == ("camera yard, tracks: broken",)


def test_an_animal_that_rests_is_looked_at_again_for_a_while() -> None:
    yard = Yard(Made(Said("cat")))
    for x in range(60, 160, 20):
        yard.look((x, 150, 20))
    # It is background by now, as far as motion goes; the model still sees it.
    yard.pipeline._motion.restart()
    scene = yard.look((140, 150, 20))
    seconds = 0.0
    while seconds < REST_S - 1:
        scene = yard.look((140, 150, 20), step=0.5)
        seconds += 0.5
        (track,) = scene.tracks
        assert (scene.moving, track.number, track.seen) == ((), 1, yard.time)
    for _ in range(round((LOST_S + 5) / 0.5)):
        scene = yard.look((140, 150, 20), step=0.5)
    assert scene.tracks == ()


@pytest.mark.parametrize("said", [Said("background"), Said("cat", unknown=True)])
def test_nothing_or_the_unknown_does_not_rest(said: Said) -> None:
    yard = Yard(Made(said))
    for x in range(60, 160, 20):
        yard.look((x, 150, 20))
    yard.pipeline._motion.restart()
    scenes = [yard.look((140, 150, 20), step=0.5) for _ in range(round(LOST_S / 0.5) + 3)]
    assert scenes[-1].tracks == ()


def test_only_so_many_are_shown_to_a_model() -> None:
    yard = Yard()
    many = [(40 + 80 * (i % 4), 60 + 120 * (i // 4), 14) for i in range(8)]
    for _ in range(3):
        before = len(yard.models.model.boxes)
        yard.look(*many)
        assert len(yard.models.model.boxes) - before == LOOKS


def test_no_model_for_now_and_no_veto() -> None:
    yard = Yard(Made(None, None, lambda box: None))
    scene = yard.look((150, 150, 20))
    assert scene.tracks[0].detection is None
    assert (scene.person, scene.veto, scene.errors) == (None, None, ())


def test_the_light_decides_which_model() -> None:
    yard = Yard()
    for _ in range(20):
        yard.show(grey(yard.garden.frame()))
    yard.show(grey(yard.garden.frame((150, 150, 20))))
    assert yard.models.chosen[-1][0] is Light.NIGHT


# With real models.


@pytest.fixture(scope="module")
def real() -> Models:
    models = (Model("raccoon-128", When("night")), Model("raccoon"))
    return Models(Config((Camera("yard", "0"),), model=models))


def test_real_models_are_chosen_by_light(real: Models) -> None:
    for light, name in (("day", "raccoon"), ("night", "raccoon-128")):
        yard = Yard(real, light=light)
        (track,) = yard.look((150, 150, 30)).tracks
        assert track.detection is not None
        assert track.detection.model == name


@pytest.mark.skipif(not SEQUENCES.is_dir(), reason="needs ../shared/data/sequences")
@pytest.mark.parametrize(
    ("name", "alarms"),
    [
        ("synthetic_raccoon_day", True),
        ("synthetic_raccoon_night_ir", True),
        ("real_badger", False),
        ("real_catdoor", False),
        ("real_catdoor_1", False),
    ],
)
def test_visits_are_found_and_others_are_not(name: str, alarms: bool) -> None:
    """Tracks that get three votes of five frames, at the threshold that training chose."""
    config = Config((Camera("yard", "0"),), veto=Veto(""))
    models = Models(config)
    pipeline = Pipeline(config.camera[0], config, models)
    threshold = models.threshold_of("raccoon", "raccoon", Light.DAY)
    votings: dict[int, Voting] = {}
    found = False
    for number, file in enumerate(sorted((SEQUENCES / name).glob("*.jpg"))):
        image = np.asarray(cv2.imread(str(file)), np.uint8)
        now = number / 2
        scene = pipeline.look(Frame("yard", number, 1.7e9 + now, now, image))
        assert scene.errors == ()
        for track in scene.tracks:
            if track.detection is not None:
                rule = Rule({"raccoon": threshold}, cooldown_s=0)
                voting = votings.setdefault(track.number, Voting(rule))
                found |= voting.decide(now, track.detection.scores).alarm is not None
    assert found is alarms

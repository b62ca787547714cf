"""From decisions to visits: when one begins, what it is called, when it is over."""

from lotor.sentinel.bus import EventChanged
from lotor.sentinel.config import Action, Camera, Config, Target
from lotor.sentinel.event import UNKNOWN
from lotor.sentinel.events import Events
from lotor.sentinel.rules import Now, Rules
from lotor.sentinel.scene import Light, Scene
from sentinel_scenes import NOON, raccoon, scene

CONFIG = Config(
    camera=(Camera("garden", "0"), Camera("gate", "1")),
    target=(
        Target("raccoon", threshold=0.6, actions=("bark",)),
        Target("cat", threshold=0.6),
    ),
    action=(Action("bark", "sound"),),
)


class Watch:
    def __init__(self) -> None:
        self.rules, self.events = Rules(CONFIG, lambda *_: 0.5), Events()

    def see(self, seen: Scene, armed: bool = True) -> list[EventChanged]:
        return self.events.follow(seen, self.rules.decide(seen, Now(armed)))


def test_one_frame_that_deceives_is_no_event() -> None:
    watch = Watch()
    for t in range(10):
        assert watch.see(scene(float(t), raccoon(0.9 if t == 3 else 0.1))) == []
    assert watch.see(scene(10.0, None, ended=[1])) == []


def test_a_visit_begins_with_its_first_vote_and_ends_with_its_track() -> None:
    watch = Watch()
    assert watch.see(scene(0.0, raccoon(0.1))) == []
    assert watch.see(scene(1.0, raccoon(0.7), light=Light.NIGHT)) == []
    assert watch.see(scene(2.0, raccoon(0.7), zones=["pond"])) == []
    (change,) = watch.see(scene(3.0, raccoon(0.8), zones=["pond"]))
    assert change.began
    event = change.event
    assert (event.label, event.begin, event.end) == ("raccoon", NOON + 1, None)
    assert event.score == 0.8 and event.frames == 3 and event.zones == ("pond",)
    assert event.actions == ("bark",) and event.light == Light.NIGHT
    assert watch.see(scene(4.0, raccoon(0.82))) == []  # nothing new worth telling
    (change,) = watch.see(scene(5.0, raccoon(0.95)))
    assert not change.began and change.event.score == 0.95 and watch.events.best(event.id, 50)
    assert not watch.events.best(event.id, 40)
    assert watch.see(scene(6.0, raccoon(0.93))) == []
    (change,) = watch.see(scene(7.0, None, ended=[1]))
    assert change.event.end == NOON + 6 and change.event.id == event.id
    assert change.event.score == 0.95 and change.event.frames == 6
    assert watch.see(scene(8.0, None, ended=[1])) == []


def test_what_changes_after_it_was_told_is_told() -> None:
    watch = Watch()
    told = [c for t in range(3) for c in watch.see(scene(float(t), raccoon(0.9)), armed=False)]
    assert [(c.began, c.event.actions) for c in told] == [(True, ())]
    (change,) = watch.see(scene(3.0, raccoon(0.9)))
    assert (change.began, change.event.actions) == (False, ("bark",))
    for t in range(4, 7):
        assert watch.see(scene(float(t), raccoon(0.1))) == []
    (change,) = watch.see(scene(7.0, raccoon(0.1), zones=["pond"]))  # no vote, nor enough of them
    assert change.event.zones == ("pond",)
    for t in range(8, 30):
        assert watch.see(scene(float(t), raccoon(0.1))) == []
    (change,) = watch.see(scene(30.0, None, ended=[1]))
    assert change.event.label == "raccoon" and change.event.end == NOON + 29


def test_a_track_of_another_camera_is_another() -> None:
    watch = Watch()
    for t in range(3):
        for camera in ("garden", "gate"):
            watch.see(scene(float(t), raccoon(0.9), camera=camera))
    (change,) = watch.see(scene(3.0, None, camera="gate", ended=[1]))
    assert change.event.camera == "gate"
    assert [change.event.camera for change in watch.events.end_all()] == ["garden"]


def test_it_is_called_what_most_frames_say() -> None:
    watch = Watch()
    told: list[EventChanged] = []
    for t in range(12):
        scores = raccoon(0.95) if t < 3 else {"cat": 0.9, "raccoon": 0.05}
        told += watch.see(scene(float(t), scores))
    labels = [change.event.label for change in told]
    assert labels[0] == "raccoon" and labels[-1] == "cat" and told[-1].event.score == 0.9
    assert len({change.event.id for change in told}) == 1


def test_what_is_unknown_is_an_event_of_its_own() -> None:
    watch = Watch()
    told = [c for t in range(4) for c in watch.see(scene(float(t), raccoon(0.9), unknown=True))]
    assert told[0].event.label == UNKNOWN and told[0].event.actions == ()


def test_a_lost_camera_ends_its_visits_alone() -> None:
    watch = Watch()
    for t in range(3):
        watch.see(scene(float(t), raccoon(0.9)))
    for t in range(3, 20):
        watch.see(scene(float(t), raccoon(0.9), camera="gate"))
    assert watch.events.lose("street") == []
    (change,) = watch.events.lose("garden")
    assert change.event.camera == "garden" and change.event.end == NOON + 2
    (last,) = watch.events.end_all()
    assert last.event.camera == "gate" and last.event.end == NOON + 19
    assert watch.events.end_all() == []


def test_a_clock_that_is_set_back_makes_no_visit_of_negative_length() -> None:
    watch = Watch()
    for t in range(4):
        watch.see(scene(float(t), raccoon(0.9), wall=NOON - 3600 * t))
    (change,) = watch.see(scene(5.0, None, ended=[1], wall=NOON))
    assert change.event.end == change.event.begin

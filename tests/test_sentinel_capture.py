"""A camera's thread: the newest frame, both times, and a camera that is lost comes back."""

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lotor.errors import LotorError
from lotor.sentinel import capture as capture_module
from lotor.sentinel import worker
from lotor.sentinel.bus import HealthChanged
from lotor.sentinel.capture import BACK_OFF_S, FROZEN_S, OPEN_S, Capture
from lotor.sentinel.clock import SetClock, SystemClock
from lotor.sentinel.config import Camera
from lotor.sentinel.scene import Frame
from lotor.sentinel.sources import BoardEvent, Seen, Source, Unusable
from mjpeg_server import MjpegServer, until
from test_sentinel_sources import a_jpeg, a_video

DEBIAN_PYTHON = "/usr/bin/python3"


class Scripted(Source):
    """A camera that gives what the test puts into it: an image, an error, None for its end.

    Attributes:
        opened: how many there were, with those that did not open.
        closed: how many were closed.
    """

    def __init__(self) -> None:
        self.given: queue.Queue[Any] = queue.Queue()
        self.refusals: queue.Queue[Exception] = queue.Queue()
        self.opened = self.closed = self.decoded = 0
        self.ended = threading.Event()
        self.told: Sequence[BoardEvent] = ()

    def open(self, *_: object, ended: threading.Event, **__: object) -> Source:
        self.opened += 1
        self.ended = ended
        if not self.refusals.empty():
            raise self.refusals.get()
        return self

    def grab(self) -> bool:
        while not self.ended.is_set():
            try:
                given = self.given.get(timeout=0.01)
            except queue.Empty:
                continue
            if isinstance(given, Exception):
                raise given
            if isinstance(given, tuple):
                self.at, given = given
            self._image = given
            return given is not None
        return False

    def picture(self) -> Any:
        self.decoded += 1
        return self._image

    def events(self) -> Sequence[BoardEvent]:
        told, self.told = self.told, ()
        return told

    def close(self) -> None:
        self.closed += 1


Make = Callable[..., Capture]


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    scripted = Scripted()
    monkeypatch.setattr(capture_module, "open_source", scripted.open)
    return scripted


@pytest.fixture
def clock() -> SetClock:
    return SetClock(1_700_000_000.0)


@pytest.fixture
def health() -> list[HealthChanged]:
    return []


@pytest.fixture
def make(clock: SetClock, health: list[HealthChanged]) -> Iterator[Make]:
    made: list[Capture] = []

    def capture(source: object = "0", rate: float = 100.0, **options: Any) -> Capture:
        time_of = options.pop("clock", clock)
        camera = Camera("garden", str(source), rate=rate)
        made.append(Capture(camera, time_of, options.pop("report", health.append), **options))
        return made[-1]

    yield capture
    for each in made:
        each.close()


def an_image(shade: int = 0, width: int = 8) -> Any:
    return np.full((4, width, 3), shade, np.uint8)


def taken(capture: Capture) -> Frame:
    frame = capture.next(10)
    assert frame is not None
    return frame


def test_frame_has_both_times_and_cannot_be_written_to(
    make: Make, source: Scripted, clock: SetClock
) -> None:
    capture = make()
    clock.advance(5)
    clock.jump(3600)
    source.given.put(an_image(7))
    frame = taken(capture)
    assert (frame.camera, frame.number, frame.time, frame.monotonic) == (
        "garden", 0, 1_700_003_605.0, 5.0,
    )  # fmt: skip
    assert frame.image.tolist() == an_image(7).tolist()
    with pytest.raises(ValueError, match="read-only"):
        frame.image[0, 0] = 1
    assert capture.next(0) is None
    assert not capture.ended


def test_newest_frame_wins_and_dropped_ones_are_counted(
    make: Make, source: Scripted, clock: SetClock
) -> None:
    capture = make()
    for shade in range(5):
        clock.advance(1)
        source.given.put(an_image(shade))
        until(lambda shade=shade: capture.frames == shade + 1 and capture.dropped == max(0, shade))
    frame = taken(capture)
    assert (frame.number, frame.time, int(frame.image[0, 0, 0])) == (4, 1_700_000_005.0, 4)
    assert capture.dropped == 4
    clock.advance(1)
    source.given.put(an_image(9))
    assert taken(capture).number == 5
    assert capture.dropped == 4


@pytest.mark.parametrize(
    ("camera_rate", "rate", "want"),
    [(30, 5, 50), (25, 10, 100), (5, 5, 50), (6, 5, 50), (2, 5, 20), (30, 1, 10)],
)
def test_rate_limits_what_is_looked_at_and_decoded(
    camera_rate: int, rate: float, want: int, make: Make, source: Scripted, clock: SetClock
) -> None:
    capture = make(rate=rate)
    random = np.random.default_rng(1)
    for number in range(10 * camera_rate):
        early = float(random.uniform(0, 0.3))  # no camera is quite regular
        clock.advance((number + early) / camera_rate + 1 - clock.monotonic())
        source.given.put(an_image(number % 256))
        until(lambda number=number: capture.frames == number + 1)
    until(lambda: source.given.empty())
    assert abs(source.decoded - want) <= 1


def test_changed_size_is_passed_on_and_grey_becomes_colour(
    make: Make, source: Scripted, clock: SetClock
) -> None:
    capture = make()
    shapes = []
    for image in (an_image(1), an_image(2, 16), np.full((4, 8), 3, np.uint8), an_image(4)[:, ::2]):
        clock.advance(1)
        source.given.put(image)
        shapes.append(taken(capture).image.shape)
    assert shapes == [(4, 8, 3), (4, 16, 3), (4, 8, 3), (4, 4, 3)]


# Files, once.


def test_file_read_once_loses_nothing_and_says_its_end(
    make: Make, clock: SetClock, health: list[HealthChanged], tmp_path: Path
) -> None:
    capture = make(a_video(tmp_path / "a.mp4", 12, 10), rate=10, once=True)
    frames: list[Frame] = []
    while (frame := capture.next()) is not None:
        assert not capture.ended
        time.sleep(0.01 if len(frames) < 4 else 0)  # slower than the file is read
        frames.append(frame)
    assert capture.ended
    assert [frame.number for frame in frames] == list(range(12))
    assert [frame.monotonic for frame in frames] == pytest.approx([n / 10 for n in range(12)])
    assert [f.time for f in frames] == pytest.approx([1_700_000_000 + n / 10 for n in range(12)])
    assert capture.dropped == 0
    assert capture.next() is None
    assert [state.well for state in health] == [True]


def test_file_read_once_is_thinned_to_the_rate_the_same_way_each_time(
    make: Make, tmp_path: Path
) -> None:
    path = a_video(tmp_path / "a.mp4", 15, 30)
    for _ in range(2):
        capture = make(path, rate=10, once=True)
        numbers = []
        while frame := capture.next():
            numbers.append(frame.number)
        assert numbers == [0, 3, 6, 9, 12]


def test_folder_read_once_gives_every_image_whatever_the_rate(make: Make, tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.jpg").write_bytes(a_jpeg(number))
    for rate in (0.3, 7.0, 120.0):
        capture = make(tmp_path, rate=rate, once=True)
        times = []
        while frame := capture.next():
            times.append(frame.monotonic)
        assert times == pytest.approx([n / rate for n in range(9)])


def test_file_that_cannot_be_read_once_raises_and_does_not_try_again(
    make: Make, health: list[HealthChanged], tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    capture = make(tmp_path / "a.mp4", once=True)
    for _ in range(2):
        with pytest.raises(LotorError, match=r"camera garden: .*a\.mp4 is no video"):
            capture.next()
    assert capture.ended
    assert not health  # whoever takes frames says it


@pytest.mark.parametrize("name", ["film.mkv", "pictures"])
def test_what_could_not_be_read_is_told_at_the_end(
    name: str, make: Make, health: list[HealthChanged], tmp_path: Path
) -> None:
    path = tmp_path / name
    if name == "pictures":
        path.mkdir()
        (path / "1.jpg").write_bytes(a_jpeg(1))
        (path / "2.jpg").write_bytes(a_jpeg(1)[:400])
    else:
        a_video(path, 16, 10, "MJPG")
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    capture = make(path, once=True)
    while capture.next():
        pass
    said = "1 of 2 images" if name == "pictures" else "film.mkv ends after"
    assert capture.lacks.startswith(said)
    assert health[-1] == HealthChanged("camera garden", False, capture.lacks)
    assert [state.well for state in health] == [True, False]


def test_a_film_that_is_cut_off_and_shown_again_is_not_well(
    make: Make, health: list[HealthChanged], tmp_path: Path
) -> None:
    path = a_video(tmp_path / "film.mkv", 16, 100, "MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    capture = make(path, clock=SystemClock())
    until(lambda: bool(health) and not health[-1].well)
    assert "film.mkv ends after" in health[-1].text
    assert taken(capture).image.shape == (48, 64, 3)


def test_what_waiting_does_not_mend_ends_at_the_start_alone(
    make: Make, source: Scripted, clock: SetClock, health: list[HealthChanged]
) -> None:
    source.refusals.put(Unusable("its package cannot be loaded"))
    capture = make()
    with pytest.raises(LotorError, match="camera garden: its package cannot be loaded"):
        capture.next(10)
    assert capture.ended and source.opened == 1
    capture = make()  # it gave pictures already, so that it is lost like any other
    source.given.put(an_image())
    taken(capture)
    source.refusals.put(Unusable("its package cannot be loaded"))
    source.given.put(OSError("unplugged"))
    until(lambda: "unplugged" in health[-1].text)
    clock.advance(2)
    until(lambda: "its package cannot be loaded; it is tried again" in health[-1].text)
    source.refusals.put(OSError("not plugged in"))
    source.refusals.put(Unusable("there is no board of that name"))  # its file is edited just now
    make()  # it was away at the start, so that it may be away any time
    until(lambda: "not plugged in" in health[-1].text)
    clock.advance(2)
    until(lambda: "no board of that name; it is tried again" in health[-1].text)


def test_a_line_of_the_log_gives_a_hint_once() -> None:
    first = HealthChanged("camera a", False, "no camera; plug one in? tried again within 2 s")
    second = HealthChanged("camera a", False, "no camera; plug one in? tried again within 4 s")
    assert first.line(None) == f"camera a: {first.text}"
    assert second.line(first) == "camera a: no camera; tried again within 4 s"
    assert HealthChanged("camera a", True).line(second) == "camera a: well"
    assert second.line(HealthChanged("camera a", True)) == f"camera a: {second.text}"


def test_what_fails_once_names_no_password(
    make: Make, source: Scripted, health: list[HealthChanged]
) -> None:
    source.given.put(RuntimeError("no luck with rtsp://me:secret@camera/1"))
    capture = make(once=True)
    with pytest.raises(LotorError, match="no luck") as caught:
        capture.next()
    assert "secret" not in str(caught.value) and not health


def test_file_read_once_may_be_left_unread(make: Make, tmp_path: Path) -> None:
    capture = make(a_video(tmp_path / "a.mp4", 12, 10), once=True)
    taken(capture)
    capture.close()
    assert capture.ended
    assert capture.next() is None
    assert not [t for t in threading.enumerate() if t.name.startswith("camera garden")]


# What is lost comes back.


def test_lost_camera_is_opened_again_later_and_later_with_jitter(
    make: Make,
    source: Scripted,
    clock: SetClock,
    health: list[HealthChanged],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shares: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        shares.append((low, high))
        return high

    monkeypatch.setattr("random.uniform", uniform)
    for number in range(8):
        source.refusals.put(LotorError(f"cause {number // 7}"))
    capture = make()
    for number, pause in enumerate((2, 4, 8, 16, 32, 60, 60, 60), 1):
        until(lambda number=number: len(shares) == number)
        assert source.opened == number
        assert health[-1] == HealthChanged(
            "camera garden", False, f"cause {number // 8}; it is tried again within {pause} s"
        )
        clock.advance(pause - 0.01)
        time.sleep(0.03)
        assert source.opened == number
        clock.advance(0.02)
        until(lambda number=number: source.opened == number + 1)
    assert set(shares) == {(0.5, 1.0)}
    assert len(health) == 7  # what has not changed is not told again
    source.given.put(an_image())
    assert taken(capture).number == 0
    assert health[-1] == HealthChanged("camera garden", True)


def test_pause_begins_anew_only_after_a_steady_minute(
    make: Make, source: Scripted, clock: SetClock, health: list[HealthChanged]
) -> None:
    capture = make()

    def lose_after(seconds: int) -> str:
        for second in range(seconds):
            source.given.put(an_image(second % 256))
            taken(capture)
            clock.advance(1)
        told = len(health)
        source.given.put(OSError("unplugged"))
        until(lambda: len(health) > told)
        opened = source.opened
        clock.advance(BACK_OFF_S[1])
        until(lambda: source.opened > opened)
        return health[-1].text

    said = [lose_after(seconds) for seconds in (3, 3, 3, 70, 3)]
    pauses = ["2", "4", "8", "2", "4"]
    assert said == [f"OSError: unplugged; it is tried again within {p} s" for p in pauses]
    assert taken_numbers_go_on(capture, source)
    assert source.closed == 5


def taken_numbers_go_on(capture: Capture, source: Scripted) -> bool:
    before = capture.frames
    source.given.put(an_image(1))
    return taken(capture).number == before


def test_silent_camera_counts_as_lost(
    make: Make, source: Scripted, clock: SetClock, health: list[HealthChanged]
) -> None:
    capture = make()
    source.given.put(an_image())
    taken(capture)
    until(lambda: len(health) == 1)
    clock.advance(source.silent_s - 0.1)
    time.sleep(0.05)
    assert len(health) == 1
    clock.advance(0.2)
    until(lambda: len(health) == 2)
    assert health[-1].text == "it gave no picture for 10 s; it is tried again within 2 s"
    clock.advance(2)
    until(lambda: source.opened == 2)
    source.given.put(an_image(1))
    frame = capture.next(1)
    if frame is None:  # the reader that was left took it with it
        source.given.put(an_image(1))
        frame = taken(capture)
    assert frame.number == 1
    assert health[-1].well


def test_camera_that_gives_no_picture_from_the_start_counts_as_lost(
    make: Make,
    source: Scripted,
    clock: SetClock,
    health: list[HealthChanged],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go = threading.Event()

    def slow(*_: object, ended: threading.Event, **__: object) -> Source:
        go.wait()
        return source.open(ended=ended)

    monkeypatch.setattr(capture_module, "open_source", slow)
    capture = make()
    time.sleep(0.05)  # it is watched over already when it opens
    go.set()
    until(lambda: capture._reader is not None and capture._reader.patience == source.silent_s)
    clock.advance(source.silent_s + 0.1)  # less than opening may take
    until(lambda: bool(health))
    assert "it gave no picture for 10 s" in health[0].text


def test_live_camera_that_ends_by_itself_is_opened_again(
    make: Make, source: Scripted, clock: SetClock, health: list[HealthChanged]
) -> None:
    capture = make()
    source.given.put(None)
    until(lambda: bool(health))
    assert health[0].text == "it ended by itself; it is tried again within 2 s"
    clock.advance(2)
    source.given.put(an_image())
    taken(capture)


def test_frozen_picture_is_warned_of_until_it_moves(
    make: Make, source: Scripted, clock: SetClock, health: list[HealthChanged]
) -> None:
    step = 5.0
    steps = int(FROZEN_S / step)
    capture = make()
    for shade, times, well in ((1, 3, True), (2, steps, True), (2, 3, False), (3, 1, True)):
        for _ in range(times):
            clock.advance(step)
            source.given.put(an_image(shade))
            taken(capture)
            assert health[-1].well == well
    said = [(state.well, state.text) for state in health]
    text = f"its picture has not changed by a bit for {FROZEN_S:.0f} s: restart the camera"
    assert said == [(True, ""), (False, text), (True, "")]


def test_what_a_report_raises_does_not_stop_the_camera(
    make: Make, source: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    def report(message: HealthChanged) -> None:
        raise RuntimeError("nobody is there")

    capture = make(report=report)
    source.given.put(an_image())
    taken(capture)
    assert "the state of camera garden was not told" in caplog.text


def test_secrets_are_neither_told_nor_logged(
    make: Make, source: Scripted, health: list[HealthChanged], caplog: pytest.LogCaptureFixture
) -> None:
    source.refusals.put(RuntimeError("cannot open rtsp://admin:hunter2@h/live?key=hunter2"))
    make()
    until(lambda: bool(health))
    assert health[0].text.startswith("RuntimeError: cannot open rtsp://…@h/live?key=…")
    assert "hunter2" not in caplog.text
    assert "cannot open" in caplog.text


def test_events_of_a_board_are_kept_beside_its_frames(make: Make, source: Scripted) -> None:
    capture = make()
    events = [BoardEvent("garden", 1.0, number, "alarm", "") for number in range(100)]
    source.told = events
    source.given.put(an_image())
    taken(capture)
    assert capture.events() == events[-64:]
    assert capture.events() == []


def test_word_of_a_board_without_a_picture_wakes_who_waits(
    make: Make, source: Scripted, health: list[HealthChanged]
) -> None:
    source.fresh = source.looks = False
    capture, frames = make(), list[Frame | None]()
    waiting = threading.Thread(target=lambda: frames.append(capture.next(3600)), daemon=True)
    waiting.start()
    source.told = told = [BoardEvent("garden", 1.0, 1, "alarm", "")]
    source.given.put(an_image())
    waiting.join(60)
    assert frames == [None] and not capture.ended and capture.frames == 0
    assert capture.events() == told and source.decoded == 0
    until(lambda: [state.well for state in health] == [True])


def test_of_pictures_that_wait_with_a_boards_events_only_the_newest_is_kept(
    make: Make, source: Scripted
) -> None:
    capture = make()
    source.fresh = False
    for number in range(3):
        image = None if number == 2 else an_image(number)
        seen = Seen(
            *("pico", "raccoon", "", 0.9, 0.5, 3, True, "", False, None, False, number, None),
            *((8, 4), 0.0, image, None if image is None else number),
        )
        source.told = [BoardEvent("garden", 1.0, number, "alarm", "", seen)]
        source.given.put(an_image())
        until(lambda: not source.told)
    until(lambda: len(capture._events) == 3)
    assert [event.seen and event.seen.image_frame for event in capture.events()] == [None, 1, None]


# What hangs.


class Hanging(Source):
    """A driver that hangs in the read until the test lets it go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.closed = False

    def grab(self) -> bool:
        self.go.wait()
        return False

    def picture(self) -> Any:
        raise AssertionError

    def close(self) -> None:
        self.closed = True


def test_driver_that_hangs_holds_up_neither_the_end_nor_another_camera(
    make: Make, clock: SetClock, health: list[HealthChanged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture_module, "_CLOSE_S", 0.1)
    hanging: list[Hanging] = []
    well = Scripted()

    def opened(camera: Camera, *rest: object, **options: Any) -> Source:
        if camera.source == "1":
            return well.open(ended=options["ended"])
        hanging.append(Hanging())
        return hanging[-1]

    monkeypatch.setattr(capture_module, "open_source", opened)
    stuck, other = make("0"), make("1", report=lambda message: None)
    until(lambda: len(hanging) == 1)
    well.given.put(an_image())
    taken(other)
    for number in range(1, 4):  # so many are left behind, and no more
        until(lambda number=number: len(hanging) == number)
        until(lambda: stuck._reader is not None and stuck._reader.patience < OPEN_S)
        clock.advance(hanging[-1].silent_s + 0.1)
        until(lambda number=number: len(stuck._hanging) == number)
        until(lambda number=number: len(health) == number)
        assert "it gave no picture for 10 s" in health[-1].text
        clock.advance(BACK_OFF_S[1])
    until(lambda: "its driver hangs" in health[-1].text)
    clock.advance(300)
    time.sleep(0.05)
    assert len(hanging) == 3
    hanging[0].go.set()  # one comes back: there is room for another try
    until(lambda: hanging[0].closed)
    clock.advance(60)
    until(lambda: len(hanging) == 4)
    begin = time.monotonic()
    stuck.close()
    assert time.monotonic() - begin < 5  # not for as long as it hangs
    for each in hanging:
        each.go.set()
    until(lambda: all(each.closed for each in hanging))
    assert not any(state.well for state in health)


def test_opening_that_hangs_is_given_up(
    make: Make, clock: SetClock, health: list[HealthChanged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture_module, "_CLOSE_S", 0.1)
    go = threading.Event()

    def hang(*_: object, **__: object) -> Source:
        go.wait()
        raise LotorError("too late")

    monkeypatch.setattr(capture_module, "open_source", hang)
    capture = make()
    time.sleep(0.03)
    clock.advance(OPEN_S + 0.1)
    until(lambda: bool(health))
    assert health[0].text == "it did not open for 30 s; it is tried again within 2 s"
    go.set()
    capture.close()
    assert len(health) == 1  # what came too late is not told


def test_frame_of_a_reader_that_was_given_up_is_not_taken(
    make: Make, clock: SetClock, source: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, first = threading.Event(), [True]
    decode = source.picture

    def slow() -> Any:
        if first.pop() if first else False:
            go.wait()
            return an_image(99)
        return decode()

    monkeypatch.setattr(source, "picture", slow)
    capture = make()
    source.given.put(an_image(1))
    until(lambda: not first)
    clock.advance(source.silent_s + 0.1)
    until(lambda: len(capture._hanging) == 1)
    clock.advance(2)
    until(lambda: source.opened == 2)
    go.set()
    until(lambda: source.closed == 1)
    clock.advance(1)
    source.given.put(an_image(2))
    assert int(taken(capture).image[0, 0, 0]) == 2


# Real network cameras.


def is_well(health: list[HealthChanged]) -> bool:
    return bool(health) and health[-1].well


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what is waited for."""
    monkeypatch.setattr(capture_module, "BACK_OFF_S", (0.1, 0.2))
    monkeypatch.setattr("lotor.sentinel.sources.stream.OPEN_S", 2.0)
    monkeypatch.setattr("lotor.sentinel.sources.stream.READ_S", 0.6)


@pytest.mark.usefixtures("hurried")
def test_network_camera_comes_back_after_whatever_happens_to_it(
    make: Make, health: list[HealthChanged]
) -> None:
    with MjpegServer() as server:
        capture = make(server.url, clock=SystemClock())
        assert taken(capture).image.shape == (120, 160, 3)
        number = capture.frames
        for mode in ("stall", "garbage", "end"):
            server.mode = mode
            until(lambda: not is_well(health))
            server.mode, server.size = "well", (96, 64)
            until(lambda: is_well(health))
            health.clear()
            health.append(HealthChanged("camera garden", True))
        until(lambda: (capture.next(1) or FRAME).image.shape == (64, 96, 3))
        assert capture.frames > number
    until(lambda: not is_well(health))
    with MjpegServer(server.port):
        until(lambda: is_well(health))
        taken(capture)


FRAME = Frame("none", 0, 0.0, 0.0, np.zeros((1, 1, 3), np.uint8))


@pytest.mark.usefixtures("hurried")
def test_still_picture_of_a_network_camera_is_frozen(
    make: Make, health: list[HealthChanged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture_module, "FROZEN_S", 0.5)
    with MjpegServer() as server:
        make(server.url, clock=SystemClock())
        until(lambda: is_well(health))
        server.still = True
        until(lambda: not is_well(health))
        assert "not changed by a bit" in health[-1].text
        server.still = False
        until(lambda: is_well(health))


def resident_kb() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def reopened(server: MjpegServer, times: int) -> None:
    """Open and lose a stream many times."""
    lost = []
    capture = Capture(
        Camera("garden", server.url),
        SystemClock(),
        lambda m: lost.append(m) if not m.well else None,
    )
    until(lambda: len(lost) >= times, 240)
    capture.close()


@pytest.mark.slow
def test_memory_does_not_grow_with_lost_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "BACK_OFF_S", (0.01, 0.02))

    def tell(self: Capture, well: bool, text: str = "", reader: object = None) -> None:
        self._report(HealthChanged("", well, text))  # also what is the same as before

    monkeypatch.setattr(Capture, "_tell", tell)
    with MjpegServer() as server:
        server.mode = "end"
        reopened(server, 20)
        threads, before = threading.active_count(), resident_kb()
        reopened(server, 200)
        assert resident_kb() - before < 4000
        assert threading.active_count() <= threads + 1


# A real RTSP server.


def has_rtsp_server() -> bool:
    ask = (
        "import gi\ngi.require_version('GstRtspServer','1.0')\nfrom gi.repository import Gst,"
        "GstRtspServer\nGst.init(None)\nassert all(map(Gst.ElementFactory.find,"
        "('x264enc','rtph264pay','jpegenc','rtpjpegpay')))"
    )
    if not Path(DEBIAN_PYTHON).exists():
        return False
    return (
        subprocess.run([DEBIAN_PYTHON, "-c", ask], capture_output=True, check=False).returncode == 0
    )


class RtspServer:
    """GStreamer's, as a process of its own."""

    def __init__(self, *arguments: str) -> None:
        script = Path(__file__).with_name("rtsp_server.py")
        self.process = subprocess.Popen(
            [DEBIAN_PYTHON, str(script), *arguments], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.port = self.process.stdout.readline().strip()

    def __enter__(self) -> "RtspServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()


rtsp = pytest.mark.skipif(
    not has_rtsp_server(), reason="no gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-ugly"
)


@rtsp
@pytest.mark.parametrize("encoding", ["h264", "jpeg"])
def test_rtsp_camera_gives_frames(encoding: str, make: Make, health: list[HealthChanged]) -> None:
    with RtspServer(encoding) as server:
        capture = make(f"rtsp://127.0.0.1:{server.port}/garden", clock=SystemClock())
        numbers = [taken(capture).number for _ in range(5)]
    assert numbers == sorted(set(numbers))
    assert health[0].well


@rtsp
@pytest.mark.usefixtures("hurried")
def test_rtsp_camera_that_hangs_or_restarts_comes_back(
    make: Make, health: list[HealthChanged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lotor.sentinel.sources.stream.OPEN_S", 8.0)
    with RtspServer("h264") as server:
        capture = make(f"rtsp://127.0.0.1:{server.port}/garden", clock=SystemClock())
        taken(capture)
        os.kill(server.process.pid, signal.SIGSTOP)
        until(lambda: not is_well(health))
        os.kill(server.process.pid, signal.SIGCONT)
        until(lambda: is_well(health))
    until(lambda: not is_well(health))
    with RtspServer("h264", server.port):
        until(lambda: is_well(health))


@rtsp
@pytest.mark.usefixtures("hurried")
def test_rtsp_camera_wants_its_password_and_nobody_sees_it(
    make: Make,
    health: list[HealthChanged],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with RtspServer("jpeg", "0", "uu", "hunter2") as server:
        host = f"127.0.0.1:{server.port}"
        for user, said in (
            ("", "it asks for a user"),
            ("uu:hunter2x@", "are user and password right"),
        ):
            capture = make(f"rtsp://{user}{host}/garden", clock=SystemClock())
            until(lambda: bool(health))
            assert said in health[0].text
            capture.close()
            health.clear()
        taken(make(f"rtsp://uu:hunter2@{host}/garden", clock=SystemClock()))
        capture = make(f"rtsp://uu:hunter2@{host}/elsewhere", clock=SystemClock())
        until(lambda: not is_well(health))
    out = capfd.readouterr()
    assert "hunter2" not in out.out + out.err + caplog.text + str(health)


@pytest.mark.parametrize("once", [False, True])
def test_a_fault_of_ours_is_seen_and_the_camera_goes_on(
    once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PAUSES_S", (0.01,))
    watch, failures, told = Capture._watch, [ZeroDivisionError("of ours")], list[HealthChanged]()

    def fail(self: Capture, reader: Any) -> str | None:
        if failures:
            raise failures.pop()
        return watch(self, reader)

    monkeypatch.setattr(Capture, "_watch", fail)
    capture = Capture(Camera("garden", "garden:"), SystemClock(), told.append, once=once)
    try:
        if once:  # a film is not read a second time
            with pytest.raises(LotorError, match="camera garden: ZeroDivisionError: of ours"):
                while capture.next(20):
                    pass
        else:
            until = time.monotonic() + 20
            while [h.well for h in told if h.part == "camera garden thread"] != [False, True]:
                assert time.monotonic() < until
                capture.next(0.1)
        (first, *_) = [health for health in told if health.part == "camera garden thread"]
        assert first.blocks and "ZeroDivisionError: of ours" in first.text
    finally:
        capture.close()

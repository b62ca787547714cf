"""Pictures and clips of events: whole or not there, bounded, and never in the way of a decision."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from full_disk import full_disk
from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.sentinel import config, media, webm
from lotor.sentinel.bus import Bus, EventChanged, HealthChanged, Message
from lotor.sentinel.clock import SetClock
from lotor.sentinel.event import Event, new_id
from lotor.sentinel.media import Media, sweep
from lotor.sentinel.scene import Frame, Light
from lotor.sentinel.store import Store
from lotor.sentinel.webm import Kept, write_webm

NOON = 1_790_000_000.0
SETTINGS = config.Store(free_mb=0, before_s=2.0, after_s=1.0, clip_s=20.0)


class Garden:
    """A camera, a store and their media, with what the bus was told."""

    def __init__(self, folder: Path, settings: config.Store = SETTINGS, film: bool = False) -> None:
        self.clock = SetClock(NOON)
        self.store = Store(folder, self.clock)
        self.bus = Bus()
        self.told: list[Message] = []
        self.bus.subscribe(self.told.append)
        self.media = Media(self.store, settings, self.clock, self.bus, film=film)
        assert self.media.idle(20)
        self.number = 0

    def frame(self) -> Frame:
        """A frame that tells its number: so many columns are white."""
        image = np.full((48, 128, 3), 20, np.uint8)
        image[:, : self.number % 128] = 230
        self.number += 1
        return Frame("gate", self.number, self.clock.now(), self.clock.monotonic(), image)

    def live(self, seconds: float, moving: bool = True, rate: float = 5.0) -> None:
        for _ in range(round(seconds * rate)):
            self.media.see(self.frame(), moving)
            self.clock.advance(1 / rate)

    def visit(self) -> Event:
        event = Event(new_id(self.clock.now()), "gate", 1, "raccoon", 0.9, self.clock.now(), None,
                      Light.DAY)  # fmt: skip
        self.store.save_event(event)
        return event

    def end(self, event: Event) -> None:
        event = replace(event, end=self.clock.now())
        self.store.save_event(event)
        self.media.end(event)

    def film(self, event: Event) -> list[int]:
        """The white columns of every frame of an event's clip."""
        return [columns for _, columns in self.timed(event)]

    def timed(self, event: Event) -> list[tuple[float, int]]:
        """When each frame of an event's clip is shown, in seconds, and its white columns."""
        found = self.store.event(event.id)
        assert found and found.clip
        film = cv2.VideoCapture(str(self.store.folder / found.clip), cv2.CAP_FFMPEG)
        frames = list[tuple[float, int]]()
        while True:
            good, image = film.read()
            if not good:
                return frames
            time = film.get(cv2.CAP_PROP_POS_MSEC) / 1000
            frames.append((time, int((image[24].mean(axis=1) > 128).sum())))

    def health(self) -> list[HealthChanged]:
        return [message for message in self.told if isinstance(message, HealthChanged)]

    def files(self) -> list[Path]:
        return sorted(
            path for path in self.store.folder.rglob("*") if path.suffix in (".jpg", ".webm")
        )

    def close(self) -> None:
        self.media.close()
        self.store.close()


@pytest.fixture
def garden(tmp_path: Path) -> Iterator[Garden]:
    made = Garden(tmp_path / "log")
    yield made
    made.close()


def test_a_clip_begins_before_its_event_and_ends_after_it(garden: Garden) -> None:
    garden.live(6)  # frames 0..29
    event = garden.visit()
    garden.media.begin(event)
    garden.live(4)  # ..49
    garden.end(event)
    garden.live(3)  # ..64
    assert garden.media.idle(30)
    columns = garden.film(event)
    assert len(columns) == pytest.approx(5 * (2 + 4 + 1), abs=1)
    assert columns == pytest.approx(list(range(20, 20 + len(columns))), abs=1)
    found = garden.store.event(event.id)
    assert [m.event for m in garden.told if isinstance(m, EventChanged)] == [found]
    assert garden.store.media_bytes() == sum(path.stat().st_size for path in garden.files())
    assert garden.health() == []


def test_frames_are_kept_once_a_second_while_nothing_moves(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    encode = media.jpeg

    def counted(image: Image, width: int, quality: int) -> bytes:
        made.append(width)
        return encode(image, width, quality)

    monkeypatch.setattr(media, "jpeg", counted)
    garden.live(20, moving=False, rate=10)
    assert len(made) == pytest.approx(20, abs=1)
    garden.live(20, moving=True, rate=10)
    assert len(made) == pytest.approx(20 + 100, abs=2)
    assert len(garden.media._cameras["gate"].ring) <= 5 * (2 + 10) + 1
    garden.live(30, moving=False)
    assert len(garden.media._cameras["gate"].ring) <= 14


def test_a_clip_ends_without_its_camera_and_without_its_event(garden: Garden) -> None:
    first = garden.visit()
    garden.media.begin(first)
    garden.live(2)
    garden.end(first)
    garden.clock.advance(10)  # the camera sends nothing any more
    assert _within(10, lambda: garden.store.event(first.id).clip)  # type: ignore[union-attr]
    second = garden.visit()  # a cat that sleeps there
    garden.media.begin(second)
    garden.live(30)
    assert garden.media.idle(30)
    assert garden.timed(second)[-1][0] == pytest.approx(20, abs=0.5)
    garden.end(second)
    assert garden.media.idle(30)


def test_a_long_clip_has_fewer_frames_in_a_second(tmp_path: Path) -> None:
    garden = Garden(tmp_path / "log", replace(SETTINGS, clip_s=200.0))
    event = garden.visit()
    garden.media.begin(event)
    garden.live(150)
    assert len(garden.media._open[event.id].frames) <= 200
    garden.end(event)
    garden.live(3)
    assert garden.media.idle(60)
    assert 100 < len(garden.film(event)) <= 200
    garden.close()


@pytest.mark.parametrize(("apart", "takes"), [(1.0, 0.01), (5.0, 0.01), (60.0, 0.01), (0.5, 40.0)])
def test_the_clip_of_a_film_is_whole_however_fast_it_is_read(
    apart: float, takes: float, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, before_s=2.0 * min(1, apart), after_s=3.0 * min(1, apart))
    garden = Garden(tmp_path / "log", settings, film=True)
    begun = garden.clock.monotonic()
    event: Event | None = None
    for number in range(40):
        garden.clock.advance(takes)
        at = number * apart
        frame = replace(garden.frame(), time=NOON + at, monotonic=begun + at)
        garden.media.see(frame, moving=True)
        if number == 14:  # once three frames have voted
            event = replace(garden.visit(), begin=NOON + 12 * apart)
            garden.media.begin(event)
        if number == 20:
            assert event
            garden.clock.advance(takes)  # somebody else had the processor
            garden.media.end(replace(event, end=NOON + 20 * apart))
    assert garden.media.idle(30)
    assert event
    assert [columns for _, columns in garden.timed(event)] == list(range(10, 24))
    assert [time for time, _ in garden.timed(event)] == [n * apart for n in range(14)]
    garden.close()


def test_a_film_waits_for_its_clips(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def slow(path: Path, frames: list[Kept], between: Callable[[], None]) -> None:
        assert go.wait(60)
        write_webm(path, frames, between)

    monkeypatch.setattr(media, "write_webm", slow)
    garden.live(1)
    events = [garden.visit() for _ in range(5)]
    for event in events[:4]:
        assert garden.media.room(0)
        garden.media.begin(event)
    assert garden.media.room(0)  # nothing waits: it would never end
    for event in events[:4]:
        garden.end(event)
    garden.live(2)
    assert _within(20, lambda: len(garden.media._clips) == 3)  # one is being written
    garden.media.begin(events[4])
    assert not garden.media.room(0)
    go.set()
    assert garden.media.room(60)
    garden.end(events[4])
    garden.live(2)
    assert garden.media.idle(60)
    assert all(kept.clip for kept in garden.store.events(9)) and garden.media.left_out == 0


def test_a_clock_that_is_set_spoils_no_clip(garden: Garden) -> None:
    garden.live(4)
    event = garden.visit()
    garden.media.begin(event)
    garden.live(2)
    garden.clock.jump(-40 * 86400)
    garden.live(2)
    garden.end(event)
    garden.live(2)
    assert garden.media.idle(30)
    assert 25 <= len(garden.film(event)) <= 36


def test_the_last_picture_of_an_event_stays(garden: Garden) -> None:
    event = garden.visit()
    for _ in range(3):
        garden.media.picture(event.id, garden.frame())
    assert garden.media.idle(20)
    found = garden.store.event(event.id)
    assert found and found.picture and found.picture.startswith("media/2026-09-21/")
    (path,) = garden.files()
    image = cv2.imread(str(path))
    assert image is not None and int((image[24].mean(axis=1) > 128).sum()) == 2
    assert garden.store.media_bytes() == path.stat().st_size


def test_files_of_a_forgotten_event_go_again(garden: Garden) -> None:
    garden.live(1)
    event = garden.visit()
    garden.media.begin(event)
    garden.media.picture("1790000000.000-none", garden.frame())
    garden.live(1)
    garden.end(event)
    garden.store.forget(0, 9e9)
    garden.live(2)
    assert garden.media.idle(20)
    assert garden.files() == []
    garden.store.save_event(replace(event, end=NOON + 9))  # whoever has it in memory
    assert garden.store.event(event.id) is None


def test_no_files_without_room(tmp_path: Path) -> None:
    garden = Garden(tmp_path / "log", replace(SETTINGS, free_mb=10**6))
    event = garden.visit()
    garden.media.begin(event)
    garden.live(1)
    garden.media.picture(event.id, garden.frame())
    garden.end(event)
    garden.live(2)
    assert garden.media.idle(20)
    assert garden.files() == []
    (ill, *more) = garden.health()
    assert len(more) <= 1  # told once for the picture and once for the clip, not for each frame
    assert not ill.well and not ill.blocks and "no pictures and clips are kept" in ill.text
    assert not any(message.well for message in more)
    garden.media._settings = SETTINGS
    garden.media.picture(event.id, garden.frame())
    assert garden.media.idle(20)
    assert garden.health()[-1] == HealthChanged("media", True)
    assert len(garden.files()) == 1
    garden.close()


@pytest.mark.parametrize("room", [0, 300, 3000])
def test_a_disk_that_fills_up_leaves_no_half_file(room: int, garden: Garden) -> None:
    event = garden.visit()
    with full_disk(room):
        garden.media.begin(event)
        garden.live(3)
        garden.media.picture(event.id, garden.frame())
        garden.media.end(replace(event, end=garden.clock.now()))
        garden.live(2)
        assert garden.media.idle(30)
    assert [path for path in garden.store.folder.rglob("media/**/*") if path.is_file()] == []
    found = garden.store.event(event.id)
    assert found and found.picture is None and found.clip is None
    assert garden.health() and not garden.health()[-1].well


def test_a_frame_that_cannot_be_encoded_is_told_only(garden: Garden) -> None:
    broken = Frame("gate", 0, NOON, 0.0, np.zeros((0, 0, 3), np.uint8))
    garden.media.see(broken, True)
    garden.media.picture("1790000000.000-none", broken)
    assert "could not be kept" in garden.health()[0].text


def test_pictures_do_not_wait_for_a_clip(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    garden.bus.subscribe(
        lambda m: (
            order.append("clip" if m.event.clip else "picture")
            if isinstance(m, EventChanged)
            else None
        )
    )
    other, picture, decode = garden.visit(), garden.frame(), webm._pixels

    def first_frame(content: bytes) -> Image:
        if not order:
            garden.media.picture(other.id, picture)
        return decode(content)

    monkeypatch.setattr(webm, "_pixels", first_frame)
    event = garden.visit()
    garden.media.begin(event)
    garden.live(1)
    garden.end(event)
    garden.live(2)
    assert garden.media.idle(60)
    assert order == ["picture", "clip"]


def test_too_many_at_once_are_left_out(garden: Garden) -> None:
    events = [garden.visit() for _ in range(9)]
    for event in events:
        garden.media.begin(event)
    garden.live(1)
    for event in events:
        garden.end(event)
    garden.live(2)
    assert garden.media.idle(60)
    clips = [event for event in garden.store.events(99) if event.clip]
    assert len(clips) == 4 and garden.media.left_out == 5


def test_closing_writes_what_was_gathered(tmp_path: Path) -> None:
    garden = Garden(tmp_path / "log")
    event = garden.visit()
    garden.media.begin(event)
    garden.live(3)
    garden.close()
    assert [path.suffix for path in garden.files()] == [".webm"]
    assert threading.active_count() == len([t for t in threading.enumerate()
                                            if t.name not in ("media", "store")])  # fmt: skip


def test_what_no_event_names_is_removed(garden: Garden) -> None:
    event = garden.visit()
    garden.media.picture(event.id, garden.frame())
    assert garden.media.idle(20)
    (path,) = garden.files()
    orphans = [path.with_name("1790000000.000-0.jpg"), path.with_name(".1-0"),
               path.parent.with_name("1999-01-01") / ".x.webm"]  # fmt: skip
    for orphan in orphans:
        orphan.parent.mkdir(exist_ok=True)
        orphan.write_bytes(b"half")
    assert sweep(garden.store) == 3
    assert garden.files() == [path]
    assert not orphans[2].parent.exists()


def test_a_film_of_one_frame_and_of_odd_size(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    image = np.full((33, 65, 3), 90, np.uint8)
    write_webm(tmp_path / "a.webm", [(5.0, media.jpeg(image, 640, 80))])
    film = cv2.VideoCapture(str(tmp_path / "a.webm"))
    good, frame = film.read()
    assert good and frame.shape == (32, 64, 3) and abs(float(frame.mean()) - 90) < 4
    assert capfd.readouterr() == ("", "")  # OpenCV says something of WebM's VP80


def test_frames_are_shown_when_they_were_taken(tmp_path: Path) -> None:
    times = [0.0, 0.2, 0.4, 3.1, 3.3, 40.0, 75.5, 75.7, *(80.0 + n / 10 for n in range(30))]
    noise = np.random.default_rng(0).integers(0, 255, (len(times), 48, 64, 3), dtype=np.uint8)
    kept = [(900.0 + at, media.jpeg(image, 640, 80))
            for at, image in zip(times, noise, strict=True)]  # fmt: skip
    write_webm(tmp_path / "a.webm", kept)
    film = cv2.VideoCapture(str(tmp_path / "a.webm"), cv2.CAP_FFMPEG)
    for at, (_, content) in zip(times, kept, strict=True):
        good, image = film.read()
        assert good and film.get(cv2.CAP_PROP_POS_MSEC) == pytest.approx(1000 * at, abs=1)
        given = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert given is not None
        assert float(np.abs(image.astype(int) - given).mean()) < 40  # of noise: 80 apart
    assert not film.grab()
    # What a browser seeks by: the cues (CueClusterPosition) lead to clusters, the first one too.
    content = (tmp_path / "a.webm").read_bytes()
    segment = content.index(b"\x18\x53\x80\x67") + 8
    found = re.findall(rb"\xf1\x10\x00\x00\x08(.{8})", content, re.DOTALL)
    cues = [segment + int.from_bytes(place) for place in found]
    assert len(cues) >= 3 and cues[0] == content.index(b"\x1f\x43\xb6\x75")
    assert all(content[at : at + 4] == b"\x1f\x43\xb6\x75" for at in cues)
    assert segment + int.from_bytes(content[segment - 4 : segment]) - (1 << 28) == len(content)


def test_the_encoder_takes_its_fast_way(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = cv2.GaussianBlur(rng.integers(0, 255, (240, 320, 30), dtype=np.uint8), (0, 0), 2)
    kept = [(n / 5, media.jpeg(np.roll(images[..., n % 9 : n % 9 + 3], n, 1), 640, 80))
            for n in range(20)]  # fmt: skip
    begun = time.thread_time()
    write_webm(tmp_path / "a.webm", kept)
    ours, begun = time.thread_time() - begun, time.thread_time()
    code = cv2.VideoWriter.fourcc(*"VP80")
    writer = cv2.VideoWriter(str(tmp_path / "b.mkv"), cv2.CAP_FFMPEG, code, 5, (320, 240))
    for _, content in kept:
        writer.write(webm._pixels(content))
    writer.release()
    assert ours < 0.6 * (time.thread_time() - begun)  # about a fifth


@pytest.mark.parametrize("room", [0, 300, 4000])
def test_a_film_that_was_cut_short_is_none(room: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (9, 48, 64, 3), dtype=np.uint8)
    frames = [(n / 5, media.jpeg(image, 640, 80)) for n, image in enumerate(noise)]
    with full_disk(room), pytest.raises(LotorError, match=r"not written whole|cannot write"):
        write_webm(tmp_path / "a.webm", frames)
    assert not list(tmp_path.glob("*.ivf"))
    write_webm(tmp_path / "a.webm", frames)
    assert (tmp_path / "a.webm").stat().st_size > 4000


def _within(seconds: float, true: object) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False

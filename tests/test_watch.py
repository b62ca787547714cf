"""A camera's loop in the firmware, as a program of this machine with sanitizers.

Every event must be the one that Python expects, whatever happens to the line.
"""

import dataclasses
import random
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from host_server import HostServer, build_host_server
from lotor.board_camera import FORMATS, Camera
from lotor.compiler import Compiled
from lotor.device.link import ErrorCode, Request
from lotor.device.session import DeviceError, Session
from lotor.device.watch import NO_INDEX, Event, Flag, Kind, Settings, Watching
from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.zoo import ModelFile
from watched import (
    compiled_for,
    expected_events,
    fed,
    frames,
    middle,
    small_models,
    without_action,
)

CAMERA = Camera("synthetic", 80, 60, "rgb565")
Models = tuple[ModelFile, ModelFile]
Said = TypeVar("Said")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return small_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def program(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiled = [compiled_for(model) for model in models]
    folder = tmp_path_factory.mktemp("server")
    return build_host_server(compiled, folder, sanitize=True, camera=CAMERA)


@pytest.fixture
def session(program: Path) -> Iterator[Session]:
    with HostServer(program) as server:
        yield Session(server, "the server", run_timeout=20.0)  # type: ignore[arg-type]


def pictures(count: int, seed: int = 1) -> list[Image]:
    return frames(count, CAMERA.width, CAMERA.height, seed)


def usual(models: Models, images: list[Image], views: bool = True) -> Settings:
    """Settings with which votes and vetoes come and go on these frames."""
    return Settings(
        model=0,
        veto=1,
        views=views,
        every=True,
        votes=2,
        of=3,
        memory_ms=4000,
        cooldown_ms=2500,
        threshold=middle(models[0], images, 0.4, views),
        veto_from=middle(models[1], images, 0.85, False),
    )


def watch(
    session: Session, settings: Settings, images: list[Image], every_ms: int = 700
) -> tuple[list[Event], list[tuple[int, int, Image]], int]:
    """Let a board watch frames of every format; return events, what it saw, the first number."""
    watching, came, seen = Watching(session), list[Event](), []
    first = watching.start(settings).events
    for number, image in enumerate(images):
        name = FORMATS[number % len(FORMATS)]
        raw, rgb = fed(image, name)
        watching.feed(number, every_ms * number, raw, name)
        seen.append((number, every_ms * number, rgb))
        came += watching.events(watching.state().events)
    assert (watching.missed, watching.fetched) == (0, 0)  # all came by themselves
    watching.stop()
    return came, seen, first


@pytest.mark.parametrize("views", [True, False])
def test_events_are_those_of_python(models: Models, session: Session, views: bool) -> None:
    images = pictures(60)
    settings = usual(models, images, views)
    came, seen, first = watch(session, settings, images)
    assert came == expected_events(*models, settings, seen, first)
    assert {event.kind for event in came} == {Kind.FRAME, Kind.ALARM, Kind.HELD}
    for flag in Flag:
        assert {flag in event.flags for event in came} == {True, False}, flag
    assert len({event.view for event in came}) > (3 if views else 0)


def test_one_model_and_only_what_matters(models: Models, session: Session) -> None:
    images = pictures(40, 2)
    settings = dataclasses.replace(usual(models, images), veto=NO_INDEX, every=False)
    came, seen, first = watch(session, settings, images)
    every = expected_events(models[0], None, settings, seen, first)
    told = [event for event in every if event.kind is not Kind.FRAME]
    assert 2 < len(told) < len(every)
    assert came == [dataclasses.replace(e, number=first + i) for i, e in enumerate(told)]
    assert all(event.second == -1 for event in came)


def test_a_person_forbids_every_alarm(models: Models, session: Session) -> None:
    images = pictures(25, 3)
    settings = dataclasses.replace(usual(models, images), threshold=0, veto_from=0, cooldown_ms=0)
    came, _, _ = watch(session, settings, images)
    assert {event.kind for event in came[2:]} <= {Kind.HELD, Kind.FRAME}
    assert all(Flag.SECOND in event.flags for event in came)
    never = dataclasses.replace(settings, veto_from=600)
    came, _, _ = watch(session, never, images)
    assert sum(event.kind is Kind.ALARM for event in came) > 3


class Damaged:
    """A line that flips a bit now and then, both ways."""

    def __init__(self, server: HostServer, seed: int) -> None:
        self.server, self.url, self.random, self.flips = server, server.url, random.Random(seed), 0

    def read(self, timeout: float) -> bytes:
        return self._flipped(self.server.read(timeout))

    def write(self, data: bytes) -> None:
        self.server.write(self._flipped(data))

    def close(self) -> None:
        self.server.close()

    def _flipped(self, data: bytes) -> bytes:
        if not data or self.random.random() > 0.04:
            return data
        self.flips += 1
        at = self.random.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1 << self.random.randrange(8)]) + data[at + 1 :]


def test_a_damaged_line_loses_no_event(models: Models, program: Path) -> None:
    images = pictures(30, 4)
    settings = usual(models, images)
    with HostServer(program) as server:
        line = Damaged(server, 5)
        session = Session(line, "the server", 0.3, 0.6)  # type: ignore[arg-type]
        watching, came, seen = Watching(session), list[Event](), []
        first = _persistent(partial(watching.start, settings)).events
        for number, image in enumerate(images):
            raw, rgb = fed(image, "yuyv")
            _persistent(partial(watching.feed, number, 700 * number, raw, "yuyv"))
            seen.append((number, 700 * number, rgb))
            upto = _persistent(watching.state).events
            _persistent(partial(_append_events, watching, upto, came))
        assert (watching.missed, len(came)) == (0, len(images))
        assert came == expected_events(*models, settings, seen, first)
    assert line.flips > 30
    assert watching.fetched > 0


def _append_events(watching: Watching, upto: int, came: list[Event]) -> None:
    for event in watching.events(upto):
        came.append(event)  # what was handed out stays, even if the next one cannot be fetched


def _persistent(ask: Callable[[], Said]) -> Said:
    """Ask again where a damaged line refused: all that is asked here may be asked again."""
    for _ in range(20):
        try:
            return ask()
        except LotorError:
            continue
    raise AssertionError("the line never got through")


def test_events_that_nobody_fetched_are_counted(models: Models, session: Session) -> None:
    images = pictures(1, 6)
    settings = dataclasses.replace(usual(models, images, False), veto=NO_INDEX)
    watching = Watching(session)
    watching.start(settings)
    session.on_event = None  # a line that is unplugged
    raw, _ = fed(images[0], "grey")
    for number in range(40):
        watching.feed(number, 0, raw, "grey")
    came = list(watching.events(watching.state().events))
    assert [event.frame for event in came] == list(range(8, 40))
    assert (watching.missed, watching.fetched) == (8, 32)


def test_parts_of_a_frame_come_in_any_order_and_twice(models: Models, session: Session) -> None:
    images = pictures(3, 7)
    settings = usual(models, images)
    watching = Watching(session)
    first = watching.start(settings).events
    raw, rgb = fed(images[0], "rgb888")
    head = struct.pack("<IQHHB", 7, 100, CAMERA.width, CAMERA.height, 0)
    pieces = [struct.pack("<II", 7, at) + raw[at : at + 1000] for at in range(0, len(raw), 1000)]
    begun = session.request(Request.CAMERA_FRAME, head)
    assert begun == struct.pack("<I", len(raw))
    order = [*pieces[3:6], *pieces[:3], *pieces[5:]]
    for piece in order[:-1]:
        session.request(Request.CAMERA_DATA, piece)
        assert session.request(Request.CAMERA_FRAME, head) == begun  # repeated: nothing is lost
    assert watching.state().frames == 0
    for _ in range(2):  # the last part twice: one frame
        session.request(Request.CAMERA_DATA, order[-1])
    assert watching.state().frames == 1
    (event,) = watching.events(watching.state().events)
    assert [event] == expected_events(*models, settings, [(7, 100, rgb)], first)


def test_a_wrong_frame_is_refused(models: Models, session: Session) -> None:
    watching = Watching(session)
    watching.start(usual(models, pictures(3)))

    def refused(kind: Request, payload: bytes) -> ErrorCode:
        with pytest.raises(DeviceError) as refusal:
            session.request(kind, payload)
        return ErrorCode(refusal.value.code)

    def begin(width: int = 80, height: int = 60, form: int = 4) -> bytes:
        return struct.pack("<IQHHB", 1, 0, width, height, form)

    def part(number: int, offset: int, count: int) -> bytes:
        return struct.pack("<II", number, offset) + bytes(count)

    frame, data = Request.CAMERA_FRAME, Request.CAMERA_DATA
    assert refused(data, part(1, 0, 10)) == ErrorCode.NOT_READY
    for wrong in (begin(81), begin(height=59), begin(0, 0), begin(form=5), begin(form=255)):
        assert refused(frame, wrong) == ErrorCode.OUT_OF_RANGE
    assert refused(frame, begin() + b"\0") == ErrorCode.BAD_PAYLOAD
    session.request(frame, begin())
    assert refused(data, part(2, 0, 10)) == ErrorCode.NOT_READY
    assert refused(data, part(1, 4800, 1)) == ErrorCode.OUT_OF_RANGE
    assert refused(data, part(1, 4000, 801)) == ErrorCode.OUT_OF_RANGE
    assert refused(data, part(1, 2**32 - 1, 2)) == ErrorCode.OUT_OF_RANGE
    assert refused(data, part(1, 0, 0)) == ErrorCode.BAD_PAYLOAD
    assert refused(data, part(1, 0, 1025)) == ErrorCode.BAD_PAYLOAD
    for at in range(8):
        session.request(data, part(1, 100 * at, 1))
    assert refused(data, part(1, 4000, 1)) == ErrorCode.BUSY
    assert watching.state().frames == 0


def test_settings_without_sense_are_refused(models: Models, session: Session) -> None:
    good = usual(models, pictures(3))
    watching = Watching(session)
    watching.start(good)
    wrong: dict[ErrorCode, list[dict[str, Any]]] = {
        ErrorCode.BAD_INDEX: [
            {"model": 2}, {"veto": 2}, {"veto": 0}, {"output": 0}, {"model": 1, "veto": 0},
        ],
        ErrorCode.OUT_OF_RANGE: [
            {"votes": 0}, {"votes": 4}, {"of": 33}, {"threshold": -2}, {"veto_from": -2},
            {"threshold": -1},  # training chose none for this model
        ],
    }  # fmt: skip
    for code, changes in wrong.items():
        for change in changes:
            with pytest.raises(DeviceError) as refusal:
                watching.start(dataclasses.replace(good, **change))
            assert refusal.value.code == code, change
    for payload in (b"", b"\1", b"\0\0", b"\3", good.pack() + b"\0"):
        with pytest.raises(DeviceError):
            session.request(Request.WATCH, payload)
    unknown = bytearray(good.pack())
    unknown[3] |= 4
    with pytest.raises(DeviceError, match="out of range"):
        session.request(Request.WATCH, bytes(unknown))
    assert watching.state().running  # as before


def test_the_loop_has_the_arena_to_itself(models: Models, session: Session) -> None:
    watching = Watching(session)
    watching.start(usual(models, pictures(3)))
    for kind in (Request.LOAD, Request.RUN, Request.READ, Request.SELF_TEST, Request.PROFILE):
        with pytest.raises(DeviceError, match="busy"):
            session.request(kind, bytes(7))
    assert session.hello().camera is not None
    with pytest.raises(DeviceError, match="no such index"):
        session.request(Request.SELECT, b"\2")
    assert watching.state().running
    session.select(1)  # which ends the loop
    assert not watching.state().running
    with pytest.raises(DeviceError, match="not ready"):
        session.run()


def test_time_that_goes_back_is_an_error_and_no_alarm(models: Models, session: Session) -> None:
    images = pictures(2, 8)
    settings = dataclasses.replace(
        usual(models, images, False), threshold=0, veto=NO_INDEX, votes=1, cooldown_ms=0
    )
    # Unknown frames vote for nothing: take one that is known.
    host = expected_events(
        models[0], None, settings, [(0, 0, fed(i, "grey")[1]) for i in images], 0
    )
    image = next((i for i, e in zip(images, host, strict=True) if e.kind is Kind.ALARM), None)
    assert image is not None
    watching = Watching(session)
    watching.start(settings)
    raw, _ = fed(image, "grey")
    for number, time_ms in enumerate((1000, 999, 1000)):
        watching.feed(number, time_ms, raw, "grey")
    said = [(e.kind, e.error) for e in watching.events(watching.state().events)]
    assert said == [(Kind.ALARM, 0), (Kind.ERROR, 2), (Kind.ALARM, 0)]
    assert watching.state().errors == 1


def failing(compiled: Compiled, every: int) -> Compiled:
    """Return a model each of whose runs so often fails."""
    run = f"int {compiled.name}_run(void *arena, const int8_t *input, int8_t *output"
    rest = compiled.source.split(run, 1)[1].split(")", 1)[0]
    arguments = ", ".join(["arena", "input", "output", *(["output_1"] if rest else [])])
    source = compiled.source.replace(run, f"static {run.replace('_run', '_works')}")
    source += f"""
{run}{rest}) {{
    static int runs;
    return ++runs % {every} ? {compiled.name}_works({arguments}) : -1;
}}
"""
    return dataclasses.replace(compiled, source=source)


@pytest.mark.parametrize("which", [0, 1])
def test_a_model_that_fails_forbids_alarms(models: Models, tmp_path: Path, which: int) -> None:
    """On its frame, and with a second model as long as that frame is remembered."""
    images = pictures(12, 9)
    settings = dataclasses.replace(
        usual(models, images, False), threshold=0, veto_from=600, cooldown_ms=0
    )
    compiled = [compiled_for(model) for model in models]
    compiled[which] = failing(compiled[which], 6)
    with HostServer(build_host_server(compiled, tmp_path, camera=CAMERA)) as server:
        session = Session(server, "the server", run_timeout=20.0)  # type: ignore[arg-type]
        came, _, _ = watch(session, settings, images)
    errors = [event.frame for event in came if event.kind is Kind.ERROR]
    assert errors == [5, 11]
    assert {event.error for event in came} == {0, 1}
    assert not [frame for frame in errors if Flag.VOTED in came[frame].flags]
    assert all(Flag.SECOND in came[frame].flags for frame in (5, 6, 7, 11))
    assert not [event for event in came[5:8] if event.kind is Kind.ALARM]
    assert [event for event in came if event.kind is Kind.ALARM]


def test_hello_says_what_camera_there_is(session: Session) -> None:
    camera = session.hello().camera
    assert camera is not None
    assert (camera.kind, FORMATS[camera.format]) == (0, "rgb565")
    assert (camera.width, camera.height, camera.frame_bytes) == (80, 60, 3 * 80 * 60)
    assert session.greeting.outputs == ()


def test_without_action_is_the_event_itself(models: Models, session: Session) -> None:
    """No output, no action: what the tests of boards compare is all of an event."""
    images = pictures(4)
    came, _, _ = watch(session, usual(models, images), images)
    assert came == [without_action(event) for event in came]

"""Frames of a board's camera over its link, and a board as a camera of the sentinel.

The firmware runs as a program of this machine: with a camera that is fed, and with one that takes a
frame whenever it is asked, as image sensors do.
"""

import dataclasses
import hashlib
import itertools
import shutil
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import host_server
from host_server import HostServer, build_host_server
from lotor.board_camera import Camera
from lotor.device.link import ErrorCode, Request
from lotor.device.session import DeviceError, Session
from lotor.device.watch import Captured, Kind, Settings, Watching
from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.resources import resource
from lotor.sentinel import config
from lotor.sentinel.clock import SetClock, SystemClock
from lotor.sentinel.sources import Source, open_source
from lotor.watch_model import HostWatch
from test_watch import Models
from watched import compiled_for, fed, frames, small_models

FED = Camera("synthetic", 80, 60, "rgb565")
BYTES = 3 * 80 * 60
SETTINGS = Settings(model=0, views=False, every=True, threshold=256)

# A sensor that always starts and whose frames are rows of their number.
SENSOR = """
#include "sensor.h"
static camera_error start(const sensor_bus *bus, const sensor_mode *mode) {
    (void)bus;
    (void)mode;
    return CAMERA_OK;
}
const sensor ov7670 = {.start = start};
"""
CAPTURE = """
#include "../../camera/sccb.h"
static void wait(void *context, uint32_t ms) { (void)context, (void)ms; }
sensor_bus sccb_bus(sccb_wires *wires) { return (sensor_bus){wires, NULL, NULL, wait}; }
void hal_camera_init(void) {}
void hal_camera_stop(void) {}
bool hal_camera_capture(uint8_t *to, uint32_t rows, uint32_t row_bytes, uint32_t skip_rows,
                        uint32_t skip_bytes) {
    static uint8_t frames;
    (void)skip_rows, (void)skip_bytes;
    for (uint32_t i = 0; i < rows * row_bytes; i++)
        to[i] = frames;
    return ++frames % 7 != 0; /* a frame that does not come now and then */
}
"""
# With such a camera a board never sleeps: the program must look for bytes, not wait for them.
READ = "int hal_uart_read(void) {"
LOOK = """#include <poll.h>
int hal_uart_read(void) {
    struct pollfd line = {.fd = STDIN_FILENO, .events = POLLIN};
    if (at >= have && poll(&line, 1, 0) > 0)
        hal_idle();
    else if (at >= have)
        hal_uart_flush();
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return small_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def program(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiled = [compiled_for(model) for model in models]
    return build_host_server(compiled, tmp_path_factory.mktemp("fed"), sanitize=True, camera=FED)


@pytest.fixture
def session(program: Path) -> Iterator[Session]:
    with HostServer(program) as server:
        yield Session(server, "the server", run_timeout=20.0)  # type: ignore[arg-type]


def test_captured_frame_is_what_the_loop_looked_at(session: Session) -> None:
    watching = Watching(session)
    assert watching.captured() is None
    watching.start(SETTINGS)
    assert watching.captured() is None
    for number, image in enumerate(frames(4, 80, 60, 1), 5):
        name = ("rgb565", "grey", "yuyv", "rgb888")[number - 5]
        raw, rgb = fed(image, name)
        watching.feed(number, 10 * number, raw, name)
        captured = watching.captured(number - 1)
        assert captured is not None
        assert captured[:2] == (number, 10 * number)
        np.testing.assert_array_equal(captured.rgb, rgb)
        assert watching.captured(number) is None
    watching.stop()
    assert watching.captured() is not None  # what was seen last can be read afterwards
    watching.start(SETTINGS)
    assert watching.captured() is None


def test_frame_that_another_one_comes_over_is_not_handed_out(session: Session) -> None:
    watching = Watching(session)
    watching.start(SETTINGS)
    raw, _ = fed(frames(1, 80, 60, 1)[0], "rgb565")
    watching.feed(1, 0, raw, "rgb565")
    assert watching.captured() is not None
    session.request(Request.CAMERA_FRAME, struct.pack("<IQHHB", 2, 1, 80, 60, 1))
    with pytest.raises(DeviceError, match="not ready"):
        session.request(Request.FRAME, struct.pack("<IH", 0, 16))
    assert watching.captured() is None


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", ErrorCode.BAD_PAYLOAD),
        (bytes(5), ErrorCode.BAD_PAYLOAD),
        (bytes(7), ErrorCode.BAD_PAYLOAD),
        (struct.pack("<IH", BYTES, 1), ErrorCode.OUT_OF_RANGE),
        (struct.pack("<IH", BYTES - 1, 2), ErrorCode.OUT_OF_RANGE),
        (struct.pack("<IH", 0xFFFFFFFF, 2), ErrorCode.OUT_OF_RANGE),
        (struct.pack("<IH", 0, 1025), ErrorCode.OUT_OF_RANGE),
    ],
)
def test_frame_request_outside_the_frame_is_refused(
    payload: bytes, code: ErrorCode, session: Session
) -> None:
    with pytest.raises(DeviceError) as refusal:
        session.request(Request.FRAME, payload)
    assert refusal.value.code == code


# A camera that takes frames by itself.


@pytest.fixture(scope="module")
def seeing(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with a sensor's camera."""
    folder = tmp_path_factory.mktemp("seeing")
    shutil.copytree(resource("firmware"), folder / "firmware")
    (folder / "firmware/camera/ov7670.c").write_text(SENSOR, encoding="utf-8")
    hal = folder / "firmware/hal/host/hal.c"
    text = hal.read_text(encoding="utf-8")
    assert READ in text
    hal.write_text(text.replace(READ, LOOK) + CAPTURE, encoding="utf-8")
    # Pins that are named, but lead nowhere.
    camera = Camera("ov7670", 160, 120, "rgb565", dict.fromkeys(("sda", "scl"), 1))
    compiled = [compiled_for(model) for model in models]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_server, "resource", lambda name: folder / name)
        return build_host_server(compiled, folder / "build", camera=camera)


def ask(watching: Watching, length: int) -> int:
    """Ask for a piece of a frame once there is one; return how many there had been before."""
    while True:
        before = watching.state().frames
        try:
            watching.session.request(Request.FRAME, struct.pack("<IH", 0, length))
        except DeviceError as refusal:  # one did not come just then
            assert refusal.code == ErrorCode.NOT_READY
        else:
            return before


def test_loop_waits_while_a_frame_is_read_and_then_goes_on(seeing: Path) -> None:
    with HostServer(seeing) as server:
        session = Session(server, "the server", run_timeout=20.0)  # type: ignore[arg-type]
        watching = Watching(session)
        watching.start(SETTINGS)
        numbers: list[int] = []
        for _ in range(5):
            captured = watching.captured(numbers[-1] if numbers else None)
            while captured is None:
                captured = watching.captured(numbers[-1] if numbers else None)
            assert captured.rgb.shape == (120, 160, 3)
            assert (captured.rgb == captured.rgb[0, 0]).all()  # all of it is of one frame
            numbers.append(captured.number)
        assert numbers == sorted(set(numbers))
        assert len({watching.state().frames for _ in range(5)}) > 1  # nothing holds it up now
        before = ask(watching, 16)
        held = watching.state().frames
        assert held - before <= 2
        assert {watching.state().frames for _ in range(5)} == {held}
        # A host that reads no further holds the loop up for a while, and no longer.
        while watching.state().frames == held:
            pass
        # The number alone holds nothing up.
        ask(watching, 0)
        going = watching.state().frames
        while watching.state().frames == going:
            pass


# A board as a source.

Opener = Callable[..., Source]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Source]]:
    servers: list[HostServer] = []

    def source(program: Path, frames: Literal["all", "alarms"] = "all") -> Source:
        def session(cls: type[Session], board: str) -> Session:
            assert board == "nano33ble-ov7670"
            servers.append(HostServer(program))
            return cls(servers[-1], f"board {board}", run_timeout=20.0)  # type: ignore[arg-type]

        monkeypatch.setattr(Session, "open", classmethod(session))
        camera = config.Camera("shed", "board:nano33ble-ov7670", frames=frames)
        return open_source(camera, SystemClock(), ended=threading.Event())

    yield source
    for server in servers:
        if server.process.poll() is None:
            server.close()


def test_board_gives_its_frames_as_bgr_and_its_events(
    program: Path, opened: Callable[[Path], Source], models: Models
) -> None:
    source = opened(program)
    watching = source._watching  # type: ignore[attr-defined]
    watching.start(dataclasses.replace(SETTINGS, threshold=0, votes=1, cooldown_ms=0))
    images: list[Image] = frames(3, 80, 60, 1)
    for number, image in enumerate(images):
        raw, rgb = fed(image, "rgb888")
        watching.feed(number, 1000 * number, raw, "rgb888")
        assert source.grab()
        np.testing.assert_array_equal(source.picture(), rgb[:, :, ::-1])
    events = source.events()
    assert [(e.camera, e.number) for e in events] == [("shed", n) for n in range(3)]
    assert {event.kind for event in events} <= {kind.name.lower() for kind in Kind}
    assert all(event.text.startswith("score 0.") for event in events)
    assert source.events() == []
    assert not source.changes  # a board that is fed may be fed the same
    source.close()


# What the board sees by itself.

ALARMING = dataclasses.replace(SETTINGS, threshold=0, votes=1, every=False, cooldown_ms=0)


def feed(source: Source, number: int, image: Image) -> Image:
    """Feed a frame; return it as the board has it, BGR."""
    raw, rgb = fed(image, "rgb888")
    source._watching.feed(number, 1000 * number, raw, "rgb888")  # type: ignore[attr-defined]
    return rgb[:, :, ::-1]


def alarms(source: Source, models: Models) -> list[Image]:
    """Let the loop alarm at whatever it knows; return frames that it alarms at."""
    watching = source._watching  # type: ignore[attr-defined]
    host = HostWatch(models[0], ALARMING, 256)
    found = []
    for number, image in enumerate(frames(40, 80, 60, 2)):
        if host.look(number, 1000 * number, fed(image, "rgb888")[1]).kind is Kind.ALARM:
            found.append(image)
    watching.start(ALARMING)
    return found[:4]


def test_an_alarm_comes_with_its_frame_and_what_the_board_saw(
    program: Path, opened: Opener, models: Models
) -> None:
    source = opened(program)
    first, second, *_ = alarms(source, models)
    for number, image in ((3, first), (4, second)):
        bgr = feed(source, number, image)
        assert source.grab() and source.fresh
        (event,) = source.events()
        assert (event.kind, event.camera) == ("alarm", "shed")
        seen = event.seen
        assert seen is not None and seen.image is not None
        np.testing.assert_array_equal(seen.image, bgr)
        assert (seen.frame, seen.image_frame) == (number, number)
        assert (seen.model, seen.votes, seen.enough, seen.held) == ("watcher", number - 2, True, "")
        assert seen.hash == hashlib.sha256(models[0].path.read_bytes()).hexdigest()
        assert seen.board == source._session.greeting.board  # type: ignore[attr-defined]
        assert (seen.box, seen.size, seen.least) == (None, (80, 60), 0.0)
        assert 0 <= seen.score < 1 and f"score {seen.score:.2f}" in event.text
    # Several at once: the frame is that of the last one.
    feed(source, 5, first)
    feed(source, 6, second)
    assert source.grab()
    pictured = [event.seen.image_frame for event in source.events() if event.seen]
    assert pictured == [None, 6]
    source.close()


def test_frames_of_alarms_alone_are_read(program: Path, opened: Opener, models: Models) -> None:
    source = opened(program, "alarms")
    image, *_ = alarms(source, models)
    asked: list[int | None] = []
    watching = source._watching  # type: ignore[attr-defined]
    captured = watching.captured

    def noted(seen: int | None) -> Captured | None:
        asked.append(seen)
        found: Captured | None = captured(seen)
        return found

    watching.captured = noted
    watching.start(dataclasses.replace(ALARMING, threshold=512))  # it sees nothing
    feed(source, 1, image)
    assert source.grab() and not source.fresh and not source.looks  # alive
    assert source.events() == [] and asked == []
    watching.start(ALARMING)
    bgr = feed(source, 2, image)
    assert source.grab() and not source.fresh
    (event,) = source.events()
    assert event.seen is not None and asked == [None]
    np.testing.assert_array_equal(event.seen.image, bgr)
    source.close()


def test_an_image_of_before_that_request_is_listened_to_alone(
    program: Path, opened: Opener, models: Models, caplog: pytest.LogCaptureFixture
) -> None:
    source = opened(program)
    image, *_ = alarms(source, models)
    request = source._session.request  # type: ignore[attr-defined]

    def older(kind: Request, *given: object) -> bytes:
        # As an image without that request answers it.
        return bytes(request(0x3E if kind is Request.FRAME else kind, *given))

    source._session.request = older  # type: ignore[attr-defined]
    for number in (1, 2):
        feed(source, number, image)
        assert source.grab() and not source.fresh and not source.looks
        (event,) = source.events()
        assert event.kind == "alarm" and event.seen and event.seen.image is None
    assert caplog.text.count("gives no frames") == 1
    source.close()


def test_an_alarm_whose_frame_cannot_be_read_is_told_before_the_board_is_lost(
    program: Path, opened: Opener, models: Models
) -> None:
    source = opened(program)
    image, *_ = alarms(source, models)

    def cut(seen: int | None) -> None:
        raise LotorError("the cable is cut")

    source._watching.captured = cut  # type: ignore[attr-defined]
    feed(source, 1, image)
    assert source.grab() and not source.fresh
    (event,) = source.events()
    assert event.kind == "alarm" and event.seen and event.seen.image is None
    with pytest.raises(LotorError, match="the cable is cut"):
        source.grab()
    source.close()


def test_an_alarm_waits_for_its_frame_and_no_longer_than_that(
    program: Path, opened: Opener, models: Models
) -> None:
    source = opened(program)
    image, *_ = alarms(source, models)
    feed(source, 1, image)
    source._watching.captured = lambda seen: None  # type: ignore[attr-defined]
    source._clock = clock = SetClock(1_790_000_000.0)  # type: ignore[attr-defined]
    waits: list[float] = []

    def wait(event: threading.Event, seconds: float) -> None:
        waits.append(seconds)
        clock.advance(4)

    clock.wait = wait  # type: ignore[method-assign, assignment]
    assert source.grab() and not source.fresh
    (event,) = source.events()
    assert event.seen and event.seen.image is None and len(waits) == 3
    source.close()


def test_board_with_a_sensor_gives_one_frame_after_the_other(
    seeing: Path, opened: Callable[[Path], Source]
) -> None:
    source = opened(seeing)
    assert source.changes
    images: list[Image] = []
    while len(images) < 4:
        try:
            assert source.grab()
        except LotorError as error:  # it may be asked just then
            assert "no frame comes" in str(error)
            continue
        if source.fresh:
            images.append(source.picture())
    assert all((image == image[0, 0]).all() for image in images)
    assert all((old != new).any() for old, new in itertools.pairwise(images))
    source.close()


def test_board_whose_loop_ends_is_lost(program: Path, opened: Callable[[Path], Source]) -> None:
    source = opened(program)
    source._watching.stop()  # type: ignore[attr-defined]
    with pytest.raises(LotorError, match="no longer watches"):
        source.grab()
    source.close()


def test_board_without_a_camera_is_refused_by_name(
    models: Models, tmp_path: Path, opened: Callable[[Path], Source]
) -> None:
    blind = build_host_server([compiled_for(model) for model in models], tmp_path)
    with pytest.raises(LotorError, match="board nano33ble-ov7670 has no camera"):
        opened(blind)
    with HostServer(blind) as server:
        session = Session(server, "the server")  # type: ignore[arg-type]
        with pytest.raises(DeviceError, match="unknown request"):
            session.request(Request.FRAME, bytes(6))
        with pytest.raises(LotorError, match="has no camera"):
            Watching(session).captured()


def test_board_that_is_not_named_or_not_there_says_so() -> None:
    for text, said in (("board:", "names no board"), ("board:nosuch", "nosuch")):
        with pytest.raises(LotorError, match=said):
            open_source(config.Camera("shed", text), SystemClock())

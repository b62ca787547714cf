"""The loop of a board with a camera: its events are those that Python expects."""

import dataclasses
import struct

import numpy as np
import pytest

from lotor.board_camera import FORMATS, KINDS
from lotor.device.bench import Bench, Mismatch
from lotor.device.hil import default_model
from lotor.device.link import ErrorCode, Request
from lotor.device.ready import compile_for
from lotor.device.session import DeviceError, Session
from lotor.device.watch import Action, Settings, Watching
from lotor.pixels import from_rgb, to_rgb
from lotor.preprocess import resize
from lotor.watch_model import HostWatch
from lotor.zoo import ModelFile, find_model


@pytest.fixture(autouse=True)
def camera(bench: Bench) -> None:
    if bench.board.camera is None:
        pytest.skip(f"{bench.board.name} has no camera")


@pytest.fixture
def watched(bench: Bench, pytestconfig: pytest.Config) -> tuple[ModelFile, dict]:
    """The model under test, and how it watches frames."""
    name = pytestconfig.getoption("lotor_model") or default_model(bench.board.name)
    table = compile_for(bench.board.name, str(name)).report["watch"]
    if table is None:
        pytest.skip(f"model {name} watches no frames")
    return find_model(str(name)), table


@pytest.mark.smoke
def test_hello_says_what_the_board_file_says(bench: Bench, board: Session) -> None:
    camera, found = bench.board.camera, board.hello()
    assert found.camera is not None
    assert KINDS[found.camera.kind] == camera.kind
    assert FORMATS[found.camera.format] == camera.format
    assert (found.camera.width, found.camera.height) == (camera.width, camera.height)
    outputs = {o.name: (o.max_on_ms, o.rest_ms) for o in found.outputs}
    assert outputs == {n: (o.max_on_ms, o.rest_ms) for n, o in bench.board.outputs.items()}


def test_events_are_those_of_python(
    bench: Bench, board: Session, watched: tuple[ModelFile, dict]
) -> None:
    """Photographs of golden vectors where there are some, and noise; whole frames."""
    camera, (model, table) = bench.board.camera, watched
    if camera.kind != "synthetic":
        pytest.skip(f"{bench.board.name} has a camera of its own, which nobody can feed")
    images = [np.random.default_rng(3).integers(0, 256, (60, 80, 3), np.uint8)]
    for path in bench.golden[:2]:
        with np.load(path) as vector:
            images.append((vector["input"][0].astype(np.int16) + 128).astype(np.uint8))
    chosen = Settings(model=board.greeting.models.index(_of(board, bench)), views=False, every=True)
    chosen = dataclasses.replace(chosen, votes=1, of=2, threshold=table["alarm_full"] or 200)
    watching = Watching(board)
    first = watching.start(chosen).events
    here = HostWatch(model, chosen, table["person_from"], None, first)
    for number, image in enumerate(images):
        raw = from_rgb(resize(image, camera.height, camera.width), camera.format)
        watching.feed(number, 1000 * number, raw, camera.format)
        (event,) = watching.events(watching.state().events)
        rgb = to_rgb(raw, camera.format, camera.height, camera.width)
        if dataclasses.replace(event, action=Action.NONE) != here.look(number, 1000 * number, rgb):
            raise Mismatch(f"frame {number}: {event}")
        captured = watching.captured()
        assert captured is not None
        assert captured[:2] == (number, 1000 * number)
        np.testing.assert_array_equal(captured.rgb, rgb)
        assert watching.captured(number) is None
    assert watching.stop().frames == len(images)
    bench.check()  # and models run as before


def _of(board: Session, bench: Bench):  # noqa: ANN202
    return next(m for m in board.greeting.models if m.hash == bench.model.compiled.model_hash)


@pytest.mark.smoke
def test_nonsense_starts_nothing(board: Session) -> None:
    for payload, code in (
        (b"", ErrorCode.BAD_PAYLOAD),
        (b"\3", ErrorCode.OUT_OF_RANGE),
        (Settings(model=200).pack(), ErrorCode.BAD_INDEX),
        (Settings(model=1).pack(), ErrorCode.BAD_INDEX),  # no classifier of frames
    ):
        with pytest.raises(DeviceError) as refusal:
            board.request(Request.WATCH, payload)
        assert refusal.value.code == code, payload
    with pytest.raises(DeviceError):
        board.request(Request.EVENTS, b"")
    assert not Watching(board).state().running
    count = len(board.hello().outputs)
    for payload, code in (
        (b"\0", ErrorCode.BAD_PAYLOAD),
        (bytes(6), ErrorCode.BAD_PAYLOAD),
        (struct.pack("<BI", count, 1), ErrorCode.BAD_INDEX),
        (struct.pack("<BI", 255, 0), ErrorCode.BAD_INDEX),
    ):
        with pytest.raises(DeviceError) as refusal:
            board.request(Request.OUTPUT, payload)
        assert refusal.value.code == code, payload
    for index in range(count):
        assert board.output(index, 0) == 0
    first, following = struct.unpack("<II", board.request(Request.EVENTS, b"\xff" * 4))
    assert first <= following


@pytest.mark.smoke
def test_frame_outside_the_frame_is_refused(board: Session) -> None:
    info = board.greeting.camera
    assert info is not None
    for payload, code in (
        (b"", ErrorCode.BAD_PAYLOAD),
        (struct.pack("<IH", info.frame_bytes, 1), ErrorCode.OUT_OF_RANGE),
        (struct.pack("<IH", 0xFFFFFFFF, 2), ErrorCode.OUT_OF_RANGE),
        (struct.pack("<IH", 0, 0xFFFF), ErrorCode.OUT_OF_RANGE),
    ):
        with pytest.raises(DeviceError) as refusal:
            board.request(Request.FRAME, payload)
        assert refusal.value.code == code, payload

"""A camera's loop on emulated boards: every event is the one that Python expects."""

import dataclasses
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from conftest import Lotor
from lotor.board import load_board
from lotor.data.sequences import FRAMES, SEQUENCES
from lotor.device import emulator
from lotor.device.flash import flash
from lotor.device.session import Session
from lotor.device.watch import Action, Event, Kind, Settings, Watching
from lotor.preprocess import Image, read_image, resize
from lotor.resources import resource
from lotor.zoo import ModelFile, find_model
from watched import (
    compiled_for,
    expected_events,
    fed,
    frames,
    middle,
    small_models,
    without_action,
)

NEEDS = {"mps2-an386": "qemu-system-arm", "pi-a72": "qemu-aarch64"}
COMPILERS = {"mps2-an386": "arm-none-eabi-gcc", "pi-a72": "aarch64-linux-gnu-gcc"}
LAMP = "mps2-an386"  # the one with an output

Models = tuple[ModelFile, ModelFile]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return small_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module", params=list(NEEDS))
def board(
    request: pytest.FixtureRequest, models: Models, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A board with both small models, on an emulator of its own."""
    name = str(request.param)
    for tool in (NEEDS[name], COMPILERS[name]):
        if not shutil.which(tool):
            pytest.skip(f"needs {tool}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOTOR_RUN_DIR", str(tmp_path_factory.mktemp("run")))
        flash(name, [str(model.path) for model in models])
        yield name
        emulator.stop(name)


def photographs() -> list[Image]:
    """Return the inputs of the golden vectors of `raccoon`, RGB: photographs, 96 x 96."""
    found = []
    for path in sorted(resource("models", "raccoon").glob("golden/*.npz")):
        with np.load(path) as vector:
            found.append((vector["input"][0].astype(np.int16) + 128).astype(np.uint8))
    return found


def watch(
    board: str, settings: Settings, images: Sequence[Image], every_ms: int = 700
) -> tuple[list[Event], list[tuple[int, int, Image]], int]:
    """Let a board watch images, squeezed into its camera's frames."""
    camera = load_board(board).camera
    assert camera is not None
    came, seen = list[Event](), []
    with Session.open(board) as session:
        watching = Watching(session)
        first = watching.start(settings).events
        for number, image in enumerate(images):
            frame = resize(np.ascontiguousarray(image), camera.height, camera.width)
            raw, rgb = fed(frame, camera.format)
            watching.feed(number, every_ms * number, raw, camera.format)
            seen.append((number, every_ms * number, rgb))
            came += watching.events(watching.state().events)
        watching.stop()
    return [without_action(event) for event in came], seen, first


def test_events_are_those_of_python(board: str, models: Models) -> None:
    """Made-up frames, and photographs, with views and a second model."""
    images = [*frames(7, 160, 120), *photographs()][:10]
    settings = Settings(
        model=0,
        veto=1,
        every=True,
        votes=2,
        of=3,
        memory_ms=4000,
        cooldown_ms=2500,
        threshold=middle(models[0], images, 0.3, True),
        veto_from=middle(models[1], images, 0.9, False),
    )
    came, seen, first = watch(board, settings, images)
    assert came == expected_events(*models, settings, seen, first)
    assert {event.kind for event in came} == {Kind.FRAME, Kind.ALARM, Kind.HELD}
    assert len({event.view for event in came}) > 2


def always(on_ms: int) -> Settings:
    """Settings with which every frame that is known alarms and asks for the lamp."""
    return Settings(
        model=0, views=False, every=True, votes=1, of=1, output=0, on_ms=on_ms,
        memory_ms=0, cooldown_ms=0, threshold=0,
    )  # fmt: skip


@pytest.mark.parametrize("on_ms", [30, 60_000])
def test_an_output_is_on_no_longer_than_its_board_says(
    board: str, models: Models, on_ms: int
) -> None:
    """In the board's own time, which runs while an output is on."""
    output = load_board(board).outputs.get("lamp")
    if output is None:
        assert board != LAMP
        pytest.skip(f"{board} has no output")
    images = frames(10, 160, 120, 4)
    actions = list[Action]()
    with Session.open(board) as session:
        watching = Watching(session)
        assert [o.name for o in session.hello().outputs] == ["lamp"]
        watching.start(always(on_ms))
        for number in range(60):
            raw, _ = fed(images[number % 10], "grey")
            watching.feed(number, number, raw, "grey")
            state = watching.state()
            came = list(watching.events(state.events))
            actions += [event.action for event in came if event.kind is Kind.ALARM]
            if Action.ON in actions:
                break
        # It rested after the start, then went on.
        assert actions[-1] is Action.ON
        # Nothing more is asked of the board: it goes off by itself.
        until = time.monotonic() + 30
        while watching.state().lit:
            assert time.monotonic() < until
        longest = watching.state().longest_ms
        least = min(on_ms, output.max_on_ms)
        # A layer, or a view's pixels, may end after the time is over.
        assert least <= longest <= least + 60
        watching.feed(1000, 1000, raw, "grey")
        (event,) = watching.events(watching.state().events)
        assert (event.kind, event.action) == (Kind.ALARM, Action.REFUSED)
        watching.stop()


def test_a_reset_does_not_shorten_the_rest(board: str, models: Models) -> None:
    if not load_board(board).outputs:
        pytest.skip(f"{board} has no output")
    image = frames(1, 160, 120, 4)[0]
    with Session.open(board) as session:
        session.reset()
        watching = Watching(session)
        watching.start(always(100))
        watching.feed(0, 0, fed(image, "grey")[0], "grey")
        (event,) = watching.events(watching.state().events)
        assert (event.kind, event.action) == (Kind.ALARM, Action.REFUSED)
        watching.stop()


@pytest.mark.slow
def test_raccoon_and_person_on_photographs() -> None:
    """The shipped models, on whole frames."""
    _shipped(photographs()[:3], views=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["synthetic_raccoon_day", "real_badger", "real_catdoor"])
def test_raccoon_and_person_on_sequences(name: str) -> None:
    folder = (resource("models").parent / SEQUENCES).resolve()
    if not (folder / FRAMES).is_file():
        pytest.skip(f"no sequences in {folder}")
    paths = sorted((folder / name).glob("*.jpg"))
    _shipped([read_image(path)[:, :, ::-1] for path in paths[:: max(1, len(paths) // 8)]], True)


def _shipped(images: Sequence[Image], views: bool) -> None:
    for tool in (NEEDS[LAMP], COMPILERS[LAMP]):
        if not shutil.which(tool):
            pytest.skip(f"needs {tool}")
    both = find_model("raccoon"), find_model("person")
    tables = [compiled_for(model).report["watch"] for model in both]
    settings = Settings(
        model=0, veto=1, views=views, every=True, votes=1, of=2, memory_ms=4000, cooldown_ms=900,
        threshold=tables[0]["alarm" if views else "alarm_full"], veto_from=tables[1]["veto_from"],
    )  # fmt: skip
    chosen = dataclasses.replace(settings, threshold=-1, veto_from=-1)  # as the image has them
    flash(LAMP, [str(model.path) for model in both])
    try:
        came, seen, first = watch(LAMP, chosen, images)
    finally:
        emulator.stop(LAMP)
    assert came == expected_events(*both, settings, seen, first)
    assert came[0].score > -1 and came[0].second > -1 and came[0].person > -1


def test_the_command(board: str, models: Models, lotor: Lotor, tmp_path: Path) -> None:
    import cv2

    for number, image in enumerate(frames(6, 200, 150, 8)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image[:, :, ::-1])
    paths = [str(model.path) for model in models]
    command = ["watch", "--board", board, "--model", paths[0], "--model", paths[1]]
    command += ["--source", str(tmp_path), "--threshold", "0.3", "--votes", "1/2"]
    done = lotor(*command, "--views", "--json", "--limit", "2")
    assert done.returncode == 0, done.stderr
    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["frame"] for line in lines] == [0, 1]
    assert {line["kind"] for line in lines} <= {"frame", "alarm", "held"}
    result = last["summary"]
    assert (result["frames"], result["mismatches"], result["missed"]) == (2, 0, 0)
    assert result["alarms"] == sum(line["kind"] == "alarm" for line in lines)
    done = lotor(*command, "--every", "--limit", "1")
    assert "0 of 1 events differ from this machine's" in done.stdout
    assert done.stdout.count("frame ") >= 1

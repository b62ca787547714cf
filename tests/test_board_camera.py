"""Cameras and outputs in board files, in images, and on the command line."""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import Lotor
from lotor.board import Board, load_board, read_board
from lotor.board_camera import CAPTURES, KINDS, Camera, Output, check_camera
from lotor.build import arena_room, build_firmware, firmware_ram
from lotor.errors import LotorError
from lotor.image_sources import check_models, config_header
from lotor.resources import resource
from lotor.watch_frames import find_clips
from tiny_model import TinyModel
from watched import compiled_for, small_models

BOARD = "mps2-an386"
CAMERA = Camera("synthetic", 160, 120, "rgb565")


def edited(tmp_path: Path, old: str, new: str, board: str = BOARD) -> Path:
    text = resource("boards", f"{board}.toml").read_text()
    assert old in text
    path = tmp_path / "garden.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_values_arrive() -> None:
    board = load_board(BOARD)
    assert board.camera == CAMERA
    assert board.outputs == {"lamp": Output(0, 500, 1000)}
    assert board.camera.frame_bytes == 57600
    assert load_board("netduinoplus2").camera is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "synthetic"', 'kind = "sinthetic"', r"'camera.kind'.*did you mean 'synthetic'"),
        ('kind = "synthetic"\n', "", "the key 'camera.kind' is missing"),
        ("width = 160", "with = 160", r"'camera.with' is no key \(did you mean 'width'"),
        ("width = 160", "width = 0", "'camera.width' is 0; it may be 1 to 1024"),
        ("height = 120", "height = 1025", "'camera.height' is 1025"),
        ("height = 120", 'height = "120"', "'camera.height' must be a whole number"),
        ('format = "rgb565"', 'format = "rgb556"', r"did you mean 'rgb565'"),
        ("[camera]", "[camera]\npins = { sda = 1 }", "a synthetic camera has no pins"),
        ("[camera]", "[camera]\npins = 3", "'camera.pins' must be a table"),
        ("[camera]", '[camera]\npins = { sda = "1" }', "'camera.pins.sda' must be a whole number"),
        ("[camera]", "[cameras]", r"'cameras' is no key \(did you mean 'camera'"),
        ("max_on_ms = 500", "max_on_ms = 0", "'outputs.lamp.max_on_ms' is 0; it may be 1 to"),
        ("max_on_ms = 500", "max_on_ms = 600_001", "'outputs.lamp.max_on_ms' is 600001"),
        ("max_on_ms = 500\n", "", "the key 'outputs.lamp.max_on_ms' is missing"),
        ("max_on_ms = 500", "max_on = 500", r"did you mean 'max_on_ms'"),
        ("rest_ms = 1_000", "rest_ms = 0", "'outputs.lamp.rest_ms' is 0"),
        ("rest_ms = 1_000\n", "", "the key 'outputs.lamp.rest_ms' is missing"),
        ("pin = 0", "pin = 256", "'outputs.lamp.pin' is 256"),
        ("pin = 0", 'pin = 0\nactive = "hi"', r"'outputs.lamp.active' is 'hi'.*high or low"),
        ("[outputs.lamp]", '[outputs."la mp"]', "a name has at most 24 letters"),
        ("leds = 0x4002_8000\n", "", "the key 'hal.leds' is missing"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(LotorError, match=r"board file garden.toml: .*") as error:
        read_board(edited(tmp_path, old, new))
    assert re.search(message, str(error.value)), error.value


def test_two_outputs_on_one_pin(tmp_path: Path) -> None:
    more = "[outputs.siren]\npin = 0\nmax_on_ms = 1\nrest_ms = 1\n\n[outputs.lamp]"
    with pytest.raises(LotorError, match=r"'outputs\.lamp' and 'siren' are both on pin 0"):
        read_board(edited(tmp_path, "[outputs.lamp]", more))


def test_outputs_need_a_camera_and_a_family_that_has_them(tmp_path: Path) -> None:
    text = resource("boards", f"{BOARD}.toml").read_text()
    path = tmp_path / "garden.toml"
    path.write_text(re.sub(r"\[camera\].*?(?=\[outputs)", "", text, flags=re.DOTALL))
    with pytest.raises(LotorError, match=r"\[outputs\] go with a \[camera\]"):
        read_board(path)
    outputs = "\n[outputs.lamp]\npin = 1\nmax_on_ms = 1\nrest_ms = 1\n[budget]"
    with pytest.raises(LotorError, match="family linux switches none yet"):
        read_board(edited(tmp_path, "[budget]", outputs, "pi-a72"))


BUS = ["sda", "scl", "xclk", "pclk", "vsync", "href", *(f"d{bit}" for bit in range(8))]
PINS = {name: 10 + number for number, name in enumerate(BUS)}


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("ov7670", {"width": 128}, "a frame of 128 x 120; ov7670 gives 160 x 120 or 320 x 240"),
        ("ov7670", {"format": "grey"}, "it may be rgb565 or yuyv for ov7670"),
        ("hm01b0", {"format": "yuyv"}, "it may be grey for hm01b0"),
        ("ov2640", {"pins": {**PINS, "vsink": 3}}, "did you mean 'vsync'"),
        ("ov2640", {"pins": {k: v for k, v in PINS.items() if k != "d7"}}, "camera.pins.d7"),
        ("ov7670", {"pins": {**PINS, "d3": 10}}, "'camera.pins.d3' and 'sda' are both 10"),
        ("ov7670", {"pins": {**PINS, "reset": 300}}, "'camera.pins.reset' is 300"),
        ("hm01b0", {"pins": {**PINS, "reset": 30}}, "'camera.pins' is 'reset'.* for hm01b0"),
        ("synthetic", {"format": "yuyv", "width": 161, "pins": {}}, "yuyv has pixels in pairs"),
    ],
)
def test_what_each_kind_can(kind: str, changes: dict[str, object], message: str) -> None:
    form = {"hm01b0": "grey", "synthetic": "rgb888"}.get(kind, "rgb565")
    camera = Camera(kind, 160, 120, form, PINS)
    with pytest.raises(LotorError, match=message):
        check_camera(dataclasses.replace(camera, **changes), "stm32f4", "here")  # type: ignore[arg-type]


def test_a_sensor_needs_a_family_that_takes_frames() -> None:
    assert "stm32f4" not in CAPTURES
    for kind in KINDS[1:]:
        camera = Camera(kind, 160, 120, "grey" if kind == "hm01b0" else "yuyv", PINS)
        with pytest.raises(LotorError, match="family stm32f4 takes no frames of one yet"):
            check_camera(camera, "stm32f4", "here")
    check_camera(Camera("ov7670", 160, 120, "yuyv", PINS), "nrf5x", "here")
    with pytest.raises(LotorError, match="'ov2640', and family nrf5x takes no frames of one"):
        check_camera(Camera("ov2640", 160, 120, "yuyv", PINS), "nrf5x", "here")


def without(board: Board) -> Board:
    return dataclasses.replace(board, camera=None, outputs={})


def test_a_frame_is_counted_in_ram() -> None:
    """In what is left for the arena, and in an error's numbers."""
    board, models = load_board(BOARD), [TinyModel("one")]
    taken = firmware_ram(board) - firmware_ram(without(board))
    assert 57600 < taken < 57600 + 5000
    assert arena_room(without(board), models) - arena_room(board, models) == taken
    narrow = dataclasses.replace(
        board, memory=dataclasses.replace(board.memory, ram=dataclasses.replace(
            board.memory.ram, bytes=65536)),
    )  # fmt: skip
    message = r"ram needs \d+ bytes \(4096 of them the arena, 57600 a camera.s frame\)"
    with pytest.raises(LotorError, match=message):
        build_firmware(narrow, models)


def test_only_an_image_with_a_camera_has_its_parts() -> None:
    board = load_board(BOARD)
    header = config_header([TinyModel("one")], board)
    plain = config_header([TinyModel("one")], without(board))
    assert set(header.splitlines()) - set(plain.splitlines()) == {"#define LOTOR_CAMERA 1"}


def test_hello_has_room_for_camera_and_models() -> None:
    board = load_board(BOARD)
    many = [TinyModel(f"{'m' * 40}{i}") for i in range(20)]
    fit = next(n for n in range(1, 20) if _refused(many[: n + 1], without(board)))
    crowd = {f"output_{i}_of_many": Output(i, 1, 1) for i in range(8)}
    full = dataclasses.replace(board, outputs=crowd)
    assert not _refused(many[:fit], without(board))
    assert _refused(many[:fit], full)


def _refused(models: list[TinyModel], board: Board) -> bool:
    try:
        check_models(models, board)
    except LotorError as error:
        assert "hello" in str(error)
        return True
    return False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--board", "netduinoplus2"], "board netduinoplus2 has no camera.*mps2-an386.*cameras.md"),
        (["--board", BOARD], "the camera of board mps2-an386 is synthetic: feed it with --source"),
        (["--board", BOARD, "--source", "nowhere"], "no image nowhere"),
        (["--board", BOARD, "--source", "notes.txt"], "notes.txt is no photograph and no video"),
        (["--board", BOARD, "--source", "a.png", "--threshold", "2"], "a score is 0 to 1"),
        (["--board", BOARD, "--source", "a.png", "--limit", "0"], "--limit 0: give 1 or more"),
        (["--board", BOARD, "--source", "a.png", "--on-ms", "0"], "--on-ms 0"),
        (["--board", BOARD, "--source", "a.png", "--votes", "3/40"], "remembers 32 frames"),
        (["--board", BOARD, "--source", "a.png", "--votes", "5/3"], "at most one a frame"),
        (["--board", BOARD, "--source", "a.png", "--output", "lump"], "did you mean 'lamp'"),
        (["--board", BOARD, "--source", "a.png", "--model", "raccoon"], "its target is raccoon"),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_line(
    lotor: Lotor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    import cv2
    import numpy as np

    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("no pixels\n")
    done = lotor("watch", "--model", "raccoon", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert re.search(message, line), line


def test_a_model_that_cannot_watch(lotor: Lotor, tmp_path: Path) -> None:
    import cv2
    import numpy as np

    first, _ = small_models(tmp_path)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    common = ["watch", "--board", BOARD, "--source", str(tmp_path / "a.png"), "--model"]
    done = lotor(*common, str(first.path))
    assert done.returncode == 2
    assert "has no threshold from training (metrics.json beside it)" in done.stderr
    (first.path.parent / "recipe.toml").unlink()
    done = lotor(*common, str(first.path), "--threshold", "0.5")
    assert done.returncode == 2
    assert "watcher watches no frames: its recipe.toml names no target" in done.stderr


def test_videos_folders_and_sequences(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    images = [np.full((24, 32, 3), 10 * i, np.uint8) for i in range(20)]
    video = cv2.VideoWriter(
        str(tmp_path / "night.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (32, 24)
    )
    for image in images:
        video.write(image)
    video.release()
    folder = tmp_path / "yard"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), images[number])
    clips = find_clips([tmp_path / "night.avi", folder, folder / "2.png"], rate=4.0)
    assert [clip.name for clip in clips] == ["night.avi", "yard", "photographs"]
    of_video, of_folder, of_file = ([*clip.frames()] for clip in clips)
    assert [time for time, _ in of_video] == [0, 250, 500, 750, 1000, 1250, 1500, 1750]
    # Two seconds at ten a second: of each quarter the first frame from then on.
    means = [round(float(image.mean()) / 10) for _, image in of_video]
    assert means == [0, 3, 5, 8, 10, 13, 15, 18]
    assert [(time, int(image[0, 0, 0])) for time, image in of_folder] == [
        (0, 0), (250, 10), (500, 20),
    ]  # fmt: skip
    assert [time for time, _ in of_file] == [0]
    (folder / "frames.csv").write_text(
        "file,frame,label,timestamp\n1.png,0,cat,5\n0.png,1,cat,7.5\n"
    )
    (clip,) = find_clips([folder], 1.0)
    assert [(time, int(image[0, 0, 0])) for time, image in clip.frames()] == [(0, 10), (2500, 0)]
    (tmp_path / "empty.mp4").write_bytes(b"")
    (broken,) = find_clips([tmp_path / "empty.mp4"], 1.0)
    with pytest.raises(LotorError, match="has no frame that can be read"):
        list(broken.frames())


def test_the_table_of_a_model(tmp_path: Path) -> None:
    """What training chose for a shipped model is what the image gets, in half steps."""
    from lotor.decision import read_chosen
    from lotor.zoo import find_model

    found = {name: find_model(name) for name in ("raccoon", "person")}
    raccoon, person = (compiled_for(model).report["watch"] for model in found.values())
    assert raccoon["alarm"] / 512 == read_chosen(found["raccoon"], views=True).alarm
    assert raccoon["alarm_full"] / 512 == read_chosen(found["raccoon"]).alarm
    assert person["veto_from"] / 512 == read_chosen(found["person"]).alarm
    assert raccoon["veto_from"] is None
    assert (raccoon["person"], person["person"]) == (3, None)


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")
def test_a_board_with_a_sensor_is_built(tmp_path: Path) -> None:
    """Its loop, its sensor and what takes frames are in the image; what feeds one is not."""
    board = load_board("nano33ble-ov7670")
    image = build_firmware(board, [TinyModel("one")], tmp_path)
    listed = subprocess.run(
        ["arm-none-eabi-nm", image.elf], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[-1] for line in listed.splitlines()}
    assert {"hal_camera_capture", "ov7670", "watch_poll", "sccb_bus"} <= names
    assert not names & {"synthetic_begin", "camera_data_request"}
    layer = ["arm-none-eabi-objdump", "--disassemble=lotor_layer_done", str(image.elf)]
    code = subprocess.run(layer, capture_output=True, text=True, check=True).stdout
    assert "<outputs_poll>" in code  # what is on goes off within a run, too
    assert board.camera is not None and image.ram_bytes > board.camera.frame_bytes

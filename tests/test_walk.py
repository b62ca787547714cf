"""`lotor doctor --board`: the way to an emulated board for real, to others by made-up ports."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from fake_board import HELLO, FakeBoard, answer, item
from lotor.board import load_board
from lotor.build import build_firmware
from lotor.cli import main
from lotor.device import emulator, udev
from lotor.device.flash import flash_image
from lotor.device.messages import FaultReason
from lotor.device.ports import port_lock
from lotor.device.session import Session
from lotor.device.walk import Step, walk
from tiny_model import TinyModel

NAMES = ["tool", "port", "probe", "permissions", "boot", "hello"]
EMULATED, REAL = "netduinoplus2", "nucleo-l4r5zi"
USB = "0483:374b"

Install = Callable[[str, str, int], None]
Plug = Callable[..., None]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    for name in ("LOTOR_PORT", "LOTOR_SSH", "LOTOR_UF2"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("lotor.device.walk._GREET_SECONDS", 0.2)
    for name in ("DEVICES", "NODES"):
        monkeypatch.setattr(udev, name, tmp_path / name)
    yield
    emulator.stop(EMULATED)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a program first on PATH that says something and ends with a status."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def install(name: str, says: str, status: int = 0) -> None:
        path = folder / name
        path.write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{tmp_path}/asked\necho '{says}'\nexit {status}\n"
        )
        path.chmod(0o755)

    return install


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Plug boards in at some ports, each with a serial number; 0483:374b."""

    def plug(*devices: str) -> None:
        ports = [
            SimpleNamespace(device=device, vid=0x0483, pid=0x374B, serial_number=f"06{number}FF")
            for number, device in enumerate(devices)
        ]
        monkeypatch.setattr("serial.tools.list_ports.comports", lambda: ports)

    return plug


def states(steps: list[Step]) -> list[str]:
    assert [step.name for step in steps] == NAMES
    assert all(step.next for step in steps if step.state == "failed")
    return [step.state for step in steps]


def fake(name: bytes = REAL.encode(), more: bytes = b"") -> FakeBoard:
    """A board of some name on a pty."""
    hello = HELLO.replace(item(1, b"fake"), item(1, name)) + more
    return FakeBoard(lambda frame: [answer(frame, hello)], own_hello=True)


# An emulated board, for real.


@pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="needs qemu-system-arm")
def test_the_way_to_an_emulated_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = walk(EMULATED)
    assert states(steps) == ["ok", *["not reached"] * 5]
    assert "flash --board netduinoplus2" in steps[1].next
    assert main(["doctor", "--board", EMULATED]) == 0  # nothing is wrong
    board = load_board(EMULATED)
    image = build_firmware(board, [TinyModel("tiny")], tmp_path)
    url, _ = flash_image(board, image)
    capsys.readouterr()
    assert main(["doctor", "--board", EMULATED, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["steps"]
    assert [step["state"] for step in found] == ["ok"] * 6
    by_name = {step["name"]: step["found"] for step in found}
    assert by_name["port"] == url
    state = emulator.running(EMULATED)
    assert state is not None and str(state.pid) in by_name["probe"]
    assert image.build_id.hex()[:12] in by_name["hello"] and "tiny" in by_name["hello"]

    with Session.open(EMULATED) as session:
        session.provoke(FaultReason.USAGE_FAULT)
    steps = walk(EMULATED)
    assert states(steps) == ["ok"] * 6
    assert "keeps a fault: usage fault" in steps[-1].found

    file = tmp_path / "run" / f"{EMULATED}.json"
    file.write_text(file.read_text().replace(state.build_id, "00" * 20))
    assert main(["doctor", "--board", EMULATED]) == 1
    assert "not 000000000000\n" in capsys.readouterr().out


# A real board, with made-up ports and tools.


def test_the_way_to_a_real_board(install: Install, plug: Plug, tmp_path: Path) -> None:
    install("openocd", "Info : [stm32l4x.cpu] Cortex-M4 r0p1 processor detected", 0)
    with fake() as board:
        plug(board.url)
        steps = walk(REAL)
        assert states(steps) == ["ok"] * 6
        assert steps[1].found == f"{board.url}, serial number 060FF"
        assert steps[2].found.endswith("Cortex-M4 r0p1 processor detected")
        assert f"{REAL}, build 000102030405, small, large" in steps[-1].found
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[asked.index("-c") + 1] == "adapter serial 060FF"
    assert asked[-1] == "init; exit"  # and nothing is flashed


def test_no_tool_and_no_port(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    plug()
    steps = walk(REAL)
    assert states(steps) == ["failed", "failed", *["not reached"] * 4]
    assert (steps[0].found, steps[0].next) == (
        "openocd is missing",
        "`sudo apt-get install openocd`",
    )
    assert "USB identity 0483:374b or 0483:374e" in steps[1].found
    assert steps[1].next == "plug it in, or name its port in LOTOR_PORT"
    assert steps[2].found == "needs tool and port"


def test_two_candidates_are_listed(install: Install, plug: Plug) -> None:
    install("openocd", "", 0)
    plug("/dev/ttyACM0", "/dev/ttyACM7")
    step = walk(REAL)[1]
    assert step.state == "failed"
    for text in ("/dev/ttyACM0", "060FF", "/dev/ttyACM7", "061FF"):
        assert text in step.found
    assert step.next == "name one in LOTOR_PORT"


def test_a_port_that_is_not_there(
    install: Install, plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("openocd", "", 0)
    plug()
    monkeypatch.setenv("LOTOR_PORT", "/dev/ttyNowhere")
    step = walk(REAL)[1]
    assert (step.state, step.found) == ("failed", "there is no /dev/ttyNowhere")


def test_a_probe_that_is_not_seen(install: Install, plug: Plug) -> None:
    install("openocd", "Error: open failed", 1)
    with fake() as board:
        plug(board.url)
        steps = walk(REAL)
    assert states(steps) == ["ok", "ok", "failed", "ok", "ok", "ok"]  # it need not be flashed
    assert "Error: open failed" in steps[2].found
    assert "--write-rule FILE" in steps[2].next


def test_a_device_file_for_a_group(
    install: Install, plug: Plug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe is seen in sysfs, and its device file may be opened by a group only."""
    install("openocd", "", 0)
    device = tmp_path / "DEVICES/1-4"
    device.mkdir(parents=True)
    values = {"idVendor": "0483", "idProduct": "374b", "busnum": "1", "devnum": "7"}
    for name, value in values.items():
        (device / name).write_text(f"{value}\n")
    (tmp_path / "DEVICES/1-4:1.0").mkdir()  # an interface
    other = tmp_path / "DEVICES/1-5"
    shutil.copytree(device, other)
    (other / "idProduct").write_text("ffff\n")
    node = tmp_path / "NODES/001/007"
    node.parent.mkdir(parents=True)
    node.write_text("")
    assert list(udev.nodes((USB,))) == [node]
    with fake() as board:
        plug(board.url)
        assert states(walk(REAL)) == ["ok"] * 6
        monkeypatch.setattr(os, "access", lambda path, _: path != node)
        monkeypatch.setattr("grp.getgrgid", lambda _: SimpleNamespace(gr_name="plugdev"))
        monkeypatch.setattr(os, "getgroups", lambda: [4711])
        monkeypatch.setattr(os, "getegid", lambda: 4711)
        steps = walk(REAL)
    assert states(steps) == ["ok", "ok", "ok", "failed", "not reached", "not reached"]
    assert steps[3].found == f"{node} is for the group plugdev only"
    assert "sudo usermod -aG plugdev $USER" in steps[3].next
    assert "--write-rule FILE" in steps[3].next


def test_a_board_that_does_not_greet(install: Install, plug: Plug) -> None:
    install("openocd", "", 0)
    with FakeBoard(lambda _: [], own_hello=True) as board:
        plug(board.url)
        steps = walk(REAL)
        assert states(steps) == [*["ok"] * 4, "failed", "not reached"]
        assert "did not answer hello" in steps[4].found
        assert "lotor flash --board nucleo-l4r5zi" in steps[4].next
        with port_lock(board.url):
            steps = walk(REAL)
        assert steps[4].state == "failed" and "is busy" in steps[4].found


def test_another_board_on_the_port(
    install: Install, plug: Plug, capsys: pytest.CaptureFixture[str]
) -> None:
    install("openocd", "", 0)
    with fake(b"nucleo-f446re") as board:
        plug(board.url)
        steps = walk(REAL)
        assert states(steps) == [*["ok"] * 5, "failed"]
        assert steps[5].found == "the port is board nucleo-f446re"
        assert main(["doctor", "--board", REAL]) == 1
    assert "FAILED  hello" in capsys.readouterr().out


def test_boards_without_a_probe(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    plug()
    steps = walk("pi-4")
    assert steps[1].state == "failed" and "LOTOR_SSH" in steps[1].next
    with fake(b"raspberrypi-pico") as board:
        monkeypatch.setenv("LOTOR_PORT", board.url)
        steps = walk("raspberrypi-pico")
    assert states(steps) == ["ok", "ok", "not reached", "ok", "ok", "ok"]
    assert "hold BOOTSEL" in steps[2].next


# The rule.


def test_the_rule_names_every_identity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new/rule"
    assert main(["doctor", "--board", "nano33ble", "--write-rule", str(file)]) == 0
    assert "/etc/udev/rules.d/70-lotor-nano33ble.rules" in capsys.readouterr().out
    lines = file.read_text().splitlines()
    assert lines[0].startswith("# Arduino Nano 33 BLE")
    assert lines[1] == (
        'SUBSYSTEM=="tty", ATTRS{idVendor}=="2341", ATTRS{idProduct}=="805a", MODE="0660", '
        'GROUP="dialout", TAG+="uaccess"'
    )
    assert len(lines) == 1 + 2 * 2
    assert 'ATTRS{idProduct}=="005a"' in lines[4] and 'SUBSYSTEM=="usb"' in lines[4]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--board", EMULATED, "--write-rule", "x"], "needs no udev rule"),
        (["--write-rule", "x"], "--write-rule needs `--board BOARD`"),
        (["--board", REAL, "--write-rule", "/dev/null/x"], "cannot write /dev/null/x"),
    ],
)
def test_a_rule_that_is_not_written(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not Path("x").exists()

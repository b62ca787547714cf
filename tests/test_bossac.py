"""Flashing through Arduino's boot loader: a program stands for bossac, and ports are made up."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import serial
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from lotor.board import load_board
from lotor.build import Image
from lotor.device import bossac
from lotor.errors import LotorError

BOARD = load_board("nano33ble")
SKETCH, BOOT = 0x805A, 0x005A


def port(device: str, pid: int, number: str | None = None) -> ListPortInfo:
    found = ListPortInfo(device)
    found.vid, found.pid, found.serial_number = 0x2341, pid, number
    return found


@pytest.fixture
def image(tmp_path: Path) -> Image:
    (tmp_path / "firmware.bin").write_bytes(b"image")
    elf, binary = tmp_path / "firmware.elf", tmp_path / "firmware.bin"
    return Image("nano33ble", elf, binary, 5, 0, 0, bytes(20), [], {})


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> list[ListPortInfo]:
    """The ports of this machine: none at first."""
    here: list[ListPortInfo] = []
    monkeypatch.setattr(list_ports, "comports", lambda: list(here))
    monkeypatch.setenv("LOTOR_PORT", "/dev/ttyUSB0")
    monkeypatch.delenv("LOTOR_FLASH_PORT", raising=False)
    monkeypatch.setattr(bossac, "_BOOT_SECONDS", 0.3)
    return here


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bossac that notes its arguments and ends as the file `status` says."""
    path = tmp_path / "bin" / "bossac"
    path.parent.mkdir()
    path.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/arguments\n"
        f"echo 'Device unsupported'\nexit $(cat {tmp_path}/status)\n"
    )
    path.chmod(0o755)
    (tmp_path / "status").write_text("0")
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    return path


def arguments(tmp_path: Path) -> list[str]:
    return (tmp_path / "arguments").read_text().splitlines()


@pytest.mark.usefixtures("program")
def test_a_waiting_boot_loader_is_flashed(
    tmp_path: Path, image: Image, ports: list[ListPortInfo]
) -> None:
    ports += [port("/dev/ttyACM3", BOOT), port("/dev/ttyACM1", 0x0042)]
    assert bossac.flash(BOARD, image) == "/dev/ttyUSB0"
    expected = ["--port=ttyACM3", "-U", "-i", "-e", "-w", str(image.bin), "-R"]
    assert arguments(tmp_path) == expected


@pytest.mark.usefixtures("program")
def test_a_sketch_is_asked_to_start_it(
    tmp_path: Path, image: Image, ports: list[ListPortInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[tuple[str, int]] = []

    def opened(device: str, baud: int) -> SimpleNamespace:
        touched.append((device, baud))
        ports[:] = [port("/dev/ttyACM1", BOOT)]
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(serial, "Serial", opened)
    ports.append(port("/dev/ttyACM0", SKETCH))
    bossac.flash(BOARD, image)
    assert touched == [("/dev/ttyACM0", 1200)]
    assert arguments(tmp_path)[0] == "--port=ttyACM1"


@pytest.mark.usefixtures("program")
def test_a_sketch_that_does_not_start_it(
    tmp_path: Path, image: Image, ports: list[ListPortInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    ports.append(port("/dev/ttyACM0", SKETCH))
    with pytest.raises(LotorError, match="cannot open /dev/ttyACM0 to start the boot loader"):
        bossac.flash(BOARD, image)  # there is no such file
    quiet = SimpleNamespace(close=lambda: None)
    monkeypatch.setattr(serial, "Serial", lambda *_: quiet)
    with pytest.raises(LotorError, match=r"nano33ble on /dev/ttyACM0 did not start .* twice"):
        bossac.flash(BOARD, image)
    assert not (tmp_path / "arguments").exists()


@pytest.mark.usefixtures("program")
def test_no_port_or_two(
    tmp_path: Path, image: Image, ports: list[ListPortInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LotorError, match="identity 2341:005a or 2341:805a: plug its USB in"):
        bossac.flash(BOARD, image)
    ports += [port("/dev/ttyACM0", BOOT, "A1"), port("/dev/ttyACM1", SKETCH, "B2")]
    with pytest.raises(LotorError) as caught:
        bossac.flash(BOARD, image)
    assert str(caught.value) == (
        "2 ports could be board nano33ble: /dev/ttyACM0 (2341:005a, serial number A1); "
        "/dev/ttyACM1 (2341:805a, serial number B2); name one in LOTOR_FLASH_PORT"
    )
    assert not (tmp_path / "arguments").exists()
    monkeypatch.setenv("LOTOR_FLASH_PORT", "/dev/ttyACM0")
    bossac.flash(BOARD, image)
    assert arguments(tmp_path)[0] == "--port=ttyACM0"


@pytest.mark.usefixtures("program")
def test_a_link_without_a_port_is_refused_before_anything_is_flashed(
    tmp_path: Path, image: Image, ports: list[ListPortInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    ports.append(port("/dev/ttyACM0", BOOT))
    monkeypatch.delenv("LOTOR_PORT")
    with pytest.raises(LotorError, match=r"no USB port of its own for its link: .* LOTOR_PORT"):
        bossac.flash(BOARD, image)
    assert not (tmp_path / "arguments").exists()


@pytest.mark.usefixtures("program")
def test_a_bossac_that_fails(tmp_path: Path, image: Image, ports: list[ListPortInfo]) -> None:
    ports.append(port("/dev/ttyACM0", BOOT))
    (tmp_path / "status").write_text("3")
    with pytest.raises(LotorError, match=r"status 3\); it said: Device unsupported; .*arduino2"):
        bossac.flash(BOARD, image)


@pytest.mark.usefixtures("ports")
def test_no_bossac(image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LotorError, match="bossac is missing: put the one of Arduino's"):
        bossac.flash(BOARD, image)

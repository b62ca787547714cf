"""Flashing with OpenOCD: a program on PATH that notes its arguments and fails on demand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lotor import doctor
from lotor.board import load_board
from lotor.build import Image
from lotor.device import openocd
from lotor.device.ports import Busy, port_lock
from lotor.errors import LotorError

BOARD = replace(load_board("nucleo-l4r5zi"), update=None)
Plug = Callable[..., None]


@pytest.fixture
def image(tmp_path: Path) -> Image:
    elf = tmp_path / "fire ware.elf"
    return Image(BOARD.name, elf, elf, 0, 0, 0, bytes(20), [], {})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("LOTOR_PORT", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Plug ST-Links in: the serial number of each, and one of something else."""

    def plug(*numbers: str | None) -> None:
        ports = [
            SimpleNamespace(device=f"/dev/ttyACM{i}", vid=0x0483, pid=0x374B, serial_number=number)
            for i, number in enumerate(numbers)
        ]
        ports.append(SimpleNamespace(device="/dev/ttyS0", vid=None, pid=None, serial_number=None))
        monkeypatch.setattr("serial.tools.list_ports.comports", lambda: ports)

    return plug


@pytest.fixture
def said(tmp_path: Path) -> Callable[..., list[str]]:
    """Install an OpenOCD that says something and ends with a status; return what it was asked."""
    program, log = tmp_path / "bin/openocd", tmp_path / "arguments"

    def said(text: str | None = None, status: int = 0) -> list[str]:
        if text is None:
            return log.read_text().splitlines()
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{log}'\necho '{text}' >&2\nexit {status}\n"
        )
        program.chmod(0o755)
        return []

    return said


def test_what_openocd_is_asked(image: Image, plug: Plug, said: Callable[..., list[str]]) -> None:
    plug("066AFF")
    said("** Verified OK **")
    assert openocd.flash(BOARD, image) == "/dev/ttyACM0"
    assert said() == [
        *("-f", "interface/stlink.cfg", "-c", "adapter serial 066AFF"),
        *("-f", "target/stm32l4x.cfg"),
        *("-c", f"program {{{image.elf}}} verify reset exit"),
    ]
    plug(None)  # a probe without a number is the only one
    openocd.flash(BOARD, image)
    assert "adapter" not in " ".join(said())
    # With updates the bytes of all of flash, which say not where they belong.
    openocd.flash(load_board("nucleo-l4r5zi"), image)
    assert said()[-1] == f"program {{{image.bin}}} 0x8000000 verify reset exit"


def test_one_of_two(
    image: Image, plug: Plug, said: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plug("066AFF", "0671FF")
    said("")
    two = r"2 ports could be board nucleo-l4r5zi: /dev/ttyACM0 .*066AFF.*/dev/ttyACM1 .*0671FF"
    with pytest.raises(LotorError, match=two):
        openocd.flash(BOARD, image)
    monkeypatch.setenv("LOTOR_PORT", "/dev/ttyACM1")
    assert openocd.flash(BOARD, image) == "/dev/ttyACM1"
    assert "adapter serial 0671FF" in said()


def test_no_board(image: Image, plug: Plug, said: Callable[..., list[str]]) -> None:
    plug()
    said("")
    with pytest.raises(LotorError, match="USB identity 0483:374b or 0483:374e: plug it in"):
        openocd.flash(BOARD, image)


def test_no_openocd(image: Image, plug: Plug) -> None:
    plug("066AFF")
    with pytest.raises(LotorError, match="openocd is missing: `sudo apt-get install openocd`"):
        openocd.flash(BOARD, image)


def test_the_doctor_asks_for_openocd_where_a_board_needs_it() -> None:
    asked = {check.name: check for check in doctor.examine(BOARD.name)}
    assert asked["openocd"].needed and "apt-get install -y openocd" in asked["openocd"].mend
    assert "openocd" not in {check.name for check in doctor.examine("netduinoplus2")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Info : clock speed 500 kHz\nError: open failed\n",
            r"board nucleo-l4r5zi \(status 1\): Error: open failed; plug the board in",
        ),
        (
            "** Programming Started **\nError: flash write failed\n** Programming Failed **",
            r"Error: flash write failed; \*\* Programming Failed \*\*; see that its cable",
        ),
        ("", r"\(status 1\): nothing; see that"),
    ],
)
def test_a_failure_is_one_line(
    image: Image, plug: Plug, said: Callable[..., list[str]], text: str, message: str
) -> None:
    plug("066AFF")
    said(text, 1)
    with pytest.raises(LotorError, match=message) as caught:
        openocd.flash(BOARD, image)
    assert "\n" not in str(caught.value)


def test_a_port_in_use_is_not_flashed(
    image: Image, plug: Plug, said: Callable[..., list[str]], tmp_path: Path
) -> None:
    plug("066AFF")
    said("")
    with port_lock("/dev/ttyACM0"), pytest.raises(Busy):
        openocd.flash(BOARD, image)
    assert not (tmp_path / "arguments").exists()

"""From this machine to a board that greets, step by step: where the way ends, and how to go on.

tool -> port -> probe -> permissions -> boot -> hello. A step is not reached when one that it
needs failed. Nothing is flashed, and a board that runs goes on running.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lotor import framework
from lotor.board import Board, load_board
from lotor.device import (
    bossac,
    emulator,
    emulator_programs,
    esptool,
    nrfutil,
    openocd,
    picotool,
    pyocd,
    ssh,
    tool,
    udev,
    uf2,
)
from lotor.device.messages import Hello
from lotor.device.ports import Busy, locate, usb_ports
from lotor.device.session import Session
from lotor.errors import LotorError

State = Literal["ok", "failed", "not reached"]
_GREET_SECONDS = 1.0
# What flashes by a method, and how to get it.
_PROGRAMS = {
    "bossac": ("bossac", bossac.INSTALL),
    "esptool": ("esptool", esptool.INSTALL),
    "nrfutil": ("adafruit-nrfutil", nrfutil.INSTALL),
    "openocd": ("openocd", openocd.INSTALL),
    "picotool": ("picotool", picotool.INSTALL),
    "pyocd": ("pyocd", pyocd.INSTALL),
    "ssh": ("ssh", ssh.INSTALL),
}


@dataclass(frozen=True)
class Step:
    """One step to a board.

    Attributes:
        name: what was tried.
        state: how it went; "not reached" also where there is nothing to try yet.
        found: what was found, or what is wrong.
        next: what to do; empty when it is ok.
    """

    name: str
    state: State
    found: str
    next: str = ""

    def __str__(self) -> str:
        mark = {"ok": "ok", "failed": "FAILED", "not reached": "-"}[self.state]
        then = f"\n{'':21}next: {self.next}" if self.next else ""
        return f"{mark:<8}{self.name:<12} {self.found}{then}"


class _NotYet(LotorError):
    """There is nothing wrong, but somebody has to do something first."""


def walk(name: str) -> list[Step]:
    """Go from this machine to a board.

    Args:
        name: the board's.

    Returns:
        Its steps, in order.

    Raises:
        LotorError: there is no such board, or its file is wrong.
    """
    board = load_board(name)
    way = _Way(board)
    steps: list[Step] = []
    for step, needs, what in (
        ("tool", (), way.tool),
        ("port", (), way.port),
        ("probe", ("tool", "port"), way.probe),
        ("permissions", ("port",), way.permissions),
        ("boot", ("port", "permissions"), way.boot),
        ("hello", ("boot",), way.hello),
    ):
        steps.append(_tried(step, what, [s for s in steps if s.name in needs]))
    return steps


def _tried(name: str, what: Callable[[], str], needs: list[Step]) -> Step:
    lacking = [step.name for step in needs if step.state != "ok"]
    if lacking:
        return Step(name, "not reached", f"needs {' and '.join(lacking)}")
    try:
        return Step(name, "ok", what())
    except LotorError as error:
        # Its last part says what to do.
        parts = re.split(r"(?:; |: )", str(error))
        then = parts[-1] if len(parts) > 1 else "`lotor boards`"
        found = str(error).removesuffix(then).removesuffix(" ").rstrip(":;")
        return Step(name, "not reached" if isinstance(error, _NotYet) else "failed", found, then)


class _Way:
    """The steps to one board, and what they learn for those behind them."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._url = ""
        self._greeting: Hello | None = None
        self._again = f"`lotor flash --board {board.name} --model MODEL`"

    def tool(self) -> str:
        """Find what flashes the board."""
        board = self._board
        if board.emulator:
            if lacking := emulator_programs.missing(board.emulator):
                raise LotorError(f"{lacking[0]} is missing; `{lacking[1]}`")
            return board.emulator.program
        if board.flash.method == "platformio":
            return f"PlatformIO, which takes {framework.platform_of(board)}"
        if board.flash.method not in _PROGRAMS:
            return f"{board.flash.method} needs no program"
        return tool.find(*_PROGRAMS[board.flash.method])

    def port(self) -> str:
        """Find the port of the board's link; several are an error that lists them."""
        board = self._board
        if board.emulated and emulator.running(board.name) is None:
            raise _NotYet(f"no emulator runs; {self._again} starts it")
        self._url, _ = locate(board.name)
        if "://" in self._url:
            return self._url
        if not Path(self._url).exists():
            raise LotorError(f"there is no {self._url}; plug the board in, or correct LOTOR_PORT")
        known = [p for p in usb_ports(board.serial.usb) if p.device == self._url]
        number = known[0].serial_number if known else None
        return f"{self._url}{f', serial number {number}' if number else ''}"

    def probe(self) -> str:
        """See the board by what flashes it."""
        board = self._board
        if board.emulated:
            state = emulator.running(board.name)
            if state is None:
                raise _NotYet("the emulator has ended; start it again with `lotor flash`")
            return f"process {state.pid} plays it"
        if board.flash.method == "openocd":
            return openocd.check_probe(board, self._url)
        if board.flash.method == "pyocd":
            return f"pyocd sees {pyocd.probe(board, self._url)}"
        if board.flash.method in ("bossac", "nrfutil"):
            found = usb_ports(board.flash.boot_usb)
            if len(found) > 1:
                bossac.port_of(board, board.flash.boot_usb)  # lists them
            if not found and not usb_ports(board.flash.usb):
                raise _NotYet(
                    "no boot loader waits; to flash, press the reset button twice quickly"
                )
            return "the boot loader waits" if found else "a sketch runs that starts it"
        if "uf2" in board.flash.methods:
            try:
                return f"its volume is {uf2.find_volume(board.name, str(board.flash.volume))}"
            except LotorError as error:
                if "no volume" not in str(error):
                    raise
                raise _NotYet("its boot ROM does not run; to flash, hold BOOTSEL") from error
        return "is the port's"

    def permissions(self) -> str:
        """See that the user may open the device files."""
        board = self._board
        paths: list[Path] = []
        if "://" not in self._url:
            paths.append(Path(os.path.realpath(self._url)))
        if board.flash.method in ("openocd", "pyocd"):
            paths += udev.nodes(udev.identities(board))
        for path in paths:
            if why := udev.closed(path):
                raise LotorError(f"{why}; {self._mend(path)}")
        return ", ".join(map(str, paths)) or "none are needed"

    def _mend(self, path: Path) -> str:
        ways = []
        if "group" in udev.closed(path):
            ways.append(f"`sudo usermod -aG {path.group()} $USER` and a new login")
        if udev.identities(self._board):
            ways.append(
                f"`lotor doctor --board {self._board.name} --write-rule FILE` and what it says"
            )
        return ", or ".join(ways) or "ask who runs this machine"

    def boot(self) -> str:
        """Wait until something greets on the port."""
        try:
            with Session.open(self._url, timeout=_GREET_SECONDS) as session:
                self._greeting = session.hello()
        except Busy:
            raise
        except LotorError as error:
            raise LotorError(
                f"{str(error).partition(': is it')[0]}; {self._again}, or see that the line's two "
                "wires are not swapped"
            ) from error
        return f"greets; {self._greeting.resets} resets since power-up"

    def hello(self) -> str:
        """See who greets, and what it keeps of a crash."""
        board, hello = self._board, self._greeting
        if hello is None:
            raise LotorError(f"board {board.name} did not greet")
        if hello.board != board.name:
            raise LotorError(
                f"the port is board {hello.board}; use `--board {hello.board}`, or {self._again}"
            )
        state = emulator.running(board.name) if board.emulated else None
        if state and state.build_id != hello.build_id:
            raise LotorError(
                f"it runs image {hello.build_id[:12]}, not {state.build_id[:12]}; {self._again}"
            )
        models = ", ".join(model.name for model in hello.models) or "no model"
        text = f"{hello.board}, build {hello.build_id[:12]}, {models}"
        if hello.fault:
            text += f"; it keeps a fault: {hello.fault}"
        return text

"""Watching a board: its log lines, resets and faults, as they come."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lotor.build import image_folder
from lotor.device.emulator import running
from lotor.device.messages import Fault, Hello, LogLine
from lotor.device.session import NoAnswer, Session
from lotor.errors import LotorError

# What the names of the tools begin with, for each machine that an ELF header may name.
_TOOLS = {40: "arm-none-eabi-", 183: "aarch64-linux-gnu-"}
POLL_S = 1.0  # a reset between two polls is seen by the reset count


@dataclass(frozen=True)
class Event:
    """Something that happened on a board.

    `kind` is "hello", "log", "reset", "fault", "silent" or "lost"; `text` is for people, `data`
    for programs; `time` is in seconds since 1970.
    """

    kind: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)
    time: float = field(default_factory=time.time)

    def __str__(self) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(self.time))
        return f"{clock} {self.kind:6} {self.text}"


def watch(board: str, seconds: float | None = None, poll: float = POLL_S) -> Iterator[Event]:
    """Yield what happens on a board; a board that is replaced or unplugged is waited for.

    Args:
        board: a board's name, or the path or url of its port.
        seconds: how long; for ever when None.
        poll: seconds between two hellos, by which resets and faults are noticed.

    Raises:
        LotorError: the board's port cannot be opened at the start.
    """
    until = None if seconds is None else time.monotonic() + seconds
    session: Session | None = _opened(board, poll)
    while session:
        try:
            with session:
                yield from _Watch(board, session, poll).events(until)
                return
        except LotorError as error:
            yield Event("lost", str(error))
        session = _reopened(board, poll, until)


def _opened(board: str, poll: float) -> Session:
    return Session.open(board, timeout=min(poll, 1.0), greet=False)


def _reopened(board: str, poll: float, until: float | None) -> Session | None:
    """Wait until the board's port can be opened again; None when the time is over."""
    while until is None or time.monotonic() < until:
        time.sleep(0.2)
        with contextlib.suppress(LotorError):
            return _opened(board, poll)
    return None


class _Watch:
    """What is known of one board, to tell what is new."""

    def __init__(self, board: str, session: Session, poll: float) -> None:
        self.board, self.session, self.poll = board, session, poll
        self.logs: list[LogLine] = []
        session.on_log = self.logs.append
        self.last: Hello | None = None
        self.silent = False

    def events(self, until: float | None) -> Iterator[Event]:
        """Yield what happens until the time is over."""
        next_poll = 0.0
        while until is None or time.monotonic() < until:
            if time.monotonic() >= next_poll:
                yield from self._greet()
                next_poll = time.monotonic() + self.poll
            wake = next_poll if until is None else min(next_poll, until)
            self.session.next_frame(min(0.1, max(wake - time.monotonic(), 0.0)))
            yield from self._logged()

    def _logged(self) -> Iterator[Event]:
        lines, self.logs[:] = list(self.logs), []
        for line in lines:
            yield Event("log", str(line), {"level": line.level, "text": line.text})

    def _greet(self) -> Iterator[Event]:
        try:
            hello = self.session.hello()
        except NoAnswer as error:
            yield from self._logged()
            if not self.silent:
                yield Event("silent", str(error))
            self.silent = True
            return
        yield from self._logged()
        last, self.last, self.silent = self.last, hello, False
        if last is None or hello.build_id != last.build_id:
            yield Event("hello", describe(hello), asdict(hello))
        elif hello.resets != last.resets:
            yield Event("reset", f"reset {hello.resets} since power-up", {"resets": hello.resets})
        if hello.fault and (
            last is None or (hello.resets, hello.fault) != (last.resets, last.fault)
        ):
            yield self._faulted(hello.fault)

    def _faulted(self, fault: Fault) -> Event:
        elf = elf_of(self.last) if self.last else None
        places = {
            name: place
            for name in ("pc", "lr")
            if elf and (place := source_of(elf, fault.registers[name]))
        }
        text = "".join(f"\n  {name}: {place}" for name, place in places.items())
        if elf is None and self.last:
            text += f"\n  no source lines: the ELF of build {self.last.build_id[:12]} is not here"
        data = {**asdict(fault), "name": fault.name, "source": places}
        return Event("fault", str(fault) + text, data)


def describe(hello: Hello) -> str:
    """Return one line about a board that answered."""
    models = ", ".join(model.name for model in hello.models) or "no model"
    update = f"; {hello.update}" if hello.update else ""
    return (
        f"{hello.board} ({hello.chip}), firmware {hello.version}, build {hello.build_id[:12]}, "
        f"models: {models}; reset {hello.resets} since power-up{update}"
    )


def source_of(elf: Path, address: int) -> str:
    """Return "function at file:line" of a code address, or "" where that is not known."""
    if not elf.is_file():
        return ""
    with elf.open("rb") as file:
        machine = int.from_bytes(file.read(20)[18:], "little")
    tool = shutil.which(_TOOLS.get(machine, "") + "addr2line")
    if tool is None:
        return ""
    # Bit 0 of a Thumb return address is no part of the place.
    command = [tool, "-f", "-p", "-s", "-e", str(elf), hex(address & ~1)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    place = found.stdout.strip()
    return "" if place.startswith("??") else place


def elf_of(hello: Hello) -> Path | None:
    """Return the ELF of the image that greets so, or None where it was not built here."""
    state = running(hello.board)
    if state and state.build_id == hello.build_id:
        return state.elf
    second = hello.update is not None and hello.update.slot == 1
    folder = image_folder(hello.board, bytes.fromhex(hello.build_id))
    elf = folder / ("firmware1.elf" if second else "firmware.elf")
    return elf if elf.is_file() else None

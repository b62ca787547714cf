"""Power cuts of a board in QEMU: the real image, boot loader and flash controller of the microbit.

A first run of an update stops before each word that is written to flash and each page that is
erased, and keeps what each does. A cut is then played: flash as it was at that moment, RAM full of
noise, a reset. QEMU does neither tear a write nor forget RAM by itself: a torn word has some of the
bits that were to be cleared.
"""

import random
import struct
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lotor.board import Board
from lotor.boot_loader import build_boot_loader
from lotor.build import Image
from lotor.device import emulator
from lotor.device.messages import Hello
from lotor.device.probe import Probe
from lotor.device.session import Session
from lotor.flash_content import with_boot_loader
from lotor.update_key import Key

PAGE = 1024


class Tracer(Probe):
    """A probe that also stops the board where it is told to."""

    def breakpoint(self, address: int) -> None:
        assert self.ask(f"Z1,{address:x},2") == "OK"

    def registers(self) -> list[int]:
        """Return r0 to pc."""
        return list(struct.unpack("<16I", bytes.fromhex(self.ask("g")[: 16 * 8])))

    def interrupt(self) -> None:
        """Stop a board that runs."""
        self._socket.sendall(b"\x03")
        self.answer()

    def go(self) -> None:
        """Let it run; `interrupt` or a breakpoint stops it."""
        self.send("c")

    def step(self) -> None:
        """Past the breakpoint that it stands at."""
        self.ask("s")


@dataclass(frozen=True)
class Change:
    """One operation on flash: a word is written, or (`word` None) a page is erased."""

    address: int
    word: int | None

    def apply(self, flash: bytearray, origin: int, torn: random.Random | None = None) -> slice:
        """Do it to a copy of flash, with `torn` in part; return which bytes it changed."""
        at = self.address - origin
        if self.word is None:
            where = slice(at, at + PAGE)
            done = bytes(b | (torn.randrange(256) if torn else 255) for b in flash[where])
        else:
            where = slice(at, at + 4)
            old = int.from_bytes(flash[where], "little")
            kept = torn.getrandbits(32) if torn else 0
            done = (old & (self.word | kept)).to_bytes(4, "little")
        flash[where] = done
        return where


def symbols(elf: Path, *names: str) -> list[int]:
    """Return the addresses of functions of an ELF."""
    listed = subprocess.run(
        ["arm-none-eabi-nm", str(elf)], capture_output=True, text=True, check=True
    ).stdout
    table = {words[2]: int(words[0], 16) for words in map(str.split, listed.splitlines())}
    return [table[name] & ~1 for name in names]


@dataclass
class Machine:
    """A board that is played: its line, and a probe, which it stands still for while it is held."""

    board: Board
    session: Session
    probe: Tracer
    origin: int

    def start(self) -> Hello:
        """Power on: noise in RAM, a reset; return the hello."""
        ram = self.board.memory.ram
        self.probe.write(ram.origin, random.Random(1).randbytes(ram.bytes))
        self.probe.reset()
        self.probe.go()
        self.session.drain(0)
        hello = self.session._await_reset()
        self.probe.interrupt()
        return hello

    @contextmanager
    def running(self) -> Iterator[Session]:
        """Let the board run."""
        self.probe.go()
        yield self.session
        self.probe.interrupt()

    def flash(self) -> bytes:
        return self.probe.read(self.origin, self.board.memory.flash.bytes)


@contextmanager
def machine(board: Board, image: Image, folder: Path, key: Key | None = None) -> Iterator[Machine]:
    """Play a board with an image in slot 0, and hold it."""
    content = with_boot_loader(board, image, key)
    with (
        emulator.played(board, content.bin, folder) as (url, debug),
        Session.open(url) as session,
        Tracer(debug) as probe,
    ):
        yield Machine(board, session, probe, board.flash_origin)


def trace(
    machine: Machine, image: Image, update: Callable[[Session], object], key: Key | None = None
) -> list[Change]:
    """Do what `update` does in a session; return every change of flash."""
    elves = [image.elf, image.elf.with_name("firmware1.elf")]
    elves.append(build_boot_loader(machine.board, key.public if key else None).elf)
    stores, erasures = zip(
        *(symbols(elf, "store", "hal_flash_erase") for elf in elves), strict=True
    )
    for address in (*stores, *erasures):
        machine.probe.breakpoint(address)
    done = threading.Event()
    errors: list[Exception] = []

    def work() -> None:
        try:
            update(machine.session)
        except Exception as error:
            errors.append(error)
        done.set()
        machine.probe._socket.sendall(b"\x03")  # ends the wait below

    changes = []
    thread = threading.Thread(target=work)
    machine.probe.go()
    thread.start()
    while True:
        machine.probe.answer()
        first, second, *_, pc = machine.probe.registers()
        if pc in stores:
            changes.append(Change(first, second))
        elif pc in erasures:
            changes.append(Change(first, None))
        elif done.is_set():
            break
        machine.probe.step()
        machine.probe.go()
    thread.join()
    for address in (*stores, *erasures):
        machine.probe.ask(f"z1,{address:x},2")
    if errors:
        raise errors[0]
    return changes


@dataclass(frozen=True)
class Cut:
    """A moment: before `changes[index]`, or in it."""

    index: int
    torn: bool


def play(
    machine: Machine, before: bytes, changes: Sequence[Change], cuts: Iterable[Cut]
) -> Iterator[tuple[Cut, Hello]]:
    """Play cuts, in their order; yield how the board greets after each. It stands still meanwhile.

    Args:
        machine: the board.
        before: its flash before the first change.
        changes: see `trace`.
        cuts: when.
    """
    board, origin = machine.board, machine.origin
    state = slice(board.state_address(0) - origin, board.slot_address(0) - origin)
    ideal, applied = bytearray(before), 0
    machine.probe.write(origin, before)
    for cut in cuts:
        touched = [state]
        while applied < cut.index:
            touched.append(changes[applied].apply(ideal, origin))
            applied += 1
        content = bytearray(ideal)
        if cut.torn:
            torn = changes[cut.index].apply(content, origin, random.Random(cut.index))
            touched.append(torn)
        for where in touched:
            machine.probe.write(origin + where.start, bytes(content[where]))
        yield cut, machine.start()
        if cut.torn:
            machine.probe.write(origin + torn.start, bytes(ideal[torn]))


def cuts_of(board: Board, changes: Sequence[Change], every: int) -> list[Cut]:
    """Return cuts before and in each change of the state and each erasure, and each so-manyth.

    Args:
        board: whose state.
        changes: see `trace`.
        every: of the other words, each so-manyth.
    """
    state = range(board.state_address(0), board.slot_address(0))
    return [
        Cut(index, torn)
        for index, change in enumerate(changes)
        if change.address in state or change.word is None or index % every == 0
        for torn in (False, True)
    ]

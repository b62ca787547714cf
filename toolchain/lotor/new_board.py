"""`lotor new-board`: a board file to begin with, every key with what it means."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lotor.board import Board, board_files, load_board, read_board
from lotor.errors import LotorError
from lotor.files import write_files
from lotor.resources import resource

# What keys mean, as docs/boards.md says at more length.
_MEANING = {
    "description": "for people",
    "chip": "for people",
    "target": "the core, e.g. cortex-m4",
    "clock_hz": "what the core runs at",
    "test_faults": "faults on request; emulated boards only",
    "test_model": "what `lotor hil` and `lotor build` are tried with",
    "tested": "emulated, built (never run on hardware), hardware",
    "memory": "from the chip's data sheet, section memory map",
    "memory.flash": "where the program begins, behind a boot loader if there is one",
    "memory.ram": "one block without gaps; its origin a multiple of 32",
    "memory.boot": "an RP2040's boot stage",
    "build.env": "baremetal; linux for a program",
    "build.stack_bytes": "a multiple of 8; `lotor build` says what is used",
    "build.uf2_family": "the chip's id in the list of UF2 families",
    "hal.name": "a folder of firmware/hal",
    "hal.irqs": "interrupts of the vector table, from the reference manual",
    "hal.uart_clock_hz": "what the UART's divider divides",
    "hal.watchdog": "needs ticks.source = dwt or systick",
    "hal.uart": "registers, and the interrupt of reception",
    "hal.uart_pins": "32 times the port plus the pin",
    "hal.pll": "true: the core runs at clock_hz, by the PLL",
    "ticks.source": "what counts: dwt (Cortex-M3 and later), systick, or a timer of the family",
    "ticks.unit": "instructions (QEMU), cycles, nanoseconds",
    "serial.baud": "of the link",
    "serial.usb": "USB identities of its port, as `lsusb` shows them",
    "serial.data_bytes": "512 spares 2 KiB of RAM",
    "flash.method": "how an image gets onto the board",
    "openocd": "scripts as `openocd -f` takes them",
    "emulator": "what plays the board, and its arguments",
    "camera": "what it watches with: docs/cameras.md",
    "outputs": "what an alarm switches, and for how long at most: docs/cameras.md",
    "update": "how flash is divided for updates over the line: docs/updates.md",
    "budget": "the most that an image and its models may take",
}
_HEXADECIMAL = {"origin", "address", "uf2_family"}
_SECTIONS = ("", "memory", "build", "hal", "ticks", "serial", "flash")
_OF_THE_CHIP = ("memory.flash", "memory.ram", "hal.irqs")


@dataclass(frozen=True)
class NewBoard:
    """A board file that was written.

    Attributes:
        name: the board's.
        file: where it lies.
        missing: keys that are still to be put in.
        mistake: what the file's check says of it; "" when it is right.
    """

    name: str
    file: Path
    missing: list[str]
    mistake: str

    def __str__(self) -> str:
        lines = [f"{self.file} is written"]
        lines += [f"  still to be put in: {', '.join(self.missing)}"] if self.missing else []
        lines += [f"  {self.mistake}"] if self.mistake else ["  it is right; look at every value"]
        return "\n".join([*lines, f"then: lotor build --board {self.file} --model raccoon"])


def new_board(
    name: str,
    like: str | None,
    family: str | None,
    given: Mapping[str, Any],
    folder: Path,
    machine: str | None = None,
) -> NewBoard:
    """Write the file of a new board.

    Args:
        name: of the board, and of its file.
        like: a board to take all values from.
        family: a folder of `firmware/hal`: values that its boards share are taken from one of them.
        given: values that take precedence, by key, e.g. "memory.flash" and "clock_hz".
        folder: where the file goes.
        machine: what QEMU calls the board, where `like` is emulated by QEMU.

    Raises:
        LotorError: neither or both of `like` and `family`, no such board or family, a wrong name,
            or a file that is there already.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise LotorError(f"'{name}' is no name for a board: use lower-case letters, digits and -")
    file = folder / f"{name}.toml"
    for known in (board_files().get(name), file):
        if known is not None and known.exists():
            raise LotorError(f"{known} is there already: choose another name, or edit it")
    if (like is None) == (family is None):
        raise LotorError("give either `--from BOARD` or `--family FAMILY`")
    base = load_board(like) if like else _one_of(str(family))
    values = _values(base)
    values |= {"description": name, "default": None}
    if not base.emulated:
        values["tested"] = "built"
    if family:
        chip = ("chip", "clock_hz", "hal.uart_clock_hz", *_OF_THE_CHIP)
        values |= dict.fromkeys(chip) | {"test_model": "raccoon"}
    values |= given
    if machine:
        values["emulator.args"] = _played_by(base, machine)
    text, missing = _text(name, base, values)
    try:
        write_files({file: text.encode()})
    except OSError as error:
        raise LotorError(
            f"cannot write {file}: {error.strerror}; give another folder with -o"
        ) from error
    try:
        read_board(file)
    except LotorError as error:
        return NewBoard(name, file, missing, str(error))
    return NewBoard(name, file, missing, "")


def _played_by(base: Board, machine: str) -> tuple[str, ...]:
    arguments = list(base.emulator.args) if base.emulator else []
    if "-machine" not in arguments:
        raise LotorError(f"board {base.name} is no machine of QEMU: `--machine` needs one that is")
    arguments[arguments.index("-machine") + 1] = machine
    return tuple(arguments)


def _one_of(family: str) -> Board:
    """Return a board of a family, a real one where there is one."""
    boards = [load_board(name) for name in board_files()]
    found = sorted((b for b in boards if b.hal.name == family), key=lambda b: b.emulated)
    if not found:
        families = sorted({board.hal.name for board in boards})
        raise LotorError(
            f"no board has the chip family '{family}'; families: {', '.join(families)}"
        )
    return found[0]


def _values(board: Board) -> dict[str, Any]:
    """Return a board's values by their keys; tables that are written in a line stay whole."""
    found: dict[str, Any] = {}
    for item in dataclasses.fields(board):
        value = getattr(board, item.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            for part in dataclasses.fields(value):
                inner = getattr(value, part.name)
                if inner != _default(part):
                    found[f"{item.name}.{part.name}"] = inner
        elif value is not None and value != _default(item):
            found[item.name] = value
    found.pop("name")
    return found


def _default(item: dataclasses.Field[Any]) -> Any:
    made = item.default_factory
    return item.default if made is dataclasses.MISSING else made()


def _text(name: str, base: Board, values: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the file's text, and the keys in it that have no value yet."""
    lines = [
        f"# {name}, begun from {base.name}: what was there is here, what is particular is yours.",
        "# docs/boards.md says what each key means.",
    ]
    missing = []
    by_section: dict[str, list[str]] = {}
    for key in values:
        by_section.setdefault(key.rpartition(".")[0], []).append(key)
    order = [*_SECTIONS, *(section for section in by_section if section not in _SECTIONS)]
    for section in order:
        keys = by_section.get(section, [])
        if section and keys:
            note = f" # {_MEANING[section]}" if section in _MEANING else ""
            lines += ["", f"[{section}]{note}"]
        for key in keys:
            own, note = key.rpartition(".")[2], _MEANING.get(key, "")
            if values[key] is not None:
                line = f"{own} = {_toml(own, values[key])}"
                lines.append(f"{line} # {note}" if note else line)
            elif key != "default":
                missing.append(key)
                lines.append(f"# {own} = # to be put in: {note or key}")
    return "\n".join([*lines, ""]), missing


def _toml(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:#010x}" if key in _HEXADECIMAL else f"{value:_}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_toml(key, part) for part in value)}]"
    if isinstance(value, Mapping) or dataclasses.is_dataclass(value):
        parts = _pairs(value)
        return f"{{ {', '.join(f'{name} = {_toml(name, part)}' for name, part in parts)} }}"
    return _quoted(str(value))


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
        return
    for item in dataclasses.fields(value):
        part = getattr(value, item.name)
        if part is not None:
            yield item.name, part


def _quoted(text: str) -> str:
    escaped = "".join(f"\\u{ord(c):04x}" if not c.isprintable() or c in '"\\' else c for c in text)
    return f'"{escaped}"'


def own_boards() -> Path:
    """Return the folder of the checkout's boards; of an installed Lotor the present one."""
    folder = resource("boards")
    return folder if (folder.parent / "Makefile").is_file() else Path()

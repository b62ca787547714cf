"""boards/NAME.toml -> Board: everything that is particular to a board, checked against a schema.

The dataclasses are the schema: a field is a key, its annotation the type, a default makes it
optional. `docs/boards.md` says what each key means.
"""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lotor.board_camera import Camera, Output, check_camera, check_outputs
from lotor.errors import LotorError
from lotor.resources import resource
from lotor.schema import parse, read_table
from lotor.suggest import did_you_mean
from lotor.targets import TARGETS

VARIABLE = "LOTOR_BOARDS"
TESTED = ("emulated", "unbuilt", "built", "hardware")
LONG_FRAME, SHORT_FRAME = 1024, 512  # data bytes
FLASH_METHODS = (
    *("bossac", "emulator", "esptool", "nrfutil", "openocd", "picotool", "platformio", "pyocd"),
    *("ssh", "uf2"),
)
_BY_BOOT_LOADER = frozenset({"bossac", "nrfutil"})
_OF_FRAMEWORK = frozenset({"esptool", "platformio"})
TICK_SOURCES = ("tim2", "timer0", "counter", "systick", "dwt", "ccount", "clock", "emulator")
_WAKES = ("dwt", "systick", "ccount")  # interrupts now and then, also while the board sleeps
BOOT_BYTES = 256  # of the RP2040's second stage
SLOT_HEADER_BYTES = 512  # before an image in its slot: docs/updates.md
_WRITE_BYTES = (4, 8, 16, 32, 256)  # units of writing that firmware/update can deal with
TICK_UNITS = ("instructions", "cycles", "nanoseconds")
_LINUX = "linux"  # the family whose images are programs of an operating system
_ARDUINO = "arduino"  # the family whose images are built with that framework


@dataclass(frozen=True)
class Region:
    """A memory: address of its first byte, and bytes."""

    origin: int
    bytes: int


@dataclass(frozen=True)
class Memory:
    """The memories that an image uses; empty where an operating system finds a place for it.

    A chip whose boot ROM looks for a second stage has `boot`, the flash before the program's. One
    with memory outside of the chip has `psram`, where arenas of more than `arena_bytes` lie.
    """

    flash: Region = Region(0, 0)
    ram: Region = Region(0, 0)
    boot: Region | None = None
    psram: Region | None = None
    arena_bytes: int | None = None


@dataclass(frozen=True)
class Build:
    """How an image is built: the environment of `platformio.ini`, the size of the stack.

    With the chip's family id `uf2_family` an image is written as UF2, too.
    """

    env: str
    stack_bytes: int
    uf2_family: int | None = None


@dataclass(frozen=True)
class Peripheral:
    """Where a chip has a peripheral: its registers' address, and its interrupt if it has one."""

    address: int
    irq: int = 0


@dataclass(frozen=True)
class Pins:
    """The pins of a UART, as numbers: 32 times the port, plus the pin."""

    tx: int
    rx: int


@dataclass(frozen=True)
class Hal:
    """The chip family (a folder of `firmware/hal`), its interrupts, UART, watchdog.

    A family whose chips differ in where the UART is takes `uart` and its receive interrupt, one
    that can have it on any pins `uart_pins`. `leds` is the address of the
    register of user LEDs. With `pll` the core runs at `clock_hz`, else at what it starts with.
    """

    name: str
    irqs: int = 0
    uart_clock_hz: int = 0
    watchdog: bool = False
    uart: Peripheral | None = None
    pll: bool = False
    uart_pins: Pins | None = None
    leds: int | None = None


@dataclass(frozen=True)
class Ticks:
    """What counts time on the board, and what one tick is.

    A family whose chips differ in their timers takes `timer`, and the clock that it counts.
    """

    source: str
    unit: str
    timer: Peripheral | None = None
    clock_hz: int | None = None


@dataclass(frozen=True)
class Serial:
    """The serial port: baud rate, and the USB identities ("vid:pid" in hexadecimal) it may have.

    `data_bytes` is the most that one load or read of the link may carry; buffers follow it.
    """

    baud: int
    usb: tuple[str, ...] = ()
    data_bytes: int = LONG_FRAME


@dataclass(frozen=True)
class Flash:
    """How an image gets onto the board: by `method`, or when asked for by one of `alternatives`.

    For `bossac` and `nrfutil` the USB identities of a running sketch (`usb`) and of the boot
    loader, for `uf2` the name of the boot ROM's volume. For `ssh` the board's `host`, if it is
    always the same, and the serial device (`line`) that its program serves where a cable is used.
    """

    method: str
    alternatives: tuple[str, ...] = ()
    usb: tuple[str, ...] = ()
    boot_usb: tuple[str, ...] = ()
    volume: str | None = None
    host: str | None = None
    line: str | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """All ways to flash the board, the usual one first."""
        return (self.method, *self.alternatives)


@dataclass(frozen=True)
class Emulator:
    """The program that plays the board, and its arguments up to the image and the serial port.

    A board whose operating system starts first is given `boot_seconds` for that.
    """

    program: str
    args: tuple[str, ...]
    boot_seconds: int = 0


@dataclass(frozen=True)
class Openocd:
    """OpenOCD's scripts of the probe and of the chip, as its option `-f` takes them."""

    interface: str
    target: str


@dataclass(frozen=True)
class Pyocd:
    """What pyOCD calls the chip, as in `pyocd list --targets`."""

    target: str


@dataclass(frozen=True)
class Budget:
    """The most that an image may take, in bytes; the whole memory when absent.

    A program of an operating system has no memories of its own: its board says both. `stack_bytes`
    is the part of the stack that may be used, `inference_ms` the time that a model may take.
    """

    flash_bytes: int | None = None
    ram_bytes: int | None = None
    stack_bytes: int | None = None
    inference_ms: int | None = None


@dataclass(frozen=True)
class Update:
    """How flash is divided on a board that takes updates over the line, in bytes.

    From its first byte on (a boot stage's included): the boot loader, two areas of state, two
    slots for images. `erase_bytes` are the units of erasure from there on, the last of them
    repeated; `write_bytes` is the unit of writing. A board in `development` needs no key.
    """

    boot_bytes: int
    state_bytes: int
    slot_bytes: int
    write_bytes: int
    erase_bytes: tuple[int, ...]
    development: bool = False


@dataclass(frozen=True)
class Board:
    """One board, as its file describes it."""

    name: str
    description: str
    chip: str
    target: str
    clock_hz: int
    build: Build
    hal: Hal
    ticks: Ticks
    serial: Serial
    flash: Flash
    memory: Memory = field(default_factory=Memory)
    emulator: Emulator | None = None
    openocd: Openocd | None = None
    pyocd: Pyocd | None = None
    budget: Budget = field(default_factory=Budget)
    camera: Camera | None = None
    outputs: Mapping[str, Output] = field(default_factory=dict)
    update: Update | None = None
    default: bool = False
    test_faults: bool = False
    test_model: str = "raccoon"
    tested: str = ""

    @property
    def emulated(self) -> bool:
        """Whether a program of this machine plays the board."""
        return self.emulator is not None

    @property
    def linux(self) -> bool:
        """Whether its image is a program of Linux."""
        return self.hal.name == _LINUX

    @property
    def framework(self) -> bool:
        """Whether its image is built with a framework, which has the start-up and the linking."""
        return self.hal.name == _ARDUINO

    @property
    def flash_room(self) -> int:
        """Bytes of flash for an image: the memory's, or a slot's without its header."""
        if self.update is None:
            return self.memory.flash.bytes
        return self.update.slot_bytes - SLOT_HEADER_BYTES

    @property
    def flash_limit(self) -> int:
        """Bytes of flash an image may take; of a program, the file."""
        return _least(self.budget.flash_bytes, self.flash_room)

    @property
    def flash_origin(self) -> int:
        """Address of the first byte of flash that is programmed, a boot stage's included."""
        return (self.memory.boot or self.memory.flash).origin

    def state_address(self, area: int) -> int:
        """Return where the state area 0 or 1 of a board with updates begins."""
        update = self._update
        return self.flash_origin + update.boot_bytes + area * update.state_bytes

    def slot_address(self, slot: int) -> int:
        """Return where slot 0 or 1 of a board with updates begins, its header first."""
        return self.state_address(2) + slot * self._update.slot_bytes

    def image_address(self, slot: int = 0) -> int:
        """Return where an image begins; on a board with updates in one of its slots."""
        if self.update is None:
            return self.memory.flash.origin
        return self.slot_address(slot) + SLOT_HEADER_BYTES

    @property
    def _update(self) -> Update:
        if self.update is None:
            raise LotorError(f"board {self.name} takes no updates: its file has no table [update]")
        return self.update

    @property
    def ram_limit(self) -> int:
        """Bytes of RAM an image may take; of a program, what it may write to."""
        outside = self.memory.psram.bytes if self.memory.psram else 0
        return _least(self.budget.ram_bytes, self.memory.ram.bytes + outside)

    def arena_outside(self, arena_bytes: int) -> bool:
        """Whether an arena lies in the memory outside of the chip."""
        most = self.memory.arena_bytes
        return self.memory.psram is not None and most is not None and arena_bytes > most

    @property
    def stack_limit(self) -> int:
        """Bytes of stack an image may use."""
        return _least(self.budget.stack_bytes, self.build.stack_bytes)

    @property
    def spared_by_short_frames(self) -> int:
        """Bytes of RAM: the ring holds two frames; a request and its answer are one each."""
        return 4 * (LONG_FRAME - self.serial.data_bytes)


def _least(budget: int | None, memory: int) -> int:
    """Return the smaller of two limits; 0 and None are none."""
    return min(budget or memory, memory or budget or 0)


def board_files() -> dict[str, Path]:
    """Return the files of all boards by name, sorted: Lotor's own, and those of $LOTOR_BOARDS.

    That names files, and folders of files, with colons between them.

    Raises:
        LotorError: it names something that is not there, or a board that there is already.
    """
    found = {path.stem: path for path in resource("boards").glob("*.toml")}
    for text in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        place = Path(text)
        if not place.exists():
            raise LotorError(f"{text} (${VARIABLE}) is not there: correct ${VARIABLE}")
        for path in [place] if place.is_file() else sorted(place.glob("*.toml")):
            known = found.setdefault(path.stem, path)
            if known.resolve() != path.resolve():
                raise LotorError(
                    f"{path} (${VARIABLE}) is called like {known}, and a file's name is the "
                    "board's: rename it"
                )
    return dict(sorted(found.items()))


def use_board_file(text: str) -> str:
    """Make a board file outside of Lotor known to this process and those it starts.

    Args:
        text: its path, which ends in .toml.

    Returns:
        The board's name.

    Raises:
        LotorError: there is no such file, or there is such a board already.
    """
    path = Path(text).absolute()
    if not path.is_file():
        raise LotorError(f"there is no board file {text}: `lotor new-board` makes one")
    places = os.environ.get(VARIABLE, "")
    if all(known.resolve() != path.resolve() for known in board_files().values()):
        os.environ[VARIABLE] = f"{places}{os.pathsep if places else ''}{path}"
        board_files()
    return path.stem


def list_boards() -> list[str]:
    """Return the names of all boards, sorted."""
    return list(board_files())


def default_board() -> str:
    """Return the board that is meant when none is named."""
    return next(name for name in list_boards() if load_board(name).default)


def load_board(name: str) -> Board:
    """Read the file of a board; see `board_files`.

    Raises:
        LotorError: no such board, or its file is wrong; names file and key.
    """
    known = board_files()
    if name not in known:
        raise LotorError(
            f"there is no board '{name}'{did_you_mean(name, known)}; boards: {', '.join(known)}"
        )
    return read_board(known[name])


def read_board(path: Path) -> Board:
    """Read one board file; the file's name is the board's.

    Raises:
        LotorError: the file is wrong; names file and key.
    """
    where = f"board file {path.name}"
    table = read_table(path, where)
    if "name" in table:
        raise LotorError(f"{where}: the key 'name' is not needed: the file's name is the board's")
    board = parse(Board, {"name": path.stem, **table}, where)
    _check(board, where)
    return board


def check_boards() -> list[str]:
    """Read all board files; return one line for each mistake."""
    mistakes, defaults = [], []
    for name in list_boards():
        try:
            if load_board(name).default:
                defaults.append(name)
        except LotorError as error:
            mistakes.append(str(error))
    if not mistakes and len(defaults) != 1:
        mistakes.append(
            f"{len(defaults)} boards say `default = true` ({', '.join(defaults)}): one must"
        )
    return mistakes


def _check(board: Board, where: str) -> None:
    """Check what types cannot say."""
    families = {path.parent.name for path in resource("firmware", "hal").glob("*/hal.c")}
    choices: dict[str, tuple[str, Sequence[str]]] = {
        "hal.name": (board.hal.name, sorted(families - {"host"})),
        "flash.method": (board.flash.method, FLASH_METHODS),
        **{
            f"flash.alternatives[{i}]": (method, FLASH_METHODS)
            for i, method in enumerate(board.flash.alternatives)
        },
        "ticks.source": (board.ticks.source, TICK_SOURCES),
        "ticks.unit": (board.ticks.unit, TICK_UNITS),
        "target": (board.target, tuple(TARGETS)),
        "tested": (board.tested or "built", TESTED),
    }
    for key, (value, known) in choices.items():
        if value not in known:
            raise LotorError(
                f"{where}: '{key}' is '{value}'{did_you_mean(value, known)}; it may be "
                f"{' or '.join(known)}"
            )
    for method in board.flash.alternatives:
        if method in ("emulator", "ssh") or board.flash.methods.count(method) > 1:
            raise LotorError(f"{where}: 'flash.alternatives' may not have '{method}'")
    _check_family(board, where)
    if board.hal.watchdog and not board.linux and board.ticks.source not in _WAKES:
        raise LotorError(
            f"{where}: 'hal.watchdog' needs 'ticks.source' = {' or '.join(map(repr, _WAKES))}: "
            "nothing else wakes an idle board in time to feed it"
        )
    instructions = (board.ticks.source, board.ticks.unit) == ("systick", "instructions")
    if instructions and not board.ticks.clock_hz:
        raise LotorError(f"{where}: the key 'ticks.clock_hz' is missing: what SysTick counts")
    needed = {
        "hal.uart": board.hal.uart,
        "ticks.timer": board.ticks.timer,
        "ticks.clock_hz": board.ticks.clock_hz,
    }
    for key, found in needed.items():
        if board.hal.name == "cmsdk" and not found:
            raise LotorError(f"{where}: the key '{key}' is missing: chips of this family differ")
    tables = {"emulator": board.emulator, "openocd": board.openocd, "pyocd": board.pyocd}
    for method, given in tables.items():
        if (method in board.flash.methods) != (given is not None):
            raise LotorError(
                f'{where}: flash.method = "{method}" and a table [{method}] go together'
            )
    if board.hal.name == "nrf5x" and not board.hal.uart_pins:
        raise LotorError(
            f"{where}: the key 'hal.uart_pins' is missing: boards of this family differ"
        )
    _check_uf2(board, where)
    _check_framework(board, where)
    _check_numbers(board, where)
    _check_usb(board, where)
    _check_watching(board, where)
    if board.update:
        _check_update(board, board.update, where)


def _check_numbers(board: Board, where: str) -> None:
    numbers = {
        "clock_hz": board.clock_hz,
        "serial.baud": board.serial.baud,
        "build.stack_bytes": board.build.stack_bytes,
    }
    if not board.linux:
        numbers |= {
            "memory.flash.bytes": board.memory.flash.bytes,
            "memory.ram.bytes": board.memory.ram.bytes,
        }
    budget = dataclasses.asdict(board.budget)
    numbers |= {f"budget.{key}": value for key, value in budget.items() if value is not None}
    if not board.linux and not board.framework:
        numbers |= {"hal.irqs": board.hal.irqs, "hal.uart_clock_hz": board.hal.uart_clock_hz}
    for key, number in numbers.items():
        if number <= 0:
            raise LotorError(f"{where}: '{key}' must be more than 0, not {number}")
    if board.build.stack_bytes % 8:
        raise LotorError(f"{where}: 'build.stack_bytes' must be a multiple of 8")
    if board.serial.data_bytes not in (LONG_FRAME, SHORT_FRAME):
        raise LotorError(f"{where}: 'serial.data_bytes' may be {SHORT_FRAME} or {LONG_FRAME}")
    if board.memory.ram.origin % 32:
        raise LotorError(f"{where}: 'memory.ram.origin' must be a multiple of 32")


def _check_watching(board: Board, where: str) -> None:
    if board.camera:
        check_camera(board.camera, board.hal.name, where)
    check_outputs(board.outputs, board.hal.name, where)
    if board.outputs and board.hal.name == "cmsdk" and board.hal.leds is None:
        raise LotorError(f"{where}: the key 'hal.leds' is missing: outputs are the board's LEDs")
    if board.outputs and not board.camera:
        raise LotorError(f"{where}: [outputs] go with a [camera]: its alarms switch them")


def _check_update(board: Board, update: Update, where: str) -> None:
    """Check that boot loader, state and slots fit into flash and begin where it can be erased."""
    if board.linux:
        raise LotorError(f"{where}: a table [update] is for microcontrollers only")
    units = update.erase_bytes
    if not units or any(unit <= 0 or unit % SLOT_HEADER_BYTES for unit in units):
        raise LotorError(
            f"{where}: 'update.erase_bytes' must list multiples of {SLOT_HEADER_BYTES}, the last "
            f"repeats, not {list(units)}"
        )
    if update.write_bytes not in _WRITE_BYTES:
        choices = ", ".join(map(str, _WRITE_BYTES))
        raise LotorError(f"{where}: 'update.write_bytes' may be one of {choices}")
    places = {
        "boot_bytes": (0, board.state_address(0)),
        "state_bytes": (board.state_address(0), board.state_address(1)),
        "slot_bytes": (board.slot_address(0), board.slot_address(1)),
    }
    end = board.memory.flash.origin + board.memory.flash.bytes
    for key, (begin, following) in places.items():
        if begin >= following:
            raise LotorError(f"{where}: 'update.{key}' must be more than 0")
        at = board.flash_origin
        for unit in units:
            if at < following:
                at += unit
        at += max(0, -(-(following - at) // units[-1])) * units[-1]
        if at != following and following < end:
            raise LotorError(
                f"{where}: 'update.{key}' ends at {following:#x}, inside a unit of erasure that "
                f"ends at {at:#x}: see 'update.erase_bytes'"
            )
    need = board.slot_address(2) - board.flash_origin
    if board.slot_address(2) > end:
        raise LotorError(
            f"{where}: boot loader, state and slots of [update] take {need} bytes of flash, which "
            f"has {end - board.flash_origin}: make 'update.slot_bytes' smaller"
        )


def _check_usb(board: Board, where: str) -> None:
    if bool(_BY_BOOT_LOADER & {*board.flash.methods}) != bool(board.flash.boot_usb):
        raise LotorError(
            f'{where}: flash.method = "bossac" or "nrfutil" and \'flash.boot_usb\' go together'
        )
    for key, identities in {
        "serial.usb": board.serial.usb,
        "flash.usb": board.flash.usb,
        "flash.boot_usb": board.flash.boot_usb,
    }.items():
        for identity in identities:
            if not re.fullmatch(r"[0-9a-fA-F]{4}:[0-9a-fA-F]{4}", identity):
                raise LotorError(f"{where}: '{key}' has {identity!r}; it must look like 2341:805a")


def _check_uf2(board: Board, where: str) -> None:
    uses = "uf2" in board.flash.methods
    if uses != (board.flash.volume is not None):
        raise LotorError(f"{where}: flash.method = \"uf2\" and 'flash.volume' go together")
    family = board.build.uf2_family
    for method in {"uf2", "picotool"} & {*board.flash.methods}:
        if family is None:
            raise LotorError(
                f"{where}: flash.method = \"{method}\" needs 'build.uf2_family', the chip's id"
            )
    if family is not None and not 0 <= family < 1 << 32:
        raise LotorError(f"{where}: 'build.uf2_family' must have 32 bits, not {family:#x}")
    boot, flash = board.memory.boot, board.memory.flash
    if boot and (boot.bytes != BOOT_BYTES or boot.origin + boot.bytes != flash.origin):
        raise LotorError(
            f"{where}: 'memory.boot' must have {BOOT_BYTES} bytes, and 'memory.flash' follow it"
        )


def _check_framework(board: Board, where: str) -> None:
    """Check what goes with the family of the Arduino framework, and only with it."""
    uses = board.framework
    together = {
        'flash.method = "platformio" or "esptool"': board.flash.method in _OF_FRAMEWORK,
        **{
            f'flash.alternatives = ["{method}"]': method in _OF_FRAMEWORK
            for method in board.flash.alternatives
        },
        'ticks.source = "ccount"': board.ticks.source == "ccount",
        "target = xtensa-...": board.target.startswith("xtensa-"),
    }
    for key, given in together.items():
        if given != uses:
            raise LotorError(f'{where}: hal.name = "{_ARDUINO}" and {key} go together')
    if (board.memory.psram is None) != (board.memory.arena_bytes is None):
        raise LotorError(f"{where}: 'memory.psram' and 'memory.arena_bytes' go together")
    if board.memory.psram and not uses:
        raise LotorError(f"{where}: 'memory.psram' is for hal.name = \"{_ARDUINO}\" only")


def _check_family(board: Board, where: str) -> None:
    """Check that a program has what a program needs, and an image what an image needs."""
    if board.linux != bool(TARGETS[board.target].machine):
        kind = "runs Linux" if TARGETS[board.target].machine else "is a microcontroller"
        raise LotorError(
            f"{where}: 'hal.name' is '{board.hal.name}', and target '{board.target}' {kind}"
        )
    places = {
        "memory.flash": board.memory.flash.bytes,
        "memory.ram": board.memory.ram.bytes,
        "hal.irqs": board.hal.irqs,
        "hal.uart_clock_hz": board.hal.uart_clock_hz,
    }
    budgets = {
        "budget.flash_bytes": board.budget.flash_bytes,
        "budget.ram_bytes": board.budget.ram_bytes,
    }
    for key, value in places.items():
        if board.linux and value:
            raise LotorError(
                f"{where}: the key '{key}' is not for a program of Linux, which finds a place "
                "for it: say in [budget] what it may take"
            )
    for key, limit in budgets.items():
        if board.linux and not limit:
            raise LotorError(
                f"{where}: the key '{key}' is missing: nothing else limits a program of Linux"
            )
    if (board.flash.method == "ssh") != (board.linux and not board.emulated):
        raise LotorError(f'{where}: flash.method = "ssh" is for a board with Linux, and only it')
    if (board.flash.method == "ssh") != bool(board.flash.line) or (
        board.flash.host and not board.flash.line
    ):
        raise LotorError(
            f"{where}: 'flash.line', the serial device that the program serves, and 'flash.host' "
            'go with flash.method = "ssh"'
        )
    if (board.ticks.source in ("clock", "emulator")) != board.linux or (
        board.ticks.source == "emulator" and not board.emulated
    ):
        raise LotorError(
            f"{where}: 'ticks.source' is '{board.ticks.source}', which {board.hal.name} has not"
        )

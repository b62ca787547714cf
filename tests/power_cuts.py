"""The boot loader and the code of updates on flash in RAM whose power is cut (power_cuts.c).

The C is the one of the boards, with libsodium's SHA-256 and, with a key, its Ed25519.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from cffi import FFI

from lotor import libsodium
from lotor.board import Board, Region, Update, load_board
from lotor.image_sources import update_config
from lotor.resources import resource
from lotor.update_key import Key
from lotor.update_package import Slot, make_slot

GOOD, FAILS_SELF_TEST, CRASHES = range(3)
CONFIRMED, ROLLED_BACK, FELL_BACK = 1, 2, 3
POWER, NO_TRIAL = 1, 0xFF
_HERE = Path(__file__).parent
_DECLARATIONS = """
typedef struct {
    uint32_t format, sequence;
    uint8_t confirmed, trial, started, result, reason, detail;
    int16_t layer;
    uint32_t version, pc, reserved, crc;
} update_state;
void model_begin(void);
uint8_t *model_flash(void);
void model_cut(long at, int into, uint64_t seed);
long model_done(void);
long model_bad_writes(void);
long model_power_on(int reason);
int model_send(const uint8_t *header, const uint8_t *image, uint32_t bytes, uint32_t piece);
uint32_t trial_running(void);
int model_begin_update(const uint8_t *header);
int model_piece(uint32_t offset, const uint8_t *data, uint32_t bytes);
int model_finish(void);
update_state model_state(void);
int model_append(const update_state *state);
"""


def model_board(unit: int = 4, page: int = 256) -> Board:
    """Return a board of little flash, so that every cut can be tried."""
    update = Update(
        boot_bytes=max(512, page),
        state_bytes=max(512, page),
        slot_bytes=max(2048, page),
        write_bytes=unit,
        erase_bytes=(page,),
        development=True,
    )
    size = update.boot_bytes + 2 * update.state_bytes + 2 * update.slot_bytes
    flash = Region(0x1000_0000, size)
    board = load_board("microbit")
    return replace(board, memory=replace(board.memory, flash=flash), update=update)


@dataclass
class Flash:
    """A board in RAM. `lib` has the functions of power_cuts.c."""

    board: Board
    lib: Any
    ffi: FFI
    key: Key | None = None
    images: dict[int, Slot] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """All of flash."""
        return bytes(self.ffi.buffer(self.lib.model_flash(), self.board.memory.flash.bytes))

    @content.setter
    def content(self, data: bytes) -> None:
        self.ffi.memmove(self.lib.model_flash(), data, len(data))

    def image(
        self, number: int, slot: int, behaviour: int = GOOD, older: bool = False, size: int = 600
    ) -> Slot:
        """Return an image: its version is its number, its bytes follow from it."""
        body = number.to_bytes(4, "little") + behaviour.to_bytes(4, "little")
        body += bytes((number * 37 + i * 11) % 256 for i in range(size - 8))
        return make_slot(self.board, slot, body, bytes(20), number, older, self.key)

    def erase(self, first: Slot) -> None:
        """Flash by a cable: `first` in slot 0, everything else erased."""
        origin, flash = self.board.flash_origin, bytearray(b"\xff" * len(self.content))
        at = self.board.slot_address(0) - origin
        flash[at : at + len(first.header + first.image)] = first.header + first.image
        self.content = bytes(flash)

    def start(self, reason: int = POWER) -> int:
        """Switch on without a cut; return which image serves, 0 for a brick."""
        self.lib.model_cut(-1, 0, 1)
        return int(self.lib.model_power_on(reason))

    def send(self, slot: Slot, piece: int = 128) -> int:
        """Send an update to its end; 0, a reason to refuse it, or -1: the power was cut."""
        piece = max(piece, self.board.update.write_bytes if self.board.update else 0)
        return int(self.lib.model_send(slot.header, slot.image, len(slot.image), piece))

    def running_whole(self, slot_of: Callable[[int, int], Slot], number: int) -> bool:
        """Whether the slot that runs holds exactly the image of that number."""
        slot = int(self.lib.trial_running())
        wanted = slot_of(number, slot)
        at = self.board.slot_address(slot) - self.board.flash_origin
        data = wanted.header + wanted.image
        return self.content[at : at + len(data)] == data


@cache
def _library(unit: int, page: int, public: bytes | None) -> tuple[Any, FFI]:
    board = model_board(unit, page)
    sodium, firmware = libsodium.find(), resource("firmware")
    folder = Path(tempfile.mkdtemp(prefix="power-cuts-"))
    config = update_config(board, public)
    config += [
        f"#define LOTOR_ERASE_BYTES {page}u",
        f"#define LOTOR_FLASH_ORIGIN {board.flash_origin:#x}u",
        "#define LOTOR_DATA_BYTES 512",
    ]
    (folder / "lotor_config.h").write_text("#pragma once\n" + "\n".join(config) + "\n")
    (folder / "version.h").write_text(libsodium.VERSION_HEADER)
    ours = [
        *(_HERE / "power_cuts.c", firmware / "src/crc32.c"),
        *(firmware / "update" / f"{name}.c" for name in ("state", "slot", "trial")),
        *(firmware / "boot" / f"{name}.c" for name in ("boot", "crypto", "sodium_parts")),
    ]
    library = folder / "power_cuts.so"
    command = [
        *("cc", "-std=gnu11", "-O1", "-g", "-fPIC", "-shared", "-w", *libsodium.DEFINES),
        *(f"-I{path}" for path in (folder, firmware / "include", *libsodium.include(sodium))),
        *map(str, (*ours, *(sodium / name for name in libsodium.SOURCES))),
        *("-o", str(library)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    ffi = FFI()
    ffi.cdef(_DECLARATIONS)
    lib = ffi.dlopen(str(library))
    return lib, ffi


def flash_of(unit: int = 4, page: int = 256, key: Key | None = None) -> Flash:
    """Return a board in RAM, with image 1 in slot 0."""
    lib, ffi = _library(unit, page, key.public if key else None)
    lib.model_begin()
    flash = Flash(model_board(unit, page), lib, ffi, key)
    flash.erase(flash.image(1, 0))
    return flash


@dataclass
class Count:
    """What was tried: power cuts, of them nested ones, and boards that did not come back."""

    cuts: int = 0
    nested: int = 0
    bricks: int = 0
    wrong: int = 0
    failed_updates: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def good(self) -> bool:
        """Whether every cut was survived."""
        return self.cuts > 0 and not (self.bricks or self.wrong or self.failed_updates)


def records(flash: Flash, number: int) -> None:
    """Fill the journal by so many records, to move where its areas change."""
    for _ in range(number):
        state = flash.ffi.new("update_state *", flash.lib.model_state())
        assert flash.lib.model_append(state) == 0


def cut_everywhere(
    flash: Flash, behaviour: int = GOOD, nested: bool = True, last: int | None = None
) -> Iterator[Count]:
    """Cut an update, its trial and confirmation or rollback at every operation; yield each count.

    The board runs image 1. Image 2 is sent; after the cut the board must run 1 or (if it is good)
    2, whole; then image 3 must be taken, confirmed and run. Each cut falls before an operation,
    and in three random ways into it. With `nested` the recovery is cut everywhere, too; with
    `last` only the last operations of the update are.
    """
    old, other = int(flash.lib.trial_running()), 1 - int(flash.lib.trial_running())
    image = flash.image(2, other, behaviour)

    def slot_of(number: int, slot: int) -> Slot:
        return flash.image(number, slot, behaviour if number == 2 else GOOD)

    before = flash.content
    flash.lib.model_cut(-1, 0, 1)
    whole = _update(flash, image)
    total = int(flash.lib.model_done())
    assert whole == (2 if behaviour == GOOD else 1), whole
    allowed = {1, 2} if behaviour == GOOD else {1}
    for at in range(total - min(last or total, total), total):
        for seed in range(4):
            count = Count(cuts=1)
            flash.content = before
            flash.lib.model_cut(-1, 0, 1)
            assert flash.lib.model_power_on(POWER) == 1 and flash.lib.trial_running() == old
            flash.lib.model_cut(at, seed > 0, seed + 4 * at)
            assert _update(flash, image) == -1
            broken = flash.content
            running = flash.start()
            recovery = int(flash.lib.model_done())
            _judge(flash, slot_of, running, allowed, count)
            for inner in range(recovery if nested else 0):
                for way in range(3):
                    flash.content = broken
                    flash.lib.model_cut(inner, way > 0, 7 * inner + way + at)
                    count.cuts += 1
                    count.nested += 1
                    if flash.lib.model_power_on(POWER) != -1:
                        count.wrong += 1
                    _judge(flash, slot_of, flash.start(), allowed, count)
            yield count


def _update(flash: Flash, slot: Slot) -> int:
    """Send an update and start it; the image that serves then, or -1."""
    sent = flash.send(slot)
    if sent:
        return -1 if sent == -1 else -1000 - sent
    return int(flash.lib.model_power_on(3))


def _judge(
    flash: Flash,
    slot_of: Callable[[int, int], Slot],
    running: int,
    allowed: set[int],
    count: Count,
) -> None:
    if running <= 0:
        count.bricks += 1
        return
    if running not in allowed or not flash.running_whole(slot_of, running):
        count.wrong += 1
        return
    kept = flash.content
    count.wrong += flash.start() != running  # it stays so
    flash.lib.model_cut(-1, 0, 1)
    third = flash.image(3, 1 - int(flash.lib.trial_running()))
    good = _update(flash, third) == 3 and flash.start() == 3
    good = good and flash.lib.model_state().result == CONFIRMED
    count.failed_updates += not (good and flash.running_whole(slot_of, 3))
    flash.content = kept
    flash.start()

"""The boot loader of a board with updates: built apart from images, with the public key in it.

Its flash ends where the state begins, its RAM begins behind what images keep over a reset.
"""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lotor import libsodium, platformio
from lotor.board import Board
from lotor.boot2 import seal
from lotor.errors import LotorError
from lotor.files import locked
from lotor.image_sources import (
    FAULT_STACK_BYTES,
    FORWARD_BYTES,
    NOINIT_BYTES,
    boot_config,
)
from lotor.resources import cache_dir, resource
from lotor.targets import find_target

_KEPT = ("firmware.elf", "firmware.bin")
_PREFIX = "arm-none-eabi-"


@dataclass(frozen=True)
class BootLoader:
    """A linked boot loader: its ELF, and the bytes from the first of flash on."""

    elf: Path
    bin: bytes


def build_boot_loader(board: Board, public_key: bytes | None) -> BootLoader:
    """Build the boot loader of a board.

    Args:
        board: with a table [update].
        public_key: the key whose signatures it takes; None: it takes any image.

    Raises:
        LotorError: the board needs a key, libsodium is missing, or it does not fit.
    """
    if board.update is None:
        raise LotorError(f"board {board.name} takes no updates: its file has no table [update]")
    if public_key is None and not board.update.development:
        raise LotorError(
            f"board {board.name} takes signed updates only: `--key FILE`, which `lotor update-key "
            "FILE` makes, or `development = true` in its file"
        )
    sources = libsodium.find()
    files = {
        "image/lotor_config.h": boot_config(board, public_key),
        "image/version.h": libsodium.VERSION_HEADER,
        "boot.ld": _linker_script(board),
    }
    root = cache_dir() / "firmware"
    folder = root / f"boot-{board.name}-{_key(board, files).hex()[:16]}"
    with locked(root / f"{folder.name}.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            for name, text in files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text, encoding="utf-8")
            status, output = platformio.build(
                folder, board.build.env, _description(board, folder, sources), _KEPT
            )
            if status:
                _fail(board, output, folder)
            if board.memory.boot:
                seal(folder / _KEPT[0], folder / _KEPT[1], _PREFIX + "objdump")
            (folder / "complete").touch()
    return BootLoader(folder / _KEPT[0], (folder / _KEPT[1]).read_bytes())


def _fail(board: Board, output: str, folder: Path) -> None:
    if "region `FLASH' overflowed" in output:
        raise LotorError(
            f"the boot loader does not fit into 'update.boot_bytes' of board {board.name}: "
            "make it larger"
        )
    wrong = [line for line in output.splitlines() if "error" in line.lower()]
    first = wrong[0] if wrong else output.strip()[-200:]
    raise LotorError(
        f"the boot loader does not build: {first.strip()}; all of it is in {folder / 'build.log'}"
    )


def _key(board: Board, files: dict[str, str]) -> bytes:
    """Return a hash over everything that makes it what it is."""
    key = hashlib.sha256(json.dumps(asdict(board), sort_keys=True).encode())
    firmware = resource("firmware")
    parts = {name: text.encode() for name, text in files.items()}
    for path in sorted(firmware.rglob("*")):
        if path.suffix in {".c", ".h", ".py"} and ".pio" not in path.parts:
            parts[path.relative_to(firmware).as_posix()] = path.read_bytes()
    parts["description"] = repr(_description(board, Path("boot"), Path(libsodium.VERSION))).encode()
    for name, data in sorted(parts.items()):
        key.update(f"{name} {len(data)}\n".encode() + data)
    return key.digest()


def _description(board: Board, folder: Path, sodium: Path) -> dict[str, Any]:
    """Return what the builder of our PlatformIO platform wants to know."""
    firmware = Path("firmware") if folder == Path("boot") else resource("firmware").resolve()
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wconversion"]
    strict = ["-std=c11", "-Os", *warnings, *libsodium.DEFINES]
    theirs = ["-std=gnu99", "-Os", "-w", *libsodium.DEFINES]
    # Of the chip's family: its flash, clock and watchdog, and what its boot ROM looks for.
    family = "+<flash.c> +<nmi.c> +<boot_clock.c> +<watchdog.c> +<boot2.c> +<image_def.c>"
    sources = {
        "boot": (firmware / "boot", strict, "+<*.c>"),
        "update": (firmware / "update", strict, "+<state.c> +<slot.c>"),
        "crc": (firmware / "src", strict, "+<crc32.c>"),
        "hal": (firmware / "hal" / board.hal.name, strict, family),
        "sodium": (sodium, theirs, " ".join(f"+<{name}>" for name in libsodium.SOURCES)),
    }
    headers = [*libsodium.include(sodium), firmware / "include", folder / "image"]
    return {
        "prefix": _PREFIX,
        "cpu_flags": list(find_target(board.target).flags),
        "flags": ["-g", "-ffunction-sections", "-fdata-sections", "-fno-common"],
        "link_flags": [
            "-nostartfiles",
            "-Wl,--gc-sections",
            "-Wl,--build-id=none",
            "-Wl,--no-warn-rwx-segments",
        ],
        "libraries": ["c_nano", "gcc"],
        "objcopy": ["-O", "binary"],
        "include": [str(path) for path in headers],
        "linker_script": str(folder / "boot.ld"),
        "sources": {
            group: {"folder": str(path), "flags": flags, "filter": chosen}
            for group, (path, flags, chosen) in sources.items()
        },
        "prefix_map": {str(firmware): "firmware", str(folder): "boot", str(sodium): "libsodium"},
    }


def _linker_script(board: Board) -> str:
    """Return the linker script: nothing that images call may have a place in RAM.

    libsodium's variables without a value are zeros that it only reads, to hinder the compiler: they
    lie in flash.
    """
    flash, ram, stage = board.memory.flash, board.memory.ram, board.memory.boot
    low = ram.origin + board.build.stack_bytes + FAULT_STACK_BYTES + FORWARD_BYTES + NOINIT_BYTES
    stage_memory = stage_section = ""
    if stage:  # its last four bytes are written after linking
        stage_memory = f"\n    STAGE (rx) : ORIGIN = {stage.origin:#x}, LENGTH = {stage.bytes}"
        stage_section = (
            f"\n    .boot2 : {{ KEEP(*(.boot2)) . = {stage.bytes - 4}; LONG(0) }} > STAGE"
        )
    return f"""/* Memory of the boot loader of {board.name}; written by the build. */
ENTRY(Reset_Handler)
MEMORY {{{stage_memory}
    FLASH (rx) : ORIGIN = {flash.origin:#x}, LENGTH = {board.state_address(0) - flash.origin}
    RAM (rwx) : ORIGIN = {low:#x}, LENGTH = {ram.origin + ram.bytes - low}
}}
SECTIONS {{{stage_section}
    .text : {{
        __vectors = .;
        KEEP(*(.vectors)) KEEP(*(.image_def))
        *(.text .text.* .rodata .rodata.*)
        */sodium/*.o(.bss .bss.* COMMON)
        . = ALIGN(4);
    }} > FLASH
    .shared_data : {{
        */boot/*.o(.data .data.* .bss .bss.* COMMON)
        */sodium/*.o(.data .data.*)
    }} > RAM
    .data : {{
        __data_start = .;
        *(.data .data.* .in_ram)
        . = ALIGN(4);
        __data_end = .;
    }} > RAM AT > FLASH
    __data_load = LOADADDR(.data);
    .bss (NOLOAD) : {{
        __bss_start = .;
        *(.bss .bss.* COMMON)
        . = ALIGN(4);
        __bss_end = .;
    }} > RAM
    __stack_top = ORIGIN(RAM) + LENGTH(RAM) - LENGTH(RAM) % 8;
    /DISCARD/ : {{ *(.ARM.exidx*) *(.ARM.extab*) *(.comment) }}
    ASSERT(SIZEOF(.shared_data) == 0, "what images call keeps nothing in RAM")
    ASSERT(__bss_end + 6144 <= __stack_top, "checking a signature takes stack")
}}
"""

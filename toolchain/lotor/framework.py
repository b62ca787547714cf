"""Images of boards whose start-up, C library and linker script are the Arduino framework's.

PlatformIO builds them with an upstream platform, which `firmware/platformio.ini` pins. It fetches
that once, into its own folder (PLATFORMIO_CORE_DIR, else ~/.platformio), as for any project of
PlatformIO. Its project of an image is the folder of the image: firmware, models and description,
copied together; they stay, so that an upload finds everything built.
"""

import configparser
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lotor import platformio
from lotor.board import Board
from lotor.errors import LotorError
from lotor.resources import resource

_SOURCE = "source"
_FAILED_TO_FETCH = r"HTTPClientError|InternetConnectionError|InternetIsOffline|UnknownPackageError"
_DATA = (".dram0.data", ".dram0.bss", ".noinit", ".rtc_noinit", ".data", ".bss")


def source_tree(board: Board, files: dict[str, str]) -> dict[str, str]:
    """Return the files of an image's project, by their names in the image's folder.

    Args:
        board: whose family's files are taken.
        files: what is written for this image: `image/...` and `models/...`.
    """
    firmware = resource("firmware")
    family = f"hal/{board.hal.name}"
    kept = [*firmware.glob("src/*"), *firmware.glob(f"{family}/*"), firmware / "hal/hal.h"]
    tree = {path.relative_to(firmware).as_posix(): path.read_text("utf-8") for path in kept}
    return {f"{_SOURCE}/{name}": text for name, text in (tree | files).items()}


def description(flags: list[str], folder: Path) -> dict[str, Any]:
    """Return what `firmware/platform/arduino.py` wants to know.

    Args:
        flags: of the C compiler, for the models.
        folder: the image's.
    """
    tree = folder / _SOURCE
    include = [str(resource("firmware", "include").absolute())]
    return {"flags": flags, "include": [*include, str(tree / "image"), str(tree / "models")]}


def run(board: Board, folder: Path, *arguments: str) -> str:
    """Run PlatformIO on an image's project; return what it said.

    Args:
        board: whose environment is built.
        folder: the image's, with `build.json`.
        arguments: of `pio run`, e.g. `-t upload`.

    Raises:
        LotorError: the platform cannot be fetched.
        subprocess.CalledProcessError: it failed otherwise; `output` has what it said.
    """
    variables = {"PLATFORMIO_SRC_DIR": str(folder / _SOURCE)}
    env = board.build.env
    done = platformio.run(env, folder / "build.json", folder / "work", variables, *arguments)
    if done.returncode and re.search(_FAILED_TO_FETCH, done.stdout):
        raise LotorError(
            f"board {board.name} needs PlatformIO's platform '{platform_of(board)}', which is not "
            "here and cannot be fetched: internet is needed once"
        )
    done.check_returncode()
    return done.stdout


def platform_of(board: Board) -> str:
    """Return the platform of a board with its version, as `platformio.ini` pins it."""
    project = configparser.ConfigParser(interpolation=None)
    project.read(resource("firmware", "platformio.ini"), encoding="utf-8")
    section = project[f"env:{board.build.env}"]
    while "platform" not in section:
        section = project[section["extends"]]
    return section["platform"]


def sections(board: Board, folder: Path, arena_bytes: int) -> dict[str, int]:
    """Return the bytes of an image's sections, under the names of our own linker scripts.

    Stack and arena are blocks of the heap. What the linker dropped of a model is counted, too.
    """
    program: dict[str, int] = {}
    models: dict[str, int] = {}
    text = (folder / "out" / board.build.env / "sizes.txt").read_text(encoding="utf-8")
    for name, body in re.findall(r"^(\S+)\s*:\n(.*?)^Total", text, re.M | re.S):
        found = re.findall(r"^([._]\S+)\s+(\d+)", body, re.M)
        into = models if name.endswith(".o") else program
        for section, size in found:
            into[section] = into.get(section, 0) + int(size)
    return {
        ".weights": sum(n for name, n in models.items() if name.startswith(".rodata")),
        ".kernels": sum(n for name, n in models.items() if name.startswith((".text", ".literal"))),
        ".data": sum(program.get(name, 0) for name in _DATA),
        ".stack": board.build.stack_bytes,
        ".arena": arena_bytes,
    }


@dataclass(frozen=True)
class FlashContent:
    """What an image's build puts where in flash.

    Attributes:
        chip: as esptool calls it, e.g. "esp32s3".
        baud: bits per second of an upload.
        files: address in flash and file: boot loader, partitions, what chooses between them, and
            the program last.
    """

    chip: str
    baud: int
    files: tuple[tuple[int, Path], ...]


def flash_content(board: Board, folder: Path) -> FlashContent:
    """Return what an upload of a built image writes.

    Args:
        board: which board.
        folder: the image's.

    Raises:
        LotorError: a file is no longer there.
    """
    listed = folder / "out" / board.build.env / "flash.json"
    about: dict[str, Any] = json.loads(listed.read_text("utf-8")) if listed.is_file() else {}
    files = tuple((address, Path(path)) for address, path in about.get("files", []))
    for path in (listed, *(path for _, path in files)):
        if not path.is_file():
            raise LotorError(
                f"{path}, which flashing board {board.name} needs, is gone: remove {folder} and "
                "flash again"
            )
    return FlashContent(about["chip"], about["baud"], files)


def upload(board: Board, folder: Path, port: str) -> None:
    """Write a built image into a board's flash.

    Args:
        board: which board.
        folder: the image's.
        port: its serial port.

    Raises:
        LotorError: PlatformIO or its uploader failed; says what it said last.
    """
    try:
        run(board, folder, "-t", "upload", "--upload-port", port)
    except subprocess.CalledProcessError as error:
        log = folder / "upload.log"
        log.write_text(error.output, encoding="utf-8")
        fatal = re.findall(r"^.*(?:fatal error|[Ee]rror:).*$", error.output, re.M)
        last = (fatal or error.output.split("\n"))[-1].strip()[:200] or "nothing"
        raise LotorError(
            f"board {board.name} on {port} was not flashed; PlatformIO said: {last}; hold the boot "
            f"button while you press reset, then flash again; all of it is in {log}"
        ) from error


def write_description(board: Board, folder: Path, flags: list[str]) -> None:
    """Write `build.json`, which `run` needs."""
    (folder / "build.json").write_text(json.dumps(description(flags, folder), indent=2), "utf-8")

"""Getting an image onto a board: one function for each method that a board file may name."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lotor.board import Board, load_board
from lotor.build import Image, build_firmware, self_test
from lotor.compiler import Compiled
from lotor.device import (
    bossac,
    emulator,
    esptool,
    nrfutil,
    openocd,
    picotool,
    platformio,
    pyocd,
    ssh,
    uf2,
)
from lotor.device.budget import check_image, check_port
from lotor.device.messages import Hello
from lotor.device.ports import Busy, locate, port_lock
from lotor.device.ready import image_for
from lotor.device.session import NoAnswer, Session
from lotor.errors import LotorError
from lotor.flash_content import FIRST_VERSION, with_boot_loader
from lotor.host import load
from lotor.image_report import as_dict
from lotor.progress import Progress
from lotor.suggest import did_you_mean
from lotor.targets.preference import Optimize
from lotor.update_key import Key, read_key

_BOOT_SECONDS = 5.0


@dataclass(frozen=True)
class FlashResult:
    """A flashed board.

    Attributes:
        board: the board.
        image: what it runs now.
        url: where its serial port is.
        hello: how it greeted.
        seconds: what building and flashing took.
    """

    board: Board
    image: Image
    url: str
    hello: Hello
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return what `lotor flash --json` prints."""
        return {
            **as_dict(self.board, self.image),
            "url": self.url,
            "emulated": self.board.emulated,
            "seconds": round(self.seconds, 2),
        }

    def __str__(self) -> str:
        image, board = self.image, self.board
        names = ", ".join(model["name"] for model in image.models)
        parts = ", ".join(f"{name} {size:,}" for name, size in image.breakdown.items())
        return "\n".join(
            [
                f"{board.name} runs {names} on {self.url}",
                f"  flash {image.flash_bytes:,} of {board.flash_limit:,} bytes ({parts})",
                f"  RAM   {image.ram_bytes:,} of {board.ram_limit:,} bytes "
                f"(arena {image.arena_bytes:,}, stack {board.build.stack_bytes:,})",
            ]
        )


def flash(
    board: str,
    models: str | Sequence[str],
    target: str | None = None,
    ram: int | None = None,
    optimize: Optimize = "speed",
    method: str | None = None,
    key: Key | None = None,
    version: int = FIRST_VERSION,
) -> FlashResult:
    """Compile models, build their image, flash it and wait until the board greets.

    Args:
        board: the board's name.
        models: one or several names or paths of models.
        target: what to compile for; the board's own target when None.
        ram: bytes that the arena may take: layers run in stripes where it would take more.
        optimize: what kernels are chosen for.
        method: how it is flashed, one of the board's methods; its usual one when None.
        key: see `flash_image`.
        version: see `flash_image`.

    Raises:
        LotorError: a wrong name, a model that does not fit, a tool that is missing, a board that
            does not answer.
    """
    begun = time.monotonic()
    chosen = load_board(board)
    _check_method(chosen, method)
    names = [models] if isinstance(models, str) else models
    with Progress(f"flash {board}", 2 * len(names) + 2, "steps") as progress:
        image = image_for(board, names, target, ram, optimize, progress.advance)
        url, hello = flash_image(chosen, image, method, key, version)
        progress.advance()
    return FlashResult(chosen, image, url, hello, time.monotonic() - begun)


def flash_compiled(board: Board, compiled: Compiled, path: Path) -> tuple[str, Hello]:
    """Build and flash an image of one compiled model; see `flash_image`.

    Args:
        board: the board.
        compiled: the model, for this board.
        path: its file.

    Raises:
        LotorError: it does not fit, flashing failed, or the board does not answer.
    """
    return flash_image(board, build_firmware(board, [compiled], tests=[self_test(load(str(path)))]))


def flash_image(
    board: Board,
    image: Image,
    method: str | None = None,
    key: Key | None = None,
    version: int = FIRST_VERSION,
) -> tuple[str, Hello]:
    """Flash an image; return the url of the board's port, and how the board greeted.

    Args:
        board: the board; one with updates also gets its boot loader.
        image: for this board.
        method: one of the board's methods; its usual one when None.
        key: of a board with updates, whose key it takes from now on.
        version: of the image on a board with updates.

    Raises:
        LotorError: flashing failed, the board does not answer as this image, or it needs more time
            or stack than its budget: of an emulated board seen before anything is replaced.
    """
    _check_method(board, method)
    if board.emulated:
        check_image(board, image)  # before it replaces anything
    image = with_boot_loader(board, image, key or read_key(None), version)
    url = METHODS[method or board.flash.method](board, image)
    hello = _greet(url, board)
    if hello.build_id != image.build_id.hex():
        raise LotorError(
            f"board {board.name} on {url} still runs image {hello.build_id[:12]}, not "
            f"{image.build_id.hex()[:12]}: flash it again"
        )
    if not board.emulated:
        check_port(board, url)
    return url, hello


def _check_method(board: Board, method: str | None) -> None:
    if method is not None and method not in board.flash.methods:
        raise LotorError(
            f"board {board.name} is not flashed by '{method}'"
            f"{did_you_mean(method, board.flash.methods)}: its file has "
            f"{' and '.join(board.flash.methods)}"
        )


def _greet(url: str, board: Board) -> Hello:
    """Wait until a board has started, and greet it."""
    starting = board.emulator.boot_seconds if board.emulator else 0
    until = time.monotonic() + starting + _BOOT_SECONDS
    while True:
        try:
            with Session.open(url, timeout=1.0, greet=False) as session:
                if starting:  # its operating system would lose what comes meanwhile
                    session.port.read(starting)
                return session.hello()
        except (NoAnswer, Busy) as error:
            if time.monotonic() > until:
                raise LotorError(
                    f"board {board.name} was flashed and does not answer: {error}"
                ) from error


def _start_emulator(board: Board, image: Image) -> str:
    # Whoever talks to the board keeps its port: do not pull the emulator from under it.
    state = emulator.running(board.name)
    if state is not None:
        with port_lock(state.url):
            return emulator.start(board, image).url
    return emulator.start(board, image).url


def _copy_uf2(board: Board, image: Image) -> str:
    if image.uf2 is None or board.flash.volume is None:  # the board's file was checked
        raise LotorError(f"the image of board {board.name} has no UF2 file: build it again")
    url, _ = locate(board.name)  # before anything is changed
    uf2.copy(image.uf2, uf2.find_volume(board.name, board.flash.volume))
    return url


METHODS: dict[str, Callable[[Board, Image], str]] = {
    "bossac": bossac.flash,
    "emulator": _start_emulator,
    "esptool": esptool.flash,
    "nrfutil": nrfutil.flash,
    "openocd": openocd.flash,
    "picotool": picotool.flash,
    "platformio": platformio.flash,
    "pyocd": pyocd.flash,
    "ssh": ssh.install,
    "uf2": _copy_uf2,
}

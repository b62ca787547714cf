"""Emulated boards: start one with an image, find it again, stop it.

An emulator runs apart from whoever started it, with the board's UART on a TCP port of this machine.
`run_dir()/BOARD.json` says which process it is; a process counts only if its start time matches
too, because the system uses process numbers again.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lotor.board import Board, Emulator
from lotor.build import Image, read_image
from lotor.device import emulator_programs, raspi3b_machine, user_mode
from lotor.device.ports import Lock
from lotor.device.probe import Probe
from lotor.errors import LotorError
from lotor.files import write_files
from lotor.resources import run_dir
from lotor.update_key import read_key

_START_SECONDS = 0.15
_STOP_SECONDS = 3.0


class EndedAtOnce(LotorError):
    """An emulator ended as soon as it was started; the text has what it said."""


@dataclass(frozen=True)
class Running:
    """An emulated board that runs.

    Attributes:
        board: its name.
        pid: the emulator's process.
        pid_started: when that process started, in the system's clock ticks after boot.
        url: where its serial port is, e.g. `socket://127.0.0.1:40123`.
        elf: the image that it runs.
        models: name and hash of each model in the image.
        build_id: of the image, hexadecimal.
        started: seconds since 1970.
    """

    board: str
    pid: int
    pid_started: int
    url: str
    elf: Path
    models: list[dict[str, str]]
    build_id: str
    started: float


def start(board: Board, image: Image) -> Running:
    """Start the emulator of a board with an image; one that runs already is replaced.

    Raises:
        LotorError: the emulator is missing or ends at once; says what it said.
    """
    emulator = _emulator(board)
    with _held(board.name):
        _stop(board.name)
        log = run_dir() / f"{board.name}.log"
        process, url, _ = _spawn(board, emulator, _programmed(board, image), log)
        # Written at once: who interrupts us leaves an emulator that can be found and stopped.
        state = Running(
            board.name,
            process.pid,
            _start_time(process.pid) or 0,
            url,
            image.elf,
            image.models,
            image.build_id.hex(),
            time.time(),
        )
        _write(state)
        try:
            _see_that_it_stays(process, log, f"{emulator.program} for board {board.name}")
        except LotorError:
            _path(board.name).unlink()
            raise
        # It outlives this process: Python need not warn that it does.
        process.returncode = 0
        return state


@contextlib.contextmanager
def private(board: Board, elf: Path, folder: Path, *arguments: str) -> Iterator[str]:
    """Run an image in an emulator of one's own, whatever runs as this board.

    Args:
        board: whose emulator.
        elf: the image.
        folder: for the emulator's log.
        arguments: for the emulator, after the board's own.

    Yields:
        The url of its serial port.

    Raises:
        LotorError: see `start`.
    """
    with played(board, _programmed(board, elf), folder, *arguments) as (url, _):
        yield url


@contextlib.contextmanager
def played(
    board: Board, program: Path, folder: Path, *arguments: str
) -> Iterator[tuple[str, tuple[str, int]]]:
    """Run what is to be programmed; like `private`, and yield the address of a debug port, too.

    Args:
        board: whose emulator.
        program: the image; for a board with updates all of its flash, see `flash_content`.
        folder: for the emulator's log.
        arguments: for the emulator, after the board's own.
    """
    log = folder / f"{board.name}.log"
    emulator = _emulator(board)
    process, url, debug = _spawn(board, emulator, program, log, *arguments)
    try:
        _see_that_it_stays(process, log, f"{emulator.program} for board {board.name}")
        yield url, debug
    finally:
        process.kill()
        process.wait()


def _programmed(board: Board, image: Image | Path) -> Path:
    """Return the file that an emulator starts with."""
    if board.update is None:
        return image if isinstance(image, Path) else image.elf
    if isinstance(image, Path):
        from lotor.flash_content import with_boot_loader

        image = with_boot_loader(board, read_image(image.parent), read_key(None))
    return image.bin


def _emulator(board: Board) -> Emulator:
    if board.emulator is None:
        raise LotorError(f"board {board.name} is not emulated")
    if lacking := emulator_programs.missing(board.emulator):
        raise LotorError(f"{lacking[0]} is missing: `{lacking[1]}`")
    return board.emulator


def _spawn(
    board: Board, emulator: Emulator, program: Path, log: Path, *arguments: str
) -> tuple[subprocess.Popen[bytes], str, tuple[str, int]]:
    """Start the emulator's process; return it, the serial port's url, the debug port's address."""
    # The emulator inherits a socket that listens already: no other program can take the port
    # in between, and whoever connects early waits instead of being refused.
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        output = stack.enter_context(log.open("wb"))
        debug = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        number = listener.fileno()
        files = [number]
        probed = False
        if emulator.program == raspi3b_machine.PROGRAM:
            command = raspi3b_machine.command(emulator, program, _line(number), arguments)
        elif board.linux:
            counter = user_mode.open_counter()
            stack.callback(os.close, counter)
            files.append(counter)
            command = user_mode.command(emulator, program, number, counter, arguments)
        elif board.update is not None and emulator.program != "node":
            probed = True
            files.append(debug.fileno())
            more = (*_debug_arguments(debug.fileno()), *arguments)
            command = [emulator.program, *_arguments(emulator, None, number, more)]
        else:
            command = [emulator.program, *_arguments(emulator, program, number, arguments)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=files,
            start_new_session=True,
        )
        if probed:
            with Probe(debug.getsockname()) as probe:
                probe.write(board.flash_origin, program.read_bytes())
                probe.reset()
        return process, f"socket://127.0.0.1:{listener.getsockname()[1]}", debug.getsockname()


def _line(number: int) -> list[str]:
    """Return QEMU's options for its device `uart`: a socket that listens, by its number."""
    return ["-chardev", f"socket,id=uart,fd={number},server=on,wait=off,nodelay=on"]


def _debug_arguments(number: int) -> list[str]:
    """Return the arguments by which QEMU waits for a probe on a socket."""
    port = f"socket,id=debug,fd={number},server=on,wait=off,nodelay=on"
    return ["-S", "-chardev", port, "-gdb", "chardev:debug"]


def _arguments(
    emulator: Emulator, program: Path | None, number: int, more: Sequence[str]
) -> list[str]:
    """Return an emulator's arguments; `number` is the socket that the board's UART listens on.

    Without a program flash is empty.
    """
    if emulator.program == "node":
        script, *rest = emulator.args
        return [
            str(emulator_programs.SCRIPTS / script),
            str(program.with_suffix(".uf2")) if program else "",
            str(number),
            *rest,
            *more,
        ]
    return [
        *(*emulator.args, *more),
        *("-nodefaults", "-nographic", "-monitor", "none"),
        *(("-kernel", str(program)) if program else ()),
        *("-serial", "chardev:uart", *_line(number)),
    ]


def _see_that_it_stays(process: subprocess.Popen[bytes], log: Path, what: str) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_START_SECONDS)
    if process.returncode is not None:
        said = " ".join(log.read_text(errors="replace").split()) or "nothing"
        raise EndedAtOnce(
            f"{what} ended at once (status {process.returncode}); it said: {said[:300]}"
        )


def running(board: str) -> Running | None:
    """Return what runs as this board, or None; the trace of an emulator that died is removed."""
    state = _read(board)
    if state is None or _alive(state):
        return state
    with _held(board):
        state = _read(board)  # somebody may have started it anew meanwhile
        if state is not None and not _alive(state):
            _path(board).unlink(missing_ok=True)
            state = None
    return state


def now_runs(board: str, elf: Path, models: list[dict[str, str]], build_id: str) -> None:
    """Note that an emulated board took another image by itself; see `Running`."""
    with _held(board):
        state = _read(board)
        if state is not None and _alive(state):
            _write(replace(state, elf=elf, models=models, build_id=build_id))


def stop(board: str) -> bool:
    """Stop the emulator of a board; return whether one ran."""
    with _held(board):
        return _stop(board)


def _stop(board: str) -> bool:
    state = _read(board)
    if state is None:
        return False
    ran = _alive(state)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not _alive(state):
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(state.pid, number)
        until = time.monotonic() + _STOP_SECONDS
        while _alive(state) and time.monotonic() < until:
            time.sleep(0.01)
    if _alive(state):
        raise LotorError(f"the emulator of {board} (process {state.pid}) does not end; kill it")
    _path(board).unlink(missing_ok=True)
    return ran


def _held(board: str) -> Lock:
    """Return the lock of starting and stopping; held for moments only."""
    return Lock(f"emulator-{board}", f"the emulator of {board}", wait=15.0)


def _path(board: str) -> Path:
    return run_dir() / f"{board}.json"


def _write(state: Running) -> None:
    text = json.dumps(asdict(state) | {"elf": str(state.elf)}, indent=2)
    write_files({_path(state.board): text.encode()})


def _read(board: str) -> Running | None:
    try:
        values = json.loads(_path(board).read_text(encoding="utf-8"))
        return Running(**values | {"elf": Path(values["elf"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LotorError(
            f"{_path(board)} is damaged ({error}): remove it, and end the emulator if it still runs"
        ) from error


def _alive(state: Running) -> bool:
    return _start_time(state.pid) == state.pid_started


def _start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks after boot; None when it has ended."""
    process = Path(f"/proc/{pid}")
    try:
        # The name, in brackets, may hold anything; the fields after it are numbers.
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        threads = len(os.listdir(process / "task"))
    except (OSError, ValueError):
        return None
    if fields[0] != "Z" or threads > 1:  # a first thread may end before the others
        return int(fields[19])
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # an ended child of ours would stay
    return None

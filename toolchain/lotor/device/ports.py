"""Opening serial ports: real ones, ptys and `socket://`; one holder each, found by USB identity."""

import contextlib
import errno
import fcntl
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import serial
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from lotor.errors import LotorError
from lotor.resources import run_dir

BAUDRATE = 115200
# USB adapters (CH340, CP2102, FT232R). On an ESP32's board their DTR and RTS lead to the chip's
# reset and boot pins, and must rest while the port is open; elsewhere they lead nowhere.
_ADAPTERS = ("1a86:7523", "10c4:ea60", "0403:6001")


class Busy(LotorError):
    """Somebody else holds the port or the board."""


class Lock:
    """A lock between processes, under a name; it ends with its holder, however that ends.

    Args:
        name: what is held, e.g. a port's url; also the name of the lock file in `run_dir()`.
        thing: the same as words for the error, e.g. "port /dev/ttyACM0".
        wait: seconds to wait for another holder to let go.

    Raises:
        Busy: another holder keeps it; names that process where it is known.
    """

    def __init__(self, name: str, thing: str, wait: float = 0.0) -> None:
        # Cut, because a file's name has a limit; two long names may share a lock.
        plain = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")[:200]
        path = run_dir() / f"{plain}.lock"
        # The file stays when the lock ends: removing it would race with the next holder.
        self._file = path.open("a+", encoding="utf-8")
        until = time.monotonic() + wait
        while not self._try():
            if time.monotonic() >= until:
                holder = _holder(path)
                self._file.close()
                raise Busy(f"{thing} is busy: {holder} has it; wait for that to end, or stop it")
            time.sleep(0.02)
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def _try(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let go; a second call does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def port_lock(url: str) -> Lock:
    """Hold a port, as its `Port` does.

    Raises:
        Busy: somebody else holds it, for longer than a moment.
    """
    return Lock(f"port-{url}", f"port {url}", wait=0.2)


def _holder(path: Path) -> str:
    try:
        pid = int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "another process"
    if pid == os.getpid():
        return f"this process ({pid})"
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        return f"process {pid} ({b' '.join(words[:8]).decode(errors='replace')})"
    except OSError:
        return f"process {pid}"


class Port:
    """An open serial port that nobody else can open at the same time.

    Args:
        url: a device path, any url that pyserial knows, e.g. `socket://127.0.0.1:5555`, or
            `ssh://HOST/BOARD`.
        baudrate: bits per second; a socket ignores it.

    Raises:
        Busy: somebody else has it open.
        LotorError: there is no such port, or it may not be opened.
    """

    def __init__(self, url: str, baudrate: int = BAUDRATE) -> None:
        self.url = url
        self._lock = port_lock(url)
        try:
            self._serial = _opened(url, baudrate)
        except LotorError:
            self._lock.release()
            raise
        except (serial.SerialException, ValueError, OSError) as error:
            self._lock.release()
            raise _open_error(url, error) from error

    def read(self, timeout: float) -> bytes:
        """Wait up to `timeout` seconds for a byte; return it with all that has arrived, or b""."""
        try:
            self._serial.timeout = max(timeout, 0.0)
            data: bytes = self._serial.read(1)
        except (serial.SerialException, OSError) as error:
            raise self._lost(error) from error
        if data:
            # A port that is lost between the two reads says so at the next call.
            with contextlib.suppress(serial.SerialException, OSError):
                self._serial.timeout = 0
                data += self._serial.read(1 << 16)
        return data

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        try:
            while data:
                data = data[self._serial.write(data) or 0 :]
        except serial.SerialTimeoutException as error:
            raise LotorError(
                f"{self.url} took no bytes for 5 s: is the board running and the port free?"
            ) from error
        except (serial.SerialException, OSError) as error:
            raise self._lost(error) from error

    def close(self) -> None:
        """Close the port and let others have it; a second call does nothing."""
        self._serial.close()
        self._lock.release()

    def _lost(self, error: Exception) -> LotorError:
        return LotorError(
            f"lost the connection to {self.url} ({error}): was the board unplugged or stopped? "
            "see `lotor boards`"
        )


def _opened(url: str, baudrate: int) -> Any:
    if url.startswith("ssh://"):
        from lotor.device.ssh import SshLine  # which knows boards, as we do not

        return SshLine(url)
    port = serial.serial_for_url(
        url, baudrate=baudrate, timeout=0, write_timeout=5.0, exclusive=True, do_not_open=True
    )
    if any(adapter.device == url for adapter in usb_ports(_ADAPTERS)):
        port.dtr = port.rts = False
    port.open()
    return port


def _open_error(url: str, error: Exception) -> LotorError:
    # pyserial keeps the number of most errors, and of some only the text.
    number = getattr(error, "errno", None)
    text = " ".join(str(error).split())
    if number == errno.EBUSY or "exclusively lock" in text:
        return Busy(f"port {url} is busy: another program has it open; close that first")
    if number == errno.ENOENT:
        have = ", ".join(port.device for port in list_ports.comports()) or "none"
        return LotorError(f"there is no port {url}; ports here: {have}")
    if number == errno.EACCES:
        return LotorError(
            f"no permission to open {url}; run `sudo usermod -aG dialout $USER` and log in again"
        )
    if "refused" in text:
        return LotorError(f"nobody listens on {url}: is the board running? see `lotor boards`")
    return LotorError(f"cannot open port {url}: {text}")


def is_url(board: str) -> bool:
    """Return whether `board` names a port rather than a board: a path or a url."""
    return "://" in board or "/" in board or bool(re.fullmatch(r"COM\d+", board))


def locate(board: str) -> tuple[str, int]:
    """Return the port and the baud rate of a board.

    Args:
        board: a board's name, or the path or url of its port.

    Raises:
        LotorError: an unknown board, an emulator that does not run, no port or several.
    """
    from lotor.board import load_board

    if is_url(board):
        return board, BAUDRATE
    description = load_board(board)
    if description.emulated:
        from lotor.device.emulator import running

        state = running(board)
        if state is None:
            raise LotorError(
                f"board {board} is not running: `lotor flash --board {board} --model MODEL` starts "
                "it"
            )
        return state.url, description.serial.baud
    if url := os.environ.get("LOTOR_PORT"):
        return url, description.serial.baud
    if description.flash.method == "ssh":
        from lotor.device.ssh import url_of

        return url_of(description), description.serial.baud
    return find_usb_port(board, description.serial.usb), description.serial.baud


def find_usb_port(board: str, identities: Sequence[str], serial_number: str | None = None) -> str:
    """Return the path of the one port with a USB identity.

    Args:
        board: the board's name, for errors.
        identities: what its USB may say, as "vid:pid" in hexadecimal, e.g. "2341:805a".
        serial_number: the USB serial number, where several boards of a kind are plugged in.

    Raises:
        LotorError: no port has it, or several have.
    """
    if not identities:
        raise LotorError(
            f"board {board} has no USB port of its own for its link: name its adapter's in "
            "LOTOR_PORT"
        )
    found = [
        port
        for port in usb_ports(identities)
        if serial_number is None or port.serial_number == serial_number
    ]
    if len(found) == 1:
        return str(found[0].device)
    number = f" and serial number {serial_number}" if serial_number else ""
    if not found:
        raise LotorError(
            f"no serial port has board {board}'s USB identity {' or '.join(identities)}{number}: "
            "plug it in, or name its port in LOTOR_PORT"
        )
    raise LotorError(
        f"{len(found)} ports could be board {board}: {'; '.join(map(described, found))}; "
        "name one in LOTOR_PORT"
    )


def usb_ports(identities: Sequence[str]) -> list[ListPortInfo]:
    """Return the ports with one of some USB identities, "vid:pid" in hexadecimal."""
    wanted = {tuple(int(part, 16) for part in identity.split(":")) for identity in identities}
    return [port for port in list_ports.comports() if (port.vid, port.pid) in wanted]


def described(port: ListPortInfo) -> str:
    """Return a port in words, for errors that list several."""
    number = f", serial number {port.serial_number}" if port.serial_number else ""
    return f"{port.device} ({port.vid:04x}:{port.pid:04x}{number})"

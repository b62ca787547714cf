"""Boards that are computers with Linux: the program is copied and spoken to through OpenSSH.

The line is the program's stdin and stdout, at the end of an ssh connection that lives as long as
the session. Where a cable is used (`LOTOR_PORT`), systemd runs the program on the board's end of
it. Keys, ports and names of hosts belong to the user's ssh configuration.
"""

import contextlib
import hashlib
import os
import re
import select
import shlex
import subprocess
import tempfile

from lotor.board import Board, load_board
from lotor.build import Image
from lotor.errors import LotorError
from lotor.targets import find_target

INSTALL = "`sudo apt-get install openssh-client`"
_FOLDER = ".local/lib/lotor"
_CONNECT_SECONDS = 10
_COPY_SECONDS = 120
_OPTIONS = ("-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={_CONNECT_SECONDS}")
_WRONG_MACHINE, _NO_SYSTEMD = 91, 92
# What OpenSSH says, and what it means.
_REASONS = (
    (r"Permission denied", "refuses our key", "`ssh-copy-id {host}`"),
    (r"Host key verification failed", "is not known to ssh, or has changed", "`ssh {host}` once"),
    (
        r"Could not resolve|Name or service not known",
        "is no host that is known here",
        "check LOTOR_SSH, or `host` in the board file",
    ),
    (r"refused", "runs no ssh server", "enable it with `sudo raspi-config`, Interface Options"),
    (r"timed out|No route|unreachable", "does not answer", "check its power and network"),
)


def host_of(board: Board) -> str:
    """Return the host of a board, as ssh takes it.

    Raises:
        LotorError: nobody says which it is, or it is no name of a host.
    """
    host = os.environ.get("LOTOR_SSH") or board.flash.host
    if not host:
        raise LotorError(
            f"board {board.name} has no host: name it in LOTOR_SSH, e.g. "
            "`LOTOR_SSH=pi@raspberrypi.local`"
        )
    if host.startswith("-") or not re.fullmatch(r"[\w.@:%+-]+", host):
        raise LotorError(f"'{host}' is no host for ssh: it must look like pi@raspberrypi.local")
    return host


def url_of(board: Board) -> str:
    """Return the url of a board's line through ssh; see `SshLine`."""
    return f"ssh://{host_of(board)}/{board.name}"


def install(board: Board, image: Image) -> str:
    """Copy a program to its board and start it where a cable leads; return the url of its line.

    Raises:
        LotorError: no ssh, a host that is not reached or refuses, another machine, no systemd.
    """
    host, name = host_of(board), board.name
    port = os.environ.get("LOTOR_PORT")
    data = image.bin.read_bytes()
    file = f"{_FOLDER}/{name}"
    # A connection that is lost looks like the end of the file: the hash tells.
    script = [
        "set -e; cd",
        f'test "$(uname -m)" = {find_target(board.target).machine} || '
        f"{{ uname -m >&2; exit {_WRONG_MACHINE}; }}",
        f"mkdir -p {_FOLDER}; cat >{file}.new",
        f"echo '{hashlib.sha256(data).hexdigest()}  {file}.new' | sha256sum -c --quiet",
        f"chmod 755 {file}.new; mv -f {file}.new {file}",
    ]
    if port:
        unit = shlex.quote(unit_file(board))
        script += [
            f"mkdir -p .config/systemd/user; printf %s {unit} >.config/systemd/user/lotor.service",
            f"systemctl --user daemon-reload || exit {_NO_SYSTEMD}",
            "loginctl enable-linger || true",  # else it ends with the last login
            "systemctl --user enable --quiet lotor; systemctl --user restart lotor",
        ]
    command = ["ssh", *_OPTIONS, "--", host, f"sh -c {shlex.quote(chr(10).join(script))}"]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=_COPY_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise _no_ssh() from error
    except subprocess.TimeoutExpired as error:
        raise LotorError(
            f"{host} did not take the program within {_COPY_SECONDS} s: check its network"
        ) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace")
        raise LotorError(f"board {name}: {_explained(host, done.returncode, said)}")
    return port or url_of(board)


def unit_file(board: Board) -> str:
    """Return the unit with which systemd keeps a board's program running on a serial device."""
    return f"""[Unit]
Description=Lotor as board {board.name}

[Service]
ExecStart=%h/{_FOLDER}/{board.name} {board.flash.line}
Restart=always
RestartSec=1
MemoryMax={board.ram_limit + board.flash_limit}

[Install]
WantedBy=default.target
"""


class SshLine:
    """A line to a program that this starts through ssh; has what `Port` asks of a serial port.

    Args:
        url: `ssh://HOST/BOARD`.

    Attributes:
        timeout: seconds that `read` waits.

    Raises:
        LotorError: the program does not greet; says why.
    """

    def __init__(self, url: str) -> None:
        self.timeout = 0.0
        self.host, _, name = url.removeprefix("ssh://").rpartition("/")
        load_board(name)  # its name becomes part of a command
        command = ["ssh", *_OPTIONS, "--", self.host, f'exec "$HOME"/{_FOLDER}/{name} -']
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the line
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=self._said, bufsize=0
            )
        except FileNotFoundError as error:
            raise _no_ssh() from error
        self._early = b""
        # The program begins with a byte; until then ssh connects.
        self.timeout = _CONNECT_SECONDS + 5.0
        try:
            self._early = self.read(1)
        except BaseException:
            self.close()
            raise
        if not self._early:
            self.close()
            raise LotorError(f"{self.host}: the program does not greet: flash board {name} again")

    def read(self, most: int) -> bytes:
        """Return up to `most` bytes, or b"" when none comes in time."""
        if self._early:
            data, self._early = self._early[:most], self._early[most:]
            return data
        source = self._process.stdout
        assert source is not None
        if not select.select([source], [], [], self.timeout)[0]:
            return b""
        data = os.read(source.fileno(), most)
        if not data:
            status = self._process.wait(5)
            self._said.seek(0)
            said = self._said.read().decode(errors="replace")
            raise LotorError(_explained(self.host, status, said))
        return data

    def write(self, data: bytes) -> int:
        """Send bytes; return how many were taken."""
        assert self._process.stdin is not None
        return self._process.stdin.write(data) or 0

    def close(self) -> None:
        """End the connection, and with it the program; a second call does nothing."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(3)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._said.close()


def _no_ssh() -> LotorError:
    return LotorError(f"ssh is missing: {INSTALL}")


def _explained(host: str, status: int, said: str) -> str:
    """Return one line about an ssh command that failed."""
    last = " ".join(said.split())[-200:] or "nothing"
    if status == _WRONG_MACHINE:
        return f"{host} is a machine of kind {last}: the board needs a 64-bit system"
    if status == _NO_SYSTEMD:
        return f"{host} has no systemd, which starts the program: unset LOTOR_PORT to use ssh alone"
    if status == 127:
        return f"{host} has no program of Lotor yet: `lotor flash` copies it"
    for pattern, meaning, mend in _REASONS:
        if status == 255 and re.search(pattern, said):
            return f"{host} {meaning}: {mend.format(host=host)}"
    return f"ssh to {host} ended with status {status}; it said: {last}"

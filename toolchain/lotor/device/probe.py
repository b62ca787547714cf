"""A debug probe for boards that QEMU plays: its gdb stub.

What `-kernel` loads is loaded again at every reset, over what the program has written to its flash.
So the flash of a board with updates is programmed once, as a probe does it with a real chip. The
protocol is GDB's remote serial protocol ("Debugging with GDB", appendix E): `$packet#checksum`.
"""

import contextlib
import socket
from types import TracebackType
from typing import Self

from lotor.errors import LotorError

_PIECE = 1024  # bytes in a packet
_SECONDS = 20.0


class Probe:
    """A connection to the gdb stub of an emulator; the board stands still while it is open.

    Args:
        address: host and port.

    Raises:
        LotorError: nobody answers there.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        try:
            self._socket = socket.create_connection(address, _SECONDS)
        except OSError as error:
            raise LotorError(f"the emulator's debug port does not answer: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""
        # A board that ran stops, and says so unasked: its thread is told last.
        answer = self.ask("qC")
        while not answer.startswith("QC"):
            answer = self.answer()

    def ask(self, packet: str) -> str:
        """Send a packet; return the answer.

        Raises:
            LotorError: no answer.
        """
        self.send(packet)
        return self.answer()

    def send(self, packet: str) -> None:
        """Send a packet whose answer comes later."""
        data = packet.encode("latin-1")
        self._socket.sendall(b"$%b#%02x" % (data, sum(data) % 256))

    def answer(self) -> str:
        """Wait for a packet."""
        while True:
            start, end = self._read.find(b"$"), self._read.find(b"#")
            if 0 <= start < end and len(self._read) >= end + 3:
                packet, self._read = self._read[start + 1 : end], self._read[end + 3 :]
                self._socket.sendall(b"+")
                return packet.decode("latin-1")
            try:
                more = self._socket.recv(1 << 16)
            except OSError as error:
                raise LotorError(f"the emulator's debug port does not answer: {error}") from error
            if not more:
                raise LotorError("the emulator closed its debug port")
            self._read += more

    def write(self, address: int, data: bytes) -> None:
        """Write memory, flash included.

        Raises:
            LotorError: there is no memory.
        """
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            if self.ask(f"M{address + at:x},{len(piece):x}:{piece.hex()}") != "OK":
                raise LotorError(f"the emulator has no memory at {address + at:#x}")

    def read(self, address: int, size: int) -> bytes:
        """Return what memory holds."""
        data = b""
        while len(data) < size:
            piece = min(_PIECE, size - len(data))
            data += bytes.fromhex(self.ask(f"m{address + len(data):x},{piece:x}"))
        return data

    def command(self, text: str) -> str:
        """Give a command of QEMU's monitor; return what it says."""
        self.send(f"qRcmd,{text.encode().hex()}")
        said = ""
        while (answer := self.answer()) != "OK":
            said += bytes.fromhex(answer.removeprefix("O")).decode(errors="replace")
        return said

    def reset(self) -> None:
        """Reset the board; it starts when it is continued."""
        self.command("system_reset")

    def close(self) -> None:
        """Let the board run, and go."""
        with contextlib.suppress(OSError, LotorError):
            self.ask("D")
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

"""The loader in the ROM of a chip of Espressif, and the stub that esptool puts into its RAM.

After Espressif's document "Serial Protocol" (packets, commands, checksum, status bytes) and the
registers that esptool reads to know a chip. Reset lines are not played: a pty has none.
"""

import hashlib
import os
import select
import struct
import threading
import tty
import zlib
from types import TracebackType
from typing import Self

SECTOR, FLASH_BYTES = 4096, 4 << 20
_FLASH_BEGIN, _FLASH_DATA, _FLASH_END = 0x02, 0x03, 0x04
_MEM_BEGIN, _MEM_END, _MEM_DATA, _SYNC = 0x05, 0x06, 0x07, 0x08
_WRITE_REG, _READ_REG, _SET_PARAMS, _ATTACH, _BAUD = 0x09, 0x0A, 0x0B, 0x0D, 0x0F
_DEFLATE_BEGIN, _DEFLATE_DATA, _DEFLATE_END = 0x10, 0x11, 0x12
_MD5, _SECURITY = 0x13, 0x14
_QUIET = {_FLASH_END, _MEM_BEGIN, _MEM_DATA, _SET_PARAMS, _ATTACH, _BAUD, _DEFLATE_END}
_INVALID, _BAD_CHECKSUM = 5, 7  # error codes
_MAGIC = 0x40001000  # the register whose value is the kind of chip, of the first chips


class RomLoader:
    """A chip in download mode at the end of a pty.

    Args:
        chip: "esp32" or "esp32s3".
        broken: the address of a byte of flash that keeps its lowest bit set.
    """

    def __init__(self, chip: str, broken: int | None = None) -> None:
        self.flash = bytearray(b"\xa5" * FLASH_BYTES)  # what another program left
        self.commands: list[int] = []
        self._chip, self._broken = chip, broken
        self._spi, self._w0 = (0x3FF42000, 0x80) if chip == "esp32" else (0x60002000, 0x58)
        self._registers = {_MAGIC: 0x00F01D83 if chip == "esp32" else 9}
        self._stub = False
        self._at, self._sequence = 0, 0
        self._inflate = zlib.decompressobj()
        self._board, far = os.openpty()
        tty.setraw(far)
        self.port = os.ttyname(far)
        self._far = far  # open, so that the line lives on between two programs
        self._woken, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.write(self._wake, b"x")
        self._thread.join(10)
        for number in (self._board, self._far, self._woken, self._wake):
            os.close(number)

    def _serve(self) -> None:
        received = b""
        while True:
            ready, _, _ = select.select([self._board, self._woken], [], [])
            if self._woken in ready:
                return
            received += os.read(self._board, 1 << 16)
            *packets, received = received.split(b"\xc0")
            for packet in packets:
                packet = packet.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
                if len(packet) >= 8:
                    self._command(packet)

    def _command(self, packet: bytes) -> None:
        direction, number, length, check = struct.unpack_from("<BBHI", packet)
        data = packet[8:]
        if direction or length != len(data):
            return
        self.commands.append(number)
        value, answer, error = self._done(number, data, check)
        for _ in range(8 if number == _SYNC else 1):
            self._send(number, value, answer, error)
        if number == _MEM_END and not error:
            self._stub = True
            self._write(b"OHAI")

    def _done(self, number: int, data: bytes, check: int) -> tuple[int, bytes, int]:
        """Do what a command says; return the answer's value, its data, and an error code."""
        words = struct.unpack_from(f"<{min(len(data) // 4, 4)}I", data)
        if number == _SYNC:
            return 0 if self._stub else 0x20120707, b"", 0
        if number in (_FLASH_DATA, _DEFLATE_DATA, _MEM_DATA):
            wrong = check != _checksum(data[16:]) or words[0] != len(data) - 16
            if wrong or words[1] != self._sequence:
                return 0, b"", _BAD_CHECKSUM
            self._sequence += 1
            if number != _MEM_DATA:
                piece = data[16:]
                self._program(piece if number == _FLASH_DATA else self._inflate.decompress(piece))
        elif number in (_FLASH_BEGIN, _DEFLATE_BEGIN, _MEM_BEGIN):
            self._sequence = 0
            if number != _MEM_BEGIN:
                self._at, self._inflate = words[3], zlib.decompressobj()
                end = -(-(self._at + words[0]) // SECTOR) * SECTOR
                self.flash[self._at : end] = b"\xff" * (end - self._at)
        elif number == _READ_REG:
            return self._registers.get(words[0], 0), b"", 0
        elif number == _WRITE_REG:
            self._register(words[0], words[1])
        elif number == _MD5:
            found = hashlib.md5(self.flash[words[0] : words[0] + words[1]])
            return 0, found.digest() if self._stub else found.hexdigest().encode(), 0
        elif number == _SECURITY and self._chip != "esp32":
            return 0, struct.pack("<IB7xII", 0, 0, 9, 0), 0
        elif number != _MEM_END and number not in _QUIET:
            return 0, b"", _INVALID
        return 0, b"", 0

    def _register(self, address: int, value: int) -> None:
        self._registers[address] = value
        if address == self._spi and value & 1 << 18:  # USR: the flash is asked for its id (9Fh)
            size = FLASH_BYTES.bit_length() - 1
            self._registers[self._spi + self._w0] = size << 16 | 0x40EF
            self._registers[address] = 0

    def _program(self, piece: bytes) -> None:
        """Clear bits from where the last piece ended."""
        old = self.flash[self._at : self._at + len(piece)]
        self.flash[self._at : self._at + len(piece)] = bytes(
            a & b for a, b in zip(old, piece, strict=True)
        )
        if self._broken is not None and self._at <= self._broken < self._at + len(piece):
            self.flash[self._broken] |= 1
        self._at += len(piece)

    def _send(self, number: int, value: int, data: bytes, error: int) -> None:
        status = bytes([bool(error), error])
        answer = data + (status if self._stub else status + bytes(2))
        self._write(struct.pack("<BBHI", 1, number, len(answer), value) + answer)

    def _write(self, packet: bytes) -> None:
        packet = packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        os.write(self._board, b"\xc0" + packet + b"\xc0")


def _checksum(data: bytes) -> int:
    result = 0xEF
    for byte in data:
        result ^= byte
    return result

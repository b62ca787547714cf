"""Frames on the serial line: COBS, a CRC-32, a sequence number and a version.

A frame on the wire is `COBS(body) 0x00`, and its body, little-endian, is

    u8 version | u8 type | u16 sequence | payload | u32 CRC-32 of all before it

COBS (Cheshire and Baker, "Consistent Overhead Byte Stuffing", 1999) keeps the value 0 out of the
body, so that 0x00 always ends a frame and a receiver finds its place again after any damage.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from lotor.errors import LotorError

VERSION = 1
DATA_BYTES = 1024  # data of one load, read or echo
MAX_PAYLOAD = DATA_BYTES + 16
OVERHEAD = 8  # version, type, sequence, CRC
MAX_BODY = MAX_PAYLOAD + OVERHEAD
MAX_ENCODED = MAX_BODY + (MAX_BODY + 253) // 254
NO_SEQUENCE = 0xFFFF  # in answers to frames that could not be read

ANSWER = 0x80  # an answer's type is its request's type with this bit
LOG = 0xC0
EVENT = 0xC1
ERROR = 0xFF


class Request(IntEnum):
    """What a host may ask of a board."""

    HELLO = 0x01
    SELECT = 0x02
    LOAD = 0x03
    RUN = 0x04
    READ = 0x05
    SELF_TEST = 0x06
    PROFILE = 0x07
    STATISTICS = 0x08
    LOG_LEVEL = 0x09
    RESET = 0x0A
    ECHO = 0x0B
    FAULT = 0x0C
    UPDATE_BEGIN = 0x0D
    UPDATE_DATA = 0x0E
    UPDATE_FINISH = 0x0F
    CAMERA_FRAME = 0x14
    CAMERA_DATA = 0x15
    WATCH = 0x16
    EVENTS = 0x17
    OUTPUT = 0x18
    FRAME = 0x19


class ErrorCode(IntEnum):
    """Why a board refused a request."""

    UNKNOWN_REQUEST = 1
    BAD_PAYLOAD = 2
    BAD_INDEX = 3
    OUT_OF_RANGE = 4
    NOT_READY = 5
    RUN_FAILED = 6
    UNSUPPORTED_VERSION = 7
    BUSY = 8
    BAD_CRC = 9
    OVERSIZED = 10
    UPDATE_HEADER = 11
    UPDATE_WRONG_BOARD = 12
    UPDATE_WRONG_ADDRESS = 13
    UPDATE_TOO_LARGE = 14
    UPDATE_OLDER = 15
    UPDATE_UNSIGNED = 16
    UPDATE_BAD_SIGNATURE = 17
    UPDATE_BUSY = 18
    UPDATE_ON_TRIAL = 19
    UPDATE_NOT_BEGUN = 20
    UPDATE_REPEATED = 21
    UPDATE_OUT_OF_ORDER = 22
    UPDATE_TRUNCATED = 23
    UPDATE_DAMAGED = 24
    UPDATE_FLASH_FAILED = 25


class FrameError(LotorError):
    """Bytes that are no frame: bad COBS, too short, a wrong CRC or another version."""


class CrcError(FrameError):
    """A frame whose CRC-32 does not fit its bytes."""


@dataclass(frozen=True)
class Frame:
    """One frame: its type, its sequence number (0..65535) and its payload."""

    type: int
    sequence: int
    payload: bytes = b""
    version: int = VERSION


def cobs_encode(data: bytes) -> bytes:
    """Return `data` without any zero byte, at most one byte in 254 longer (and one more)."""
    out = bytearray()
    parts = data.split(b"\0")
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        while len(part) >= 254:
            out += b"\xff" + part[:254]
            part = part[254:]
            if last and not part:  # a full block at the very end stands for no zero
                return bytes(out)
        out.append(len(part) + 1)
        out += part
    return bytes(out)


def cobs_decode(data: bytes) -> bytes:
    """Return what `cobs_encode` was given; `data` has no delimiter.

    Raises:
        FrameError: a zero byte inside, or a block that runs over the end.
    """
    if 0 in data:
        raise FrameError("a zero byte inside a COBS block")
    out = bytearray()
    position = 0
    while position < len(data):
        code = data[position]
        block = data[position + 1 : position + code]
        if len(block) != code - 1:
            raise FrameError("a COBS block runs over the end of its frame")
        out += block
        position += code
        if code < 0xFF and position < len(data):
            out.append(0)
    return bytes(out)


def encode(frame: Frame) -> bytes:
    """Return the bytes of `frame` on the wire, its closing 0x00 included."""
    body = struct.pack("<BBH", frame.version, frame.type, frame.sequence) + frame.payload
    return cobs_encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"


def decode(encoded: bytes) -> Frame:
    """Return the frame in `encoded`, the bytes between two 0x00.

    Raises:
        FrameError: no frame; `CrcError` where only the checksum is wrong.
    """
    body = cobs_decode(encoded)
    if len(body) < OVERHEAD:
        raise FrameError(f"a frame of {len(body)} bytes; the least is {OVERHEAD}")
    (crc,) = struct.unpack_from("<I", body, len(body) - 4)
    if crc != zlib.crc32(body[:-4]):
        raise CrcError("a frame's CRC-32 does not fit its bytes")
    version, type_, sequence = struct.unpack_from("<BBH", body)
    if version != VERSION:
        raise FrameError(f"a frame of link version {version}; this program speaks {VERSION}")
    return Frame(type_, sequence, body[4:-4], version)


class Decoder:
    """Finds frames in a stream of bytes that arrives in any pieces.

    Damaged frames are dropped and counted; the next good one is found again after a 0x00.

    Attributes:
        bad_crc: frames dropped for their checksum.
        bad_framing: frames dropped for their COBS, their length or their version.
        oversized: frames dropped because no 0x00 came within `MAX_ENCODED` bytes.
    """

    def __init__(self) -> None:
        self.bad_crc = self.bad_framing = self.oversized = 0
        self._pending = bytearray()
        self._dropping = False

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the stream; return the frames that they complete."""
        frames = []
        *ended, rest = data.split(b"\0")
        for piece in ended:
            self._take(piece)
            if not self._dropping and self._pending:
                frames += self._finish()
            self._pending.clear()
            self._dropping = False
        self._take(rest)
        return frames

    def _take(self, piece: bytes) -> None:
        self._pending += piece
        if len(self._pending) > MAX_ENCODED:
            self._pending.clear()
            self.oversized += not self._dropping
            self._dropping = True

    def _finish(self) -> list[Frame]:
        try:
            return [decode(bytes(self._pending))]
        except CrcError:
            self.bad_crc += 1
        except FrameError:
            self.bad_framing += 1
        return []


def tlv_items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (tag, value) of a list of `u8 tag | u16 length | value`.

    Raises:
        FrameError: an item runs over the end.
    """
    position = 0
    while position < len(data):
        if len(data) - position < 3:
            raise FrameError("a tag without its length")
        tag, length = struct.unpack_from("<BH", data, position)
        value = data[position + 3 : position + 3 + length]
        if len(value) != length:
            raise FrameError(f"tag {tag} says {length} bytes; {len(value)} are left")
        yield tag, value
        position += 3 + length

"""A clip as a WebM file: frames encoded as VP8 by OpenCV, each with the time at which it was taken.

OpenCV writes VP8 at a constant rate and hands no option on to the encoder, which then takes five
times as long as it must. So it writes a raw stream (IVF) whose nominal rate makes libvpx choose its
fast mode, and the container is written here: RFC 9559 (Matroska), as far as the WebM Project's
guidelines allow it; frames of VP8 by RFC 6386, 9.1.
"""

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np

from lotor.errors import LotorError
from lotor.preprocess import Image

Kept = tuple[float, bytes]
"""A frame: monotonic seconds, JPEG."""

_NOMINAL = 1.0
"""Frames a second that the encoder is told: libvpx encodes in its real-time mode what is shown for
as long as its deadline allows or longer, and FFmpeg's default for that deadline is a second."""
_IVF_HEADER, _IVF_FRAME = 32, struct.Struct("<IQ")  # the latter: bytes, number
_CLUSTER_MS = 30_000  # a block's time in its cluster has 16 bits with a sign
_LAST_MS = 200  # for which the last frame is shown where it is the only one


class _Packet(NamedTuple):
    """A frame of VP8 in the IVF file."""

    at: int
    size: int
    key: bool


def write_webm(
    path: Path, frames: Sequence[Kept], between: Callable[[], None] = lambda: None
) -> None:
    """Write frames as a WebM film, each shown until the next one.

    A file `path` with the ending `.ivf` is there meanwhile.

    Args:
        path: of the file.
        frames: in order, the earliest first; at least one.
        between: is called before each frame.

    Raises:
        LotorError: OpenCV has no encoder, or what it wrote is not whole (a full disk).
        OSError: the file cannot be written.
    """
    raw = path.with_suffix(".ivf")
    try:
        width, height = _encode(raw, [content for _, content in frames], between)
        with raw.open("rb") as stream, path.open("wb") as film:
            packets = _packets(stream, os.fstat(stream.fileno()).st_size)
            if len(packets) != len(frames):
                raise LotorError(f"{path.name} was not written whole; is the disk full?")
            times = [round(1000 * (time - frames[0][0])) for time, _ in frames]
            for part in _film(stream, packets, times, width, height):
                film.write(part)
    finally:
        raw.unlink(missing_ok=True)


def _encode(raw: Path, frames: Sequence[bytes], between: Callable[[], None]) -> tuple[int, int]:
    """Write JPEGs as an IVF file of VP8; return width and height in pixels, which are even."""
    image = _pixels(frames[0])
    height, width = (side - side % 2 for side in image.shape[:2])  # VP8 halves colours
    code = cv2.VideoWriter.fourcc(*"VP80")
    writer = cv2.VideoWriter(str(raw), cv2.CAP_FFMPEG, code, _NOMINAL, (width, height))
    if not writer.isOpened():
        raise LotorError("this OpenCV cannot write VP8, so that there are no clips")
    try:
        for number, content in enumerate(frames):
            between()
            image = _pixels(content) if number else image
            if image.shape[:2] != (height, width):
                image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
            writer.write(image)
    finally:
        writer.release()  # it says nothing of a full disk
    return width, height


def _pixels(content: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise LotorError("a frame that was kept cannot be decoded")
    return np.asarray(image, np.uint8)


def _packets(stream: BinaryIO, end: int) -> list[_Packet]:
    """Return the frames of an IVF file of `end` bytes that are there to their last byte."""
    found, at = list[_Packet](), _IVF_HEADER
    while at + _IVF_FRAME.size < end:
        stream.seek(at)
        size, _ = _IVF_FRAME.unpack(stream.read(_IVF_FRAME.size))
        at += _IVF_FRAME.size
        if not 0 < size <= end - at:
            break
        found.append(_Packet(at, size, not stream.read(1)[0] & 1))
        at += size
    return found


# The container. Elements with their IDs: RFC 9559, 5.1.


def _film(
    stream: BinaryIO, packets: Sequence[_Packet], times: Sequence[int], width: int, height: int
) -> Iterator[bytes]:
    """Yield a WebM file; `times` in milliseconds, the first one 0."""
    clusters = list[range]()
    for number, (packet, time) in enumerate(zip(packets, times, strict=True)):
        if not number or packet.key or time - times[clusters[-1].start] > _CLUSTER_MS:
            clusters.append(range(number, number))
        clusters[-1] = range(clusters[-1].start, number + 1)
    last = times[-1] - times[-2] if len(times) > 1 else _LAST_MS
    head = _element(
        0x1549A966,  # Info
        _unsigned(0x2AD7B1, 1_000_000),  # TimestampScale: milliseconds
        _element(0x4489, struct.pack(">d", times[-1] + last)),  # Duration
        _element(0x4D80, b"Lotor"),  # MuxingApp
        _element(0x5741, b"Lotor"),  # WritingApp
    ) + _element(
        0x1654AE6B,  # Tracks
        _element(
            0xAE,  # TrackEntry
            _unsigned(0xD7, 1),  # TrackNumber
            _unsigned(0x73C5, 1),  # TrackUID
            _unsigned(0x83, 1),  # TrackType: video
            _unsigned(0x9C, 0),  # FlagLacing
            _element(0x86, b"V_VP8"),  # CodecID
            _element(0xE0, _unsigned(0xB0, width), _unsigned(0xBA, height)),  # Video
        ),
    )
    sizes = [
        _cluster_size(times[part.start], [packets[number].size for number in part])
        for part in clusters
    ]
    at = len(head) + len(_cues([0] * len(clusters), clusters, packets, times))
    starts = [at + sum(sizes[:number]) for number in range(len(sizes))]
    head += _cues(starts, clusters, packets, times)
    yield _element(
        0x1A45DFA3,  # EBML
        _unsigned(0x4286, 1),  # EBMLVersion
        _unsigned(0x42F7, 1),  # EBMLReadVersion
        _unsigned(0x42F2, 4),  # EBMLMaxIDLength
        _unsigned(0x42F3, 8),  # EBMLMaxSizeLength
        _element(0x4282, b"webm"),  # DocType
        _unsigned(0x4287, 2),  # DocTypeVersion
        _unsigned(0x4285, 2),  # DocTypeReadVersion
    )
    yield _begin(0x18538067, len(head) + sum(sizes))  # Segment
    yield head
    for part, size in zip(clusters, sizes, strict=True):
        header = len(_begin(0x1F43B675, size))
        yield _begin(0x1F43B675, size - header)  # Cluster
        yield _unsigned(0xE7, times[part.start])  # Timestamp
        for number in part:
            packet = packets[number]
            stream.seek(packet.at)
            offset = times[number] - times[part.start]
            block = struct.pack(">BhB", 0x81, offset, 0x80 if packet.key else 0)
            yield _element(0xA3, block, stream.read(packet.size))  # SimpleBlock


def _cluster_size(time: int, sizes: Sequence[int]) -> int:
    content = len(_unsigned(0xE7, time))
    content += sum(len(_begin(0xA3, size + 4)) + size + 4 for size in sizes)
    return len(_begin(0x1F43B675, content)) + content


def _cues(
    starts: Sequence[int], clusters: Sequence[range], packets: Sequence[_Packet],
    times: Sequence[int],
) -> bytes:  # fmt: skip
    """Return where one can seek to; as long for any starts, which count from the segment's data."""
    return _element(
        0x1C53BB6B,  # Cues
        *(
            _element(
                0xBB,  # CuePoint
                _unsigned(0xB3, times[part.start]),  # CueTime
                # CueTrackPositions: CueTrack, CueClusterPosition
                _element(0xB7, _unsigned(0xF7, 1), _element(0xF1, struct.pack(">Q", start))),
            )
            for part, start in zip(clusters, starts, strict=True)
            if packets[part.start].key
        ),
    )


def _element(identifier: int, *content: bytes) -> bytes:
    whole = b"".join(content)
    return _begin(identifier, len(whole)) + whole


def _unsigned(identifier: int, value: int) -> bytes:
    return _element(identifier, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))


def _begin(identifier: int, size: int) -> bytes:
    """Return an element's ID, and its size in four bytes (RFC 8794, 4: a leading 1 in 29 bits)."""
    return identifier.to_bytes((identifier.bit_length() + 7) // 8) + (size | 1 << 28).to_bytes(4)

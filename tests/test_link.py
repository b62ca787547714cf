"""Frames: a round trip for any bytes in any pieces, and no wrong frame out of damaged ones."""

import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lotor.device.link import (
    DATA_BYTES,
    ERROR,
    MAX_ENCODED,
    MAX_PAYLOAD,
    CrcError,
    Decoder,
    Frame,
    FrameError,
    cobs_decode,
    cobs_encode,
    decode,
    encode,
    tlv_items,
)

payloads = st.binary(max_size=MAX_PAYLOAD) | st.builds(
    lambda byte, count: bytes([byte]) * count, st.integers(0, 255), st.integers(0, MAX_PAYLOAD)
)
frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 0xFFFF), payloads)


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut `data` at the given places."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


# The examples of the COBS paper and of Wikipedia's table.
@pytest.mark.parametrize(
    ("plain", "coded"),
    [
        (b"", b"\x01"),
        (b"\x00", b"\x01\x01"),
        (b"\x00\x00", b"\x01\x01\x01"),
        (b"\x11\x22\x00\x33", b"\x03\x11\x22\x02\x33"),
        (b"\x11\x00\x00\x00", b"\x02\x11\x01\x01\x01"),
        (bytes(range(1, 255)), b"\xff" + bytes(range(1, 255))),
        (bytes(range(255)), b"\x01\xff" + bytes(range(1, 255))),
        (bytes(range(1, 256)), b"\xff" + bytes(range(1, 255)) + b"\x02\xff"),
        (bytes(range(2, 256)) + b"\x00", b"\xff" + bytes(range(2, 256)) + b"\x01\x01"),
    ],
)
def test_cobs_is_the_published_one(plain: bytes, coded: bytes) -> None:
    assert cobs_encode(plain) == coded
    assert cobs_decode(coded) == plain


@given(st.binary(max_size=2000))
def test_cobs_round_trip(data: bytes) -> None:
    coded = cobs_encode(data)
    assert 0 not in coded
    assert len(coded) <= len(data) + 1 + len(data) // 254
    assert cobs_decode(coded) == data


@given(st.binary(max_size=600))
def test_cobs_of_any_bytes_decodes_or_is_refused(data: bytes) -> None:
    try:
        plain = cobs_decode(data)
    except FrameError:
        return
    assert cobs_decode(cobs_encode(plain)) == plain


def test_the_bytes_of_a_frame_on_the_wire() -> None:
    """Pinned, so that both sides cannot change together unseen."""
    assert zlib.crc32(b"123456789") == 0xCBF43926  # CRC-32/ISO-HDLC's published check value
    assert encode(Frame(0x01, 0x0102)) == bytes.fromhex("09 01 01 02 01 5a 80 0b dd 00")


@given(st.lists(frames, max_size=6), st.lists(st.integers(0, 10_000), max_size=20))
def test_frames_arrive_whole_in_any_pieces(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(encode(frame) for frame in sent)
    decoder = Decoder()
    got = [frame for piece in in_pieces(stream, cuts) for frame in decoder.feed(piece)]
    assert got == sent
    assert (decoder.bad_crc, decoder.bad_framing, decoder.oversized) == (0, 0, 0)


@given(frames, st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 255)), min_size=1))
def test_corruption_never_yields_a_wrong_frame(frame: Frame, flips: list[tuple[int, int]]) -> None:
    wire = bytearray(encode(frame))
    for place, bits in flips:
        wire[place % len(wire)] ^= bits
    after = Frame(0x81, 7, b"after")
    decoder = Decoder()
    got = decoder.feed(bytes(wire) + b"\0" + encode(after))
    assert got[-1] == after
    # Flips may cancel each other, so the frame itself may still be there; nothing else may.
    assert got[:-1] in ([], [frame])


@given(st.binary(max_size=3 * MAX_ENCODED), frames)
def test_the_next_frame_is_found_after_garbage(garbage: bytes, frame: Frame) -> None:
    decoder = Decoder()
    assert decoder.feed(garbage + b"\0" + encode(frame))[-1:] == [frame]


@given(frames, st.integers(0, 2000))
def test_a_truncated_frame_is_dropped(frame: Frame, keep: int) -> None:
    wire = encode(frame)
    decoder = Decoder()
    assert decoder.feed(wire[: keep % (len(wire) - 1)] + b"\0" + encode(frame)) == [frame]


def test_damage_is_counted_by_its_kind() -> None:
    decoder = Decoder()
    good = encode(Frame(1, 2, b"abc"))
    flipped = good[:-2] + bytes([good[-2] ^ 1 or 1]) + b"\0"
    assert decoder.feed(flipped) == [] and decoder.bad_crc == 1
    assert decoder.feed(b"\x05ab\0") == [] and decoder.bad_framing == 1
    assert decoder.feed(cobs_encode(b"short") + b"\0") == [] and decoder.bad_framing == 2
    assert decoder.feed(encode(Frame(1, 2, version=9))) == [] and decoder.bad_framing == 3
    assert decoder.feed(b"\x01" * (5 * MAX_ENCODED)) == [] and decoder.oversized == 1
    assert decoder.feed(b"\x01" * MAX_ENCODED + b"\0") == [] and decoder.oversized == 1
    assert decoder.feed(b"\0\0\0" + good) == [Frame(1, 2, b"abc")]
    assert (decoder.bad_crc, decoder.bad_framing, decoder.oversized) == (1, 3, 1)


def test_the_largest_frame_fits_and_one_more_byte_does_not() -> None:
    largest = Frame(ERROR, 1, bytes(range(1, 256)) * 5)
    fits = Frame(ERROR, 1, largest.payload[:MAX_PAYLOAD])
    assert Decoder().feed(encode(fits)) == [fits]
    assert len(encode(fits)) - 1 <= MAX_ENCODED
    decoder = Decoder()
    assert decoder.feed(encode(Frame(ERROR, 1, b"\x01" * (MAX_PAYLOAD + 6)))) == []
    assert decoder.oversized == 1
    assert MAX_PAYLOAD >= DATA_BYTES + 5


def test_a_wrong_crc_has_its_own_error() -> None:
    body = b"\x01\x01\x00\x00"
    with pytest.raises(CrcError):
        decode(cobs_encode(body + (zlib.crc32(body) ^ 1).to_bytes(4, "little")))


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=8))
def test_tag_lists_round_trip(items: list[tuple[int, bytes]]) -> None:
    data = b"".join(bytes([tag]) + len(v).to_bytes(2, "little") + v for tag, v in items)
    assert list(tlv_items(data)) == items
    if items:
        with pytest.raises(FrameError):
            list(tlv_items(data + b"\x01"))
        with pytest.raises(FrameError):
            list(tlv_items(data + b"\x01\x05\x00abcd"))

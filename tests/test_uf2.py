"""UF2 files: written, read back, refused when damaged; and the volume of a boot ROM."""

import struct
from pathlib import Path

import pytest

from lotor.device import uf2
from lotor.device.uf2 import Uf2, read, write
from lotor.errors import LotorError

FAMILY, ORIGIN = 0xE48BFF56, 0x10000000
DATA = bytes(i * 7 % 256 for i in range(600))  # two whole pages and a part
FILE = write(Uf2(FAMILY, ORIGIN, DATA))


@pytest.mark.parametrize("size", [1, 255, 256, 257, 4096, 10_000])
def test_what_was_written_is_read(size: int) -> None:
    data = bytes(i * 13 % 251 for i in range(size))
    found = read(write(Uf2(FAMILY, ORIGIN, data)))
    assert (found.family, found.origin, found.data[:size]) == (FAMILY, ORIGIN, data)
    # Filled with what erased flash holds.
    assert found.data[size:] == b"\xff" * (-size % 256)


def test_blocks_are_as_the_format_says() -> None:
    """Offsets and values from Microsoft's specification."""
    assert len(FILE) == 3 * 512
    for number in range(3):
        block = FILE[512 * number : 512 * (number + 1)]
        assert block[:8] == b"UF2\n" + bytes([0x57, 0x51, 0x5D, 0x9E])
        flags, address, size, index, count, family = struct.unpack("<6I", block[8:32])
        assert flags == 0x2000 and family == FAMILY
        assert (address, size) == (ORIGIN + 256 * number, 256)
        assert (index, count) == (number, 3)
        assert block[32 + 256 : 508] == bytes(220)
        assert block[508:] == bytes([0x30, 0x6F, 0xB1, 0x0A])


def changed(block: int, offset: int, value: int) -> bytes:
    file = bytearray(FILE)
    struct.pack_into("<I", file, block * 512 + offset, value)
    return bytes(file)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "is cut: 0 bytes are no whole blocks of 512"),
        (FILE[:-1], "is cut: 1535 bytes"),
        (FILE[:1024], "block 0 says that it is 0 of 3, not 0 of 2"),
        (FILE[512:], "block 0 says that it is 1 of 3"),
        (FILE[:512] + FILE[1024:] + FILE[512:1024], "block 1 says that it is 2 of 3, not 1 of 3"),
        (changed(1, 0, 0), "block 1 has other magic numbers"),
        (changed(2, 4, 0), "block 2 has other magic numbers"),
        (changed(0, 508, 0), "block 0 has other magic numbers"),
        (changed(1, 8, 0), "block 1 has the flags 0x0, not 0x2000"),
        (changed(1, 8, 0x2001), "block 1 has the flags 0x2001"),
        (changed(1, 12, ORIGIN), "block 1 is for address 0x10000000, not 0x10000100"),
        (changed(1, 16, 477), "block 1 has 477 bytes, not 1 to 476"),
        (changed(1, 16, 0), "block 1 has 0 bytes"),
        (changed(1, 16, 255), "block 2 is for address 0x10000200, not 0x100001ff"),
        (changed(2, 28, 0xE48BFF59), "block 2 is for family 0xe48bff59, the first for 0xe48bff56"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_damage_is_named(file: bytes, message: str) -> None:
    with pytest.raises(LotorError, match=f"^firmware.uf2 (is damaged: )?{message}"):
        read(file, "firmware.uf2")


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that lists what is mounted; nothing is."""
    monkeypatch.delenv("LOTOR_UF2", raising=False)
    file = tmp_path / "mounts"
    file.write_text("proc /proc proc rw 0 0\n")
    monkeypatch.setattr(uf2, "_MOUNTS", file)
    return file


def plugged_in(mounts: Path, name: str, board: str = "RPI-RP2") -> Path:
    """Mount a boot ROM's volume, as far as this machine can tell."""
    folder = mounts.parent / name
    folder.mkdir()
    info = f"UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: {board}\r\n"
    (folder / "INFO_UF2.TXT").write_bytes(info.encode())
    listed = str(folder).replace(" ", "\\040")
    with mounts.open("a") as file:
        file.write(f"/dev/sdb1 {listed} vfat rw 0 0\n")
    return folder


def test_the_volume_is_found(mounts: Path) -> None:
    plugged_in(mounts, "another", "RP2350")
    folder = plugged_in(mounts, "my RPI-RP2")
    assert uf2.find_volume("pico", "RPI-RP2") == folder
    # One that is mounted on top of itself is still one.
    mounts.write_text(mounts.read_text() * 2)
    assert uf2.find_volume("pico", "RPI-RP2") == folder


def test_no_volume(mounts: Path) -> None:
    plugged_in(mounts, "another", "RPI-RP2-X")
    (plugged_in(mounts, "no more") / "INFO_UF2.TXT").unlink()
    with pytest.raises(
        LotorError, match="no volume RPI-RP2 is mounted: hold BOOTSEL of board pico"
    ):
        uf2.find_volume("pico", "RPI-RP2")
    mounts.unlink()
    with pytest.raises(LotorError, match="no volume RPI-RP2 is mounted"):
        uf2.find_volume("pico", "RPI-RP2")


def test_two_volumes(mounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = plugged_in(mounts, "one"), plugged_in(mounts, "two")
    with pytest.raises(LotorError, match=f"2 volumes could be board pico: {one}, {two}; name one"):
        uf2.find_volume("pico", "RPI-RP2")
    monkeypatch.setenv("LOTOR_UF2", str(two))
    assert uf2.find_volume("pico", "RPI-RP2") == two
    monkeypatch.setenv("LOTOR_UF2", str(mounts.parent))
    with pytest.raises(LotorError, match=r"\$LOTOR_UF2\) is no volume RPI-RP2"):
        uf2.find_volume("pico", "RPI-RP2")


def test_a_copy(mounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, file = plugged_in(mounts, "volume"), mounts.parent / "firmware.uf2"
    file.write_bytes(FILE)
    uf2.copy(file, folder)
    assert read((folder / "firmware.uf2").read_bytes()).data[:600] == DATA

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(LotorError, match=r"cannot write .*No space left on device; unplug"):
        uf2.copy(file, folder)
    # A board that has started took its volume with it.
    (folder / "INFO_UF2.TXT").unlink()
    uf2.copy(file, folder)

"""Packages of updates: one image, linked for each slot, behind headers that may be signed.

The header is `slot_header` of firmware/update/layout.h, little-endian: magic, format, SHA-256 of
the board's name, version, flags, address of the image, its bytes, build id, SHA-256 of the image,
zeros, Ed25519 signature (RFC 8032) over all before it, CRC-32. A package is a zip file of both
slots and `package.json`.
"""

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lotor.board import SLOT_HEADER_BYTES, Board
from lotor.errors import LotorError
from lotor.update_key import Key

SLOTS = 2
_MAGIC, _FORMAT, _ALLOW_OLDER = 0x5255_544C, 1, 1
_SIGNED = struct.Struct("<II32s4I20s32s336x")  # what the signature covers
_SIGNATURE_BYTES = 64
_KIND = "lotor update package"
_DATE = (1980, 1, 1, 0, 0, 0)  # the same package gives the same bytes


@dataclass(frozen=True)
class Slot:
    """An image for one slot: its header, 512 bytes, and a multiple of the unit of writing."""

    header: bytes
    image: bytes


@dataclass(frozen=True)
class Package:
    """An update of a board.

    Attributes:
        board: the board's name.
        version: of the image, a number that grows.
        build_id: 20 bytes; hello reports them.
        signed: whether the headers are signed.
        models: name and hash of each model in the image.
        slots: the image for slot 0 and for slot 1.
    """

    board: str
    version: int
    build_id: bytes
    signed: bool
    models: list[dict[str, str]]
    slots: tuple[Slot, ...]

    def write(self, path: Path) -> None:
        """Write the package to a file."""
        about = {
            "kind": _KIND,
            "board": self.board,
            "version": self.version,
            "build_id": self.build_id.hex(),
            "signed": self.signed,
            "models": self.models,
        }
        entries = {"package.json": json.dumps(about, indent=2).encode()}
        for number, slot in enumerate(self.slots):
            entries[f"slot{number}.bin"] = slot.header + slot.image
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in entries.items():
                archive.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED)
        path.write_bytes(buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a package from a file; the board checks signature and hash.

        Raises:
            LotorError: no such file, or no package.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                about = json.loads(archive.read("package.json"))
                slots = tuple(
                    Slot(data[:SLOT_HEADER_BYTES], data[SLOT_HEADER_BYTES:])
                    for data in (archive.read(f"slot{number}.bin") for number in range(SLOTS))
                )
            if about["kind"] != _KIND or any(not slot.image for slot in slots):
                raise KeyError("kind")
            return cls(
                str(about["board"]),
                int(about["version"]),
                bytes.fromhex(about["build_id"]),
                bool(about["signed"]),
                list(about["models"]),
                slots,
            )
        except OSError as error:
            raise LotorError(f"cannot read {path}: {error.strerror or error}") from error
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError, zlib.error) as error:
            raise LotorError(
                f"{path} is no update package; `lotor update -o FILE` writes one"
            ) from error


def make_package(
    board: Board,
    images: Sequence[bytes],
    build_id: bytes,
    models: list[dict[str, Any]],
    version: int,
    allow_older: bool = False,
    key: Key | None = None,
) -> Package:
    """Put headers before the images of both slots.

    Args:
        board: with a table [update].
        images: linked for slot 0 and slot 1.
        build_id: 20 bytes.
        models: of the image, for people.
        version: 0 to 2^32 - 1.
        allow_older: let boards that run a newer version take it.
        key: signs it; unsigned when None.

    Raises:
        LotorError: the version has more than 32 bits.
    """
    slots = tuple(
        make_slot(board, number, image, build_id, version, allow_older, key)
        for number, image in enumerate(images)
    )
    return Package(board.name, version, build_id, key is not None, models, slots)


def make_slot(
    board: Board,
    number: int,
    image: bytes,
    build_id: bytes,
    version: int,
    allow_older: bool = False,
    key: Key | None = None,
) -> Slot:
    """Put a header before the image of one slot; see `make_package`."""
    if not 0 <= version < 1 << 32:
        raise LotorError(f"an image's version has 32 bits, not {version}: `--image-version N`")
    unit = board.update.write_bytes if board.update else 1
    image += b"\xff" * (-len(image) % unit)
    signed = _SIGNED.pack(
        _MAGIC,
        _FORMAT,
        hashlib.sha256(board.name.encode()).digest(),
        version,
        _ALLOW_OLDER * allow_older,
        board.image_address(number),
        len(image),
        build_id,
        hashlib.sha256(image).digest(),
    )
    covered = signed + (key.sign(signed) if key else bytes(_SIGNATURE_BYTES))
    return Slot(covered + zlib.crc32(covered).to_bytes(4, "little"), image)

"""Keys, packages, board files and commands of updates: what needs no board."""

import hashlib
import io
import json
import stat
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from conftest import Lotor
from lotor import doctor, libsodium
from lotor.board import Board, load_board, read_board
from lotor.device.messages import Hello, UpdateState
from lotor.errors import LotorError
from lotor.resources import resource
from lotor.update_key import VARIABLE, Key, key_id, make_key, read_key
from lotor.update_package import Package, make_package

BOARD = load_board("microbit")
KEY = Key(bytes(range(32)))
IMAGES = [b"first" * 99, b"other" * 99]


def package(board: Board = BOARD, key: Key | None = KEY, version: int = 7) -> Package:
    models = [{"name": "tiny", "hash": "00"}]
    return make_package(board, IMAGES, bytes(range(20)), models, version, True, key)


def test_headers_are_signed_as_the_page_says() -> None:
    for number, slot in enumerate(package().slots):
        header, image = slot.header, IMAGES[number] + b"\xff"
        assert len(header) == 512 and slot.image == image and len(image) % 4 == 0
        words = [int.from_bytes(header[at : at + 4], "little") for at in range(0, 512, 4)]
        assert words[0] == 0x5255544C and words[1] == 1
        assert words[10:14] == [7, 1, BOARD.image_address(number), len(image)]
        assert header[56:76] == bytes(range(20)) and not any(header[108:444])
        assert words[-1] == zlib.crc32(header[:508])
        VerifyKey(KEY.public).verify(header[:444], header[444:508])
        with pytest.raises(BadSignatureError):
            VerifyKey(Key(bytes(32)).public).verify(header[:444], header[444:508])
    assert not any(package(key=None).slots[0].header[444:508])


def test_a_package_comes_back_from_its_file(tmp_path: Path) -> None:
    path, again = tmp_path / "one.update", tmp_path / "two.update"
    package().write(path)
    package().write(again)
    assert path.read_bytes() == again.read_bytes()
    assert Package.read(path) == package()


@pytest.mark.parametrize("content", [b"", b"PK", b"not a package" * 9])
def test_what_is_no_package_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.update"
    path.write_bytes(content)
    with pytest.raises(LotorError, match="is no update package; `lotor update -o FILE` writes one"):
        Package.read(path)
    with pytest.raises(LotorError, match="No such file"):
        Package.read(tmp_path / "none")


def test_a_version_has_32_bits() -> None:
    with pytest.raises(LotorError, match="32 bits, not 4294967296"):
        package(version=1 << 32)


def test_a_key_is_made_once_and_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "garden.key"
    key = make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(LotorError, match="exists and is left alone"):
        make_key(path)
    assert path.read_bytes() == before
    found = read_key(path)
    assert found and found.public == key.public != make_key(tmp_path / "other.key").public
    monkeypatch.delenv(VARIABLE, raising=False)
    assert read_key(None) is None
    monkeypatch.setenv(VARIABLE, str(path))
    named = read_key(None)
    assert named and named.public == key.public
    assert key_id(None) == "00" * 8 and len(key_id(key.public)) == 16
    path.write_text("no key\n")
    with pytest.raises(LotorError, match="is no key file: `lotor update-key FILE` makes one"):
        read_key(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("boot_bytes = 36_864", "boot_byte = 36_864", "'update.boot_byte' is no key.*boot_bytes"),
        ("boot_bytes = 36_864\n", "", "'update.boot_bytes' is missing"),
        ("boot_bytes = 36_864", "boot_bytes = 36_800", "'update.boot_bytes' ends at 0x8fc0, ins"),
        ("state_bytes = 1024", "state_bytes = 0", "'update.state_bytes' must be more than 0"),
        ("slot_bytes = 111_616", "slot_bytes = 112_640", "take 264192 bytes of flash, which has"),
        ("slot_bytes = 111_616", "slot_bytes = 100_000", "'update.slot_bytes' ends at"),
        ("erase_bytes = [1024]", "erase_bytes = []", "'update.erase_bytes' must list"),
        ("erase_bytes = [1024]", 'erase_bytes = ["1"]', "must be a list of whole numbers"),
        ("write_bytes = 4", "write_bytes = 5", "'update.write_bytes' may be one of 4, 8"),
    ],
)
def test_a_board_file_is_held_to_its_flash(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "garden.toml"
    text = resource("boards", "microbit.toml").read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(LotorError, match=message):
        read_board(path)


def test_sectors_of_different_size(tmp_path: Path) -> None:
    """The last one repeats; what ends inside one is refused."""
    path = tmp_path / "garden.toml"
    text = resource("boards", "microbit.toml").read_text()
    sectors = text.replace("[1024]", "[16384, 16384, 1024, 1024, 1024]")
    good = sectors.replace("36_864", "32_768").replace("111_616", "108_544")
    path.write_text(good)
    board = read_board(path)
    assert board.slot_address(1) == 32768 + 2 * 1024 + 108_544
    path.write_text(sectors.replace("36_864", "20_480"))
    with pytest.raises(LotorError, match=r"'update.boot_bytes' ends at 0x5000.*ends at 0x8000"):
        read_board(path)


def test_what_hello_says_of_updates() -> None:
    state = UpdateState(1, False, 5, 0x9A00, 111_104, 4, "00" * 8, 2, 6, 1, 3, 4, 0x8001234)
    assert state.takes_unsigned and not replace(state, key_id="01" * 8).takes_unsigned
    assert str(state) == (
        "version 5 in slot 1, confirmed; version 6 was given up: bus fault in layer 4 at pc "
        "0x08001234"
    )
    assert replace(state, reason=6, detail=0).why(["raccoon"]) == "the self-test of raccoon failed"
    assert replace(state, reason=2, layer=3).why().endswith("in layer 3")
    assert replace(state, reason=99).why() == "reason 99"
    payload = UpdateState._FORM.pack(
        *(1, 0, 5, 0x9A00, 111_104, 4, bytes(8), 2, 6, 1, 3, 4, 0x8001234)
    )
    item = b"\x0e" + len(payload).to_bytes(2, "little") + payload
    assert Hello.parse(item).update == state
    assert Hello.parse(b"").update is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--board", "microbit"], "no model for the update: name one with `--model MODEL`"),
        (["--board", "microbit", "--model", "x", "-o", "y"], "--image-version N"),
        (["--board", "microbit", "--package", "y", "--model", "x"], "sent as it is"),
        (["--board", "microbit", "--package", "y", "--target", "x"], "sent as it is"),
        (["--board", "microbit", "--package", "none.update"], "cannot read none.update"),
        (["--board", "microbi", "--model", "x"], "did you mean 'microbit'?"),
        (["--board", "microbit", "--model", "x", "--key", "none.key"], "cannot read key file none"),
    ],
)
def test_a_mistake_is_one_line(lotor: Lotor, arguments: list[str], message: str) -> None:
    done = lotor("update", *arguments)
    assert done.returncode == 2 and message in done.stderr
    assert done.stderr.count("\n") == 1 and not done.stdout


def test_update_key_by_the_command(lotor: Lotor, tmp_path: Path) -> None:
    path = tmp_path / "garden.key"
    done = lotor("update-key", path, "--json")
    found = read_key(path)
    assert done.returncode == 0 and found
    assert json.loads(done.stdout) == {
        "file": str(path),
        "public": found.public.hex(),
        "id": key_id(found.public),
    }
    again = lotor("update-key", path)
    assert again.returncode == 2 and "exists and is left alone" in again.stderr


def test_doctor_looks_for_libsodium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(libsodium.VARIABLE, str(tmp_path))
    checks = {check.name: check for check in doctor.examine("microbit")}
    assert not checks["libsodium"].ok and checks["libsodium"].mend == libsodium.COMMAND
    assert "libsodium" not in {check.name for check in doctor.examine("netduinoplus2")}
    with pytest.raises(LotorError, match=r"libsodium's sources.*`\S+ -m lotor\.libsodium`"):
        libsodium.find()


_BACKEND = """
import pathlib
def prepare_metadata_for_build_wheel(folder, settings=None):
    info = pathlib.Path(folder, "pynacl-1.6.2.dist-info")
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\\nName: pynacl\\nVersion: 1.6.2\\n")
    return info.name
"""
_PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def test_get_libsodium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real pip, out of a folder; another file than the pinned one changes nothing."""
    inside = [f"src/libsodium/src/libsodium/{name}" for name in libsodium.SOURCES]
    files = {"pyproject.toml": _PROJECT, "backend.py": _BACKEND, "src/libsodium/LICENSE": "ISC"}
    archive = tmp_path / f"{libsodium.VERSION}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in {**files, **dict.fromkeys(inside, "int c;")}.items():
            member = tarfile.TarInfo(f"{libsodium.VERSION}/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setattr("sys.prefix", str(tmp_path / "prefix"))
    monkeypatch.delenv(libsodium.VARIABLE, raising=False)
    with pytest.raises(
        LotorError, match=r"pip did not get pynacl-1\.6\.2: .*Expected sha256 0184.*internet"
    ):
        libsodium.get()
    assert not (tmp_path / "prefix").exists()
    monkeypatch.setattr(libsodium, "SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
    place = libsodium.get()
    found = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert found == {*inside, "src/libsodium/LICENSE", "complete"}
    assert libsodium.find() == place / "src/libsodium/src/libsodium"

"""Updates of the microbit in QEMU: real image, boot loader, flash controller and serial line."""

import json
import random
import shutil
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import Lotor
from lotor.board import load_board
from lotor.build import Image, build_firmware
from lotor.device import emulator
from lotor.device.link import ErrorCode, Frame, Request, encode
from lotor.device.messages import FaultReason, UpdateOutcome, UpdateReason
from lotor.device.session import DeviceError, Session
from lotor.device.update import package_of, send, try_out
from lotor.errors import LotorError
from lotor.flash_content import with_boot_loader
from lotor.image_sources import SelfTest
from lotor.update_key import Key
from lotor.update_package import Package, make_package
from microbit_cuts import Machine, cuts_of, machine, play, symbols, trace
from played import needs_libsodium
from tiny_model import TinyModel

pytestmark = [
    pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="needs qemu-system-arm"),
    needs_libsodium,
    pytest.mark.xdist_group("update"),
]

BOARD = load_board("microbit")
KEY, OTHER_KEY = Key(bytes(range(32))), Key(bytes(range(1, 33)))
MODEL = TinyModel("tiny", input_bytes=640)
TRAP, LOOP = bytes.fromhex("00de"), bytes.fromhex("fee7")  # udf #0; b .


def expected_crc(model: TinyModel, seed: int) -> int:
    """The CRC-32 of the output for the self-test's input."""
    x, data = seed, bytearray()
    for _ in range(model.input_bytes):
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        data.append(x >> 24)
    return zlib.crc32(model.expected(bytes(data)))


CRC = expected_crc(MODEL, 1)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build_firmware(BOARD, [MODEL], tmp_path_factory.mktemp("image"), [SelfTest(1, CRC)])


@pytest.fixture
def signed(image: Image, tmp_path: Path) -> Iterator[Machine]:
    """A board with a key, running; it can be held by its probe."""
    with machine(BOARD, image, tmp_path, KEY) as held:
        yield held


def images_of(image: Image) -> list[bytes]:
    assert image.second
    return [image.bin.read_bytes(), image.second.read_bytes()]


def patched(image: Image, patches: dict[str, bytes]) -> Package:
    """The image with other bytes where a function begins, as version 2, signed."""
    data = []
    for binary, slot in zip(images_of(image), (0, 1), strict=True):
        elf = image.elf.with_name(("firmware.elf", "firmware1.elf")[slot])
        changed = bytearray(binary)
        for name, code in patches.items():
            at = symbols(elf, name)[0] - BOARD.image_address(slot)
            changed[at : at + len(code)] = code
        data.append(bytes(changed))
    return make_package(BOARD, data, bytes(20), image.models, 2, key=KEY)


def untouched(board: Machine) -> bool:
    """Whether the first image runs as ever."""
    with board.running() as session:
        hello = session.hello()
        session.select(0)
        test = session.self_test()
    assert hello.update
    return (hello.update.slot, hello.update.version, test.passed) == (0, 1, True)


def slot_of(board: Machine, slot: int) -> bytes:
    return board.probe.read(BOARD.slot_address(slot), 16 * 1024)


def test_an_update_runs_from_one_slot_and_then_from_the_other(
    signed: Machine, image: Image
) -> None:
    first = slot_of(signed, 0)
    with signed.running() as session:
        begin = session.hello().update
        assert begin and (begin.slot, begin.version, begin.outcome) == (0, 1, UpdateOutcome.NONE)
        used = 0
        for version, slot in ((2, 1), (3, 0), (3, 1)):
            done = try_out(session, package_of(BOARD, image, version, key=KEY))
            state = done.hello.update
            assert done.confirmed and state and (state.slot, state.version) == (slot, version)
            assert state.outcome == UpdateOutcome.CONFIRMED and not state.on_trial
            session.select(0)
            assert session.self_test().passed
            used = max(used, session.statistics().stack_bytes or 0)
        assert 0 < used < 1024  # checking a signature has a stack of its own
        # Exceptions still arrive, through the boot loader's vectors.
        fault = session.provoke(FaultReason.USAGE_FAULT).fault
        assert fault and fault.reason == FaultReason.HARD_FAULT
    assert slot_of(signed, 0) != first


def test_inference_goes_on_while_an_update_is_under_way(signed: Machine, image: Image) -> None:
    package = package_of(BOARD, image, 2, key=KEY)
    slot, data = package.slots[1], random.Random(5).randbytes(MODEL.input_bytes)
    with signed.running() as session:
        session.hello()
        at = session.update_begin(slot.header)
        session.select(0)
        while at < len(slot.image):
            at = session.update_data(at, slot.image[at : at + 512])
            if at % 4096 == 0:
                assert session.infer(data) == [MODEL.expected(data)]
        session.update_finish()
        hello = session.reset()
    assert hello.update and (hello.update.slot, hello.update.version) == (1, 2)


def refusal(session: Session, header: bytes) -> int:
    with pytest.raises(DeviceError) as refused:
        session.update_begin(header)
    return refused.value.code


def test_what_is_not_for_this_board_is_refused_at_once(signed: Machine, image: Image) -> None:
    def header(key: Key | None = KEY, version: int = 2, board: str = "microbit") -> bytes:
        data = images_of(image)
        chosen = replace(BOARD, name=board)
        return make_package(chosen, data, bytes(20), [], version, key=key).slots[1].header

    good = package_of(BOARD, image, 2, key=KEY)
    large = make_package(BOARD, [bytes(1 << 17)] * 2, bytes(20), [], 2, key=KEY)
    forged = bytearray(good.slots[1].header)
    forged[48 - 8] ^= 1  # the version, after it was signed
    forged[-4:] = zlib.crc32(forged[:-4]).to_bytes(4, "little")
    cases = {
        ErrorCode.UPDATE_UNSIGNED: header(None),
        ErrorCode.UPDATE_BAD_SIGNATURE: header(OTHER_KEY),
        ErrorCode.UPDATE_WRONG_BOARD: header(board="pico"),
        ErrorCode.UPDATE_WRONG_ADDRESS: good.slots[0].header,
        ErrorCode.UPDATE_OLDER: header(version=0),
        ErrorCode.UPDATE_TOO_LARGE: large.slots[1].header,
        ErrorCode.UPDATE_HEADER: bytes(512),
    }
    before = signed.flash()
    with signed.running() as session:
        for code, sent in cases.items():
            assert refusal(session, sent) == code, code.name
        assert refusal(session, bytes(forged)) == ErrorCode.UPDATE_BAD_SIGNATURE
        assert refusal(session, good.slots[1].header[:-1]) == ErrorCode.BAD_PAYLOAD
        with pytest.raises(DeviceError) as refused:
            session.update_data(0, bytes(4))
        assert refused.value.code == ErrorCode.UPDATE_NOT_BEGUN
        with pytest.raises(LotorError, match="--key FILE"):
            try_out(session, package_of(BOARD, image, 2))
    assert signed.flash() == before and untouched(signed)


def test_an_older_version_is_taken_where_its_signed_header_allows_it(
    signed: Machine, image: Image
) -> None:
    with signed.running() as session:
        assert try_out(session, package_of(BOARD, image, 9, key=KEY)).confirmed
        older = package_of(BOARD, image, 8, key=KEY)
        assert refusal(session, older.slots[0].header) == ErrorCode.UPDATE_OLDER
        done = try_out(session, package_of(BOARD, image, 8, allow_older=True, key=KEY))
        assert done.confirmed and done.hello.update and done.hello.update.version == 8


def test_pieces_come_in_order_once_and_whole(signed: Machine, image: Image) -> None:
    package = package_of(BOARD, image, 2, key=KEY)
    other = package_of(BOARD, image, 3, key=KEY)
    slot = package.slots[1]

    def refused(offset: int, piece: bytes) -> int:
        with pytest.raises(DeviceError) as error:
            session.update_data(offset, piece)
        return error.value.code

    with signed.running() as session:
        session.hello()
        session.update_begin(slot.header)
        assert refused(4, slot.image[4:8]) == ErrorCode.UPDATE_OUT_OF_ORDER
        assert session.update_data(0, slot.image[:1024]) == 1024
        assert refused(0, slot.image[:1024]) == ErrorCode.UPDATE_REPEATED
        assert refused(1024, slot.image[1024:1027]) == ErrorCode.UPDATE_TRUNCATED
        assert refused(1024, b"") == ErrorCode.UPDATE_TRUNCATED
        # The same frame again, as after a lost answer: answered again, written once.
        payload = struct.pack("<I", 1024) + slot.image[1024:2048]
        wire = encode(Frame(Request.UPDATE_DATA, 7, payload))
        for _ in range(2):
            session.port.write(b"\0" + wire)
            frame = session.next_frame(2.0)
            assert frame and frame.type == Request.UPDATE_DATA | 0x80
            assert frame.payload == struct.pack("<I", 2048)
        assert refusal(session, other.slots[1].header) == ErrorCode.UPDATE_BUSY
        with pytest.raises(DeviceError) as error:
            session.update_finish()
        assert error.value.code == ErrorCode.UPDATE_TRUNCATED
        assert session.update_begin(slot.header) == 2048  # goes on where it was
    assert untouched(signed)
    with signed.running() as session:  # another program's update replaces it
        assert try_out(session, other).confirmed


def test_what_is_not_what_its_header_says_never_starts(signed: Machine, image: Image) -> None:
    package = package_of(BOARD, image, 2, key=KEY)
    header, data = package.slots[1].header, bytearray(package.slots[1].image)
    data[5000] ^= 4
    second = replace(package.slots[1], image=bytes(data))
    damaged = replace(package, slots=(package.slots[0], second))
    with signed.running() as session:
        session.hello()
        with pytest.raises(DeviceError) as refused:
            send(session, damaged)
        assert refused.value.code == ErrorCode.UPDATE_DAMAGED
    assert untouched(signed)
    # Flash that is damaged after all was checked, and a header that nobody signed.
    for change in ("image", "header"):
        with signed.running() as session:
            send(session, package)
        at = BOARD.image_address(1) + 5000
        if change == "image":
            signed.probe.write(at, bytes([signed.probe.read(at, 1)[0] ^ 4]))
        else:
            forged = bytearray(header)
            forged[40] = 77
            forged[-4:] = zlib.crc32(forged[:-4]).to_bytes(4, "little")
            signed.probe.write(BOARD.slot_address(1), bytes(forged))
        state = signed.start().update
        assert state and (state.slot, state.version) == (0, 1)
        reason = UpdateReason.DAMAGED if change == "image" else UpdateReason.SIGNATURE
        assert (state.outcome, state.reason) == (UpdateOutcome.ROLLED_BACK, reason)


def test_a_damaged_image_gives_way_to_the_other(signed: Machine, image: Image) -> None:
    with signed.running() as session:
        assert try_out(session, package_of(BOARD, image, 2, key=KEY)).confirmed
    signed.probe.write(BOARD.image_address(1) + 100, b"damage")
    for _ in range(2):
        state = signed.start().update
        assert state and (state.slot, state.version) == (0, 1)
        assert (state.outcome, state.last_version) == (UpdateOutcome.FELL_BACK, 2)
    with signed.running() as session:
        assert try_out(session, package_of(BOARD, image, 3, key=KEY)).confirmed


def test_an_image_that_faults_on_trial_is_rolled_back(signed: Machine, image: Image) -> None:
    first = slot_of(signed, 0)
    with signed.running() as session:
        done = try_out(session, patched(image, {"tiny_run": TRAP}))
        state = done.hello.update
        assert not done.confirmed and state and (state.slot, state.version) == (0, 1)
        assert (state.reason, state.detail) == (UpdateReason.FAULT, FaultReason.HARD_FAULT)
        (at,) = symbols(image.elf.with_name("firmware1.elf"), "tiny_run")
        assert state.pc == at and f"hard fault at pc 0x{at:08x}" in done.reason
        assert done.hello.fault and done.hello.fault.reason == FaultReason.HARD_FAULT
        assert session.reset().update == state  # it stays so
    assert slot_of(signed, 0) == first and untouched(signed)


def test_an_image_whose_self_test_fails_is_rolled_back(signed: Machine, image: Image) -> None:
    wrong = bytes.fromhex("01207047")  # movs r0, #1; bx lr: a run that fails
    first = slot_of(signed, 0)
    with signed.running() as session:
        done = try_out(session, patched(image, {"tiny_run": wrong}))
        state = done.hello.update
        assert not done.confirmed and state and (state.slot, state.version) == (0, 1)
        assert (state.reason, state.detail) == (UpdateReason.SELF_TEST, 0)
        assert done.reason == "the self-test of tiny failed"
        assert try_out(session, package_of(BOARD, image, 2, key=KEY)).confirmed
    assert slot_of(signed, 0) == first


def test_an_image_that_hangs_is_rolled_back_by_the_next_reset(
    signed: Machine, image: Image
) -> None:
    with signed.running() as session:
        session.hello()
        session.run_timeout = 2.0
        with pytest.raises(LotorError, match="goes back to the version before"):
            try_out(session, patched(image, {"tiny_run": LOOP}))
    state = signed.start().update
    assert state and (state.slot, state.version) == (0, 1)
    assert state.outcome == UpdateOutcome.ROLLED_BACK and state.reason == UpdateReason.POWER


def test_a_board_in_development_takes_unsigned_images(image: Image, tmp_path: Path) -> None:
    with machine(BOARD, image, tmp_path) as board, board.running() as session:
        state = session.hello().update
        assert state and state.takes_unsigned
        assert try_out(session, package_of(BOARD, image, 2)).confirmed
    assert BOARD.update
    closed = replace(BOARD, update=replace(BOARD.update, development=False))
    with pytest.raises(LotorError, match="signed updates only: `--key FILE`"):
        with_boot_loader(closed, image)
    with pytest.raises(LotorError, match="signed updates only: `--key FILE`"):
        package_of(closed, image, 2)


def survive(board: Machine, image: Image, package: Package, every: int, whole: int) -> None:
    """Cut the power everywhere in an update, each so-manyth word, and see the board come back.

    After each so-manyth cut a whole update follows.
    """
    before = board.flash()
    changes = trace(board, image, lambda session: try_out(session, package), KEY)
    cuts = cuts_of(BOARD, changes, every)
    ideal = bytearray(before)
    for change in changes:
        change.apply(ideal, BOARD.flash_origin)
    assert board.flash() == bytes(ideal)  # nothing else has changed flash
    versions = set()
    for number, (cut, hello) in enumerate(play(board, before, changes, cuts)):
        state = hello.update
        assert state and not state.on_trial, cut
        assert (state.slot, state.version) in {(0, 1), (1, 2)}, cut
        versions.add(state.version)
        if number % whole == 0:
            kept = board.flash()
            with board.running() as session:
                session.select(0)
                assert session.self_test().passed, cut
                done = try_out(session, package_of(BOARD, image, 3, key=KEY))
                assert done.confirmed and done.version == 3, cut
            board.probe.write(BOARD.flash_origin, kept)
    print(f"{len(cuts)} power cuts in {len(changes)} operations on flash: 0 bricks")
    assert versions == ({1} if package.build_id == bytes(20) else {1, 2})


def test_no_power_cut_bricks_it(signed: Machine, image: Image) -> None:
    survive(signed, image, package_of(BOARD, image, 2, key=KEY), every=100, whole=40)


def test_no_power_cut_of_a_rollback_bricks_it(signed: Machine, image: Image) -> None:
    survive(signed, image, patched(image, {"tiny_run": TRAP}), every=400, whole=40)


@pytest.mark.slow
def test_no_power_cut_anywhere_bricks_it(signed: Machine, image: Image) -> None:
    survive(signed, image, package_of(BOARD, image, 2, key=KEY), every=1, whole=100)


def test_by_the_commands(lotor: Lotor, tmp_path: Path) -> None:
    """Flashed with a key, updated from a package in a file, found again by other commands."""
    key, package = tmp_path / "garden.key", tmp_path / "two.update"
    models = Path(__file__).parents[1] / "hil_tests"
    assert lotor("update-key", key).returncode == 0
    arguments = ("--board", "microbit", "--key", key, "--model")
    assert lotor("flash", *arguments, models / "hil_tiny.tflite").returncode == 0
    try:
        options = ("--image-version", 2, "--target", "portable")
        second = (*arguments, models / "hil_small.tflite", *options)
        made = lotor("update", *second, "-o", package, "--json")
        assert made.returncode == 0 and json.loads(made.stdout)["signed"]
        done = lotor("update", "--board", "microbit", "--package", package, "--json")
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert (said["outcome"], said["running_version"], said["running_slot"]) == (
            "confirmed", 2, 1,
        )  # fmt: skip
        running = emulator.running("microbit")
        assert running and [(m["name"], m["target"]) for m in running.models] == [
            ("hil_small", "portable")
        ]
        unsigned = lotor("update", "--board", "microbit", *second[4:])
        assert unsigned.returncode == 2 and unsigned.stderr.count("refused update_begin") == 1
        assert "the update is not signed (error 16): `--key FILE` signs it" in unsigned.stderr
    finally:
        emulator.stop("microbit")

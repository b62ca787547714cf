"""A whole Raspberry Pi 3 in QEMU: Debian's kernel, and our program as its first process."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lotor.board import load_board
from lotor.build import Image, build_firmware
from lotor.device import emulator, raspi3b_machine
from lotor.device.flash import flash_image
from lotor.device.messages import FaultReason, ResetReason
from lotor.device.session import Session
from lotor.errors import LotorError
from lotor.image_sources import SelfTest
from played import skip_unless_played
from test_emulator import Slower
from tiny_model import INPUT_BYTES, TinyModel

DATA = bytes(i * 31 % 256 for i in range(INPUT_BYTES))
TURNS = 4_000_000
MODELS = [TinyModel("tiny"), Slower("slower", turns=TURNS, arm64=True)]

needs_compiler = pytest.mark.skipif(
    not shutil.which("aarch64-linux-gnu-gcc"), reason="needs gcc-aarch64-linux-gnu"
)


@pytest.fixture(autouse=True)
def nothing_left(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    skip_unless_played(request)
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    yield
    emulator.stop("raspi3b")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    tests = [SelfTest(seed=1, crc=0xBAD), SelfTest()]
    folder = tmp_path_factory.mktemp("images")
    return build_firmware(load_board("raspi3b"), MODELS, folder, tests)


@needs_compiler
@pytest.mark.parametrize("name", ["raspi3b"])
def test_a_boot(name: str, image: Image, tmp_path: Path) -> None:
    """The line has frames only, the kernel's words are in the log; memory lasts over a reset."""
    url, hello = flash_image(load_board(name), image)
    assert hello.reset_reason == ResetReason.POWER and hello.tick_unit == "nanoseconds"
    log = (tmp_path / "run/raspi3b.log").read_text(errors="replace")
    assert "Machine model: Raspberry Pi 3 Model B" in log and "Run /init as init" in log
    with Session.open(url) as session:
        counts = session.statistics()
        assert counts.bad_framing == counts.bad_crc == counts.unknown == 0
        for data in (bytes(range(256)) * 4, b"\x03\x04\x11\x13\r\n" * 100):
            assert session.echo(data) == data
        session.select("tiny")
        session.load(0, DATA)
        session.run()
        assert bytes(session.read(0)) == MODELS[0].expected(DATA)
        session.select("slower")
        session.load(0, DATA)
        session.run()
        # Two instructions a turn, of 2 ns each; the kernel's timer interrupts a few times.
        assert 4 * TURNS <= session.profile()[1].ticks < 4 * TURNS * 1.1
        fault = session.provoke(FaultReason.MEM_MANAGE).fault
        assert fault is not None and fault.note.startswith("SIGSEGV at 0x")
        after = session.reset()
        assert (after.resets, after.reset_reason) == (2, ResetReason.REQUEST)
        assert session.statistics().bad_framing == 0


def test_without_a_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not shutil.which(raspi3b_machine.PROGRAM):
        pytest.skip("needs qemu-system-arm")
    monkeypatch.setattr(raspi3b_machine, "KERNEL", tmp_path)
    lacking = raspi3b_machine.missing()
    assert lacking and lacking[1] == f"sh {raspi3b_machine.FETCH}"
    with (
        pytest.raises(LotorError, match=r"arm64 kernel is missing: `sh /.*fetch.sh`"),
        emulator.private(load_board("raspi3b"), tmp_path / "firmware.elf", tmp_path),
    ):
        pytest.fail("started")


def test_a_kernel_is_fetched_by_apt_only(tmp_path: Path) -> None:
    """A copy of the script, in a folder of its own, on a machine without apt."""
    script = Path(shutil.copy(raspi3b_machine.FETCH, tmp_path))
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("dirname", "mktemp", "mkdir", "rm"):
        os.symlink(str(shutil.which(name)), tools / name)
    shell = str(shutil.which("sh"))
    done = subprocess.run(
        [shell, script], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "apt-get is missing: a kernel can be fetched on Debian only\n"
    assert not (tmp_path / "kernel").exists()

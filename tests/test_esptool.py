"""Flashing with the real esptool, against a loader of ours that keeps what it is told to write."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from espressif_board import provide_platform
from lotor import framework
from lotor.board import load_board
from lotor.build import Image, build_firmware
from lotor.device.flash import METHODS
from lotor.device.walk import walk
from lotor.errors import LotorError
from rom_loader import SECTOR, RomLoader
from tiny_model import TinyModel

BOARDS = ["esp32cam", "esp32s3"]
OFFSETS = {  # "Bootloader", "Partition Tables" of ESP-IDF's guides of the two chips
    "esp32cam": [0x1000, 0x8000, 0xE000, 0x10000],
    "esp32s3": [0x0, 0x8000, 0xE000, 0x10000],
}
PLACES = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
needs_esptool = pytest.mark.skipif(
    not shutil.which("esptool", path=PLACES), reason="needs esptool 5"
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image]:
    core, folder = tmp_path_factory.mktemp("pio"), tmp_path_factory.mktemp("images")
    provide_platform(core)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLATFORMIO_CORE_DIR", str(core))
        model = TinyModel("tiny")
        return {name: build_firmware(load_board(name), [model], folder) for name in BOARDS}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("PATH", PLACES)


@pytest.fixture
def flash(images: dict[str, Image], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Flash a board at a loader's port."""

    def flash(name: str, loader: RomLoader) -> str:
        monkeypatch.setenv("LOTOR_PORT", loader.port)
        return METHODS["esptool"](load_board(name), images[name])

    return flash


@needs_esptool
@pytest.mark.parametrize("name", BOARDS)
def test_all_files_are_written(
    name: str, images: dict[str, Image], flash: Callable[..., str]
) -> None:
    board = load_board(name)
    content = framework.flash_content(board, images[name].elf.parent)
    assert [address for address, _ in content.files] == OFFSETS[name]
    assert content.files[-1][1].read_bytes() == images[name].bin.read_bytes()
    with RomLoader(content.chip) as loader:
        assert flash(name, loader) == loader.port
    untouched = bytearray(b"\xa5" * len(loader.flash))
    for address, path in content.files:
        data = path.read_bytes()
        end = -(-(address + len(data)) // SECTOR) * SECTOR
        assert loader.flash[address : address + len(data)] == data
        assert loader.flash[address + len(data) : end].strip(b"\xff") == b""
        untouched[address:end] = loader.flash[address:end]
    assert loader.flash == untouched


@needs_esptool
def test_another_chip_is_refused(flash: Callable[..., str]) -> None:
    for name, other, words in (
        ("esp32cam", "esp32s3", "This chip is ESP32-S3, not ESP32. Wrong chip argument"),
        ("esp32s3", "esp32", "This chip is ESP32, not ESP32-S3. Wrong chip argument"),
    ):
        with RomLoader(other) as loader:
            with pytest.raises(LotorError, match=words) as caught:
                flash(name, loader)
            assert "\n" not in str(caught.value) and "hold the boot button" in str(caught.value)
            assert set(loader.flash) == {0xA5}


@needs_esptool
def test_flash_that_keeps_something_else(flash: Callable[..., str]) -> None:
    with (
        RomLoader("esp32", broken=0x10004) as loader,
        pytest.raises(LotorError, match=r"esp32cam on /dev/\S+ \(status \d+\): .*MD5"),
    ):
        flash("esp32cam", loader)


def test_a_file_that_is_gone(images: dict[str, Image], tmp_path: Path) -> None:
    folder = tmp_path / "image"
    shutil.copytree(images["esp32cam"].elf.parent, folder)
    board = load_board("esp32cam")
    (folder / "out/esp32cam/flash.json").unlink()
    with pytest.raises(LotorError, match=r"flash\.json, which flashing board esp32cam needs, is"):
        framework.flash_content(board, folder)


def test_without_esptool(
    images: dict[str, Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    board = load_board("esp32cam")
    with pytest.raises(LotorError, match=r"^esptool is missing: `pip install 'esptool>=5'`$"):
        METHODS["esptool"](board, images["esp32cam"])


def test_doctor_looks_for_what_flashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[1] / "boards/esp32cam.toml").read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text(
        text.replace('"platformio"\nalternatives = ["esptool"]', '"esptool"').replace(
            "usb = [", "usb = [] # ["
        )
    )
    monkeypatch.setenv("LOTOR_BOARDS", str(mine))
    monkeypatch.delenv("LOTOR_PORT", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    step = walk("mine")[0]
    assert (step.state, step.next) == ("failed", "`pip install 'esptool>=5'`")
    (tmp_path / "esptool").write_text("#!/bin/sh\n")
    (tmp_path / "esptool").chmod(0o755)
    step = walk("mine")[0]
    assert (step.state, step.found) == ("ok", str(tmp_path / "esptool"))

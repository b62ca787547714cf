"""`lotor build`: an image without a board, its bars and its files."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import CHECKOUT
from lotor.board import Budget, load_board
from lotor.build import Image
from lotor.cli import main
from lotor.device import emulator
from lotor.image_report import bars, uses
from played import needs_libsodium

MODEL = CHECKOUT / "hil_tests/hil_tiny.tflite"
BOARD = replace(load_board("microbit"), update=None)

needs_compiler = pytest.mark.skipif(
    not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc"
)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    parts = {"weights": 32_768, "code": 16_384, "other": 16_384}
    elf = tmp_path / "firmware.elf"
    return Image("microbit", elf, elf, 65_536, 8_192, 4_096, bytes(20), [{"name": "a"}], parts)


def test_a_bar_is_as_long_as_its_bytes(image: Image) -> None:
    lines = bars(uses(BOARD, image), columns=72).splitlines()
    assert lines[0] == "flash 65,536 of 262,144 bytes (25.0%)"
    assert lines[1].strip() == f"[{'#' * 8}{'+' * 4}{'=' * 4}{'.' * 48}]"
    assert lines[2].strip() == "# weights 32,768  + code 16,384  = other 16,384"
    assert lines[3] == "RAM   8,192 of 16,384 bytes (50.0%)"
    assert lines[4].strip() == f"[{'#' * 16}{'+' * 8}{'=' * 8}{'.' * 32}]"
    assert "█" in bars(uses(BOARD, image), colour=True)


def test_a_budget_is_the_bar_where_it_is_less(image: Image) -> None:
    small = replace(BOARD, budget=Budget(flash_bytes=131_072, ram_bytes=1 << 20))
    flash, ram = uses(small, image)
    assert (flash.limit, flash.memory, flash.budgeted) == (131_072, 262_144, True)
    assert (ram.limit, ram.budgeted) == (16_384, False)  # more than there is limits nothing
    assert "65,536 of the budget of 131,072 bytes (50.0%)" in bars([flash])
    assert sum(ram.parts.values()) == ram.used


def test_with_updates_an_image_has_a_slot(image: Image) -> None:
    flash, _ = uses(load_board("microbit"), image)
    assert flash.limit == 109 * 1024 - 512


@needs_compiler
def test_build_writes_files_and_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = emulator.running("stm32vldiscovery")
    arguments = [
        "build",
        "--board",
        "stm32vldiscovery",
        "--model",
        str(MODEL),
        "-o",
        str(tmp_path / "o"),
    ]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    elf, binary = Path(found["elf"]), Path(found["bin"])
    assert (elf.name, binary.name) == (
        "stm32vldiscovery-hil_tiny.elf",
        "stm32vldiscovery-hil_tiny.bin",
    )
    assert binary.stat().st_size == found["flash_bytes"] == sum(found["breakdown"].values())
    assert elf.read_bytes()[:4] == b"\x7fELF"
    assert bytes.fromhex(found["build_id"]) in binary.read_bytes()
    assert found["uf2"] is None
    assert sorted((tmp_path / "o").iterdir()) == [binary, elf]
    assert main(arguments[:-2]) == 0
    text = capsys.readouterr().out
    assert f"flash {found['flash_bytes']:,} of 131,072 bytes" in text
    assert "firmware.elf" in text
    assert emulator.running("stm32vldiscovery") == before


@needs_compiler
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file/o"
    assert (
        main(["build", "--board", "stm32vldiscovery", "--model", str(MODEL), "-o", str(folder)])
        == 2
    )
    assert f"cannot write to {folder}: Not a directory; give another" in capsys.readouterr().err


def test_what_is_wrong_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--board", "stm32vldiscovery"]) == 2
    assert capsys.readouterr().err == (
        "lotor: no model for the image: name one with `--model MODEL`\n"
    )


@needs_compiler
@needs_libsodium
@pytest.mark.parametrize("name", ["microbit", "raspberrypi-pico"])
def test_with_updates_the_files_hold_all_of_flash(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = load_board(name)
    arguments = ["build", "--board", name, "--model", str(MODEL), "-o", str(tmp_path), "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    data = Path(found["bin"]).read_bytes()
    image = board.slot_address(0) + 512 - board.flash_origin
    assert board.update is not None
    padded = -found["flash_bytes"] % board.update.write_bytes
    assert len(data) == image + found["flash_bytes"] + padded
    assert set(data[board.state_address(0) - board.flash_origin : image - 512]) == {0xFF}
    assert (found["uf2"] is not None) == (name == "raspberrypi-pico")
    assert bytes.fromhex(found["build_id"]) in data[image:]

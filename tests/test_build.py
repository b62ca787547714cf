"""Firmware images: reproducible, found again, refused when they do not fit."""

import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lotor.board import Budget, load_board
from lotor.build import Image, build_firmware
from lotor.errors import LotorError
from lotor.image_sources import check_models, linker_script
from lotor.targets import Target, find_target
from tiny_model import TinyModel

BOARD = load_board("netduinoplus2")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build_firmware(BOARD, [TinyModel("tiny")], tmp_path_factory.mktemp("first"))


def test_two_builds_give_the_same_bytes(image: Image, tmp_path: Path) -> None:
    again = build_firmware(BOARD, [TinyModel("tiny")], tmp_path / "a longer place/models")
    assert again.elf != image.elf
    assert again.bin.read_bytes() == image.bin.read_bytes()
    assert again.elf.read_bytes() == image.elf.read_bytes()
    assert again.build_id == image.build_id and len(image.build_id) == 20


def test_what_was_built_is_found(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_build(*_: object) -> None:
        pytest.fail("an image that exists was built again")

    monkeypatch.setattr("lotor.build._compile", no_build)
    assert build_firmware(BOARD, [TinyModel("tiny")], image.elf.parents[1]) == image


def test_an_image_that_lost_a_file_is_built_again(tmp_path: Path) -> None:
    image = build_firmware(BOARD, [TinyModel("tiny")], tmp_path)
    image.elf.unlink()
    assert build_firmware(BOARD, [TinyModel("tiny")], tmp_path).elf.is_file()


def test_the_id_tells_models_apart(image: Image, tmp_path: Path) -> None:
    other = build_firmware(BOARD, [TinyModel("tiny", delta=4)], tmp_path)
    assert other.build_id != image.build_id
    assert other.build_id in other.bin.read_bytes()


def test_sizes_add_up(image: Image) -> None:
    assert image.flash_bytes == image.bin.stat().st_size == sum(image.breakdown.values())
    assert image.breakdown["weights"] >= 256
    assert image.breakdown["code"] > 0
    assert image.arena_bytes == 4096
    # Arena, stack and the link's buffers, but not much more.
    assert 4096 + BOARD.build.stack_bytes < image.ram_bytes < 16_000


def test_no_loader_clears_what_survives_a_reset(image: Image) -> None:
    listed = subprocess.run(
        ["arm-none-eabi-readelf", "-lW", image.elf], capture_output=True, text=True, check=True
    ).stdout
    program, mapping = listed.split("Section to Segment mapping:")
    kinds = [line.split()[0] for line in program.splitlines() if " 0x" in line]
    kinds = [kind for kind in kinds if kind in ("LOAD", "NULL")]
    segments = [line.split()[1:] for line in mapping.strip().splitlines()[1:]]
    loaded = {name for kind, s in zip(kinds, segments, strict=True) if kind == "LOAD" for name in s}
    assert {".vectors", ".text", ".weights", ".data"} <= loaded
    assert not loaded & {".noinit", ".stack", ".arena"}


def test_linker_script_follows_the_board() -> None:
    smaller = replace(BOARD, budget=Budget(flash_bytes=65_536))
    text = linker_script(smaller)
    assert "FLASH (rx) : ORIGIN = 0x8000000, LENGTH = 65536" in text
    assert "RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 131072" in text
    assert ". += 4096;" in text


def test_a_chip_whose_name_is_hostile_to_c(tmp_path: Path) -> None:
    chip = 'wasch"bär \\ %s */ ?'
    image = build_firmware(replace(BOARD, chip=chip), [TinyModel("tiny")], tmp_path)
    assert chip.encode() + b"\0" in image.bin.read_bytes()


def test_an_arena_that_cannot_fit(tmp_path: Path) -> None:
    message = r"big does not fit netduinoplus2: ram needs \d+ bytes \(200000 of them the arena\), "
    with pytest.raises(LotorError, match=message + r"it has 131072; .*mps2-an386"):
        build_firmware(BOARD, [TinyModel("big", arena_bytes=200_000)], tmp_path)
    assert not list(tmp_path.iterdir())  # said before anything was built


def test_a_ram_that_is_too_small_by_little(tmp_path: Path) -> None:
    arena = BOARD.ram_limit - BOARD.build.stack_bytes - 5_000  # only the linker can tell
    with pytest.raises(
        LotorError, match=r"close does not fit netduinoplus2: ram needs 131[2-9]\d\d"
    ):
        build_firmware(BOARD, [TinyModel("close", arena_bytes=arena)], tmp_path)


def test_a_flash_that_is_too_small(tmp_path: Path) -> None:
    small = replace(BOARD, budget=Budget(flash_bytes=4096))
    with pytest.raises(LotorError, match=r"flash needs \d+ bytes, it has 4096; .*mps2-an386"):
        build_firmware(small, [TinyModel("tiny")], tmp_path)


class ForAnotherTarget(TinyModel):
    @property
    def target(self) -> Target:
        return find_target("x86-64-v4")


def test_a_model_for_another_target(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match=r"target x86-64-v4, .* needs cortex-m4 or portable"):
        build_firmware(BOARD, [ForAnotherTarget("tiny")], tmp_path)


def test_two_models_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match="'tiny' in C: rename"):
        build_firmware(BOARD, [TinyModel("tiny"), TinyModel("tiny", delta=4)], tmp_path)


def test_more_models_than_hello_can_list(tmp_path: Path) -> None:
    models = [TinyModel(f"model_{i}") for i in range(16)]
    with pytest.raises(LotorError, match="fewer models"):
        build_firmware(BOARD, models, tmp_path)


def test_long_texts_leave_less_of_hello_to_models() -> None:
    models = [TinyModel(f"model_{i}") for i in range(10)]
    check_models(models, BOARD)
    with pytest.raises(LotorError, match="fewer models"):
        check_models(models, replace(BOARD, chip="X" * 300))


def test_a_missing_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LotorError, match="arm-none-eabi-gcc is missing: `sudo apt-get install"):
        build_firmware(BOARD, [TinyModel("tiny")], tmp_path)


def test_a_model_may_be_called_like_a_part_of_the_firmware(tmp_path: Path) -> None:
    names = ["image", "request", "main", "server"]
    image = build_firmware(BOARD, [TinyModel(name) for name in names], tmp_path)
    assert [model["name"] for model in image.models] == names


class Broken(TinyModel):
    @property
    def source(self) -> str:
        return super().source + "\nint broken(void) { return undeclared; }\n"


def test_code_that_does_not_compile(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match=r"models/broken.c:\d+.*undeclared") as caught:
        build_firmware(BOARD, [Broken("broken")], tmp_path)
    log = Path(str(caught.value).rsplit(" in ", 1)[1])
    assert "undeclared" in log.read_text()


def test_two_builds_at_once(tmp_path: Path) -> None:
    found: list[Image] = []
    model = TinyModel("both")
    threads = [
        threading.Thread(target=lambda: found.append(build_firmware(BOARD, [model], tmp_path)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2 and found[0] == found[1]
    assert os.path.getsize(found[0].bin) == found[0].flash_bytes

"""Board files of one's own: begun by `lotor new-board`, and used from anywhere."""

import json
import os
import shutil
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from conftest import CHECKOUT, Lotor
from lotor import tuned
from lotor.board import VARIABLE, board_files, list_boards, load_board, read_board, use_board_file
from lotor.cli import main
from lotor.errors import LotorError

MODEL = CHECKOUT / "hil_tests/hil_tiny.tflite"


@pytest.fixture(autouse=True)
def no_boards_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")  # what a test adds is gone after it


@pytest.mark.parametrize("like", list_boards())
def test_every_board_can_be_begun_from(
    like: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All values come through, whatever kind they are of."""
    assert main(["new-board", "mine", "--from", like, "-o", str(tmp_path), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["missing"], made["mistake"]) == ([], "")
    mine, other = asdict(read_board(Path(made["file"]))), asdict(load_board(like))
    for key in ("name", "description", "default", "tested"):
        del mine[key], other[key]
    assert mine == other


def test_options_take_precedence(tmp_path: Path) -> None:
    arguments = [
        *("new-board", "mine", "--from", "netduinoplus2", "-o", str(tmp_path)),
        *("--chip", 'odd "chip" \\', "--target", "cortex-m3", "--clock-hz", "120000000"),
        *("--flash", "0x08004000:0x8000", "--ram", "0x20000000:65536", "--irqs", "81"),
        *("--usb", "1209:0001", "--uart-clock-hz", "8000000", "--machine", "netduino2"),
    ]
    assert main(arguments) == 0
    board = read_board(tmp_path / "mine.toml")
    assert (board.chip, board.target, board.clock_hz) == ('odd "chip" \\', "cortex-m3", 120_000_000)
    assert (board.memory.flash.origin, board.memory.flash.bytes) == (0x08004000, 0x8000)
    assert board.memory.ram.bytes == 65536
    assert (board.hal.irqs, board.hal.uart_clock_hz) == (81, 8_000_000)
    assert board.serial.usb == ("1209:0001",)
    assert board.emulator is not None and board.emulator.args[:2] == ("-machine", "netduino2")
    assert not board.default


def test_a_family_leaves_open_what_is_the_chips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = ["new-board", "mine", "--family", "stm32f4", "-o", str(tmp_path)]
    assert main([*begin, "--chip", "STM32F407VG"]) == 0
    out = capsys.readouterr().out
    (line,) = (line for line in out.splitlines() if "still to be put in: " in line)
    open_keys = ["clock_hz", "memory.flash", "memory.ram", "hal.irqs", "hal.uart_clock_hz"]
    assert line.partition(": ")[2].split(", ") == open_keys
    assert "the key 'clock_hz' is missing" in out
    text = (tmp_path / "mine.toml").read_text()
    table = tomllib.loads(text)
    assert (table["hal"]["name"], table["chip"]) == ("stm32f4", "STM32F407VG")
    assert "irqs" not in table["hal"]
    for key, value in {
        "clock_hz": "168_000_000",
        "irqs": "82",
        "uart_clock_hz": "42_000_000",
        "flash": "{ origin = 0x0800_0000, bytes = 1_048_576 }",
        "ram": "{ origin = 0x2000_0000, bytes = 131_072 }",
    }.items():
        assert f"# {key} = # to be put in: " in text
        text = text.replace(f"# {key} = #", f"{key} = {value} #")
    (tmp_path / "mine.toml").write_text(text)
    board = read_board(tmp_path / "mine.toml")
    assert (board.hal.irqs, board.ram_limit) == (82, 131_072)
    assert board.tested == "built"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mine"], "give either `--from BOARD` or `--family FAMILY`"),
        (["mine", "--from", "pico", "--family", "rp2"], "give either"),
        (["pico", "--from", "pico"], "pico.toml is there already: choose another name"),
        (["there", "--from", "pico"], "there.toml is there already"),
        (["My Board", "--from", "pico"], "'My Board' is no name for a board"),
        (["mine", "--from", "picco"], "did you mean 'pico'"),
        (["mine", "--family", "stm32h7"], "no board has the chip family 'stm32h7'; families: "),
        (["mine", "--from", "pico", "--machine", "x"], "pico is no machine of QEMU"),
    ],
)
def test_what_is_not_begun(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.toml").write_text("kept")
    assert main(["new-board", *arguments, "-o", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["there.toml"]
    assert (tmp_path / "there.toml").read_text() == "kept"


def own(folder: Path, name: str = "garden") -> Path:
    assert main(["new-board", name, "--from", "microbit", "-o", str(folder)]) == 0
    return folder / f"{name}.toml"


def test_a_board_file_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = own(tmp_path / "a folder")
    assert "garden" not in list_boards()
    monkeypatch.chdir(file.parent)
    assert use_board_file("./garden.toml") == "garden"
    assert use_board_file("garden.toml") == "garden"  # again
    assert os.environ[VARIABLE] == str(file)  # for processes that are started
    assert load_board("garden").chip == "nRF51822"
    assert tuned.table("garden") == file.parent / "tuned/garden.toml"
    assert tuned.table("microbit") == CHECKOUT / "boards/tuned/microbit.toml"


def test_a_board_is_begun_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = own(tmp_path)
    text = file.read_text().replace("clock_hz = 16_000_000", "clock_hz = 15_000_000")
    file.write_text(text)
    arguments = ["new-board", "porch", "--from", str(file), "-o", str(tmp_path)]
    assert main(arguments) == 0
    assert read_board(tmp_path / "porch.toml").clock_hz == 15_000_000
    capsys.readouterr()
    assert main(["boards", "--board", str(file)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 2 and rows[1].startswith("garden ")
    assert main(["boards", "--board", "gardem"]) == 2
    assert "there is no board 'gardem' (did you mean 'garden'?)" in capsys.readouterr().err


def test_folders_and_files_of_boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = own(tmp_path / "one"), own(tmp_path / "two", "porch")
    other = own(tmp_path / "two", "shed")
    monkeypatch.setenv(VARIABLE, f"{first.parent}:{second}")
    assert {"garden", "porch", "pico"} <= board_files().keys()
    assert "shed" not in board_files()
    other.rename(second.parent / "pico.toml")
    monkeypatch.setenv(VARIABLE, str(second.parent))
    with pytest.raises(LotorError, match=r"two/pico.toml .* is called like .*boards/pico.toml"):
        board_files()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "three"))
    with pytest.raises(LotorError, match=r"three \(\$LOTOR_BOARDS\) is not there"):
        board_files()
    with pytest.raises(LotorError, match=r"no board file nowhere\.toml: `lotor new-board`"):
        use_board_file("nowhere.toml")


@pytest.mark.skipif(
    not (shutil.which("qemu-system-arm") and shutil.which("arm-none-eabi-gcc")),
    reason="needs qemu-system-arm and arm-none-eabi-gcc",
)
def test_the_commands_take_a_board_file(
    tmp_path: Path, lotor: Lotor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In processes of their own, as a person would."""
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    file = own(tmp_path)
    try:
        done = lotor("flash", "--board", file, "--model", MODEL)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("garden runs hil_tiny on socket://")
        done = lotor("verify", MODEL, "--board", file, "--samples", "2")
        assert done.returncode == 0, done.stderr
        (entry,) = json.loads(lotor("boards", "--board", file, "--json").stdout)["boards"]
        assert entry["name"] == "garden" and entry["running"]
        monkeypatch.setenv(VARIABLE, str(tmp_path))
        entries = json.loads(lotor("boards", "--json").stdout)["boards"]
        assert next(entry for entry in entries if entry["name"] == "garden")["running"]
        assert lotor("boards", "--check").returncode == 0
    finally:
        assert lotor("flash", "--board", file, "--stop").returncode == 0

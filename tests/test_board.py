"""Board files: what is right in them, and how each mistake is named."""

import re
from pathlib import Path

import pytest

from lotor.board import check_boards, default_board, list_boards, load_board, read_board
from lotor.device.inventory import Entry, as_text
from lotor.errors import LotorError
from lotor.resources import resource


def test_all_board_files_are_right() -> None:
    assert check_boards() == []
    assert default_board() == "netduinoplus2"
    assert {"mps2-an386", "netduinoplus2", "pico"} <= set(list_boards())


def test_values_arrive() -> None:
    board = load_board("netduinoplus2")
    assert (board.name, board.chip, board.target) == ("netduinoplus2", "STM32F405RG", "cortex-m4")
    assert (board.flash_limit, board.ram_limit) == (1 << 20, 128 << 10)
    assert board.emulated and board.emulator and "netduinoplus2" in board.emulator.args


def test_what_a_board_was_tried_on(tmp_path: Path) -> None:
    assert Entry(load_board("netduinoplus2"), None).hardware == "emulated"
    real = Entry(load_board("nucleo-f446re"), None)
    assert real.hardware == "not yet run on hardware"
    line = as_text([real]).splitlines()[1].split()
    assert line[:7] == ["nucleo-f446re", "STM32F446RE", "cortex-m4", "512", "KiB", "128", "KiB"]
    assert line[7:] == ["openocd", "not", "yet", "run", "on", "hardware"]
    path = edited(tmp_path, 'tested = "built"', 'tested = "hardware"', "nucleo-l4r5zi")
    assert Entry(read_board(path), None).hardware == "run on hardware"


def test_typo_in_the_name() -> None:
    with pytest.raises(LotorError, match=r"'netduinoplus'.*did you mean 'netduinoplus2'"):
        load_board("netduinoplus")


def edited(tmp_path: Path, old: str, new: str, board: str = "netduinoplus2") -> Path:
    text = resource("boards", f"{board}.toml").read_text()
    assert old in text
    path = tmp_path / "garden.toml"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("uart = { address = 0x4000_4000, irq = 0 }\n", "", "hal.uart"),
        ("timer = { address = 0x4000_0000, irq = 8 }\n", "", "ticks.timer"),
        ("clock_hz = 25_000_000\n\n[serial]", "\n[serial]", "ticks.clock_hz"),
    ],
)
def test_what_a_family_with_many_addresses_needs(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    with pytest.raises(LotorError, match=f"'{key}' is"):
        read_board(edited(tmp_path, old, new, "mps2-an386"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("chip = ", "chop = ", r"garden.toml: 'chop' is no key \(did you mean 'chip'\?\)"),
        ("baud = ", "boud = ", r"'serial.boud' is no key \(did you mean 'baud'\?\)"),
        ('chip = "STM32F405RG"\n', "", "the key 'chip' is missing"),
        ("stack_bytes = 4096\n", "", "the key 'build.stack_bytes' is missing"),
        ("clock_hz = 168_000_000", 'clock_hz = "168 MHz"', "'clock_hz' must be a whole number"),
        ("clock_hz = 168_000_000", "clock_hz = true", "'clock_hz' must be a whole number"),
        ("watchdog = false", "watchdog = 0", "'hal.watchdog' must be true or false"),
        ("baud = 115_200", "baud = 0", "'serial.baud' must be more than 0"),
        ("[build]", "[builds]", r"'builds' is no key \(did you mean 'build'\?\)"),
        ("flash = { origin = 0x0800_0000, bytes = 1_048_576 }", "flash = 1", "must be a table"),
        ('name = "stm32f4"', 'name = "stm32f44"', r"'hal.name'.*did you mean 'stm32f4'"),
        ('method = "emulator"', 'method = "emulators"', r"did you mean 'emulator'"),
        ('target = "cortex-m4"', 'target = "cortex-m44"', r"'target'.*did you mean 'cortex-m4'"),
        ("[serial]", '[serial]\nusb = ["2341-805a"]', r"must look like 2341:805a"),
        ("[serial]", "[serial]\nusb = [1]", "'serial.usb' must be a list of strings"),
        ("[emulator]", "[emulator", "cannot be read"),
        ("stack_bytes = 4096", "stack_bytes = 4097", "multiple of 8"),
        ("ram = { origin = 0x2000_0000", "ram = { origin = 0x2000_0010", "multiple of 32"),
        ("test_faults", 'tested = "maybe"\ntest_faults', "'tested' is 'maybe'; it may be"),
        ("watchdog = false", "watchdog = true", "'hal.watchdog' needs 'ticks.source' = 'dwt' or"),
        ("description", 'name = "x"\ndescription', "the file's name is the board's"),
        ("baud = 115_200", "baud = 115_200\ndata_bytes = 600", "'serial.data_bytes' may be 512 or"),
        ('source = "tim2"', 'source = "systick"', "the key 'ticks.clock_hz' is missing"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(LotorError, match=message):
        read_board(edited(tmp_path, old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('volume = "RPI-RP2"\n', "", "flash.method = \"uf2\" and 'flash.volume' go together"),
        ("uf2_family = 0xE48B_FF56\n", "", "needs 'build.uf2_family', the chip's id"),
        ("0xE48B_FF56", "0x1_E48B_FF56", "must have 32 bits, not 0x1e48bff56"),
        ("bytes = 256", "bytes = 255", "'memory.boot' must have 256 bytes"),
        ("flash = { origin = 0x1000_0100", "flash = { origin = 0x1000_0200", "follow it"),
    ],
)
def test_mistakes_of_a_board_with_a_boot_rom(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(LotorError, match=message):
        read_board(edited(tmp_path, old, new, "raspberrypi-pico"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[build]",
            "[memory]\nram = { origin = 0, bytes = 1 }\n\n[build]",
            "'memory.ram' is not for",
        ),
        ('name = "linux"', 'name = "linux"\nirqs = 3', "'hal.irqs' is not for a program of Linux"),
        ("ram_bytes = 67_108_864\n", "", "'budget.ram_bytes' is missing: nothing else limits"),
        (
            'target = "cortex-a53"',
            'target = "cortex-m4"',
            "'linux', and target 'cortex-m4' is a micro",
        ),
        ('name = "linux"', 'name = "stm32f4"', "'stm32f4', and target 'cortex-a53' runs Linux"),
        ('source = "emulator"', 'source = "dwt"', "'ticks.source' is 'dwt', which linux has not"),
        ('method = "emulator"', 'method = "ssh"', 'flash.method = "ssh" is for a board'),
        ('method = "emulator"', 'method = "emulator"\nhost = "x"', "'flash.host' go with"),
    ],
)
def test_what_a_program_of_linux_must_not_say(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(LotorError, match=message):
        read_board(edited(tmp_path, old, new, "pi-a53"))


def test_what_a_board_behind_ssh_must_say(tmp_path: Path) -> None:
    for old, new, message in (
        ('method = "ssh"', 'method = "emulator"', 'flash.method = "ssh" is for a board'),
        ('line = "/dev/ttyGS0"', "", "'flash.line', the serial device"),
        ('source = "clock"', 'source = "emulator"', "'ticks.source' is 'emulator'"),
    ):
        with pytest.raises(LotorError, match=message):
            read_board(edited(tmp_path, old, new, "pi-4"))
    assert (load_board("pi-4").ram_limit, load_board("pi-4").flash_limit) == (1 << 26, 1 << 24)


def test_a_board_without_an_emulator(tmp_path: Path) -> None:
    path = edited(tmp_path, "[emulator]", "[unused]")
    path.write_text(path.read_text().split("[unused]")[0])
    with pytest.raises(LotorError, match="go together"):
        read_board(path)


@pytest.mark.parametrize(
    ("board", "old", "new", "message"),
    [
        ("pico2", '"picotool", "pyocd"', '"picotol", "pyocd"', r"alternatives\[0\]'.*'picotool'"),
        ("pico2", '"picotool", "pyocd"', '"picotool", "uf2"', "may not have 'uf2'"),
        ("pico2", '"picotool", "pyocd"', '"ssh"', "may not have 'ssh'"),
        ("pico2", '["picotool", "pyocd"]', '["picotool"]', r"\[pyocd\] go together"),
        ("pico2", '[pyocd]\ntarget = "rp2350"\n', "", r"\[pyocd\] go together"),
        ("nano33ble", 'boot_usb = ["2341:005a"]\n', "", "'flash.boot_usb' go together"),
        ("nano33ble", '"pyocd"', '"pyocd", "esptool"', '"arduino" and flash.alternatives = '),
        ("microbit", "inference_ms = 1000", "inference_ms = 0", "'budget.inference_ms'"),
    ],
)
def test_other_ways_to_flash(tmp_path: Path, board: str, old: str, new: str, message: str) -> None:
    assert load_board("pico2").flash.methods == ("uf2", "picotool", "pyocd")
    with pytest.raises(LotorError, match=message):
        read_board(edited(tmp_path, old, new, board))


def test_a_budget_lowers_the_limit(tmp_path: Path) -> None:
    path = edited(tmp_path, "[serial]", "[budget]\nram_bytes = 65_536\n\n[serial]")
    board = read_board(path)
    assert (board.ram_limit, board.flash_limit) == (65_536, 1 << 20)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'method = "platformio"',
            'method = "bossac"',
            'flash.method = "platformio" or "esptool" go together',
        ),
        ('["esptool"]', '["nrfutil"]', 'flash.alternatives = ["nrfutil"] go together'),
        ('source = "ccount"', 'source = "dwt"', 'ticks.source = "ccount" go together'),
        ('target = "xtensa-lx6"', 'target = "cortex-m4"', "target = xtensa-... go together"),
        ("arena_bytes = 98_304\n", "", "'memory.psram' and 'memory.arena_bytes' go together"),
    ],
)
def test_what_a_board_of_a_framework_must_say(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(LotorError, match=re.escape(message)):
        read_board(edited(tmp_path, old, new, "esp32cam"))


def test_what_was_never_built_says_so() -> None:
    for name in ("esp32cam", "esp32s3"):
        entry = Entry(load_board(name), None)
        assert entry.hardware == "not built here, not yet run on hardware"

"""STM32 boards that no emulator plays: their images, and their clock code.

That runs against a simulated register file that answers the ready flags, late.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from lotor.board import Board, list_boards, load_board
from lotor.build import WARNINGS, build_firmware
from lotor.errors import LotorError
from lotor.resources import resource
from tiny_model import TinyModel

BOARDS = [name for name in list_boards() if load_board(name).openocd]

# Where the registers are, by series: RM0390 and RM0385, RM0432, tables "register boundary
# addresses" and chapters RCC, PWR, flash.
F4 = {
    0x40023800: "CR",
    0x40023804: "PLLCFGR",
    0x40023808: "CFGR",
    0x40023840: "APB1ENR",
    0x40007000: "PWR_CR",
    0x40007004: "PWR_CSR",
    0x40023C00: "ACR",
}
L4 = {
    0x40021000: "CR",
    0x40021008: "CFGR",
    0x4002100C: "PLLCFGR",
    0x40021058: "APB1ENR",
    0x40007080: "PWR_CR5",
    0x40022000: "ACR",
}
# What the hardware does: when a register's field has this value, that field gets that one.
F4_RULES = [
    ("CR", 1 << 24, 1 << 24, "CR", 1 << 25, 1 << 25),
    ("PWR_CR", 1 << 16, 1 << 16, "PWR_CSR", 1 << 16, 1 << 16),
    ("PWR_CR", 1 << 17, 1 << 17, "PWR_CSR", 1 << 17, 1 << 17),
    ("CFGR", 3, 2, "CFGR", 3 << 2, 2 << 2),
]
L4_RULES = [
    ("CR", 1 << 8, 1 << 8, "CR", 1 << 10, 1 << 10),
    ("CR", 1 << 24, 1 << 24, "CR", 1 << 25, 1 << 25),
    ("CR", 1 << 24, 0, "CR", 1 << 25, 0),
    *(("CFGR", 3, source, "CFGR", 3 << 2, source << 2) for source in (1, 3)),
]
F4_RESET = {"CR": 0x83, "PLLCFGR": 0x24003010, "PWR_CR": 0xC000}
L4_RESET = {"CR": 0x63, "PLLCFGR": 0x1000, "PWR_CR5": 0x100, "ACR": 0x600}
# As a boot loader for another clock, 80 MHz, leaves it.
L4_BOOTED = {
    "CR": 0x3000563,
    "CFGR": 0xF,
    "PLLCFGR": 0x1002832,
    "APB1ENR": 1 << 28,
    "ACR": 0x703,
}

_HARNESS = """
#include <stdint.h>
#include <stdio.h>
static volatile uint32_t *at(uint32_t address);
#define REGISTER(address) (*at((uint32_t)(address)))
{defines}
#include "{header}"
static struct {{ uint32_t address; volatile uint32_t value; uint32_t seen; }} file[] = {{{file}}};
static struct {{
    int from; uint32_t mask, is; int to; uint32_t field, becomes; int turns;
}} rules[] = {{{rules}}};
enum {{ REGISTERS = sizeof file / sizeof *file, RULES = sizeof rules / sizeof *rules, LATE = 20 }};
static void look(void) {{
    for (int i = 0; i < REGISTERS; i++)
        if (file[i].value != file[i].seen)
            printf("write %d %u\\n", i, (unsigned)(file[i].seen = file[i].value));
    for (int i = 0; i < RULES; i++) {{
        const int to = rules[i].to;
        const uint32_t next = (file[to].value & ~rules[i].field) | rules[i].becomes;
        const int holds = (file[rules[i].from].value & rules[i].mask) == rules[i].is;
        if (!holds || file[to].value == next)
            rules[i].turns = 0;
        else if (rules[i].turns++ == LATE)
            printf("ready %d %u\\n", to, (unsigned)(file[to].seen = file[to].value = next));
    }}
}}
static volatile uint32_t *at(uint32_t address) {{
    look();
    for (int i = 0; i < REGISTERS; i++)
        if (file[i].address == address) return &file[i].value;
    printf("foreign 0 %u\\n", (unsigned)address);
    static volatile uint32_t nowhere;
    return &nowhere;
}}
int main(void) {{
    {calls}
    look();
    return 0;
}}
"""


def run_clock(
    board: Board, folder: Path, before: dict[str, int] | None = None
) -> list[tuple[str, int]]:
    """Run the clock code of a board; return what happened, in order.

    `("CR", value)` is a write, `("CR ready", value)` what it became by itself. Registers start as
    after a reset, or as `before` says.
    """
    l4 = board.hal.name == "stm32l4"
    registers, rules, reset = (L4, L4_RULES, L4_RESET) if l4 else (F4, F4_RULES, F4_RESET)
    reset = before or reset
    names = list(registers.values())
    caches = {"stm32f4": 0x600, "stm32f7": 0x200}.get(board.hal.name, 0)
    defines = [f"#define LOTOR_CLOCK_HZ {board.clock_hz}u", f"#define FLASH_ACR_CACHES {caches}u"]
    text = _HARNESS.format(
        defines="\n".join(defines),
        header=resource("firmware", "hal", "stm32l4/clock.h" if l4 else "stm32/clock_f4_f7.h"),
        file=", ".join(
            f"{{{address:#x}u, {reset.get(name, 0)}u, {reset.get(name, 0)}u}}"
            for address, name in registers.items()
        ),
        rules=", ".join(
            f"{{{names.index(a)}, {b}u, {c}u, {names.index(d)}, {e}u, {f}u, 0}}"
            for a, b, c, d, e, f in rules
        ),
        calls="oscillator_init(); clock_init();" if l4 else "clock_init();",
    )
    (folder / "lotor_config.h").write_text("")
    (folder / "clock.c").write_text(text)
    command = ["cc", *WARNINGS, f"-I{folder}", str(folder / "clock.c"), "-o", str(folder / "clock")]
    subprocess.run(command, check=True)
    said = subprocess.run([folder / "clock"], check=True, capture_output=True, text=True, timeout=5)
    events = []
    for line in said.stdout.splitlines():
        kind, index, value = line.split()
        assert kind != "foreign", f"{int(value):#x}"
        name = names[int(index)]
        events.append((name if kind == "write" else f"{name} ready", int(value)))
    return events


def first(events: list[tuple[str, int]], name: str, bits: int, value: int | None = None) -> int:
    """Return when a register first had these bits, as set or with a value of the field."""
    wanted = bits if value is None else value
    return next(i for i, (n, v) in enumerate(events) if n == name and v & bits == wanted)


@pytest.mark.parametrize("name", [n for n in BOARDS if load_board(n).hal.name != "stm32l4"])
def test_the_clock_of_an_f4_and_an_f7(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    events = run_clock(board, tmp_path)
    values = dict(events)
    # The PLL, against the data sheets: input 0.95..2.1 MHz, oscillator 100..432 MHz.
    m, n = values["PLLCFGR"] & 0x3F, values["PLLCFGR"] >> 6 & 0x1FF
    p, q, r = (values["PLLCFGR"] >> at & mask for at, mask in ((16, 3), (24, 15), (28, 7)))
    assert values["PLLCFGR"] >> 22 & 1 == 0  # HSI
    assert 0.95e6 <= 16e6 / m <= 2.1e6 and 50 <= n <= 432 and q >= 2 and r >= 2
    oscillator = 16e6 / m * n
    assert 100e6 <= oscillator <= 432e6 and oscillator / q <= 75e6
    assert oscillator / (2, 4, 6, 8)[p] == board.clock_hz
    # Wait states at 2.7 to 3.6 V: one for every 30 MHz begun, but the first.
    assert values["ACR"] & 0xF == {180_000_000: 5, 216_000_000: 7}[board.clock_hz]
    # Buses: APB1 45 or 54 MHz, APB2 90 or 108 MHz; the UART's is one of them.
    assert (values["CFGR"] >> 10 & 7, values["CFGR"] >> 13 & 7) == (5, 4)
    assert board.hal.uart_clock_hz == board.clock_hz // (4 if name == "nucleo-f446re" else 2)
    order = [
        first(events, "APB1ENR", 1 << 28),
        first(events, "PLLCFGR", 0x3F, m),
        first(events, "CR", 1 << 24),
        first(events, "PWR_CR", 1 << 16),
        first(events, "PWR_CSR ready", 1 << 16),
        first(events, "PWR_CR", 1 << 17),
        first(events, "PWR_CSR ready", 1 << 17),
        first(events, "ACR", 0xF, values["ACR"] & 0xF),
        first(events, "CFGR", 7 << 10, 5 << 10),
        first(events, "CFGR", 3, 2),
        first(events, "CFGR ready", 2 << 2),
    ]
    assert order == sorted(set(order))
    assert first(events, "CR ready", 1 << 25) < first(events, "CFGR", 3, 2)
    assert values["PWR_CR"] >> 14 & 3 == 3  # the highest core voltage


def test_the_clock_of_an_l4(tmp_path: Path) -> None:
    board = load_board("nucleo-l4r5zi")
    events = run_clock(board, tmp_path)
    values = dict(events)
    # The data sheet: input 2.66..16 MHz, oscillator 64..344 MHz in range 1, core 120 MHz at most.
    m, n = (values["PLLCFGR"] >> 4 & 0xF) + 1, values["PLLCFGR"] >> 8 & 0x7F
    assert values["PLLCFGR"] & 3 == 2 and values["PLLCFGR"] >> 24 & 1  # HSI16, its output is on
    assert 2.66e6 <= 16e6 / m <= 16e6 and 8 <= n <= 127
    assert 64e6 <= 16e6 / m * n <= 344e6
    assert 16e6 / m * n / (2 * (values["PLLCFGR"] >> 25 & 3) + 2) == board.clock_hz == 120_000_000
    assert values["ACR"] == 0x705  # 5 wait states, prefetch, both caches
    order = [
        first(events, "APB1ENR", 1 << 28),
        first(events, "CR ready", 1 << 10),
        first(events, "CFGR", 0xF << 4, 8 << 4),  # half the clock
        first(events, "PWR_CR5", 1 << 8, 0),  # boost
        first(events, "ACR", 0xF, 5),
        first(events, "PLLCFGR", 0x7F << 8, n << 8),
        first(events, "CR", 1 << 24),
        first(events, "CR ready", 1 << 25),
        first(events, "CFGR", 3, 3),
        first(events, "CFGR ready", 3 << 2),
        len(events) - 1,
    ]
    assert order == sorted(set(order))
    name, last = events[-1]
    assert (name, last & 0xFF) == ("CFGR", 0xF)  # the whole clock, at last


def test_the_clock_of_an_l4_after_its_boot_loader(tmp_path: Path) -> None:
    """It ends as after a reset, and never changes a PLL that is on or in use."""
    board = load_board("nucleo-l4r5zi")
    now = dict(L4_BOOTED)
    for name, value in run_clock(board, tmp_path, L4_BOOTED):
        register = name.removesuffix(" ready")
        if register == "PLLCFGR":
            assert not now["CR"] & 3 << 24
        if register == "CR" and not value & 1 << 24:
            assert now["CFGR"] & 3 << 2 == 1 << 2  # the core runs from HSI16
        now[register] = value
        clock = {1: 16, 3: (now["PLLCFGR"] >> 8 & 0x7F) * 2}[now["CFGR"] >> 2 & 3]
        clock //= 2 if now["CFGR"] >> 4 & 8 else 1
        assert clock <= 20 * ((now["ACR"] & 7) + 1)  # a wait state for each 20 MHz in range 1
    reset = dict(run_clock(board, tmp_path))
    after = {name: now[name] for name in ("CR", "CFGR", "PLLCFGR", "ACR")}
    assert after == {
        "CR": reset["CR ready"],
        **{name: reset[name] for name in ("CFGR", "PLLCFGR", "ACR")},
    }


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")
@pytest.mark.parametrize("name", BOARDS)
def test_an_image_fits_the_part(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    image = build_firmware(board, [TinyModel("tiny")], tmp_path)
    most = (12_000, 5_900) if board.update else (9_000, 5_500)
    assert image.flash_bytes < most[0]
    assert image.ram_bytes < board.build.stack_bytes + 4096 + most[1]
    listed = subprocess.run(
        ["arm-none-eabi-objdump", "-h", image.elf], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    places = {row[1]: (int(row[3], 16), int(row[2], 16)) for row in rows if len(row) == 7}
    vectors, size = places[".vectors"]
    assert (vectors, size) == (board.image_address(), 64 + 4 * board.hal.irqs)
    kept, size = places[".noinit"]
    assert kept > 0x2000_0000 and kept + size < 0x2001_0000  # never in a data cache


def test_a_model_that_is_too_large_is_refused(tmp_path: Path) -> None:
    board = load_board("stm32vldiscovery")
    with pytest.raises(LotorError, match=r"tiny does not fit stm32vldiscovery: ram needs \d+ byt"):
        build_firmware(board, [TinyModel("tiny")], tmp_path)
    models = [TinyModel(f"m{i}", arena_bytes=1024, input_bytes=500) for i in range(6)]
    with pytest.raises(LotorError, match=r"6 models take .* put fewer models into one image"):
        build_firmware(board, models, tmp_path)

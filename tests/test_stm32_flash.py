"""Flash drivers of STM32s that no emulator plays, against a simulated flash controller.

It follows the chapters on flash of RM0090, RM0385 and RM0432: locked until both keys have come,
busy for a while, erasing what the control register names, clearing bits only, complaining in SR.
"""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lotor.build import WARNINGS
from lotor.resources import resource

MEMORY = 0x0800_0000


@dataclass(frozen=True)
class Series:
    """A chip's flash: first register, where SR is (CR follows), unit of writing, bits of errors."""

    name: str
    registers: int
    key: int
    status: int
    unit: int
    size: int
    errors: int
    sectors: tuple[int, ...]  # from the first on, the last repeated

    def sector(self, address: int) -> tuple[int, int]:
        """Return where the sector or page of an address begins, and how long it is."""
        at, bytes_ = MEMORY, self.sectors[0]
        for number in range(10_000):
            bytes_ = self.sectors[min(number, len(self.sectors) - 1)]
            if address < at + bytes_:
                break
            at += bytes_
        return at, bytes_


KIB = 1024
F4 = Series(
    *("stm32f4", 0x4002_3C00, 0x04, 0x0C, 4, 1024 * KIB, 0x1F2),
    (*[16 * KIB] * 4, 64 * KIB, 128 * KIB),
)
F7 = Series(
    *("stm32f7", 0x4002_3C00, 0x04, 0x0C, 4, 1024 * KIB, 0xF2),
    (*[32 * KIB] * 4, 128 * KIB, 256 * KIB),
)
TWO_BANKS = Series("stm32l4", 0x4002_2000, 0x08, 0x10, 8, 2048 * KIB, 0xC3FA, (4 * KIB,))
ONE_BANK = Series("stm32l4", 0x4002_2000, 0x08, 0x10, 8, 2048 * KIB, 0xC3FA, (8 * KIB,))
ALL = [F4, F7, TWO_BANKS, ONE_BANK]
names = ["f4", "f7", "l4-two-banks", "l4-one-bank"]
every = pytest.mark.parametrize("series", ALL, ids=names)

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")

# Reading and writing cannot be told apart, so that a write is what has changed by the next access.
# A word of flash, a write-only register show CANARY.
HARNESS = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static volatile uint32_t *at(uint32_t address);
static void settle(void);
#define REGISTER(address) (*at((uint32_t)(address)))
#define BARRIER() settle()
#include "{driver}"

#define MEMORY 0x08000000u
enum {{ SIZE = {size}, KEYR = {key}, SR = {status}, CR = SR + 4, L4 = {l4}, CANARY = 0x5EA1C0DE }};
#define BASE {registers}u
static uint8_t memory[SIZE];
static uint32_t acr = {acr}u, cr = 1u << 31, sr, optr, eccr, protected_at = 1;
static int keys, busy, operations;
static uint32_t half; /* of a double word of an L4 */
static int have_half;
static volatile uint32_t cell;
static uint32_t shown, where;

static void complain(uint32_t bit) {{ sr |= bit; }}
enum {{ WRPERR = 1 << 4, PGSERR = 1 << 7, PGPERR = 1 << 6, PROGERR = 1 << 3, SIZERR = 1 << 6 }};

static void begin(const char *what, uint32_t address) {{
    printf("%s %08x\\n", what, (unsigned)address);
    busy = 3;
    operations++;
}}

static void erase(void) {{
    uint32_t begins, bytes;
    if (L4) {{
        const uint32_t page = cr >> 3 & 0xFF;
        bytes = optr & 1u << 22 ? 4096 : 8192;
        begins = page * bytes;
        if (optr & 1u << 22 && cr & 1u << 11) begins += 1 << 20;
    }} else {{
        const uint32_t small = {small}u, number = cr >> 3 & 0xF;
        bytes = number < 4 ? small : number == 4 ? 4 * small : 8 * small;
        begins = number < 5 ? number * small : (number - 4) * 8 * small;
        if ((cr >> 8 & 3) != 2) {{ complain(PGPERR); return; }}
    }}
    if (begins == protected_at) {{ complain(WRPERR); return; }}
    begin("erase", MEMORY + begins);
    memset(memory + begins, 0xFF, bytes);
}}

static void program(uint32_t address, uint32_t value) {{
    const uint32_t offset = address - MEMORY;
    uint32_t old[2];
    if (busy) {{ printf("busy\\n"); return; }}
    if (cr >> 31 || !(cr & 1) || sr & {errors}u) {{ complain(PGSERR); return; }}
    if (!L4) {{
        if ((cr >> 8 & 3) != 2) {{ complain(PGPERR); return; }}
        memcpy(old, memory + offset, 4);
        value &= old[0];
        begin("write", address);
        memcpy(memory + offset, &value, 4);
        return;
    }}
    if (!have_half) {{
        half = value;
        have_half = 1;
        if (offset % 8) complain(PGSERR);
        return;
    }}
    have_half = 0;
    memcpy(old, memory + offset - 4, 8);
    if (offset % 8 != 4) {{ complain(SIZERR); return; }}
    if ((old[0] & old[1]) != UINT32_MAX && (half | value)) {{ complain(PROGERR); return; }}
    begin("write", address - 4);
    memcpy(memory + offset - 4, &half, 4);
    memcpy(memory + offset, &value, 4);
}}

static void settle(void) {{
    const uint32_t value = cell, address = where;
    where = 0;
    if (!address || value == shown) return;
    if (address - MEMORY < SIZE) {{ program(address, value); return; }}
    switch (address - BASE) {{
    case 0:
        if (value & 3u << 11 && value & 3u << 9) printf("reset of a cache that is on\\n");
        printf("acr %x\\n", (unsigned)(acr = value));
        break;
    case KEYR:
        keys = value == (keys ? 0xCDEF89ABu : 0x45670123u) ? keys + 1 : -9;
        if (keys == 2) cr &= ~(1u << 31);
        if (keys == 2) keys = 0;
        break;
    case SR:
        sr &= ~value;
        break;
    case CR:
        if (cr >> 31) {{ printf("locked\\n"); break; }}
        if (busy) {{ printf("busy\\n"); break; }}
        cr = value;
        if (cr & 1u << 16 && cr & 2) {{
            if (sr & {errors}u) complain(PGSERR); else erase();
        }}
        cr &= ~(1u << 16);
        break;
    case 0x18:
        if (L4) eccr &= ~(value & (1u << 31 | 1u << 29));
        break;
    default:
        if (address == 0xE000EF5C) printf("line %08x\\n", (unsigned)value);
        else if (address == 0xE000EF50) printf("instructions\\n");
        else printf("foreign %08x\\n", (unsigned)address);
    }}
}}

static volatile uint32_t *at(uint32_t address) {{
    settle();
    where = address;
    shown = CANARY;
    switch (address - BASE) {{
    case 0: shown = acr; break;
    case SR: shown = sr | (busy ? 1u << 16 : 0); busy -= busy > 0; break;
    case CR: shown = cr; break;
    case 0x18: if (L4) shown = eccr; break;
    case 0x20: if (L4) shown = optr; break;
    }}
    cell = shown;
    return &cell;
}}

int main(void) {{
    char verb[16];
    unsigned a, n;
    static uint8_t data[65536];
    while (scanf("%15s %x %x", verb, &a, &n) == 3) {{
        if (!strcmp(verb, "data"))
            for (unsigned i = 0; i < n; i++) data[i] = (uint8_t)((i + a) * 37 % 251);
        if (!strcmp(verb, "option")) optr = a;
        if (!strcmp(verb, "status")) sr = a;
        if (!strcmp(verb, "protect")) protected_at = a - MEMORY;
        if (!strcmp(verb, "jam")) keys = -9; /* a wrong key has come: locked until the next reset */
        if (!strcmp(verb, "acr")) acr = a;
        if (!strcmp(verb, "ecc")) eccr = a;
        if (!strcmp(verb, "fill")) memset(memory, (int)a, n);
        if (!strcmp(verb, "page")) printf("= %x\\n", (unsigned)hal_flash_page(a));
        if (!strcmp(verb, "erase")) printf("= %d\\n", hal_flash_erase(a));
        if (!strcmp(verb, "write")) printf("= %d\\n", hal_flash_write(a, data, n));
        settle();
        if (!strcmp(verb, "state"))
            printf("= locked %u busy %d acr %x sr %x eccr %x\\n", (unsigned)(cr >> 31), busy,
                   (unsigned)acr, (unsigned)sr, (unsigned)eccr);
        if (!strcmp(verb, "read")) {{
            printf("= ");
            for (unsigned i = 0; i < n; i++) printf("%02x", memory[a - MEMORY + i]);
            printf("\\n");
        }}
        {more}
    }}
    return 0;
}}
"""
MORE = """
        if (!strcmp(verb, "torn")) printf("= %d\\n", flash_torn(a, n));
"""
CACHES = {"stm32f4": 3 << 9, "stm32f7": 1 << 9, "stm32l4": 3 << 9}
FIRST = MEMORY + 0x8000  # what the drivers may touch: up to the end


class Chip:
    """A driver with its simulated chip, as a program of this machine."""

    def __init__(self, series: Series, folder: Path, left: int = 0) -> None:
        self.series, self.program = series, folder / "chip"
        slots = (MEMORY + series.size - left - FIRST) // 2
        (folder / "lotor_config.h").write_text(
            f"#define LOTOR_FLASH_UNIT {series.unit}u\n#define LOTOR_STATE_ADDRESS {FIRST:#x}u\n"
            f"#define LOTOR_SLOT_ADDRESS {FIRST:#x}u\n#define LOTOR_SLOT_BYTES {slots:#x}u\n"
        )
        text = HARNESS.format(
            driver=resource("firmware", "hal", series.name, "flash.c"),
            size=series.size,
            key=series.key,
            status=series.status,
            l4=int(series.name == "stm32l4"),
            registers=series.registers,
            acr=CACHES[series.name] | 0x105,
            small=series.sectors[0],
            errors=series.errors,
            more=MORE if series.name == "stm32l4" else "",
        )
        (folder / "chip.c").write_text(text)
        command = ["cc", *WARNINGS, f"-I{folder}", str(folder / "chip.c"), "-o", str(self.program)]
        subprocess.run(command, check=True)

    def run(self, *requests: Sequence[object]) -> list[str]:
        """Return what the program said: lines of events, and of results after `=`."""
        # Flash that holds something, so that erasing shows.
        lines = ["option 400000 0"] if self.series is TWO_BANKS else []
        lines.append(f"fill 0 {self.series.size:x}")
        for verb, *numbers in requests:
            first, second = [*numbers, 0, 0][:2]
            lines.append(f"{verb} {first:x} {second:x}")
        said = subprocess.run(
            [self.program],
            input="\n".join(lines),
            check=True,
            capture_output=True,
            text=True,
            timeout=20,
        )
        return said.stdout.splitlines()

    def results(self, *requests: Sequence[object]) -> list[str]:
        """Return the results alone; nothing went on that must not."""
        said = self.run(*requests)
        for wrong in ("busy", "locked", "foreign", "reset"):
            assert not any(line.startswith(wrong) for line in said), said
        return [line[2:] for line in said if line.startswith("= ")]


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> dict[Series, Chip]:
    return {series: Chip(series, tmp_path_factory.mktemp("chip")) for series in ALL}


@pytest.fixture
def chip(series: Series, chips: dict[Series, Chip]) -> Chip:
    return chips[series]


def made(bytes_: int, start: int = 0) -> bytes:
    return bytes((i + start) * 37 % 251 for i in range(bytes_))


@every
def test_every_sector(chip: Chip, series: Series) -> None:
    """Each is where the manual's table has it, and erased alone."""
    places = []
    at = FIRST
    while at < MEMORY + series.size:
        at, size = series.sector(at)
        places.append((at, size))
        at += size
    if len(places) > 40:
        places = [*places[:3], *places[len(places) // 2 - 2 :][:4], *places[-3:]]
    for at, size in places:
        around = [("read", at - 8, 16), ("read", at + size - 8, 8)]
        if at + size < MEMORY + series.size:
            around.append(("read", at + size, 8))
        found = chip.results(("page", at), ("page", at + 4), ("erase", at), *around, ("state",))
        assert found[:3] == [f"{size:x}", "0", "0"]
        assert found[3] == "00" * 8 + "ff" * 8 and found[4] == "ff" * 8
        assert found[5:-1] in ([], ["00" * 8])
        assert found[-1].startswith("locked 1 busy 0 ")


@pytest.mark.parametrize("series", [F4, F7], ids=names[:2])
def test_the_last_slot_may_end_within_a_sector(series: Series, tmp_path: Path) -> None:
    size = series.sectors[-1]
    last = MEMORY + series.size - size
    chip = Chip(series, tmp_path, left=size // 2)
    found = chip.results(
        *(("page", last), ("erase", last), ("write", last + size // 2 - 8, 16)),
        *(("write", last + size // 2 - 8, 8), ("read", last + size - 4, 4)),
    )
    assert found == [f"{size:x}", "0", "-1", "0", "ffffffff"]


@every
def test_written(chip: Chip, series: Series) -> None:
    at, size = series.sector(FIRST)
    said = chip.results(
        ("erase", at),
        ("data", 0, 512),
        ("write", at, 512),
        ("read", at, 520),
        ("data", 7, 64),
        ("write", at + size - 64, 64),
        ("read", at + size - 72, 80),
        ("state",),
    )
    assert said[:2] == ["0", "0"] and said[3] == "0"
    assert bytes.fromhex(said[2]) == made(512) + b"\xff" * 8
    assert bytes.fromhex(said[4]) == b"\xff" * 8 + made(64, 7) + bytes(8)
    assert said[5].startswith(f"locked 1 busy 0 acr {CACHES[series.name] | 0x105:x} sr 0 ")


@every
@pytest.mark.parametrize("caches", ["on", "off"])
def test_caches_are_emptied_and_as_they_were(chip: Chip, series: Series, caches: str) -> None:
    """RM0090 3.9.1: they are reset while they are off only."""
    bits = CACHES[series.name]
    before = bits | 0x105 if caches == "on" else 0x105
    at, _ = series.sector(FIRST)
    for request in (("erase", at), ("write", at, 16)):
        said = chip.run(("acr", before), request)
        steps = [int(line[4:], 16) for line in said if line.startswith("acr ")]
        expected = [before & ~bits, (before & ~bits) | bits << 2, before & ~bits, before]
        assert steps == [b for a, b in zip([before, *expected], expected, strict=False) if a != b]
        done = [line.startswith(("erase", "write")) for line in said].index(True)
        off = said.index(f"acr {0x105:x}") if caches == "on" else -1
        assert off < done < said.index(f"acr {0x105 | bits << 2:x}")


def test_the_caches_of_the_core_lose_the_range(chips: dict[Series, Chip]) -> None:
    said = chips[F7].run(("erase", FIRST), ("write", FIRST + 36, 32))
    wrote = said.index(f"write {FIRST + 36:08x}")
    lines = [int(line[5:], 16) for line in said[:wrote] if line.startswith("line ")]
    assert lines == list(range(FIRST, FIRST + 32 * KIB, 32))
    lines = [int(line[5:], 16) for line in said[wrote:] if line.startswith("line ")]
    assert lines == [FIRST + 32, FIRST + 64]
    assert said.count("instructions") == 2 and said[-2:] == ["instructions", "= 0"]


@every
@pytest.mark.parametrize(
    ("verb", "offset", "count"),
    [
        ("erase", 8, 0),
        ("erase", -0x8000, 0),
        ("erase", None, 0),
        ("write", -8, 16),
        ("write", 2, 8),
        ("write", 0, 6),
        ("write", None, 8),
        ("write", 0, 0xFFFF_FFF8),
    ],
)
def test_what_is_refused(
    chip: Chip, series: Series, verb: str, offset: int | None, count: int
) -> None:
    address = MEMORY + series.size if offset is None else FIRST + offset
    said = chip.run((verb, address, count), ("state",))
    assert said[0] == "= -1" and said[1].startswith("= locked 1 ") and len(said) == 2


@every
def test_half_a_unit_is_refused(chip: Chip, series: Series) -> None:
    expected = "-1" if series.unit == 8 else "0"
    assert chip.results(("erase", FIRST), ("write", FIRST, 4)) == ["0", expected]


@every
def test_protected(chip: Chip, series: Series) -> None:
    at, size = series.sector(FIRST)
    found = chip.results(("protect", at), ("erase", at), ("read", at, 4), ("state",))
    assert found[:2] == ["-1", "00000000"] and found[2].startswith("locked 1 busy 0 ")
    # What it complained of then does not keep it from the next.
    assert chip.results(("protect", at), ("erase", at), ("erase", at + size)) == ["-1", "0"]


@every
def test_errors_from_before_do_not_count(chip: Chip, series: Series) -> None:
    """As an L4's OPTVERR after power-up."""
    for bit in range(16):
        if series.errors >> bit & 1:
            found = chip.results(("status", 1 << bit), ("erase", FIRST), ("write", FIRST, 8))
            assert found == ["0", "0"], bit


@every
def test_locked_for_good(chip: Chip) -> None:
    said = chip.run(("jam",), ("erase", FIRST), ("write", FIRST, 8), ("read", FIRST, 8), ("state",))
    results = [line for line in said if line.startswith("= ")]
    assert results[:3] == ["= -1", "= -1", "= " + "00" * 8]
    bits = CACHES[chip.series.name]
    assert f"acr {bits | 0x105:x} " in results[3]


def test_what_is_written_twice(chips: dict[Series, Chip]) -> None:
    """An F4 clears further bits; an L4, whose ECC would be wrong, refuses all but zeros."""
    requests = [("erase", FIRST), ("data", 1, 8), ("write", FIRST, 8)]
    again = [*requests, ("data", 9, 8), ("write", FIRST, 8), ("read", FIRST, 8)]
    both = bytes(a & b for a, b in zip(made(8, 1), made(8, 9), strict=True))
    for series, result, content in ((F4, "0", both), (TWO_BANKS, "-1", made(8, 1))):
        found = chips[series].results(*again)
        assert found == ["0", "0", result, content.hex()]


def test_a_write_ends_at_its_first_error(chips: dict[Series, Chip]) -> None:
    said = chips[TWO_BANKS].run(
        *(("erase", FIRST), ("data", 1, 64), ("write", FIRST + 16, 8), ("write", FIRST, 64)),
    )
    written = [line for line in said if line.startswith("write")]
    assert written == [f"write {FIRST + 16:08x}", f"write {FIRST:08x}", f"write {FIRST + 8:08x}"]
    assert said[-1] == "= -1"


BANK = 1 << 20
START = (MEMORY, MEMORY + 0x1000)


@pytest.mark.parametrize(
    ("flags", "option", "program", "torn", "left"),
    [
        pytest.param(1 << 31 | 0x1000, 1 << 22, START, 1, 0x1000, id="elsewhere"),
        pytest.param(1 << 31 | 0xFF8, 1 << 22, START, 0, 1 << 31 | 0xFF8, id="itself"),
        pytest.param(1 << 31 | 1 << 21 | 0xFF8, 1 << 22, START, 1, 1 << 21 | 0xFF8, id="bank 2"),
        pytest.param(
            1 << 31 | 1 << 21,
            1 << 22,
            (MEMORY + BANK, MEMORY + 2 * BANK),
            0,
            1 << 31 | 1 << 21,
            id="itself in bank 2",
        ),
        pytest.param(1 << 29 | 0x18_0000, 0, START, 1, 0x18_0000, id="one bank"),
        pytest.param(
            1 << 29 | 0x18_0000,
            0,
            (MEMORY, MEMORY + 0x1F_0000),
            0,
            1 << 29 | 0x18_0000,
            id="itself in one bank",
        ),
        pytest.param(1 << 31 | 1 << 22, 0, (1, 2), 0, 1 << 31 | 1 << 22, id="system memory"),
        pytest.param(1 << 30, 0, (1, 2), 0, 1 << 30, id="corrected"),
    ],
)
def test_an_l4_passes_over_what_was_torn(
    chips: dict[Series, Chip],
    flags: int,
    option: int,
    program: tuple[int, int],
    torn: int,
    left: int,
) -> None:
    """But not in the program that runs, nor where no half-written double word is the reason."""
    found = chips[TWO_BANKS].results(
        ("option", option), ("ecc", flags), ("torn", *program), ("state",)
    )
    assert found[0] == str(torn) and found[1].endswith(f" eccr {left:x}")

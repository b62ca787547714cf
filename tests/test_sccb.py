"""The bus of sensors by two pins, against a slave that listens to the pins."""

import subprocess
from pathlib import Path

import pytest

from lotor.build import WARNINGS
from lotor.resources import resource

# A slave looks at edges, as one does: data that changes while the clock is high is a start or a
# stop; bits are taken as the clock rises, and given as it falls.
SLAVE = """
#include <stdio.h>
#include <stdlib.h>
#include "camera/sccb.h"
#include "hal/hal.h"
enum { SDA = 7, SCL = 9 };
static bool host_sda = true, host_scl = true, pulls; /* pulls: the slave holds SDA low */
static int stretch, held, clocks; /* how often it is asked while the slave holds the clock */
static enum { IDLE, ADDRESS, NUMBER_HIGH, NUMBER, VALUE, GIVE, IGNORE } state = IDLE;
static int bits; /* rising edges of this byte: eight, and one for its acknowledgement */
static unsigned shift, number, starts, stops;
static unsigned char address, wide, registers[65536];
static bool sda(void) { return host_sda && !pulls; }
/* Takes a byte and says what comes next; false where it is not meant. */
static bool takes(unsigned byte) {
    switch (state) {
    case ADDRESS:
        state = byte >> 1 != address ? IGNORE : byte & 1 ? GIVE : wide ? NUMBER_HIGH : NUMBER;
        return state != IGNORE;
    case NUMBER_HIGH:
        number = byte << 8, state = NUMBER;
        return true;
    case NUMBER:
        number = (wide ? number : 0) | byte, state = VALUE;
        return true;
    case VALUE:
        registers[number] = (unsigned char)byte, state = IGNORE;
        return true;
    default:
        return false;
    }
}
static bool giving, late;
static void rises(void) {
    clocks++, bits++;
    shift = (shift << 1 | sda()) & 0x1FF;
}
static void falls(void) {
    held = stretch;
    pulls = false;
    if (bits < 0) bits = 0, shift = 0; /* after a start */
    if (bits == 8 && !giving) pulls = takes(shift & 0xFF);
    if (bits == 9) {
        giving = state == GIVE && (!giving || !(shift & 1)); /* a high from the host: no more */
        bits = 0, shift = 0;
    }
    if (giving && bits < 8) pulls = !(registers[number] >> (7 - bits) & 1);
}
void hal_wire_set(uint32_t pin, bool released) {
    if (pin == SCL && released != host_scl) {
        host_scl = released;
        if (released && held) late = true; /* rises when it was asked about often enough */
        else if (released) rises();
        else if (late) late = false; /* a clock that never came */
        else falls();
    } else if (pin == SDA && released != host_sda) {
        const bool before = sda();
        host_sda = released;
        if (host_scl && before && !sda())
            state = ADDRESS, bits = -1, shift = 0, giving = false, starts++;
        if (host_scl && !before && sda()) state = IDLE, giving = pulls = false, stops++;
    } else if (pin != SDA && pin != SCL)
        abort();
}
bool hal_wire_get(uint32_t pin) {
    if (pin == SCL && late && --held == 0) late = false, rises();
    if (pin == SCL) return host_scl && !late;
    return sda();
}
static unsigned long long waited;
void hal_wait_us(uint32_t us) { waited += us; }
int main(int argc, char **argv) {
    address = (unsigned char)strtol(argv[1], NULL, 0);
    wide = (unsigned char)(argv[2][0] == '2');
    stretch = argc > 3 ? atoi(argv[3]) : 0;
    sccb_wires wires = {SDA, SCL};
    const sensor_bus bus = sccb_bus(&wires);
    const uint8_t own = (uint8_t)strtol(argv[1], NULL, 0), bytes = (uint8_t)(1 + wide);
    const uint8_t other = (uint8_t)(own ^ 0x10);
    for (unsigned i = 0; i < 256; i += 5) {
        const uint16_t reg = (uint16_t)(wide ? 0x3000 + i : i);
        uint8_t value = 0;
        if (!bus.write(bus.context, own, reg, bytes, (uint8_t)(i ^ 0x5A)) ||
            registers[reg] != (i ^ 0x5A))
            return printf("write %u\\n", i), 1;
        registers[reg] = (unsigned char)(255 - i);
        if (!bus.read(bus.context, own, reg, bytes, &value) || value != 255 - i)
            return printf("read %u: %u\\n", i, value), 1;
        if (bus.write(bus.context, other, reg, bytes, 1) ||
            bus.read(bus.context, other, reg, bytes, &value) || value != 255 - i ||
            registers[reg] != 255 - i)
            return printf("other %u\\n", i), 1;
    }
    if (!host_sda || !host_scl || starts != stops)
        return printf("left %d %d %u %u\\n", host_sda, host_scl, starts, stops), 1;
    printf("good %u %d %llu\\n", starts, clocks, waited);
    return 0;
}
"""


@pytest.fixture(scope="module")
def slave(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, firmware = tmp_path_factory.mktemp("sccb"), resource("firmware")
    (folder / "slave.c").write_text(SLAVE)
    flags = [*WARNINGS, "-fsanitize=address,undefined", f"-I{firmware}", "-Wno-sign-conversion"]
    sources = [folder / "slave.c", firmware / "camera/sccb.c"]
    done = subprocess.run(
        ["cc", *flags, *map(str, sources), "-o", folder / "slave"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / "slave"


@pytest.mark.parametrize("stretch", [0, 3])
@pytest.mark.parametrize(("address", "wide"), [(0x21, 1), (0x30, 1), (0x24, 2)])
def test_registers_are_written_and_read(slave: Path, address: int, wide: int, stretch: int) -> None:
    """And nothing happens at another address; a slave that holds the clock is waited for."""
    done = subprocess.run(
        [slave, hex(address), str(wide), str(stretch)], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stdout + done.stderr
    starts, clocks, waited = map(int, done.stdout.split()[1:])
    turns = 52
    assert starts == turns * (1 + 2 + 1 + 1)  # a write, a read of two, and two refusals
    # Nine clocks a byte, and one for each stop; each at least 10 us long: 100 kHz at most.
    assert clocks == 9 * turns * ((2 + wide) + (1 + wide) + 2 + 1 + 1) + starts
    assert waited >= 10 * 9 * turns

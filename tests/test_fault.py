"""The fault record's counters over resets, with the memory that start-up leaves alone."""

import subprocess
from pathlib import Path

import pytest

from lotor.build import WARNINGS
from lotor.resources import resource

# A chip whose reset flags stay set until they are read, as those of RCC_CSR do, and whose reset
# returns to `main`: the firmware's static variables play the memory that survives.
CHIP = """
#include <setjmp.h>
#include <stdio.h>
#include "src/fault.h"
#include "hal/hal.h"
static jmp_buf start;
static hal_cause flags = HAL_CAUSE_UNKNOWN;
hal_cause hal_reset_cause(void) {
    const hal_cause found = flags;
    flags = HAL_CAUSE_UNKNOWN;
    return found;
}
void hal_reset(void) { longjmp(start, 1); }
static void boot(hal_cause cause) {
    /* What is set stays; power outweighs the rest, as it sets the other flags too. */
    if (flags != HAL_CAUSE_POWER && cause != HAL_CAUSE_UNKNOWN)
        flags = cause;
    fault_boot();
    printf("%d %u %d\\n", (int)fault_reset_reason(), (unsigned)fault_resets(),
           fault_last() ? (int)fault_last()->reason : 0);
}
int main(void) {
    boot(HAL_CAUSE_POWER);
    boot(HAL_CAUSE_PIN);
    if (!setjmp(start))
        fault_reset_request();
    boot(HAL_CAUSE_UNKNOWN);
    if (!setjmp(start))
        fault_assert("why");
    boot(HAL_CAUSE_UNKNOWN);
    boot(HAL_CAUSE_WATCHDOG);
    boot(HAL_CAUSE_PIN);
    boot(HAL_CAUSE_POWER);
}
"""
UNKNOWN, POWER, PIN, REQUEST, FAULT, WATCHDOG = range(6)
ASSERTION, BITTEN = 6, 7


@pytest.mark.parametrize("sanitize", [[], ["-fsanitize=address,undefined"]])
def test_every_start_says_why(tmp_path: Path, sanitize: list[str]) -> None:
    firmware = resource("firmware")
    chip = tmp_path / "chip.c"
    chip.write_text(CHIP)
    sources = [chip, firmware / "src/fault.c", firmware / "src/crc32.c"]
    command = ["cc", *WARNINGS, *sanitize, "-DLOTOR_HOST", f"-I{firmware}", *map(str, sources)]
    subprocess.run([*command, "-o", tmp_path / "chip"], check=True)
    done = subprocess.run([tmp_path / "chip"], capture_output=True, text=True, check=True)
    assert [tuple(map(int, line.split())) for line in done.stdout.splitlines()] == [
        (POWER, 0, 0),
        (PIN, 1, 0),
        (REQUEST, 2, 0),
        (FAULT, 3, ASSERTION),
        (WATCHDOG, 4, BITTEN),
        (PIN, 5, 0),
        (POWER, 0, 0),
    ]

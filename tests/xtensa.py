"""Runs compiled models on an emulated Xtensa LX106, the core of an ESP8266.

It is little-endian as LX6 and LX7, and has neither their windowed calls nor their floating point.
The compiler is Debian's.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

import cortex_m
from cortex_m import WARNINGS, Array
from lotor.compiler import Compiled

COMPILER, EMULATOR = "xtensa-lx106-elf-gcc", "qemu-system-xtensa"
_LIBRARY = Path("/usr/lib/xtensa-lx106-elf")  # picolibc-xtensa-lx106-elf
FLAGS = ("-isystem", str(_LIBRARY / "include"), "-mtext-section-literals", "-mlongcalls")
needs_xtensa = pytest.mark.skipif(
    not (shutil.which(COMPILER) and shutil.which(EMULATOR) and _LIBRARY.is_dir()),
    reason="needs gcc-xtensa-lx106, picolibc-xtensa-lx106-elf and qemu-system-misc",
)
# QEMU's machine `sim`: the reset vector, exception vectors and RAM are where the core has them.
_LINK = """
ENTRY(reset)
SECTIONS {
    .vectors 0x40000000 : { KEEP(*(.vectors)) }
    .text 0x50000000 : {
        KEEP(*(.reset)) *(.literal .literal.*) *(.text .text.*) *(.rodata .rodata.*)
    }
    .data 0x60000000 : { *(.data .data.*) *(.bss .bss.*) *(COMMON) }
}
"""
# Requests of Tensilica's simulator, which QEMU answers: 1 exit, 3 read, 4 write; number in a2.
# Debian's libgcc lacks what an ESP8266 has in its ROM; integer models need these of it.
_ARITHMETIC = """
#include <stdint.h>
uint64_t __muldi3(uint64_t x, uint64_t y);
uint64_t __udivdi3(uint64_t x, uint64_t y);
int64_t __divdi3(int64_t x, int64_t y);
uint32_t __udivsi3(uint32_t x, uint32_t y);
uint32_t __umodsi3(uint32_t x, uint32_t y);
int32_t __divsi3(int32_t x, int32_t y);
uint64_t __muldi3(uint64_t x, uint64_t y) {
    const uint32_t a = (uint32_t)x, b = (uint32_t)y;
    const uint32_t al = a & 0xFFFF, ah = a >> 16, bl = b & 0xFFFF, bh = b >> 16;
    const uint32_t low = al * bl, one = ah * bl + (low >> 16), two = al * bh + (one & 0xFFFF);
    const uint32_t high = ah * bh + (one >> 16) + (two >> 16);
    const uint32_t top = high + a * (uint32_t)(y >> 32) + (uint32_t)(x >> 32) * b;
    return (uint64_t)top << 32 | (uint32_t)(two << 16 | (low & 0xFFFF));
}
uint64_t __udivdi3(uint64_t x, uint64_t y) {
    uint64_t rest = 0, quotient = 0;
    for (int bit = 63; bit >= 0; bit--) {
        rest = rest << 1 | (x >> bit & 1);
        if (rest >= y) {
            rest -= y;
            quotient |= (uint64_t)1 << bit;
        }
    }
    return quotient;
}
int64_t __divdi3(int64_t x, int64_t y) {
    const uint64_t a = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    const uint64_t b = y < 0 ? 0 - (uint64_t)y : (uint64_t)y;
    const uint64_t quotient = __udivdi3(a, b);
    return (int64_t)((x < 0) == (y < 0) ? quotient : 0 - quotient);
}
uint32_t __udivsi3(uint32_t x, uint32_t y) { return (uint32_t)__udivdi3(x, y); }
uint32_t __umodsi3(uint32_t x, uint32_t y) { return x - __udivsi3(x, y) * y; }
int32_t __divsi3(int32_t x, int32_t y) { return (int32_t)__divdi3(x, y); }
"""
_MAIN = """
{head}
#include <string.h>
static _Alignas({upper}_ARENA_ALIGN) uint8_t arena[{upper}_ARENA_BYTES + 64];
static int ask(int request, int file, void *bytes, unsigned count) {{
    register int a2 __asm__("a2") = request;
    register int a3 __asm__("a3") = file;
    register void *a4 __asm__("a4") = bytes;
    register unsigned a5 __asm__("a5") = count;
    __asm__ volatile("simcall" : "+r"(a2), "+r"(a3) : "r"(a4), "r"(a5) : "memory");
    return a2;
}}
static void move(int request, int file, uint8_t *bytes, unsigned count) {{
    for (int n; count; bytes += n, count -= (unsigned)n)
        if ((n = ask(request == 6 ? 3 : 4, file, bytes, count)) <= 0) ask(1, 97, 0, 0);
}}
__attribute__((used)) static void begin(void) {{
    enum {{ from = 0, to = 1 }};
    memset(arena + {upper}_ARENA_BYTES, 0xA5, 64);
    {work}
    for (unsigned i = 0; i < 64; i++)
        if (arena[{upper}_ARENA_BYTES + i] != 0xA5) ask(1, 98, 0, 0);
    ask(1, 0, 0, 0);
    for (;;) {{}}
}}
__attribute__((used)) static uint64_t stack[8192];
__asm__(".section .reset, \\"ax\\"\\n.global reset\\nreset: j 1f\\n.align 4\\n.literal_position\\n"
        "1: movi a1, stack + 65536\\n call0 begin\\n"
        /* Any exception, such as an unaligned access, ends the program. */
        ".section .vectors, \\"ax\\"\\n"
        ".macro fatal at\\n.org \\\\at\\nmovi a2, 1\\nmovi a3, 99\\nsimcall\\n.endm\\n"
        "fatal 0x30\\nfatal 0x50\\nfatal 0x70\\n");
"""


def run(compiled: Compiled, inputs: Sequence[Sequence[Array]], folder: Path) -> list[list[Array]]:
    """Return the outputs for each of several inputs; see `cortex_m.run`."""
    return cortex_m.run(compiled, inputs, folder, execute)


def execute(compiled: Compiled, head: str, work: str, data: bytes, folder: Path) -> bytes:
    """Return what a program with a model wrote; see `cortex_m.execute`."""
    compiled.write(folder)
    (folder / "main.c").write_text(_MAIN.format(head=head, work=work, upper=compiled.name.upper()))
    (folder / "arithmetic.c").write_text(_ARITHMETIC)
    (folder / "link.ld").write_text(_LINK)
    flag = compiled.report["compiler_flag"]
    _do(COMPILER, *FLAGS, flag, *WARNINGS, "-c", f"{compiled.name}.c", cwd=folder)
    own = ["main.c", "arithmetic.c"]
    _do(COMPILER, *FLAGS, "-std=gnu11", "-O2", "-Wall", "-Werror", "-c", *own, cwd=folder)
    _link(f"{compiled.name}.o", folder)
    done = subprocess.run(
        [EMULATOR, "-machine", "sim", "-cpu", "lx106", "-nodefaults", "-display", "none",
         "-monitor", "none", "-serial", "none", "-semihosting", "-kernel", "run.elf"],
        cwd=folder, input=data, capture_output=True, timeout=100, check=False,
    )  # fmt: skip
    ends = {97: "no input or output", 98: "wrote behind the arena", 99: "an exception"}
    assert done.returncode == 0, ends.get(done.returncode, done.stderr.decode())
    return done.stdout


def _link(model: str, folder: Path) -> None:
    """Link, or skip the test of a model that computes with floats."""
    objects = ["main.o", "arithmetic.o", model]
    command = [COMPILER, "-nostdlib", "-Wl,--no-warn-rwx-segments", "-T", "link.ld", *objects]
    libraries = [f"-L{_LIBRARY / 'lib'}", "-lm", "-lc", "-lgcc", "-o", "run.elf"]
    done = subprocess.run(
        [*command, *libraries], cwd=folder, capture_output=True, text=True, check=False
    )
    lacking = set(re.findall(r"undefined reference to `(\w+)'", done.stderr))
    if lacking and all(re.search(r"[sd]f", name) for name in lacking):
        pytest.skip("Debian's libgcc has no floats for this core: they are in the chip's ROM")
    assert done.returncode == 0, done.stderr


def _do(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"

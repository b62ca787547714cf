"""The code of a bare image: a model, startup and the C library, without the link's server."""

import re
import subprocess
import tempfile
from pathlib import Path

from lotor.board import Board
from lotor.codegen.c import borders
from lotor.compiler import Compiled

_LINK = """
ENTRY(start)
MEMORY {{
    code : ORIGIN = {flash.origin}, LENGTH = {flash.bytes}
    ram : ORIGIN = {ram.origin}, LENGTH = 16M /* only code is counted */
}}
SECTIONS {{
    .weights : {{ *{name}.o(.rodata*) }} > code
    .text : {{ KEEP(*(.vectors)) *(.text* .rodata* .ARM.ex*) }} > code
    .data : {{ *(.data*) }} > ram AT > code
    .bss : {{ *(.bss*) *(COMMON) }} > ram
}}
"""
_MAIN = """
#include "{name}.h"
static _Alignas({upper}_ARENA_ALIGN) uint8_t arena[{upper}_ARENA_BYTES];
static _Alignas(8) uint8_t io[{io}];
void start(void);
void start(void) {{
    {name}_run({arguments});
    for (;;) {{}}
}}
__attribute__((section(".vectors"), used)) static void (*const vectors[2])(void) = {{
    (void (*)(void)){stack:#x}, start}};
"""


def code_bytes(compiled: Compiled, board: Board) -> int:
    """Return the bytes of flash of an image that only runs the model, less its weights.

    The model is compiled as the firmware compiles it; the C library is newlib-nano.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compiled.write(folder)
        arguments, size = ["arena"], 0
        for _, tensor in borders(compiled.graph):
            arguments.append(f"(void *)(io + {size})")
            size += -(-tensor.nbytes // 8) * 8
        memory = board.memory
        main = _MAIN.format(
            name=compiled.name,
            upper=compiled.name.upper(),
            io=size,
            arguments=", ".join(arguments),
            stack=memory.ram.origin + memory.ram.bytes,
        )
        (folder / "main.c").write_text(main)
        link = _LINK.format(name=compiled.name, flash=memory.flash, ram=memory.ram)
        (folder / "link.ld").write_text(link)
        flags = [*compiled.target.flags, compiled.report["compiler_flag"], "-std=c11"]
        sections = ["-ffunction-sections", "-fdata-sections", "-c"]
        sources = ["main.c", f"{compiled.name}.c"]
        _do(folder, "arm-none-eabi-gcc", *flags, *sections, *sources)
        _do(
            folder, "arm-none-eabi-gcc", *flags, "-nostartfiles", "--specs=nano.specs",
            "-Wl,--gc-sections,--no-warn-rwx-segments", "-T", "link.ld", "main.o",
            f"{compiled.name}.o", "-lm", "-o", "bare.elf",
        )  # fmt: skip
        sizes = _do(folder, "arm-none-eabi-size", "-A", "bare.elf")
    found = {m[1]: int(m[2]) for m in re.finditer(r"^(\.\w+)\s+(\d+)", sizes, re.MULTILINE)}
    return found[".text"] + found.get(".data", 0)


def _do(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout

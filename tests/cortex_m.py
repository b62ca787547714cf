"""Runs compiled models and programs on an emulated Cortex-M, without board or link."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lotor.board import load_board
from lotor.codegen.c import borders
from lotor.compiler import Compiled

Array = npt.NDArray[Any]
needs_emulator = pytest.mark.skipif(
    not shutil.which("qemu-system-arm") or not shutil.which("arm-none-eabi-gcc"),
    reason="needs qemu-system-arm and arm-none-eabi-gcc",
)
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow")

# The board that stands for each target: its machine, and where its memories are.
BOARDS = {
    "cortex-m0plus": "mps2-an385-m0plus",
    "cortex-m3": "mps2-an385",
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m33": "mps2-an505",
    "cortex-m55": "mps3-an547",
}
_LINK = """
MEMORY {{
    code : ORIGIN = {flash.origin}, LENGTH = {flash.bytes}
    ram : ORIGIN = {ram.origin}, LENGTH = {ram.bytes}
}}
SECTIONS {{
    .text : {{ KEEP(*(.vectors)) *(.text* .rodata*) }} > code
    .bss : {{ *(.data*) *(.bss*) *(COMMON) }} > ram
}}
"""
# Semihosting: "Semihosting for AArch32 and AArch64", Arm; requests 1 open, 5 write, 6 read, 0x18
# exit.
_MAIN = """
{head}
#include <string.h>
static _Alignas({upper}_ARENA_ALIGN) uint8_t arena[{upper}_ARENA_BYTES + 64];
static int ask(int request, const void *block) {{
    register int r0 __asm__("r0") = request;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}}
static int open_(const char *path, int mode) {{
    const uintptr_t block[3] = {{(uintptr_t)path, (uintptr_t)mode, strlen(path)}};
    return ask(1, block);
}}
static int move(int request, int file, void *bytes, unsigned count) {{
    const uintptr_t block[3] = {{(uintptr_t)file, (uintptr_t)bytes, count}};
    return ask(request, block);
}}
static void __attribute__((noinline)) work(void) {{
    const int from = open_("{folder}/in.bin", 1), to = open_("{folder}/out.bin", 5);
    memset(arena + {upper}_ARENA_BYTES, 0xA5, 64);
    {work}
    for (unsigned i = 0; i < 64; i++)
        if (arena[{upper}_ARENA_BYTES + i] != 0xA5) ask(0x18, (void *)0x20023);
    ask(0x18, (void *)0x20026);
    for (;;) {{}}
}}
void start(void);
void start(void) {{
#if __ARM_ARCH == 6
    *(volatile uint32_t *)0xE000ED14u |= 1u << 3; /* CCR: unaligned accesses fault */
#else
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR: floating point and Helium */
    __asm__ volatile("isb");
#endif
    work();
}}
static void fault(void) {{ ask(0x18, (void *)0x20023); for (;;) {{}} }}
__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {{
    (void (*)(void)){stack:#x}, start, fault, fault, fault, fault, fault}};
void *memcpy(void *to, const void *from, size_t count) {{
    for (size_t i = 0; i < count; i++) ((char *)to)[i] = ((const char *)from)[i];
    return to;
}}
void *memset(void *to, int value, size_t count) {{
    for (size_t i = 0; i < count; i++) ((char *)to)[i] = (char)value;
    return to;
}}
void *memmove(void *to, const void *from, size_t count) {{
    if ((uintptr_t)to < (uintptr_t)from) return memcpy(to, from, count);
    while (count-- > 0) ((char *)to)[count] = ((const char *)from)[count];
    return to;
}}
size_t strlen(const char *text) {{
    size_t n = 0;
    while (text[n]) n++;
    return n;
}}
"""


_RUN = """
    static uint8_t in[{inputs}], out[{outputs}];
    {reset}
    for (unsigned turn = 0; turn < {turns}; turn++) {{
        move(6, from, in, sizeof in);
        {name}_run({arguments});
        move(5, to, out, sizeof out);
    }}
"""


Execute = Callable[[Compiled, str, str, bytes, Path], bytes]


def run(
    compiled: Compiled,
    inputs: Sequence[Sequence[Array]],
    folder: Path,
    on: Execute | None = None,
) -> list[list[Array]]:
    """Return the outputs for each of several inputs.

    Args:
        compiled: for a Cortex-M target that has a machine here.
        inputs: one array for each of the model's inputs.
        folder: an empty one, for the files.
        on: runs the program, as `execute` does, which it is when None.
    """
    named = borders(compiled.graph)
    arguments, at = ["arena"], {"input": 0, "output": 0}
    for name, tensor in named:
        kind = name.split("_")[0]
        buffer = "in" if kind == "input" else "out"
        arguments.append(f"(void *)({buffer} + {at[kind]})")
        at[kind] += -(-tensor.nbytes // 8) * 8
    work = _RUN.format(
        name=compiled.name,
        turns=len(inputs),
        inputs=at["input"],
        outputs=at["output"],
        arguments=", ".join(arguments),
        reset=f"{compiled.name}_reset(arena);" if compiled.plan.variables else "",
    )
    data = b"".join(a.tobytes() + bytes(-a.nbytes % 8) for one in inputs for a in one)
    rest = (on or execute)(compiled, f'#include "{compiled.name}.h"', work, data, folder)
    found: list[list[Array]] = []
    for _ in inputs:
        outputs = []
        for tensor in compiled.graph.outputs:
            taken, rest = rest[: tensor.nbytes], rest[-(-tensor.nbytes // 8) * 8 :]
            outputs.append(np.frombuffer(taken, tensor.np_dtype).reshape(tensor.shape))
        found.append(outputs)
    return found


def execute(compiled: Compiled, head: str, work: str, data: bytes, folder: Path) -> bytes:
    """Return what a program with a model wrote.

    Args:
        compiled: for a Cortex-M target that has a machine here.
        head: what it includes and defines.
        work: its statements: `move(6, from, ...)` reads, `move(5, to, ...)` writes, `arena` is the
            model's, behind which nothing may be written.
        data: what it reads.
        folder: an empty one, for the files.
    """
    compiled.write(folder)
    board = load_board(BOARDS[compiled.target.name])
    memory = board.memory
    text = _MAIN.format(
        head=head,
        work=work,
        upper=compiled.name.upper(),
        folder=folder,
        stack=memory.ram.origin + memory.ram.bytes,
    )
    (folder / "main.c").write_text(text)
    (folder / "link.ld").write_text(_LINK.format(flash=memory.flash, ram=memory.ram))
    flags = ["-O2", "-nostdlib", "-ffreestanding", "-fno-tree-loop-distribute-patterns"]
    cpu = compiled.target.flags
    _do(
        "arm-none-eabi-gcc",
        *cpu,
        compiled.report["compiler_flag"],
        *WARNINGS,
        "-c",
        f"{compiled.name}.c",
        cwd=folder,
    )
    _do("arm-none-eabi-gcc", *cpu, *flags, "-c", "main.c", cwd=folder)
    _do(
        "arm-none-eabi-gcc", *cpu, "-nostdlib", "-Wl,--no-warn-rwx-segments", "-T", "link.ld",
        "main.o", f"{compiled.name}.o", "-lgcc", "-lm", "-lc", "-o", "run.elf", cwd=folder,
    )  # fmt: skip
    (folder / "in.bin").write_bytes(data)
    assert board.emulator
    _do(
        board.emulator.program, *board.emulator.args, "-kernel", "run.elf",
        "-display", "none", "-monitor", "none", "-serial", "none",
        "-semihosting-config", "enable=on,target=native", cwd=folder,
    )  # fmt: skip
    return (folder / "out.bin").read_bytes()


def _do(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"

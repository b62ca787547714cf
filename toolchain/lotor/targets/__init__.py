"""Targets: an instruction set, its compiler and the kernel variants it can use."""

import platform
from dataclasses import dataclass

from lotor.errors import LotorError
from lotor.suggest import did_you_mean


@dataclass(frozen=True)
class Target:
    """What the compiler must know of an instruction set.

    Attributes:
        name: as the user writes it.
        compiler: the C compiler that builds for it, e.g. "arm-none-eabi-gcc".
        flags: instruction-set flags of that compiler.
        variants: kernel variants to prefer, best first; "portable" always follows.
        alignment: bytes that every tensor in the arena is aligned to.
        machine: the kind of machine (`uname -m`) that can run it; empty for microcontrollers.
        cpu_flag: what /proc/cpuinfo must list besides.
        optimization: the compiler's flag for speed.
    """

    name: str
    compiler: str
    flags: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    alignment: int = 4
    machine: str = ""
    cpu_flag: str = ""
    optimization: str = "-O3"


def _cortex_m(name: str, cpu: str, *fpu: str, variants: tuple[str, ...] = ()) -> Target:
    # The loops of DSP kernels are in assembly; -O3 would only copy the C around them.
    flag = "-O2" if "dsp" in variants else "-O3"
    flags = (f"-mcpu={cpu}", "-mthumb", *fpu)
    return Target(name, "arm-none-eabi-gcc", flags, variants, optimization=flag)


def _cortex_a(name: str) -> Target:
    return Target(name, "aarch64-linux-gnu-gcc", (f"-mcpu={name}",), machine="aarch64")


def _xtensa(name: str, chip: str) -> Target:
    # The compilers of Espressif's Arduino framework; PlatformIO has them, not PATH.
    return Target(name, f"xtensa-{chip}-elf-gcc", ("-mlongcalls",))


_NATIVE = ("-mcpu=native",) if platform.machine() == "aarch64" else ("-march=native",)
_HARD_FLOAT = ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("host", "cc", _NATIVE, machine=platform.machine()),
        # The same with the kernels that are fastest here; `host` has those that need least memory.
        Target("native", "cc", _NATIVE, variants=("wide",), machine=platform.machine()),
        Target("portable", "cc", machine=platform.machine()),
        _cortex_m("cortex-m0plus", "cortex-m0plus", variants=("v6m",)),
        _cortex_m("cortex-m3", "cortex-m3", variants=("v7m",)),
        _cortex_m("cortex-m4", "cortex-m4", *_HARD_FLOAT, variants=("dsp",)),
        _cortex_m(
            "cortex-m7", "cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16", variants=("dsp",)
        ),
        _cortex_m(
            "cortex-m33", "cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16", variants=("dsp",)
        ),
        _cortex_m("cortex-m55", "cortex-m55", "-mfloat-abi=hard", variants=("helium", "dsp")),
        _cortex_a("cortex-a53"),
        _cortex_a("cortex-a72"),
        _cortex_a("cortex-a76"),
        _xtensa("xtensa-lx6", "esp32"),
        _xtensa("xtensa-lx7", "esp32s3"),
        Target("x86-64-v3", "cc", ("-march=x86-64-v3",), machine="x86_64", cpu_flag="avx2"),
        Target("x86-64-v4", "cc", ("-march=x86-64-v4",), machine="x86_64", cpu_flag="avx512bw"),
    )
}


def find_target(name: str) -> Target:
    """Return a target by its name.

    Raises:
        LotorError: there is no such target.
    """
    if name in TARGETS:
        return TARGETS[name]
    known = ", ".join(TARGETS)
    raise LotorError(f"unknown target '{name}'{did_you_mean(name, TARGETS)}; known: {known}")

"""The files of an image that depend on the board and the models: text in, text out.

`lotor_config.h` (sizes and options), `lotor_image.c` (names, build id, model table, an entry
function for each model) and the linker script.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from lotor import __version__
from lotor.board import TICK_SOURCES, Board
from lotor.board_camera import hello_bytes
from lotor.device.link import DATA_BYTES
from lotor.errors import LotorError
from lotor.targets import Target

# The folder of the models' object files: no folder above it should be called so, because the linker
# script knows them by it.
MODELS_GROUP = "lotor-models"

FAULT_STACK_BYTES = 512
FORWARD_BYTES = 8  # with updates: the word by which a Cortex-M0 finds its handlers
NOINIT_BYTES = 512  # that a boot loader leaves alone
_WITHOUT_VTOR = ("nrf5x",)  # families with an Armv6-M that has none: a Cortex-M0
_INSTRUCTION_NS = 128  # what an emulated instruction takes: QEMU's -icount shift=7

# The hello answer holds all models: its size bounds their number (see docs/link.md).
_HELLO_NUMBERS = 177  # with a fault record and its longest note, and the heads of four texts
_HELLO_UPDATE = 44  # what it says of updates


class ImageModel(Protocol):
    """What an image needs of a model; `lotor.compiler.Compiled` has it."""

    @property
    def name(self) -> str:
        """C identifier that prefixes everything."""

    @property
    def target(self) -> Target:
        """What the C is for."""

    @property
    def model_hash(self) -> str:
        """SHA-256 of the model file, hexadecimal."""

    @property
    def report(self) -> dict[str, Any]:
        """What `report.json` says."""

    @property
    def header(self) -> str:
        """Text of NAME.h."""

    @property
    def source(self) -> str:
        """Text of NAME.c."""


@dataclass(frozen=True)
class SelfTest:
    """A model's self-test: xorshift32 seed of the input, CRC-32 over all outputs; seed 0: none."""

    seed: int = 0
    crc: int = 0


def check_models(models: Sequence[ImageModel], board: Board | None) -> None:
    """Check that models fit together into one image.

    Args:
        models: what the image shall hold.
        board: the board, or None for the server as a program of this machine.

    Raises:
        LotorError: none, two of one name, or more than hello can list.
    """
    if not models:
        raise LotorError("an image needs at least one model: `--model MODEL`")
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise LotorError(
                f"two models of one image are called '{name}' in C: rename one of the files"
            )
    listed = sum(
        3
        + 11
        + 32
        + 4 * (len(m.report["inputs"]) + len(m.report["outputs"]))
        + len(m.name.encode())
        for m in models
    )
    numbers = _HELLO_NUMBERS + (_HELLO_UPDATE if board and board.update else 0)
    room = (
        _data_bytes(board)
        + 16
        - numbers
        - sum(len(t.encode()) for t in _texts(board).values())
        - (hello_bytes(board.camera, board.outputs) if board else 0)
    )
    if listed > room:
        raise LotorError(
            f"{len(models)} models take {listed} bytes of the hello answer, which has {room}: "
            "put fewer models into one image"
        )


def _data_bytes(board: Board | None) -> int:
    return board.serial.data_bytes if board else DATA_BYTES


def _texts(board: Board | None) -> dict[str, str]:
    """Return the texts of hello by the names of their C variables."""
    return {
        "lotor_board": board.name if board else "host",
        "lotor_chip": board.chip if board else "this machine",
        "lotor_version": f"lotor {__version__}",
        "lotor_tick_unit": board.ticks.unit if board else "nanoseconds",
    }


def arena_bytes(models: Sequence[ImageModel]) -> int:
    """Return the bytes of the one arena that all models share: the largest."""
    return max(int(model.report["arena_bytes"]) for model in models)


def config_header(models: Sequence[ImageModel], board: Board | None) -> str:
    """Return `lotor_config.h`; without a board, for the server as a program of this machine."""
    values: dict[str, int] = {
        "LOTOR_ARENA_BYTES": arena_bytes(models),
        "LOTOR_MAX_INPUTS": max(1, *(len(model.report["inputs"]) for model in models)),
        "LOTOR_MAX_LAYERS": max(1, *(len(model.report["layers"]) for model in models)),
        "LOTOR_CLOCK_HZ": board.clock_hz if board else 1_000_000_000,
        "LOTOR_DATA_BYTES": _data_bytes(board),
    }
    if board:
        values |= {
            "LOTOR_UART_HZ": board.hal.uart_clock_hz,
            "LOTOR_BAUD": board.serial.baud,
            "LOTOR_IRQS": board.hal.irqs,
            "LOTOR_WATCHDOG": int(board.hal.watchdog),
            "LOTOR_PLL": int(board.hal.pll),
        }
        if board.framework:
            values |= {
                "LOTOR_STACK_BYTES": board.build.stack_bytes,
                "LOTOR_ARENA_OF_HAL": 1,
                "LOTOR_ARENA_PSRAM": int(board.arena_outside(arena_bytes(models))),
            }
        for source in TICK_SOURCES:
            values[f"LOTOR_TICKS_{source.upper()}"] = int(board.ticks.source == source)
        if uart := board.hal.uart:
            values |= {"LOTOR_UART": uart.address, "LOTOR_UART_IRQ": uart.irq}
        if pins := board.hal.uart_pins:
            values |= {"LOTOR_UART_TX": pins.tx, "LOTOR_UART_RX": pins.rx}
        if timer := board.ticks.timer:
            values |= {"LOTOR_TIMER": timer.address, "LOTOR_TIMER_IRQ": timer.irq}
        if board.hal.leds is not None:
            values["LOTOR_LEDS"] = board.hal.leds
        if board.ticks.clock_hz:
            each = Fraction(board.ticks.clock_hz * _INSTRUCTION_NS, 10**9)
            values |= {
                "LOTOR_TIMER_TICKS": each.numerator,
                "LOTOR_TIMER_INSTRUCTIONS": each.denominator,
            }
    lines = [f"#define {name} {value}u" for name, value in values.items()]
    # Compared with an int layer number; sizes that enums make others of.
    plain = ("LAYERS", "LOTOR_IRQS", "LOTOR_DATA_BYTES")
    lines = [line[:-1] if any(name in line for name in plain) else line for line in lines]
    if board and board.test_faults:
        lines.append("#define LOTOR_TEST_FAULTS 1")
    if board and board.camera:
        lines.append("#define LOTOR_CAMERA 1")
    if board:
        lines += update_config(board)
    return _header("Sizes and options of this image", lines)


def _header(what: str, lines: Sequence[str]) -> str:
    head = f"/* {what}; written by the build. */"
    return "\n".join(
        [head, "#ifndef LOTOR_CONFIG_H", "#define LOTOR_CONFIG_H", *lines, "#endif", ""]
    )


def update_config(board: Board, public_key: bytes | None = None) -> list[str]:
    """Return the lines of `lotor_config.h` about updates; none for a board without.

    Args:
        board: the board.
        public_key: what a boot loader takes signatures of, 32 bytes; images need none.
    """
    if board.update is None:
        return []
    values = {
        "LOTOR_FLASH_UNIT": board.update.write_bytes,
        "LOTOR_BOOT_ADDRESS": board.memory.flash.origin,
        "LOTOR_STATE_ADDRESS": board.state_address(0),
        "LOTOR_STATE_BYTES": board.update.state_bytes,
        "LOTOR_SLOT_ADDRESS": board.slot_address(0),
        "LOTOR_SLOT_BYTES": board.update.slot_bytes,
    }
    if board.hal.name in _WITHOUT_VTOR and board.target == "cortex-m0plus":
        # The boot loader finds there what handles an exception.
        values["LOTOR_FORWARD"] = (
            board.memory.ram.origin + board.build.stack_bytes + FAULT_STACK_BYTES
        )
    lines = ["#define LOTOR_UPDATE 1", *(f"#define {k} {v:#x}u" for k, v in values.items())]
    name = hashlib.sha256(board.name.encode()).digest()
    lines.append(f"#define LOTOR_BOARD_HASH {{{_bytes(name)}}}")
    if public_key:
        lines.append(f"#define LOTOR_UPDATE_KEY {{{_bytes(public_key)}}}")
    return lines


def boot_config(board: Board, public_key: bytes | None) -> str:
    """Return `lotor_config.h` of a boot loader; see `update_config`."""
    lines = [
        f"#define LOTOR_IRQS {board.hal.irqs}",
        f"#define LOTOR_CLOCK_HZ {board.clock_hz}u",
        f"#define LOTOR_WATCHDOG {int(board.hal.watchdog)}u",
        f"#define LOTOR_PLL {int(board.hal.pll)}u",
        *update_config(board, public_key),
    ]
    return _header("Sizes of this boot loader", lines)


def image_source(
    models: Sequence[ImageModel],
    tests: Sequence[SelfTest],
    build_id: bytes,
    board: Board | None,
) -> str:
    """Return `lotor_image.c`: who this image is, and its table of models.

    Args:
        models: what the image holds; the order is the index on the link.
        tests: the self-test of each model.
        build_id: 20 bytes.
        board: the board, or None for the server as a program of this machine.
    """
    lines = [
        "/* Names, build id and model table of this image; written by the build. */",
        '#include "lotor_image.h"',
        '#include "lotor_model.h"',
        "#include <stddef.h>",
        *(f'#include "{model.name}.h"' for model in models),
        "",
        *(f"const char {name}[] = {_text(text)};" for name, text in _texts(board).items()),
        f"const uint8_t lotor_build_id[20] = {{{_bytes(build_id)}}};",
        "",
    ]
    for model in models:
        name, report = model.name, model.report
        nulls = ", NULL" * (len(report["inputs"]) + len(report["outputs"]))
        lines += [
            f"static int run_{name}(void *arena) {{ return {name}_run(arena{nulls}); }}",
            f"static const lotor_buffer input_{name}[] = {{{_buffers(report['inputs'])}}};",
            f"static const lotor_buffer output_{name}[] = {{{_buffers(report['outputs'])}}};",
        ]
    lines += ["", "const lotor_model lotor_models[] = {"]
    lines += [_entry(model, test) for model, test in zip(models, tests, strict=True)]
    lines += ["};", f"const uint32_t lotor_model_count = {len(models)};", ""]
    return "\n".join(lines)


def linker_script(board: Board, slot: int = 0) -> str:
    """Return the linker script of a board; of one with updates, for one of its slots.

    The stack lies at the bottom of RAM: outgrowing it leaves the memory and faults at once instead
    of overwriting data. What survives a reset (.noinit) and the arena are in no segment of the
    file, so that no loader clears them; the former lies low, in memory that a Cortex-M7 does not
    cache. The models' constants and code have sections of their own, so that their sizes can be
    told.
    """
    flash, ram, boot = board.image_address(slot), board.memory.ram, board.memory.boot
    models = f"*/{MODELS_GROUP}/*.o"
    forward = noinit_check = ""
    if board.update:
        boot = None  # before the boot loader
        forward = f"\n        . += {FORWARD_BYTES};"
        noinit_check = (
            f'\n    ASSERT(SIZEOF(.noinit) <= {NOINIT_BYTES}, "the boot loader uses the rest")'
            '\n    ASSERT(ADDR(.vectors) % 512 == 0, "the vector table must be aligned")'
        )
    if board.linux:
        return _program_script(board, models)
    boot_memory = boot_section = ""
    if boot:  # its last four bytes are written after linking
        boot_memory = f"\n    BOOT (rx) : ORIGIN = {boot.origin:#x}, LENGTH = {boot.bytes}"
        boot_section = (
            f"\n    .boot2 : {{ KEEP(*(.boot2)) . = {boot.bytes - 4}; LONG(0) }} > BOOT :flash"
        )
    return f"""/* Memory of {board.name}; written by the build. */
ENTRY(Reset_Handler)
MEMORY {{{boot_memory}
    FLASH (rx) : ORIGIN = {flash:#x}, LENGTH = {board.flash_limit}
    RAM (rwx) : ORIGIN = {ram.origin:#x}, LENGTH = {board.ram_limit}
}}
PHDRS {{
    flash PT_LOAD FLAGS(5);
    data PT_LOAD FLAGS(6);
    none PT_NULL;
}}
SECTIONS {{{boot_section}
    .vectors : {{ __vectors = .; KEEP(*(.vectors)) KEEP(*(.image_def)) }} > FLASH :flash
    .kernels : {{ {models}(.text .text.*) }} > FLASH :flash
    .weights : {{ . = ALIGN(16); {models}(.rodata .rodata.*) . = ALIGN(4); }} > FLASH :flash
    .text : {{ *(.text .text.*) *(.rodata .rodata.*) . = ALIGN(4); }} > FLASH :flash
    .stack (NOLOAD) : {{
        __stack_limit = .;
        . += {board.build.stack_bytes};
        __stack_top = .;
        . += {FAULT_STACK_BYTES};
        __fault_stack_top = .;{forward}
    }} > RAM :none
    .noinit (NOLOAD) : {{ *(.noinit) }} > RAM :none
    .data : {{
        __data_start = .;
        *(.data .data.* .in_ram)
        . = ALIGN(4);
        __data_end = .;
    }} > RAM AT > FLASH :data
    __data_load = LOADADDR(.data);
    .bss (NOLOAD) : {{
        __bss_start = .;
        *(.bss .bss.* COMMON)
        . = ALIGN(4);
        __bss_end = .;
    }} > RAM :none
    .arena (NOLOAD) : {{ . = ALIGN(16); *(.arena) }} > RAM :none
    /DISCARD/ : {{ *(.ARM.exidx*) *(.ARM.extab*) *(.comment) }}
    ASSERT(ADDR(.vectors) == ORIGIN(FLASH), "the vector table must be at the start of flash")
    ASSERT(__stack_limit == ORIGIN(RAM), "the stack must be at the bottom of RAM")
    ASSERT(__stack_top % 8 == 0, "the stack must be aligned to 8"){noinit_check}
}}
"""


def _program_script(board: Board, models: str) -> str:
    """Return what a program of Linux adds to the linker's own script.

    The stack is the board file's, above a guard of the largest page that Linux has.
    """
    return f"""/* Sections of {board.name}; written by the build. */
SECTIONS {{
    .kernels : {{ {models}(.text .text.*) }}
}} INSERT AFTER .text;
SECTIONS {{
    .weights : {{ . = ALIGN(16); {models}(.rodata .rodata.*) }}
}} INSERT AFTER .rodata;
SECTIONS {{
    .guard (NOLOAD) : {{ . = ALIGN(0x10000); __guard_start = .; . += 0x10000; }}
    .stack (NOLOAD) : {{ __stack_limit = .; . += {board.build.stack_bytes}; __stack_top = .; }}
    .noinit (NOLOAD) : {{ __noinit_start = .; *(.noinit) __noinit_end = .; }}
    .arena (NOLOAD) : {{ . = ALIGN(16); *(.arena) }}
}} INSERT AFTER .bss;
"""


def _text(text: str) -> str:
    """Return a C string: JSON's escapes, and bytes beyond ASCII in octal."""
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isascii() else "".join(f"\\{b:03o}" for b in c.encode()) for c in plain)


def _bytes(data: bytes) -> str:
    return ", ".join(f"{byte:#04x}" for byte in data)


def _buffers(tensors: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{{{tensor['offset']}u, {tensor['bytes']}u}}" for tensor in tensors)


def _entry(model: ImageModel, test: SelfTest) -> str:
    name, report = model.name, model.report
    return "\n".join(
        [
            "    {",
            f"        .name = {_text(name)},",
            f"        .hash = {{{_bytes(bytes.fromhex(model.model_hash))}}},",
            f"        .arena_bytes = {report['arena_bytes']}u,",
            f"        .layers = {len(report['layers'])}u,",
            f"        .inputs = {len(report['inputs'])},",
            f"        .outputs = {len(report['outputs'])},",
            f"        .input = input_{name},",
            f"        .output = output_{name},",
            f"        .run = run_{name},",
            *([f"        .reset = {name}_reset,"] if report.get("state_bytes") else []),
            f"        .self_test_seed = {test.seed:#x}u,",
            f"        .self_test_crc = {test.crc:#010x}u,",
            "    },",
        ]
    )

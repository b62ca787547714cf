"""Estimated cycles: snippets of assembly whose cycles the manual says, run on an emulated board."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from lotor.board import Emulator, load_board
from lotor.build import Image, build_firmware
from lotor.compiler import Compiled
from lotor.device import counting, emulator
from lotor.device.counting import Count, Counted, count, instructions, plug_in
from lotor.device.cycles import Cycles, Program
from lotor.device.flash import flash_image
from lotor.device.hot_loops import hot_loop, hottest
from lotor.device.messages import LayerProfile
from lotor.device.session import Session
from lotor.errors import LotorError
from lotor.profiling import _check
from tiny_model import INPUT_BYTES, OUTPUT_BYTES, TinyModel

needs_emulator = pytest.mark.skipif(
    not shutil.which("qemu-system-arm") or not shutil.which("arm-none-eabi-gcc"),
    reason="needs qemu-system-arm and arm-none-eabi-gcc",
)
BOARDS = ["netduinoplus2", "mps2-an386"]

# Assembly; r0 points to words. Then its instructions, and the cycles beyond one for each: for loads
# and stores, taken branches, stalls, others. Numbers in brackets are sections of the manual.
SNIPPETS: dict[str, tuple[str, int, tuple[int, int, int, int]]] = {
    "nothing": ("", 0, (0, 0, 0, 0)),
    "data processing": (
        "adds r1, #1; mla r2, r1, r1, r2; smlad r3, r1, r2, r3; ssat r4, #8, r3, asr #3",
        4,
        (0, 0, 0, 0),
    ),
    "a load": ("ldr r1, [r0]", 1, (1, 0, 0, 0)),
    "loads in a row [3.3.2]": (
        "ldr r1, [r0]; ldrb r2, [r0, #4]; ldrsh r3, [r0], #8",
        3,
        (1, 0, 0, 0),
    ),
    "loads apart": ("ldr r1, [r0]; nop; ldr r2, [r0]", 3, (2, 0, 0, 0)),
    "a loaded address": ("str r0, [r0]; nop; ldr r1, [r0]; ldr r2, [r1]", 4, (2, 0, 0, 0)),
    "a store": ("str r1, [r0, #4]; strb r1, [r0], #1", 2, (0, 0, 0, 0)),
    "a load, a store [3.3.2]": ("ldr r1, [r0]; str r1, [r0, #20]", 2, (1, 0, 0, 0)),
    "a store by register": ("movs r2, #4; nop; str r1, [r0, r2]", 3, (1, 0, 0, 0)),
    "a load, a store by register [3.3.2]": (
        "movs r2, #4; nop; ldr r3, [r0, r2]; str r1, [r0, r2]",
        4,
        (1, 0, 0, 0),
    ),
    "a load after a store": ("str r1, [r0]; ldr r1, [r0]", 2, (1, 0, 0, 0)),
    "several registers": ("ldm r0, {r1-r4}; stm r0, {r1, r2}", 2, (6, 0, 0, 0)),
    "the stack": ("push {r4-r6}; pop {r4-r6}", 2, (6, 0, 0, 0)),
    "two registers": ("ldrd r1, r2, [r0]; strd r1, r2, [r0]; ldr r3, [r0]", 3, (5, 0, 0, 0)),
    "a computed address [3.3.2]": ("mov r1, r0; ldr r2, [r1]", 2, (1, 0, 1, 0)),
    "a computed index": ("movs r2, #4; ldrb r1, [r0, r2]", 2, (1, 0, 1, 0)),
    "a computed value": ("movs r2, #4; str r2, [r0]", 2, (0, 0, 0, 0)),
    "words not aligned [3.3.2]": (
        "ldr r1, [r0, #1]; nop; ldr r1, [r0, #2]; nop; ldr r1, [r0, #4]",
        5,
        (3, 0, 0, 3),
    ),
    "halfwords not aligned": ("ldrh r1, [r0, #1]; nop; ldrh r1, [r0, #2]", 3, (2, 0, 0, 1)),
    "stores not aligned": ("str r1, [r0, #1]; strh r1, [r0, #3]", 2, (0, 0, 0, 0)),
    "a loop": ("movs r1, #10; 1: subs r1, #1; bne 1b", 21, (0, 18, 0, 0)),
    "loads around a loop": (
        "movs r1, #3; 1: ldr r2, [r0]; subs r1, #1; ldr r3, [r0]; bne 1b",
        13,
        (6, 4, 0, 0),
    ),
    "a load that is fallen and jumped into": (
        "movs r1, #3; ldr r2, [r0]; 1: ldr r3, [r0]; subs r1, #1; bne 1b",
        11,
        (3, 4, 0, 0),
    ),
    "a target across two words": (
        ".balign 4; movs r1, #5; 1: add.w r2, r2, #1; subs r1, #1; bne 1b; nop",
        17,
        (0, 12, 0, 0),
    ),
    "a wide target in a word": (
        ".balign 4; movs r1, #5; nop; 1: add.w r2, r2, #1; subs r1, #1; bne 1b",
        17,
        (0, 8, 0, 0),
    ),
    "a branch that is taken": ("cmp r0, r0; beq 1f; nop; 1: nop", 3, (0, 2, 0, 0)),
    "a branch that is not": ("cmp r0, r0; bne 1f; nop; 1: nop", 4, (0, 0, 0, 0)),
    "compare and branch": (
        "movs r1, #0; cbz r1, 1f; nop; 1: cbnz r1, 2f; nop; 2: nop",
        5,
        (0, 2, 0, 0),
    ),
    "a call": ("bl 1f; b 2f; 1: bx lr; 2: nop", 4, (0, 6, 0, 0)),
    "a return by POP": (
        "adr r1, 1f; adds r1, #1; push {r1}; pop {pc}; .balign 4; 1: nop",
        5,
        (2, 2, 0, 0),
    ),
    "a jump by LDR": (
        "adr r1, 1f; adds r1, #1; str r1, [r0]; nop; ldr pc, [r0]; .balign 4; 1: nop",
        6,
        (1, 2, 0, 0),
    ),
    "a table of branches": (
        "movs r1, #0; nop; tbb [pc, r1]; 1: .byte (2f - 1b) / 2; .byte 0; 2: nop",
        4,
        (1, 2, 0, 0),
    ),
    "the ends of QEMU's pages, narrow and wide": (
        "b 1f; .balign 1024; .space 1020; 1: nop; add.w r1, r1, #1; "
        "b 1f; .balign 1024; .space 1018; 1: add.w r1, r1, #1; add.w r1, r1, #1; nop",
        7,
        (0, 5, 0, 0),
    ),
    "what IT skips": (
        "cmp r0, r0; ite eq; ldreq r1, [r0]; ldrne r1, [r0, #4]; itt ne; "
        "ldmne r0, {r1-r4}; bxne lr",
        7,
        (1, 0, 0, 0),
    ),
    "a branch in IT": ("cmp r0, r0; it eq; beq 1f; nop; 1: nop", 4, (0, 2, 0, 0)),
    "a division": ("movs r1, #3; udiv r2, r0, r1", 2, (0, 0, 0, 6)),
    "bit fields are data processing": ("bic r1, r0, #0; ldr r2, [r1]", 2, (1, 0, 1, 0)),
    "floats [7.2.3]": (
        "vmov s0, r0; vmul.f32 s1, s0, s0; vadd.f32 s2, s1, s0; nop; vdiv.f32 s3, s1, s0",
        5,
        (0, 0, 1, 1 + 13),
    ),
    "an addend [7.2.3]": (
        "vmul.f32 s1, s0, s0; vmla.f32 s1, s0, s0; nop; vldr s2, [r0]; vldr d2, [r0]",
        5,
        (3, 0, 0, 2),
    ),
}

_CLOBBERED = ("r0", "r1", "r2", "r3", "r4", "r5", "r6", "lr", "cc", "memory")


@dataclass
class Snippets(TinyModel):
    """A model with a snippet in every layer."""

    snippets: list[str] = field(default_factory=list)

    @property
    def report(self) -> dict[str, Any]:
        return super().report | {"layers": [{"name": text} for text in self.snippets]}

    @property
    def source(self) -> str:
        registers = ", ".join(f'"{name}"' for name in _CLOBBERED)
        # Nops keep the snippet from its neighbours.
        layers = "\n".join(
            f'    __asm volatile("mov r0, %0; nop; {text}{";" if text else ""} nop" :: '
            f'"r"(memory) : {registers});\n    lotor_layer_done({index}, memory, 4);'
            for index, text in enumerate(self.snippets)
        )
        return f"""#include "{self.name}.h"
int {self.name}_run(void *arena, const int8_t *input, int8_t *output) {{
    uint8_t *memory = arena;
    (void)input, (void)output;
    lotor_layer_done(-1, memory, 4);
{layers}
    return 0;
}}
"""


def counted(board: str, model: TinyModel, folder: Path) -> tuple[Counted, Program, Image]:
    image = build_firmware(load_board(board), [model], folder)
    data = np.zeros(INPUT_BYTES, np.int8)
    found = count(load_board(board), image.elf, cast(Compiled, model), [data])
    return found, Program.read(image.elf), image


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cycles]:
    """The cycles of every snippet, without those of its surroundings."""
    model = Snippets("snippets", snippets=[text for text, _, _ in SNIPPETS.values()])
    found, program, _ = counted("netduinoplus2", model, tmp_path_factory.mktemp("image"))
    around = program.total(found.layers[0])
    return {
        name: program.total(counts) - around
        for name, counts in zip(SNIPPETS, found.layers, strict=True)
    }


@needs_emulator
@pytest.mark.parametrize("name", SNIPPETS)
def test_the_manuals_timings(name: str, measured: dict[str, Cycles]) -> None:
    _, executed, more = SNIPPETS[name]
    assert measured[name] == Cycles(executed, *more)


@pytest.fixture(params=BOARDS)
def flashed(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Session]]:
    board = str(request.param)
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    image = build_firmware(load_board(board), [TinyModel("tiny")], tmp_path)
    url, _ = flash_image(load_board(board), image)
    with Session.open(url) as session:
        yield board, session
    emulator.stop(board)


@needs_emulator
def test_what_is_counted_is_what_the_board_counts(
    flashed: tuple[str, Session], tmp_path: Path
) -> None:
    """And the board that runs is left alone."""
    board, session = flashed
    model = TinyModel("tiny")
    state = emulator.running(board)
    session.load(0, np.zeros(INPUT_BYTES, np.int8))
    found, program, _ = counted(board, model, tmp_path)
    session.run()
    overhead = instructions(found.overhead)
    ticks = [layer.ticks for layer in session.profile()]
    assert [instructions(counts) - overhead for counts in found.layers] == ticks
    for counts, layer in zip(found.layers, ticks, strict=True):
        spent = program.total(counts) - program.total(found.overhead)
        assert spent.instructions == layer < spent.total < 3 * layer
    assert emulator.running(board) == state
    assert bytes(session.read(0)) == model.expected(bytes(INPUT_BYTES))
    assert len(session.read(0)) == OUTPUT_BYTES


def test_other_counts_than_the_boards_are_refused() -> None:
    board = load_board("netduinoplus2")
    layer = {0x100: Count(executed=7), 0x102: Count(executed=5)}
    _check(board, Counted([layer], {0x200: Count(executed=2)}), [LayerProfile(10, 0)])
    with pytest.raises(LotorError, match="layer 0 took 11 instructions on netduinoplus2 and 10"):
        _check(board, Counted([layer], {0x200: Count(executed=2)}), [LayerProfile(11, 0)])


@needs_emulator
def test_the_hottest_loop(tmp_path: Path) -> None:
    inner = "2: ldr r3, [r0]; smlad r4, r3, r3, r4; smlad r5, r3, r3, r5; subs r2, #1; bne 2b"
    outer = f"movs r1, #4; 1: movs r2, #10; {inner}; subs r1, #1; bne 1b"
    text = f"{outer}; movs r1, #9; 3: subs r1, #1; bne 3b"
    found, program, _ = counted("netduinoplus2", Snippets("loops", snippets=["", text]), tmp_path)
    loop = hot_loop(program, 1, found.layers[1], cycles=True)
    assert loop is not None
    assert (loop.layer, loop.entries, loop.iterations, loop.instructions) == (1, 4, 40, 200)
    assert (loop.macs, loop.instructions_per_mac) == (160, 1.25)
    assert loop.mix == {"multiply": 80, "load": 40, "branch": 40, "other": 40}
    assert loop.cycles_estimate == 40 * 6 + 36 * 2
    assert [line.text.split()[0].split(".")[0] for line in loop.lines] == [
        *["ldr", "smlad", "smlad", "subs", "bne"]
    ]
    assert [line.executed for line in loop.lines] == [40] * 5
    assert [line.cycles for line in loop.lines] == [2, 1, 1, 1, 1 + 2 * 36 / 40]
    said = str(loop)
    assert "entered 4 times, 40 iterations of 5.0 instructions: 2.0 multiply, 1.0" in said
    assert "4.0 multiply-accumulates an iteration: 1.25 instructions and 1.95 estimated" in said
    assert hot_loop(program, 0, found.layers[0], cycles=True) is None
    other = hot_loop(program, 1, found.layers[1], cycles=False)
    assert other is not None and other.cycles_estimate is None and other.lines[0].cycles is None
    assert "cycles" not in str(other)


def test_the_largest_first() -> None:
    assert list(hottest([3, 9, 9, 1], 3)) == [1, 2, 0]
    assert list(hottest([3], 3)) == [0]


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LotorError, match="no C compiler 'cc' found; install it: `sudo apt-get"):
        plug_in("qemu-system-arm")


@needs_emulator
def test_a_plug_in_is_built_once_for_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path))
    first = plug_in("qemu-system-arm")
    built = first.stat().st_mtime_ns
    assert plug_in("qemu-system-arm") == first and first.stat().st_mtime_ns == built
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    source = tmp_path / "counter.c"
    source.write_text("not C")
    monkeypatch.setattr(counting, "_SOURCE", source)
    with pytest.raises(LotorError, match="cc cannot build the emulator's plug-in; it said: "):
        plug_in("qemu-system-arm")


@needs_emulator
def test_a_plug_in_that_the_emulator_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "counter.so"
    library.write_bytes(b"no library")
    monkeypatch.setattr(counting, "plug_in", lambda _: library)
    with pytest.raises(
        LotorError, match=r"ended at once \(status 1\); it said: .*counter\.so.*QEMU with"
    ):
        counted("netduinoplus2", TinyModel("tiny"), tmp_path)


def test_another_emulator() -> None:
    board = load_board("netduinoplus2")
    board = replace(board, emulator=Emulator("other", ()))
    with pytest.raises(LotorError, match="emulated by other: only instructions of QEMU"):
        count(board, Path("firmware.elf"), cast(Compiled, TinyModel("tiny")), [])

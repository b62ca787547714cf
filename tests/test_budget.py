"""Budgets of stack and time: computed from an image's code, or measured in a run."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lotor import profiling
from lotor.board import Board, Budget, Build, Flash, load_board
from lotor.build import Image, build_firmware
from lotor.device import emulator
from lotor.device import flash as flashing
from lotor.device.budget import check_image, milliseconds
from lotor.device.flash import flash_image
from lotor.device.session import Session
from lotor.errors import LotorError
from lotor.profiling import Profile, over_budget
from lotor.stack_usage import FLAGS, StackUse, stack_use
from played import needs_libsodium
from tiny_model import TinyModel

PREFIX = "arm-none-eabi-"
BOARD = load_board("netduinoplus2")
MODEL = TinyModel("tiny")

pytestmark = [
    pytest.mark.skipif(not shutil.which(PREFIX + "gcc"), reason="needs arm-none-eabi-gcc"),
    pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="needs qemu-system-arm"),
]


@pytest.fixture(autouse=True)
def own_run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    yield
    emulator.stop(BOARD.name)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build_firmware(BOARD, [MODEL], tmp_path_factory.mktemp("image"))


# Stack, computed.

SCRIPT = """
SECTIONS {
    . = 0x8000000;
    .vectors : { KEEP(*(.vectors)) }
    .text : { *(.text .text.*) *(.rodata .rodata.*) }
}
"""
HEAD = """
typedef void (*vector)(void);
void Reset_Handler(void);
void Irq_Handler(void);
__attribute__((section(".vectors"), used)) const vector vectors[] = {Reset_Handler, Irq_Handler};
void keep(volatile char *);
void keep(volatile char *p) { volatile char own[8]; own[0] = p[0]; p[0] = own[0]; }
#define FRAME(n) volatile char block[n]; keep(block)
__attribute__((used)) void Irq_Handler(void) { FRAME(64); }
"""


def computed(folder: Path, code: str) -> tuple[StackUse, dict[str, int]]:
    """Return the stack of a small program, and GCC's frames of its functions."""
    (folder / "model.c").write_text(HEAD + code)
    (folder / "image.ld").write_text(SCRIPT)
    common = [PREFIX + "gcc", "-mcpu=cortex-m3", "-mthumb", "-Os", "-ffunction-sections"]
    build = [*common, *FLAGS, "-fno-inline", "-c", "model.c", "-o", "model.o"]
    subprocess.run(build, cwd=folder, check=True)
    link = [*common, "-nostdlib", "-T", "image.ld", "model.o", "-lgcc", "-o", "image.elf"]
    subprocess.run([*link, "-Wl,-e,Reset_Handler"], cwd=folder, check=True)
    usage = [folder / "model.su"]
    rows = [line.split("\t") for line in usage[0].read_text().splitlines()]
    frames = {place.rsplit(":", 1)[1]: int(size) for place, size, _ in rows}
    return stack_use(folder / "image.elf", usage, PREFIX), frames


def test_the_deepest_calls_and_an_interrupt(tmp_path: Path) -> None:
    found, frames = computed(
        tmp_path,
        """
        void shallow(void); void deep(void);
        void shallow(void) { FRAME(200); }
        void deep(void) { FRAME(40); shallow(); keep(block); }
        void Reset_Handler(void) { FRAME(16); deep(); shallow(); keep(block); }
        """,
    )
    assert found.path == ["Reset_Handler", "deep", "shallow", "keep"]
    calls = sum(frames[name] for name in found.path)
    assert calls > 16 + 40 + 200
    assert found.exception_bytes == 36 + frames["Irq_Handler"] + frames["keep"]
    assert found.bytes == calls + found.exception_bytes
    assert found.unseen == []


def test_a_pointer_may_reach_what_nothing_calls(tmp_path: Path) -> None:
    code = """
        typedef void (*handler)(void);
        void large(void); void small(void);
        void large(void) { FRAME(300); }
        void small(void) { FRAME(30); }
        handler const table[] = {small, large};
        extern volatile int which;
        volatile int which __attribute__((section(".text.which")));
        void Reset_Handler(void) { FRAME(16); CALL; keep(block); }
        """
    found, frames = computed(tmp_path, code.replace("CALL", "table[which]()"))
    assert found.path == ["Reset_Handler", "large", "keep"]
    assert found.bytes > frames["large"] + found.exception_bytes
    found, _ = computed(tmp_path, code.replace("CALL", "(void)table"))
    assert found.path == ["Reset_Handler", "keep"]


def test_what_a_library_takes_is_counted(tmp_path: Path) -> None:
    """A division of 64 bits is code of the compiler's own library, which has no `.su`."""
    found, frames = computed(
        tmp_path,
        """
        volatile unsigned long long a __attribute__((section(".text.a")));
        void Reset_Handler(void) { a = a / 1000003u; }
        """,
    )
    assert found.path[:2] == ["Reset_Handler", "__aeabi_uldivmod"]
    assert found.bytes - found.exception_bytes >= frames["Reset_Handler"] + 16 + 32
    assert found.unseen == []


def test_what_no_bound_can_be_given_for_is_said(tmp_path: Path) -> None:
    found, _ = computed(
        tmp_path,
        """
        void again(int n); void some(int n);
        void again(int n) { FRAME(8); if (n) again(n - 1); else some(n); keep(block); }
        void some(int n) { volatile char block[n + 9]; keep(block); if (n > 3) again(n / 2); }
        void Reset_Handler(void) { again(5); }
        """,
    )
    assert "again calls itself" in found.unseen
    assert "some takes memory of a size that it computes" in found.unseen


@pytest.mark.parametrize("name", ["netduinoplus2", "microbit", "mps2-an505"])
def test_no_board_uses_more_than_was_computed(name: str, image: Image, tmp_path: Path) -> None:
    board = load_board(name)
    built = image if board == BOARD else build_firmware(board, [MODEL], tmp_path)
    assert built.stack is not None
    with emulator.private(board, built.elf, tmp_path) as url, Session.open(url) as session:
        session.select(0)
        session.infer(bytes(MODEL.input_bytes))
        session.profile()
        session.log_level(3)
        used = session.statistics().stack_bytes
    assert used is not None
    assert used <= built.stack.bytes
    if not board.update:  # taking one is deeper than what runs here
        assert built.stack.bytes <= 2 * used
        assert built.stack.path[:4] == ["Reset_Handler", "main", "server_poll", "run_request"]
    assert built.stack.unseen == []


@pytest.mark.parametrize(
    ("build", "budget", "words"),
    [
        (None, Budget(stack_bytes=200), r"it has 200; .* raise 'budget.stack_bytes'"),
        (Build("baremetal", 256), Budget(), r"it has 256; .* raise 'build.stack_bytes'"),
    ],
)
def test_a_stack_that_may_not_suffice_is_refused(
    build: Build | None, budget: Budget, words: str, tmp_path: Path
) -> None:
    small = replace(BOARD, build=build or BOARD.build, budget=budget)
    message = r"tiny does not fit netduinoplus2: the stack may need \d+ bytes \(108 of them an "
    with pytest.raises(LotorError, match=message + r"interrupt's; deepest: Reset_.*" + words):
        build_firmware(small, [MODEL], tmp_path)


# Time and stack, measured.


def slow(ms: int, stack: int | None = None) -> Board:
    """Return the board with a clock that makes its model take tens of milliseconds."""
    return replace(BOARD, clock_hz=1_000_000, budget=Budget(inference_ms=ms, stack_bytes=stack))


def test_a_model_that_is_too_slow_replaces_nothing(image: Image) -> None:
    flash_image(BOARD, image)
    before = emulator.running(BOARD.name)
    message = (
        r"tiny is too slow for netduinoplus2: an inference takes at least \d+\.\d ms \([\d,]+ "
        r"instructions at 1 MHz\), the budget is 5 ms; take .* raise 'budget.inference_ms'"
    )
    with pytest.raises(LotorError, match=message):
        flash_image(slow(5), image)
    assert emulator.running(BOARD.name) == before
    flash_image(slow(1000), image)
    assert emulator.running(BOARD.name) != before


@needs_libsodium
def test_the_budget_of_a_board_with_updates(tmp_path: Path) -> None:
    """The file's own; its image runs behind a boot loader, in an emulator apart."""
    board = load_board("microbit")
    image = build_firmware(board, [TinyModel("tiny")], tmp_path)
    check_image(board, image)
    message = r"tiny is too slow for microbit: .* MHz\), the budget is 1000 ms; take a smaller"
    with pytest.raises(LotorError, match=message):
        check_image(replace(board, clock_hz=1000), image)
    assert emulator.running("microbit") is None


def test_a_stack_that_was_used(image: Image) -> None:
    with pytest.raises(LotorError, match=r"\d{3} bytes of stack were used, the budget is 100;"):
        check_image(slow(1000, 100), image)
    check_image(slow(1000, 1000), image)


def test_a_real_board_is_measured_after_it_was_flashed(
    image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stand_in(_: Board, image: Image) -> str:
        return emulator.start(BOARD, image).url

    monkeypatch.setitem(flashing.METHODS, "stand-in", stand_in)
    real = replace(slow(5), emulator=None, flash=Flash("stand-in"))
    with pytest.raises(LotorError, match="tiny is too slow for netduinoplus2"):
        flash_image(real, image)
    assert emulator.running(BOARD.name) is not None
    flash_image(replace(real, budget=Budget(inference_ms=1000)), image)


def test_what_ticks_say_of_time() -> None:
    def of(name: str, ticks: int) -> tuple[float | None, bool]:
        return milliseconds(load_board(name), ticks)

    assert of("nucleo-l4r5zi", 1_200_000) == (10.0, False)
    assert of("pi-4", 2_500_000) == (2.5, False)
    assert of("netduinoplus2", 1_680_000) == (10.0, True)  # a cycle each at least
    assert of("mps2-an500", 1_000_000) == (20.0, True)  # two in a cycle
    assert of("pi-a76", 1_000_000) == (None, True)


def test_a_profile_is_held_against_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Profile("m", BOARD.name, [], 1_000_000, "instructions", 1_680_000, 9, 9, 300)

    def over(budget: Budget) -> list[str]:
        monkeypatch.setattr(profiling, "load_board", lambda _: replace(BOARD, budget=budget))
        return over_budget(found)

    slow, deep = over(Budget(inference_ms=9, stack_bytes=299))
    assert "takes 10.0 ms (1,680,000 estimated cycles at 168 MHz), the budget is 9 ms" in slow
    assert "300 bytes of stack were used, the budget is 299;" in deep
    assert over(Budget(inference_ms=10, stack_bytes=300)) == over(Budget()) == []

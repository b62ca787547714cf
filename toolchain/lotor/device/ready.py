"""A session with a board that runs a given model."""

import sys
from collections.abc import Callable, Collection, Sequence

from lotor.board import load_board
from lotor.build import Image, build_firmware, in_stripes, program_hash, self_test
from lotor.codegen.views import Views
from lotor.compiler import Compiled, RamError, compile_model
from lotor.decision import read_chosen
from lotor.device import emulator
from lotor.device.session import Session
from lotor.errors import LotorError
from lotor.host import HostModel, load
from lotor.targets.preference import Optimize
from lotor.tuned import preference
from lotor.zoo import ModelFile, find_model


def compile_for(
    board: str,
    model: str,
    ram: int | None = None,
    optimize: Optimize = "speed",
    target: str | None = None,
    skip: Collection[str] = (),
) -> Compiled:
    """Compile a model for a board.

    Args:
        board: the board's name.
        model: the model's name or path.
        ram: the most bytes of the arena; None for what is fastest, in stripes where that would not
            fit the board.
        optimize: what its kernels are chosen for.
        target: another target than the board's own.
        skip: rewrites to leave out.

    Raises:
        LotorError: no such board, or no usable model.
    """
    found, chosen = find_model(model), load_board(board)

    def compiled(most: int | None) -> Compiled:
        return compile_model(
            found.path,
            target or chosen.target,
            labels=found.labels or (),
            skip=skip,
            ram=most,
            preference=preference(chosen, optimize),
            least=ram is not None,  # else the build's own words say what helps
            views=frame_views(found) if chosen.camera else None,
        )

    first = compiled(ram)
    if ram is not None:
        return first
    try:
        small = in_stripes(chosen, first, compiled)
    except RamError:
        return first
    if small is not first:
        print(
            f"{first.name} runs in stripes to fit {board}: arena {small.plan.arena_bytes:,} bytes "
            f"instead of {first.plan.arena_bytes:,}",
            file=sys.stderr,
        )
    return small


def image_for(
    board: str,
    models: Sequence[str],
    target: str | None = None,
    ram: int | None = None,
    optimize: Optimize = "speed",
    advance: Callable[[], None] = lambda: None,
) -> Image:
    """Compile models for a board and build their image, self-tests included.

    Args:
        board: the board's name.
        models: names or paths; see `compile_for` for the other arguments.
        target: another target than the board's own.
        ram: the most bytes of the arena.
        optimize: what kernels are chosen for.
        advance: called after every step, twice for each model and once at the end.

    Raises:
        LotorError: no model, a wrong name, a tool that is missing, or models that do not fit.
    """
    if not models:
        raise LotorError("no model for the image: name one with `--model MODEL`")
    chosen, compiled, tests = load_board(board), [], []
    for name in models:
        compiled.append(compile_for(board, name, ram, optimize, target))
        advance()
        tests.append(self_test(load(str(find_model(name).path))))
        advance()
    image = build_firmware(chosen, compiled, tests=tests)
    advance()
    return image


def frame_views(model: ModelFile) -> Views:
    """Return what training chose for a model that watches a camera's frames."""
    full = read_chosen(model)
    return Views(model.recipe, read_chosen(model, views=True).alarm, full.alarm, full.unknown)


def load_like(compiled: Compiled, model: str) -> HostModel:
    """Return a model on this machine, in the stripes in which it runs on a board.

    Args:
        compiled: what runs there; see `compile_for`.
        model: the same model's name or path.
    """
    return load(model, ram=compiled.ram)


def open_with_model(board: str, model: str, compiled: Compiled) -> Session:
    """Open a session with a board and select a model on it.

    An emulated board that does not run the model, or runs it as compiled by another version of
    Lotor, is flashed with it: nobody's hardware changes. A real one is left alone; the error says
    how to flash it.

    Args:
        board: the board's name.
        model: the model's name or path.
        compiled: the same model, compiled for the board.

    Raises:
        LotorError: no such board, no answer, a busy port, or a real board without the model.
    """
    return open_with_models(board, [(model, compiled)])


def open_with_models(board: str, models: Sequence[tuple[str, Compiled]]) -> Session:
    """Open a session with a board that runs several models; the first one is selected.

    As `open_with_model` does for one: `models` has names or paths with what was compiled of them.
    """
    chosen = load_board(board)
    if chosen.emulated and not all(_runs(board, compiled) for _, compiled in models):
        from lotor.device.flash import flash_image  # which compiles for boards, too

        print(f"flashing {board} with {', '.join(c.name for _, c in models)}", file=sys.stderr)
        tests = [self_test(load(str(find_model(model).path))) for model, _ in models]
        flash_image(chosen, build_firmware(chosen, [c for _, c in models], tests=tests))
    session = Session.open(board)
    try:
        for _, compiled in reversed(models):
            session.require_model(compiled)
    except BaseException:
        session.close()
        raise
    return session


def _runs(board: str, compiled: Compiled) -> bool:
    state = emulator.running(board)
    entries = [m for m in state.models if m["hash"] == compiled.model_hash] if state else []
    mine = compiled.target.name, program_hash(compiled)
    # Whoever chose another target for the board's image meant it.
    return any(m.get("target") != mine[0] or m.get("program") == mine[1] for m in entries)

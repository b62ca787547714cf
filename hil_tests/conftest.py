"""One board after the other: flashed with a model, talked to, and left as it was found."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("labgrid", reason='tests of boards need `pip install "lotor[hil]"`')

from labgrid import Environment

from lotor.board import list_boards, load_board
from lotor.device.bench import Bench, FlashFailed, Mismatch, NoBoot, environment
from lotor.device.emulator_programs import missing
from lotor.device.hil import default_model
from lotor.device.ports import Lock
from lotor.device.ready import compile_for, load_like
from lotor.device.session import Session
from lotor.zoo import find_model

# Tested in full by `make test`; other emulated boards run the smoke tests and those of the core
# there, and all tests in `make test-full`.
FULLY_TESTED = ("netduinoplus2", "mps2-an386")
SMALL = Path(__file__).parent / "hil_small.tflite"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lotor", "boards")
    group.addoption("--lotor-board", action="append", help="board to test (default: emulated ones)")
    group.addoption("--lotor-model", help="model to flash (default: the board's)")
    group.addoption("--lotor-keep", action="store_true", help="leave emulators running")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "hil: talks to a board over its serial line")
    config.addinivalue_line("markers", "smoke: the shortest proof that a board works")
    config.addinivalue_line("markers", "core: depends on the processor core")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "bench" in metafunc.fixturenames:
        names = metafunc.config.getoption("lotor_board")
        names = names or [name for name in list_boards() if load_board(name).emulated]
        metafunc.parametrize("bench", names, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.hil)
            name = getattr(item, "callspec", None) and item.callspec.params.get("bench")
            emulator = load_board(name).emulator if name else None
            lacking = missing(emulator) if emulator else None
            if lacking and not item.config.getoption("lotor_board"):
                item.add_marker(pytest.mark.skip(reason=f"{name} needs {lacking[0]}: {lacking[1]}"))
            sample = item.get_closest_marker("smoke") or item.get_closest_marker("core")
            if not (item.config.getoption("lotor_board") or name in FULLY_TESTED or sample):
                item.add_marker(pytest.mark.slow)
            if item.config.pluginmanager.hasplugin("xdist"):
                item.add_marker(pytest.mark.xdist_group(f"board-{name}"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Say in the report what kind of failure it was."""
    yield
    if call.excinfo and not call.excinfo.errisinstance(pytest.skip.Exception):
        kinds = {FlashFailed: "flash-error", NoBoot: "no-boot", Mismatch: "mismatch"}
        found = (name for kind, name in kinds.items() if call.excinfo.errisinstance(kind))
        item.user_properties.append(("outcome", next(found, "protocol")))


@pytest.fixture(scope="session", autouse=True)
def revision(record_testsuite_property: Callable[[str, object], None]) -> str:
    """The git commit of these tests, or "" outside of a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    record_testsuite_property("git", found.stdout.strip())
    return found.stdout.strip()


@pytest.fixture(scope="session")
def bench(
    request: pytest.FixtureRequest,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bench]:
    """A board in the state "flashed"; one lock keeps every other test run away from it.

    Its models, the one under test and the small one, are on this machine as they are there.
    """
    board = load_board(request.param)
    model = find_model(pytestconfig.getoption("lotor_model") or default_model(board.name)).path
    file = tmp_path_factory.mktemp("labgrid") / f"{board.name}.yaml"
    mine, small = (load_like(compile_for(board.name, str(m)), str(m)) for m in (model, SMALL))
    environment(board.name, [str(model), str(SMALL)], file)
    with Lock(f"board-{board.name}", f"board {board.name}"):
        target = Environment(str(file)).get_target("main")
        strategy = target.get_driver("LotorStrategy", activate=False)
        golden = sorted((model.parent / "golden").glob("*.npz"))
        bench = Bench(board, strategy, mine, small, golden, host=small)
        try:
            try:
                strategy.transition("flashed")
            except (FlashFailed, NoBoot) as error:
                bench.failure = error
            yield bench
        finally:
            strategy.transition("unknown")
            # What could not be flashed is not ours to stop.
            ours = not isinstance(bench.failure, FlashFailed)
            if ours and not request.config.getoption("lotor_keep"):
                strategy.flash.stop()
            target.cleanup()


@pytest.fixture(autouse=True)
def board(bench: Bench, record_property: Callable[[str, object], None]) -> Iterator[Session]:
    """The session of the board under test, in a known state whatever the last test did."""
    record_property("board", bench.board.name)
    if bench.failure and bench.failure_reported:
        pytest.skip(f"board {bench.board.name} could not be flashed")
    if bench.failure:
        bench.failure_reported = True
        raise bench.failure
    bench.strategy.transition("flashed")
    session = bench.session
    session.on_log = bench.logs.append
    record_property("build_id", session.greeting.build_id)
    bench.select(bench.small)  # short to load; tests of the model itself select that
    yield session
    record_property("model", bench.host.compiled.name)  # the one that the test selected last
    record_property("model_hash", bench.host.compiled.model_hash)

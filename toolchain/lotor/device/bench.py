"""Boards as labgrid sees them: drivers that flash one and talk to it, and the strategy of both.

Needs the `hil` extra. An environment file that `environment` writes makes labgrid import this
module, so that the file also serves labgrid's own tools.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import attr
from labgrid import target_factory
from labgrid.driver import Driver
from labgrid.strategy import Strategy

from lotor.board import Board, load_board
from lotor.device import emulator
from lotor.device.compare import difference, host_outputs
from lotor.device.flash import flash
from lotor.device.messages import LogLine
from lotor.device.ports import locate
from lotor.device.session import Array, NoAnswer, Session
from lotor.errors import LotorError
from lotor.host import HostModel
from lotor.verify import random_inputs


class FlashFailed(LotorError):
    """A board could not be built for or flashed."""


class NoBoot(LotorError):
    """A board was flashed and does not answer as the image that it was flashed with."""


class Mismatch(AssertionError):
    """A board computed something else than this machine."""


@target_factory.reg_driver
@attr.s(eq=False)
class LotorFlashDriver(Driver):  # type: ignore[misc]  # labgrid has no types
    """Builds an image of some models and flashes it; an emulated board is (re)started with it."""

    board: str = attr.ib(validator=attr.validators.instance_of(str))
    models: list[str] = attr.ib(validator=attr.validators.instance_of(list))

    def flash(self) -> None:
        """Flash the board.

        Raises:
            FlashFailed: the model does not fit, the build or the flashing failed.
            NoBoot: the board does not answer afterwards.
        """
        try:
            flash(self.board, self.models)
        except LotorError as error:
            silent = isinstance(error.__cause__, NoAnswer)
            raise (NoBoot if silent else FlashFailed)(str(error)) from error

    def stop(self) -> None:
        """Stop the emulator of an emulated board."""
        if load_board(self.board).emulated:
            emulator.stop(self.board)


@target_factory.reg_driver
@attr.s(eq=False)
class LotorSessionDriver(Driver):  # type: ignore[misc]
    """A `Session` over a serial port resource of labgrid."""

    bindings = {"port": {"SerialPort", "NetworkSerialPort"}}  # noqa: RUF012  # labgrid's way
    board: str = attr.ib(validator=attr.validators.instance_of(str))
    session: Session

    def on_activate(self) -> None:
        """Open the port and greet the board."""
        self.session = Session.open(self.url)
        self.session.where = f"board {self.board} on {self.url}"

    def on_deactivate(self) -> None:
        """Close the port."""
        self.session.close()

    @property
    def url(self) -> str:
        """The port's path or url."""
        port = self.port
        return f"socket://{port.host}:{port.port}" if hasattr(port, "host") else str(port.port)

    def point_to(self, url: str) -> None:
        """Follow an emulator, which listens on another TCP port after each start."""
        if url.startswith("socket://"):
            self.port.host, _, number = url.removeprefix("socket://").partition(":")
            self.port.port = int(number)
        else:
            self.port.port = url


@target_factory.reg_driver
@attr.s(eq=False)
class LotorStrategy(Strategy):  # type: ignore[misc]
    """A board has two states: "unknown", and "flashed": it runs the models' image and answers."""

    bindings = {  # noqa: RUF012
        "flash": "LotorFlashDriver",
        "link": "LotorSessionDriver",
    }
    status: str = attr.ib(default="unknown")

    def transition(self, status: str) -> None:
        """Bring the board into a state.

        Raises:
            FlashFailed: the board could not be flashed.
            NoBoot: the flashed board does not answer.
        """
        if status == "unknown":
            self.target.deactivate(self.link)
        elif status != "flashed":
            raise LotorError(f"a board has no state {status!r}: it has 'unknown' and 'flashed'")
        elif self.status != "flashed" or not self._answers():
            self.target.deactivate(self.link)
            self.target.activate(self.flash)
            self.flash.flash()
            self.link.point_to(locate(self.flash.board)[0])
            try:
                self.target.activate(self.link)
            except NoAnswer as error:
                raise NoBoot(str(error)) from error
        self.status = status

    def force(self, status: str) -> None:
        """Say in which state the board is, without doing anything."""
        self.status = status

    def _answers(self) -> bool:
        try:
            self.link.session.answers_to(b"")  # whatever the last test left on the line
            self.link.session.hello()
        except LotorError:
            return False
        return True


def environment(board: str, models: list[str], path: Path) -> Path:
    """Write labgrid's environment of one board to a file (JSON, which is YAML); return its path.

    Args:
        board: the name of a board file.
        models: the names or paths of the models that its image holds.
        path: the file to write.
    """
    resource: dict[str, dict[str, Any]]
    if load_board(board).emulated:
        # Which TCP port it will be is known once the emulator runs.
        resource = {"NetworkSerialPort": {"host": "127.0.0.1", "port": None, "protocol": "raw"}}
    else:
        url, speed = locate(board)
        resource = {"RawSerialPort": {"port": url, "speed": speed}}
    drivers: dict[str, Any] = {
        "LotorFlashDriver": {"board": board, "models": models},
        "LotorSessionDriver": {"board": board},
        "LotorStrategy": {},
    }
    targets = {"main": {"resources": resource, "drivers": drivers}}
    text = json.dumps({"imports": [__name__], "targets": targets}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    return path


@dataclass
class Bench:
    """One board on the bench, flashed with two models, and the same models on this machine.

    Attributes:
        board: its file.
        strategy: brings it into the state "flashed".
        model: the model under test.
        small: a model of our own with two inputs and two outputs, each longer than a frame.
        golden: files of golden vectors of `model`.
        host: which of the two models is selected; what `inputs`, `outputs` and `check` are of.
        logs: what the board logged so far.
        failure: why the board could not be flashed; the first test reports it, others skip.
    """

    board: Board
    strategy: LotorStrategy
    model: HostModel
    small: HostModel
    golden: list[Path]
    host: HostModel
    logs: list[LogLine] = field(default_factory=list)
    failure: FlashFailed | NoBoot | None = None
    failure_reported: bool = False

    @property
    def session(self) -> Session:
        """The open session; another one after the board was flashed again."""
        session: Session = self.strategy.link.session
        return session

    def select(self, host: HostModel) -> None:
        """Make one of the two models the one that runs."""
        self.host = host
        self.session.require_model(host.compiled)

    def inputs(self, seed: int) -> list[Array]:
        """Return random inputs over the whole range of their type."""
        return next(iter(random_inputs(self.host.compiled.graph, 1, seed)))

    def outputs(self, inputs: list[Array]) -> list[bytes]:
        """Return what this machine computes."""
        return host_outputs(self.host, *inputs)

    def load(self, inputs: list[Array]) -> None:
        """Load all inputs."""
        for index, data in enumerate(inputs):
            self.session.load(index, data)

    def expect(self, inputs: list[Array]) -> None:
        """Read all outputs of the last run; they are what this machine computes from `inputs`.

        Raises:
            Mismatch: they are not.
        """
        for index, expected in enumerate(host_outputs(self.host, *inputs)):
            if self.session.read(index) != expected:
                raise Mismatch(f"{self.session.where}: output {index} differs from the host's")

    def check(self, seed: int = 1) -> None:
        """Check that one inference on the board gives exactly what this machine gives.

        Raises:
            Mismatch: it does not; names the first layer that differs.
        """
        self.select(self.host)  # a reset selects the first model
        found = difference(self.session, self.host, *self.inputs(seed))
        if found:
            raise Mismatch(f"{self.session.where}: {found}")

    def undisturbed(self, action: Callable[[Session], object], seed: int = 2) -> None:
        """Check that what `action` sends between load and run changes nothing, nor later.

        Raises:
            Mismatch: it does.
        """
        inputs = self.inputs(seed)
        self.load(inputs)
        action(self.session)
        self.session.run()
        self.expect(inputs)
        self.check(seed + 1)

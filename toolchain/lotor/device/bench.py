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
import numpy as np
from labgrid import target_factory
from labgrid.driver import Driver
from labgrid.strategy import Strategy

from lotor.board import Board, load_board
from lotor.device import emulator
from lotor.device.compare import difference, host_outputs
from lotor.device.flash import flash
from lotor.device.messages import LogLine
from lotor.device.ports import locate
from lotor.device.session import NoAnswer, Session
from lotor.errors import LotorError
from lotor.host import HostModel


class FlashFailed(LotorError):
    """A board could not be built for or flashed."""


class NoBoot(LotorError):
    """A board was flashed and does not answer as the image that it was flashed with."""


class Mismatch(AssertionError):
    """A board computed something else than this machine."""


@target_factory.reg_driver
@attr.s(eq=False)
class LotorFlashDriver(Driver):  # type: ignore[misc]  # labgrid has no types
    """Builds an image of one model and flashes it; an emulated board is (re)started with it."""

    board: str = attr.ib(validator=attr.validators.instance_of(str))
    model: str = attr.ib(validator=attr.validators.instance_of(str))

    def flash(self) -> None:
        """Flash the board.

        Raises:
            FlashFailed: the model does not fit, the build or the flashing failed.
            NoBoot: the board does not answer afterwards.
        """
        try:
            flash(self.board, self.model)
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
    """A board has two states: "unknown", and "flashed": it runs the model's image and answers."""

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


def environment(board: str, model: str, path: Path) -> Path:
    """Write labgrid's environment of one board to a file (JSON, which is YAML); return its path.

    Args:
        board: the name of a board file.
        model: the name or path of the model that its images hold.
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
        "LotorFlashDriver": {"board": board, "model": model},
        "LotorSessionDriver": {"board": board},
        "LotorStrategy": {},
    }
    targets = {"main": {"resources": resource, "drivers": drivers}}
    text = json.dumps({"imports": [__name__], "targets": targets}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    return path


@dataclass
class Bench:
    """One board on the bench, flashed with one model, and the same model on this machine.

    Attributes:
        golden: files of golden vectors of the model.
        logs: what the board logged so far.
        failure: why the board could not be flashed; the first test reports it, others skip.
    """

    board: Board
    strategy: LotorStrategy
    host: HostModel
    golden: list[Path]
    logs: list[LogLine] = field(default_factory=list)
    failure: FlashFailed | NoBoot | None = None
    failure_reported: bool = False

    @property
    def session(self) -> Session:
        """The open session; another one after the board was flashed again."""
        session: Session = self.strategy.link.session
        return session

    def inputs(self, seed: int) -> list[np.ndarray]:
        """Random inputs over the whole range of their type."""
        rng = np.random.default_rng(seed)
        return [
            np.frombuffer(rng.bytes(t.nbytes), np.int8).view(t.np_dtype).reshape(t.shape)
            if t.np_dtype.kind != "f"
            else rng.standard_normal(t.shape).astype(t.np_dtype)
            for t in self.host.compiled.graph.inputs
        ]

    def outputs(self, inputs: list[np.ndarray]) -> list[bytes]:
        """What this machine computes."""
        return host_outputs(self.host, *inputs)

    def check(self, seed: int = 1) -> None:
        """One inference on the board gives exactly what this machine gives."""
        found = difference(self.session, self.host, *self.inputs(seed))
        if found:
            raise Mismatch(f"{self.session.where}: {found}")

    def undisturbed(self, action: Callable[[Session], None], seed: int = 2) -> None:
        """What `action` sends between load and run changes nothing, neither does it later."""
        inputs = self.inputs(seed)
        for index, data in enumerate(inputs):
            self.session.load(index, data)
        action(self.session)
        self.session.run()
        got = [self.session.read(index) for index in range(len(self.session.model.outputs))]
        if got != self.outputs(inputs):
            raise Mismatch(f"{self.session.where}: other outputs after damaged frames")
        self.check(seed + 1)

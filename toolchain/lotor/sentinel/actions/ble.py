"""`kind = "ble"`: a robot, or whatever else takes commands over Bluetooth Low Energy."""

import asyncio
import contextlib
import logging
import re
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lotor.errors import LotorError
from lotor.sentinel.actions import Cause

_UUID = re.compile(
    r"[0-9a-f]{4}|[0-9a-f]{8}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I
)
_OFF_S = 35.0  # for all of `off`

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """A write to a characteristic.

    Attributes:
        write: UUID of the characteristic, of 4, 8 or 32 hexadecimal digits.
        hex: the bytes, e.g. "01 ff"; or
        text: them as UTF-8.
        response: ask the device to confirm it.
        wait_s: seconds to wait afterwards.
    """

    write: str
    hex: str = ""
    text: str = ""
    response: bool = True
    wait_s: float = 0.0


@dataclass(frozen=True)
class Options:
    """What to write where.

    Attributes:
        address: of the device, as `bluetoothctl devices` shows it.
        steps: to switch on, one after the other.
        off_steps: to switch off.
        keep: stay connected afterwards: quicker, but few devices then talk to anybody else.
        timeout_s: seconds in which a connection, or a write, must succeed.
        tries: to connect.
    """

    address: str
    steps: tuple[Step, ...]
    off_steps: tuple[Step, ...] = ()
    keep: bool = False
    timeout_s: float = 10.0
    tries: int = 2


class BleRobot:
    """Plays a script of writes; it counts as on when the first one has succeeded.

    The other steps follow while it is on. Ending cuts them off and plays `off_steps`.
    """

    Options: ClassVar[type[Any]] = Options

    def __init__(self, name: str, options: Any, folder: Path) -> None:
        self._name, self._options = name, options
        where = f"action '{name}': 'options."
        if not options.address:
            raise LotorError(f"{where}address' is empty; `bluetoothctl devices` shows addresses")
        if not options.steps:
            raise LotorError(f"{where}steps' is empty")
        if not 0.1 <= options.timeout_s <= 15:
            raise LotorError(f"{where}timeout_s' is {options.timeout_s:g}; it must be 0.1 to 15")
        if not 1 <= options.tries <= 10:
            raise LotorError(f"{where}tries' is {options.tries}; it must be 1 to 10")
        self._steps = [_data(step, f"{where}steps'") for step in options.steps]
        self._off_steps = [_data(step, f"{where}off_steps'") for step in options.off_steps]
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Any = None
        self._script: asyncio.Task[None] | None = None
        self._turn: asyncio.Lock | None = None

    def describe(self) -> str:
        """Return how much it writes where."""
        return f"write {len(self._steps)} commands to the BLE device {self._options.address}"

    def on(self, cause: Cause, seconds: float) -> None:
        """Connect if need be and begin the script.

        Raises:
            LotorError: no connection, or the first write failed.
        """
        self._call(self._begin())

    def off(self) -> None:
        """Cut the script off and write `off_steps`.

        Raises:
            LotorError: no connection, or a write failed.
        """
        self._call(asyncio.wait_for(self._end(), _OFF_S))

    def close(self) -> None:
        """Disconnect."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is None:
            return
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._leave(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        with self._lock:
            if self._loop is None:
                self._loop, self._turn = asyncio.new_event_loop(), asyncio.Lock()
                threading.Thread(
                    target=self._loop.run_forever, name=f"ble {self._name}", daemon=True
                ).start()
            future: Future[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            future.result()
        except (CancelledError, asyncio.CancelledError):
            raise LotorError(f"action '{self._name}': ended before it had begun") from None
        except LotorError:
            raise
        except Exception as error:  # of bleak, D-Bus or the operating system
            text = " ".join(str(error).split()) or type(error).__name__
            raise LotorError(
                f"action '{self._name}': the BLE device {self._options.address}: {text}"
            ) from error

    # In the loop's thread.

    async def _begin(self) -> None:
        begun = asyncio.get_running_loop().create_future()
        self._script = asyncio.create_task(self._play_script(begun))
        await begun

    async def _play_script(self, begun: "asyncio.Future[None]") -> None:
        try:
            await self._connect(self._options.tries)
            await self._play(self._steps, begun)
        except asyncio.CancelledError:
            begun.cancel()
            raise
        except Exception as error:
            if begun.done():
                log.error("action '%s': the script broke off: %s", self._name, error)
            else:
                begun.set_exception(error)

    async def _end(self) -> None:
        script, self._script = self._script, None
        if script is not None:
            script.cancel()
            await asyncio.wait([script])
        assert self._turn is not None
        async with self._turn:
            if self._off_steps:
                await self._connect(1)
                await self._play(self._off_steps)
            if not self._options.keep:
                await self._leave()

    async def _connect(self, tries: int) -> None:
        try:
            from bleak import BleakClient
        except ImportError as error:
            raise LotorError(
                "BLE needs the package bleak: `pip install 'lotor[sentinel]'`"
            ) from error
        if self._client is not None and self._client.is_connected:
            return
        for left in range(tries - 1, -1, -1):
            client = BleakClient(self._options.address, timeout=self._options.timeout_s)
            try:
                # bleak's own time-out is for finding the device; D-Bus may hang beyond it.
                await asyncio.wait_for(client.connect(), self._options.timeout_s + 1)
            except TimeoutError:
                if not left:
                    raise LotorError(
                        f"action '{self._name}': the BLE device {self._options.address} did not "
                        f"connect within {self._options.timeout_s:g} s: is it on, and near?"
                    ) from None
            except Exception:
                if not left:
                    raise
                await asyncio.sleep(0.5)
            else:
                self._client = client
                return

    async def _play(
        self, steps: Sequence[tuple[Step, bytes]], begun: "asyncio.Future[None] | None" = None
    ) -> None:
        for step, data in steps:
            write = self._client.write_gatt_char(step.write, data, response=step.response)
            try:
                await asyncio.wait_for(write, self._options.timeout_s)
            except TimeoutError:
                raise LotorError(
                    f"action '{self._name}': {self._options.address} did not take {step.write} "
                    f"within {self._options.timeout_s:g} s"
                ) from None
            if begun is not None and not begun.done():
                begun.set_result(None)
            await asyncio.sleep(step.wait_s)

    async def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None and client.is_connected:
            await asyncio.wait_for(client.disconnect(), self._options.timeout_s)


def _data(step: Step, where: str) -> tuple[Step, bytes]:
    if not _UUID.fullmatch(step.write):
        raise LotorError(f"{where}: '{step.write}' is no UUID of a characteristic")
    if bool(step.hex) == bool(step.text):
        raise LotorError(f"{where}: the step to {step.write} needs either 'hex' or 'text'")
    if not 0 <= step.wait_s <= 600:
        raise LotorError(f"{where}: 'wait_s' is {step.wait_s:g}; it must be 0 to 600")
    try:
        return step, bytes.fromhex(step.hex) if step.hex else step.text.encode()
    except ValueError:
        raise LotorError(f"{where}: '{step.hex}' is not hexadecimal, as in '01 ff'") from None

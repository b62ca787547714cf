"""Scripts over BLE: bleak's client, over a backend that stands for the operating system's."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lotor.errors import LotorError
from lotor.sentinel.actions import Cause
from lotor.sentinel.actions.ble import BleRobot, Options, Step

bleak = pytest.importorskip("bleak", reason="needs the sentinel extra")
backends = pytest.importorskip("bleak.backends.client", reason="needs the sentinel extra")

CAUSE = Cause("raccoon", "garden", 1.0)
WALK = "6e400002-b5a3-f393-e0a9-e50e24dcca9e"


class Air:
    """What the robot hears."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.fail_connects = self.fail_writes = 0
        self.hang = False
        self.hang_writes = False


class Backend(backends.BaseBleakClient):  # type: ignore[misc, name-defined]
    """A device that takes every write."""

    air: Air

    def __init__(self, address: Any, **given: Any) -> None:
        super().__init__(address, **given)
        self._on = False

    async def connect(self, pair: bool, **_: Any) -> None:
        if self.air.hang:
            await asyncio.sleep(60)
        if self.air.fail_connects:
            self.air.fail_connects -= 1
            raise bleak.exc.BleakDeviceNotFoundError(self.address, "not found")
        from bleak.backends.characteristic import BleakGATTCharacteristic
        from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection

        self.services = BleakGATTServiceCollection()
        service = BleakGATTService(None, 1, "6e400001-b5a3-f393-e0a9-e50e24dcca9e")
        self.services.add_service(service)
        self.services.add_characteristic(
            BleakGATTCharacteristic(
                None, 2, WALK, ["write", "write-without-response"], lambda: 20, service
            )
        )
        self._on = True
        self.air.did.append("connect")

    async def disconnect(self) -> None:
        self._on = False
        self.air.did.append("disconnect")

    async def write_gatt_char(self, characteristic: Any, data: Any, response: bool) -> None:
        assert self._on and characteristic.uuid == WALK
        if self.air.hang_writes:
            await asyncio.sleep(60)
        if self.air.fail_writes:
            self.air.fail_writes -= 1
            raise bleak.exc.BleakError("write failed")
        self.air.did.append(f"{bytes(data).hex()}{'' if response else ' unconfirmed'}")

    @property
    def is_connected(self) -> bool:
        return self._on

    @property
    def mtu_size(self) -> int:
        return 23

    @property
    def name(self) -> str:
        return "robot"

    async def pair(self, *_: Any, **__: Any) -> None: ...
    async def unpair(self) -> None: ...
    async def read_gatt_char(self, *_: Any, **__: Any) -> bytearray:
        return bytearray()

    async def read_gatt_descriptor(self, *_: Any, **__: Any) -> bytearray:
        return bytearray()

    async def write_gatt_descriptor(self, *_: Any, **__: Any) -> None: ...
    async def start_notify(self, *_: Any, **__: Any) -> None: ...
    async def stop_notify(self, *_: Any, **__: Any) -> None: ...


@pytest.fixture
def air(monkeypatch: pytest.MonkeyPatch) -> Air:
    made = Air()
    real = bleak.BleakClient

    class Here(Backend):
        air = made

    monkeypatch.setattr(bleak, "BleakClient", lambda *a, **k: real(*a, backend=Here, **k))
    return made


@pytest.fixture
def robots() -> Iterator[Callable[..., BleRobot]]:
    made: list[BleRobot] = []

    def make(*steps: Step, **more: Any) -> BleRobot:
        off = (Step(WALK, hex="00"),)
        options = Options("AA:BB:CC:DD:EE:FF", steps, **{"off_steps": off, **more})
        made.append(BleRobot("robot", options, Path()))
        return made[-1]

    yield make
    for robot in made:
        robot.close()


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not until():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_script(air: Air, robots: Callable[..., BleRobot]) -> None:
    robot = robots(Step(WALK, hex="01 ff", wait_s=0.05), Step(WALK, text="bark", response=False))
    robot.on(CAUSE, 3)
    wait(lambda: len(air.did) == 3)
    robot.off()
    assert air.did == ["connect", "01ff", "6261726b unconfirmed", "00", "disconnect"]


def test_ending_cuts_the_script_off(air: Air, robots: Callable[..., BleRobot]) -> None:
    robot = robots(Step(WALK, hex="01", wait_s=0.3), Step(WALK, hex="02"), keep=True)
    robot.on(CAUSE, 3)
    robot.off()
    time.sleep(0.6)
    assert air.did == ["connect", "01", "00"]


def test_a_new_script_after_an_end(air: Air, robots: Callable[..., BleRobot]) -> None:
    robot = robots(Step(WALK, hex="01", wait_s=500), Step(WALK, hex="02"))
    robot.on(CAUSE, 3)
    robot.off()
    assert air.did == ["connect", "01", "00", "disconnect"]
    robot.off()  # harmless, and stops it whatever it did
    assert air.did[4:] == ["connect", "00", "disconnect"]
    robot.on(CAUSE, 3)
    assert air.did[7:] == ["connect", "01"]


def test_ending_while_it_connects(air: Air, robots: Callable[..., BleRobot]) -> None:
    robot, said = robots(Step(WALK, hex="01"), off_steps=()), list[str]()
    air.hang = True

    def on() -> None:
        try:
            robot.on(CAUSE, 3)
        except LotorError as error:
            said.append(str(error))

    thread = threading.Thread(target=on)
    thread.start()
    wait(lambda: robot._script is not None)
    robot.off()
    thread.join(10)
    assert said == ["action 'robot': ended before it had begun"] and air.did == []


def test_kept_connections_are_used_again(air: Air, robots: Callable[..., BleRobot]) -> None:
    robot = robots(Step(WALK, hex="01"), keep=True)
    for _ in range(2):
        robot.on(CAUSE, 3)
        robot.off()
    robot.close()
    assert air.did == ["connect", "01", "00", "01", "00", "disconnect"]


def test_connecting_is_tried_again(air: Air, robots: Callable[..., BleRobot]) -> None:
    air.fail_connects = 1
    robot = robots(Step(WALK, hex="01"), tries=2)
    robot.on(CAUSE, 3)
    assert air.did == ["connect", "01"]
    robot.off()
    air.fail_connects = 2
    with pytest.raises(LotorError, match=r"action 'robot': the BLE device AA:BB.*not found"):
        robot.on(CAUSE, 3)


def test_time_outs(air: Air, robots: Callable[..., BleRobot]) -> None:
    robot = robots(Step(WALK, hex="01"), tries=1, timeout_s=0.1)
    air.hang_writes = True
    with pytest.raises(LotorError, match=f"did not take {WALK} within 0.1 s"):
        robot.on(CAUSE, 3)
    air.hang_writes = False
    robot.off()
    air.hang = True
    with pytest.raises(LotorError, match=r"did not connect within 0.1 s: is it on, and near\?"):
        robot.on(CAUSE, 3)


def test_a_write_that_fails(air: Air, robots: Callable[..., BleRobot]) -> None:
    robot = robots(Step(WALK, hex="01"))
    air.fail_writes = 1
    with pytest.raises(LotorError, match="write failed"):
        robot.on(CAUSE, 3)
    air.fail_writes = 1
    with pytest.raises(LotorError, match="write failed"):
        robot.off()
    robot.off()
    assert air.did[-2:] == ["00", "disconnect"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options("", (Step(WALK, "00"),)), "'options.address' is empty"),
        (Options("A", ()), "'options.steps' is empty"),
        (Options("A", (Step("walk", "00"),)), "'walk' is no UUID"),
        (Options("A", (Step(WALK),)), "needs either 'hex' or 'text'"),
        (Options("A", (Step(WALK, "0", ""),)), "'0' is not hexadecimal"),
        (Options("A", (Step(WALK, "00", "a"),)), "needs either 'hex' or 'text'"),
        (Options("A", (Step(WALK, "00", wait_s=-1),)), "'wait_s' is -1"),
        (Options("A", (Step(WALK, "00"),), timeout_s=0), "'options.timeout_s' is 0"),
        (Options("A", (Step(WALK, "00"),), tries=0), "'options.tries' is 0"),
    ],
)
def test_mistakes(options: Options, said: str) -> None:
    with pytest.raises(LotorError, match=said):
        BleRobot("robot", options, Path())

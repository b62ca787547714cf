"""Pins, on gpiozero's mock of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lotor.errors import LotorError
from lotor.sentinel.actions import Cause
from lotor.sentinel.actions.gpio import Gpio, Options

gpiozero = pytest.importorskip("gpiozero", reason="needs the sentinel extra")

CAUSE = Cause("raccoon", "garden", 1.0)


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from gpiozero.pins.mock import MockFactory

    factory = MockFactory()
    monkeypatch.setattr(gpiozero.Device, "pin_factory", factory)
    yield factory
    factory.reset()


@pytest.mark.parametrize(
    ("pin", "number"), [(17, 17), ("GPIO17", 17), ("BOARD11", 17), ("BCM4", 4)]
)
@pytest.mark.parametrize("active_low", [False, True])
def test_on_and_off(pins: Any, pin: Any, number: int, active_low: bool) -> None:
    device = Gpio("lamp", Options(pin, active_low), Path())
    device.off()  # takes the pin, off
    levels = pins.pin(number).states
    device.on(CAUSE, 1)
    device.on(CAUSE, 1)
    device.off()
    device.off()
    high, low = (not active_low), active_low
    assert [state.state for state in levels][-3:] == [low, high, low]
    assert high not in [state.state for state in levels][1:-2]
    device.close()
    device.close()
    assert pins.pin(number).function == "input"


def test_closing_while_on_switches_off(pins: Any) -> None:
    device = Gpio("lamp", Options(4), Path())
    device.on(CAUSE, 1)
    device.close()
    assert [state.state for state in pins.pin(4).states] == [False, True, False]


def test_a_pin_that_there_is_not(pins: Any) -> None:
    with pytest.raises(LotorError, match=r"action 'lamp': pin 99: .*99") as error:
        Gpio("lamp", Options(99), Path()).on(CAUSE, 1)
    assert "\n" not in str(error.value)


def test_a_pin_that_is_taken(pins: Any) -> None:
    first = Gpio("first", Options(4), Path())
    first.off()
    with pytest.raises(LotorError, match=r"action 'second': pin 4: .*in use"):
        Gpio("second", Options(4), Path()).off()
    first.close()


def test_a_machine_without_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    if Path("/dev/gpiochip0").exists():
        pytest.skip("this machine has pins")
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    with pytest.raises(LotorError, match="has no GPIO pins, or the package lgpio") as error:
        Gpio("lamp", Options(4), Path()).on(CAUSE, 1)
    assert "\n" not in str(error.value)


def test_it_says_what_it_does() -> None:
    assert Gpio("lamp", Options(17), Path()).describe() == "switch pin 17 on"
    assert Gpio("lamp", Options("GPIO4", True), Path()).describe() == (
        "switch pin GPIO4 on, active low"
    )

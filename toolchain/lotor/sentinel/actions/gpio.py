"""`kind = "gpio"`: a pin of a Raspberry Pi: a light, the valve of a sprinkler, a relay."""

import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lotor.errors import LotorError
from lotor.sentinel.actions import Cause


@dataclass(frozen=True)
class Options:
    """Which pin, and how it switches.

    Attributes:
        pin: BCM number, or a name that gpiozero knows: 17, "GPIO17", "BOARD11".
        active_low: whether it is on at 0 V, as many relay boards are.
    """

    pin: Any
    active_low: bool = False


class Gpio:
    """Switches a pin through gpiozero."""

    Options: ClassVar[type[Any]] = Options

    def __init__(self, name: str, options: Any, folder: Path) -> None:
        if type(options.pin) not in (int, str) or options.pin == "":
            raise LotorError(
                f"action '{name}': 'options.pin' must be a BCM number or a name such as "
                f"'GPIO17', not {options.pin!r}"
            )
        self._name, self._options = name, options
        self._lock = threading.Lock()
        self._pin: Any = None

    def describe(self) -> str:
        """Return which pin it switches on."""
        low = ", active low" if self._options.active_low else ""
        return f"switch pin {self._options.pin} on{low}"

    def on(self, cause: Cause, seconds: float) -> None:
        """Switch on.

        Raises:
            LotorError: this machine has no such pin, or it is used by something else.
        """
        with self._lock:
            self._open().on()

    def off(self) -> None:
        """Switch off; takes the pin at the first call.

        Raises:
            LotorError: as `on`.
        """
        with self._lock:
            self._open().off()

    def close(self) -> None:
        """Give the pin back."""
        with self._lock:
            pin, self._pin = self._pin, None
            if pin is not None:
                pin.off()
                pin.close()

    def _open(self) -> Any:
        if self._pin is None:
            try:
                import gpiozero
            except ImportError as error:
                raise LotorError(
                    "pins need the package gpiozero: `pip install 'lotor[sentinel]'`"
                ) from error
            try:
                with warnings.catch_warnings():
                    # One for each way to the pins that was tried; only the outcome matters.
                    warnings.simplefilter("ignore")
                    self._pin = gpiozero.OutputDevice(
                        self._options.pin,
                        active_high=not self._options.active_low,
                        initial_value=False,
                    )
            except gpiozero.BadPinFactory as error:
                raise LotorError(
                    f"action '{self._name}': this machine has no GPIO pins, or the package lgpio "
                    "is missing (`sudo apt install python3-lgpio`, or `pip install lgpio`)"
                ) from error
            except (gpiozero.GPIOZeroError, OSError, RuntimeError) as error:
                raise LotorError(
                    f"action '{self._name}': pin {self._options.pin}: "
                    f"{' '.join(str(error).split()) or type(error).__name__}"
                ) from error
        return self._pin

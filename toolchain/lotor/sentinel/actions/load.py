"""From `[[action]]`s to devices: the built-in kinds, and plug-ins by their entry points."""

import logging
import sys
import threading
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lotor.errors import LotorError, said
from lotor.schema import parse
from lotor.sentinel.actions import GROUP, Deterrent
from lotor.suggest import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from lotor.sentinel.config import Action

_BUILT_IN = {
    "ble": "BleRobot",
    "board": "BoardOutput",
    "gpio": "Gpio",
    "http": "Http",
    "mqtt": "MqttSwitch",
    "sound": "Sound",
}
"""Kinds, which are modules of this package, and their classes."""
_PACKAGES = {"ble": "bleak", "gpio": "gpiozero", "mqtt": "paho", "sound": "miniaudio"}
"""What kinds import when they are switched on or off first."""

DESCRIBE_S = 5.0
"""Seconds that `describe` may take."""

log = logging.getLogger(__name__)


def kinds() -> tuple[str, ...]:
    """Return all kinds there are, sorted."""
    return tuple(sorted({*_BUILT_IN, *(point.name for point in _points())}))


def load(action: "Action", folder: Path) -> Deterrent:
    """Return the device of an action, in a helper process of its own where it needs one.

    Nothing is opened or started yet, so that a dry run needs no hardware.

    Args:
        action: as the configuration has it.
        folder: of the configuration.

    Raises:
        LotorError: no such kind, an option that is wrong, a plug-in that cannot be loaded, or,
            unless it is a dry run, a package that is missing.
    """
    if not action.dry_run and (package := missing_package(action.kind)):
        raise LotorError(f"action '{action.name}': {package}")
    device = load_here(action.kind, action.name, action.options, folder)
    if _ends_alone(device):
        return device
    from lotor.sentinel.actions.supervised import Supervised

    return Supervised(action, folder, device)


def missing_package(kind: str) -> str:
    """Return what to say where a package of a built-in kind is not there; else nothing."""
    package = _PACKAGES.get(kind)
    if package is None or package in sys.modules or find_spec(package) is not None:
        return ""
    return f"its package {package} is missing: `pip install 'lotor[sentinel]'`"


def load_here(kind: str, name: str, options: Mapping[str, Any], folder: Path) -> Deterrent:
    """Return the device itself, in this process; else as `load`.

    Raises:
        LotorError: as `load`.
    """
    made = _class(kind, name)
    try:
        return made(name, parse(made.Options, options, f"action '{name}'", "options."), folder)
    except LotorError:
        raise
    except Exception as error:  # somebody else's code
        raise LotorError(f"action '{name}': the plug-in {kind} fails: {said(error)}") from error


def described(device: Deterrent, name: str) -> str:
    """Return what a device does when on, in a line; it may raise anything, or hang."""
    found: list[str] = []

    def ask() -> None:
        try:
            found.append(" ".join(str(device.describe()).split()))
        except BaseException as error:
            log.warning("action '%s' cannot say what it does: %s", name, said(error))
            found.append(f"do what it cannot say ({said(error)})")

    thread = threading.Thread(target=ask, name="describe", daemon=True)
    thread.start()
    thread.join(DESCRIBE_S)
    return found[0] if found else "do what it does not say"


def _ends_alone(device: Deterrent) -> bool:
    try:
        return bool(getattr(device, "ENDS_ALONE", False))
    except Exception:  # a property may raise anything; then a helper holds it
        return False


def _class(kind: str, name: str) -> type[Deterrent]:
    if kind in _BUILT_IN:
        module = import_module(f"{__package__}.{kind}")
        return cast(type[Deterrent], getattr(module, _BUILT_IN[kind]))
    found = [point for point in _points() if point.name == kind]
    if not found:
        raise LotorError(
            f"action '{name}': there is no kind '{kind}'{did_you_mean(kind, kinds())}; kinds: "
            f"{', '.join(kinds())}"
        )
    return _plug_in(found[0], name)


def _points() -> "list[EntryPoint]":
    from importlib.metadata import entry_points  # late: the helpers of built-in kinds stay small

    return list(entry_points(group=GROUP))


def _plug_in(point: "EntryPoint", name: str) -> type[Deterrent]:
    where = f"action '{name}': the plug-in {point.name} ({point.value})"
    try:
        made = point.load()
    except Exception as error:  # somebody else's code
        raise LotorError(f"{where} cannot be loaded: {said(error)}") from error
    needs = ("Options", "describe", "on", "off", "close")
    if missing := [need for need in needs if not hasattr(made, need)]:
        raise LotorError(f"{where} has no {' and no '.join(missing)}; see docs/sentinel-actions.md")
    return cast(type[Deterrent], made)

"""Kinds of actions, plug-ins, and the helper process that outlives the sentinel."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lotor.errors import LotorError
from lotor.sentinel.actions import Cause, Deterrent
from lotor.sentinel.actions import load as actions_load
from lotor.sentinel.actions.load import kinds, load, load_here
from lotor.sentinel.actions.supervised import Supervised
from lotor.sentinel.clock import SystemClock
from lotor.sentinel.config import Action, Camera, Config, Target
from lotor.sentinel.event import Act
from lotor.sentinel.explain import explain
from lotor.sentinel.guard import Guard
from plug_in import install

CAUSE = Cause("raccoon", "garden", 1.0)
PARENT = """
import signal, sys, time
from pathlib import Path
from lotor.sentinel.actions import Cause
from lotor.sentinel.actions.load import load
from lotor.sentinel.config import Action

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what runs in the background
kind, options, most = sys.argv[1], eval(sys.argv[2]), float(sys.argv[3])
device = load(Action("lamp", kind, max_on_s=most, options=options), Path(sys.argv[4]))
device.off()
device.on(Cause("raccoon", "garden", 1.0), most)
print("on", flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    packages = str(install(tmp_path / "packages"))
    monkeypatch.syspath_prepend(packages)
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{packages}{os.pathsep}{path}" if path else packages)
    return tmp_path


@pytest.fixture
def lamp(folder: Path) -> Iterator[Deterrent]:
    device = load(Action("lamp", "lamp", options={"log": "log"}, max_on_s=20), folder)
    yield device
    for name in ("hang-on", "hang-off", "fail-on", "fail-off"):
        (folder / name).unlink(missing_ok=True)
    device.close()


def log(folder: Path, name: str = "log") -> list[str]:
    """Return what was done, without process ids."""
    path = folder / name
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def pids(folder: Path) -> list[int]:
    return [int(line.split()[1]) for line in (folder / "log").read_text().splitlines()]


def wait(until: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.02)


def parent(folder: Path, kind: str, options: dict[str, Any], most: float = 30) -> Any:
    """Start a sentinel, so to speak, which has switched something on."""
    command = [sys.executable, "-c", PARENT, kind, repr(options), str(most), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "on\n"
    return process


def test_all_kinds(folder: Path) -> None:
    built_in = {"ble", "board", "gpio", "http", "mqtt", "sound"}
    assert set(kinds()) == built_in | {"bare", "broken", "lamp"}


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("lmap", {}, r"there is no kind 'lmap' \(did you mean 'lamp'\?\); kinds: .*ble, board"),
        ("bare", {}, "has no describe and no on and no off and no close"),
        ("broken", {}, "cannot be loaded: AttributeError"),
        ("lamp", {}, r"action 'x': the key 'options.log' is missing"),
        ("lamp", {"log": "a", "brigthness": 1}, r"'options.brigthness' is no key \(did you mean"),
        ("gpio", {"pn": 1}, r"'options.pn' is no key \(did you mean 'pin'\?\)"),
        ("gpio", {"pin": 1.5}, "'options.pin' must be a BCM number or a name"),
        ("gpio", {"pin": True}, "'options.pin' must be a BCM number or a name"),
    ],
)
def test_mistakes_are_told_at_once(
    folder: Path, kind: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(LotorError, match=said) as error:
        load(Action("x", kind, options=options), folder)
    assert "\n" not in str(error.value)


def test_loading_starts_nothing(folder: Path, lamp: Deterrent) -> None:
    assert isinstance(lamp, Supervised)
    assert lamp.describe() == "shine"
    assert log(folder) == []


def test_what_ends_alone_needs_no_helper(folder: Path) -> None:
    for kind, options in (("sound", {}), ("board", {"board": "pico", "output": "lamp"})):
        device = load(Action("x", kind, options=options), folder)
        assert not isinstance(device, Supervised)
        assert type(device) is type(load_here(kind, "x", options, folder))


def test_a_plug_in_goes_on_and_off_in_a_process_of_its_own(folder: Path, lamp: Deterrent) -> None:
    lamp.on(CAUSE, 1)
    lamp.off()
    assert log(folder) == ["on", "off"] and os.getpid() not in pids(folder)
    lamp.close()
    assert log(folder) == ["on", "off", "off", "close"] and len(set(pids(folder))) == 1


def test_its_errors_come_back(folder: Path, lamp: Deterrent) -> None:
    (folder / "fail-on").touch()
    with pytest.raises(LotorError, match="action 'lamp': no on"):
        lamp.on(CAUSE, 1)
    (folder / "fail-off").touch()
    with pytest.raises(LotorError, match="action 'lamp': no off"):
        lamp.off()


def test_an_end_beside_a_start_that_hangs(folder: Path, lamp: Deterrent) -> None:
    import threading

    (folder / "hang-on").touch()
    threading.Thread(target=lamp.on, args=(CAUSE, 1), daemon=True).start()
    wait(lambda: log(folder) == ["hangs-on"])
    lamp.off()
    assert log(folder) == ["hangs-on", "off"]


def test_a_helper_that_does_not_answer_is_replaced(
    folder: Path, lamp: Deterrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp.on(CAUSE, 1)
    monkeypatch.setattr("lotor.sentinel.actions.supervised.ANSWER_S", 0.5)
    (folder / "hang-off").touch()
    with pytest.raises(LotorError, match="did not answer 'off'"):
        lamp.off()
    (folder / "hang-off").unlink()
    lamp.off()
    assert log(folder)[-1] == "off" and len(set(pids(folder))) > 1


def test_a_helper_that_is_killed_is_replaced_and_switches_off(
    folder: Path, lamp: Deterrent
) -> None:
    lamp.on(CAUSE, 1)
    os.kill(pids(folder)[0], signal.SIGKILL)
    wait(lambda: log(folder) == ["on", "off"])
    assert len(set(pids(folder))) == 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_when_the_sentinel_is_killed_it_goes_off(folder: Path, how: signal.Signals) -> None:
    process = parent(folder, "lamp", {"log": "log"})
    assert log(folder) == ["off", "on"]
    helper = pids(folder)[0]
    if how == signal.SIGTERM:
        os.kill(helper, how)  # as systemd does, which sends it to all
    process.send_signal(how)
    process.wait(10)
    wait(lambda: log(folder) == ["off", "on", "off", "close"])
    wait(lambda: not _runs(helper))


def test_a_device_that_fails_is_tried_again_after_a_kill(folder: Path) -> None:
    process = parent(folder, "lamp", {"log": "log"})
    (folder / "fail-off").touch()
    process.kill()
    process.wait(10)
    wait(lambda: log(folder).count("fails-off") >= 2)
    (folder / "fail-off").unlink()
    wait(lambda: log(folder)[-2:] == ["off", "close"])


def test_a_guard_over_a_helper(folder: Path) -> None:
    """All of it together, in real time."""
    acts: list[Act] = []
    action = Action("lamp", "lamp", dry_run=False, for_s=0.2, options={"log": "log"})
    guard = Guard([(action, load(action, folder))], SystemClock(), lambda _: None, acts.append)
    try:
        assert guard.settle(20) and log(folder) == ["off"]
        assert guard.test("lamp", "a test").result == "running"
        wait(lambda: acts[-1].result == "done")
        assert log(folder) == ["off", "on", "off"] and guard.settled
        (folder / "fail-off").touch()
        guard.test("lamp", "a test")
        wait(lambda: acts[-1].result == "failed")
        (folder / "fail-off").unlink()
        assert guard.settle(20)
    finally:
        guard.close()
    assert log(folder)[-3:] == ["off", "off", "close"]


def test_a_request_that_makes_no_sense_switches_off(folder: Path, lamp: Deterrent) -> None:
    lamp.on(CAUSE, 1)
    assert isinstance(lamp, Supervised) and lamp._helper is not None
    pipe = lamp._helper._process.stdin
    assert pipe is not None
    pipe.write(b"nonsense\n")
    pipe.flush()
    wait(lambda: log(folder)[:3] == ["on", "off", "close"])


def test_when_the_sentinel_stands_still_it_goes_off_by_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = parent(folder, "lamp", {"log": "log"}, most=0.2)
    process.send_signal(signal.SIGSTOP)
    try:
        wait(lambda: log(folder) == ["off", "on", "off"])
    finally:
        process.kill()
        process.wait(10)
    wait(lambda: log(folder)[-1] == "close")


def test_a_pin_goes_off_when_the_sentinel_is_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As gpiozero sees it; what a real pin does is up to its driver."""
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "logged")
    monkeypatch.setenv("PIN_LOG", str(folder / "pins"))
    process = parent(folder, "gpio", {"pin": 17, "active_low": True})
    assert log(folder, "pins")[-1] == "0"  # on, active low
    process.kill()
    process.wait(10)
    wait(lambda: log(folder, "pins")[-1] == "1")


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class NoOptions:
    """None."""


class Rude:
    """A plug-in all of whose properties raise."""

    Options = NoOptions

    def __init__(self, name: str, options: Any, folder: Path) -> None:
        if name == "unborn":
            raise ZeroDivisionError("by\nnothing")

    @property
    def ENDS_ALONE(self) -> bool:
        raise RuntimeError("who knows")

    def describe(self) -> str:
        raise SystemExit(3)


def test_a_plug_in_that_raises_takes_nothing_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions_load, "_class", lambda kind, name: Rude)
    device = load(Action("rude", "rude"), tmp_path)
    assert isinstance(device, Supervised)  # a helper holds what does not say that it ends alone
    config = Config(
        camera=(Camera("garden", "garden:"),),
        target=(Target("raccoon", actions=("rude",)),),
        action=(Action("rude", "rude"),),
    )
    assert "action rude: would do what it cannot say (SystemExit: 3) for 5 s" in str(
        explain(config, tmp_path)
    )
    with pytest.raises(LotorError, match="plug-in rude fails: ZeroDivisionError: by nothing"):
        load(Action("unborn", "rude"), tmp_path)

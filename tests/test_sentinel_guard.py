"""The guard: nothing is on without a record, for too long, while disarmed, or near a person."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lotor.errors import LotorError, said
from lotor.sentinel import guard as guard_module
from lotor.sentinel.actions import Cause
from lotor.sentinel.actions import load as actions_load
from lotor.sentinel.bus import Acted, HealthChanged, Message
from lotor.sentinel.clock import SetClock
from lotor.sentinel.config import Action
from lotor.sentinel.event import STORED, Act, Check, Decision, Receipt, Start
from lotor.sentinel.guard import Guard
from lotor.sentinel.scene import Light

START = 1_700_000_000.0
CAUSE = Cause("raccoon", "garden", START)


class Lamp:
    """A device with a clock of its own, which remembers when it was on."""

    Options: ClassVar[type[Any]] = dict

    def __init__(self, clock: SetClock) -> None:
        self._clock = clock
        self.since: float | None = None
        self.times: list[tuple[float, float]] = []
        self.asked: list[float] = []
        self.fail_on: BaseException | None = None
        self.fail_off: BaseException | None = None
        self.lit_by_failure = False
        self.hang = threading.Event()
        self.hang.set()
        self.hanging = 0
        self.closed = False

    @property
    def lit(self) -> bool:
        return self.since is not None

    def describe(self) -> str:
        return "shine"

    def on(self, cause: Cause, seconds: float) -> None:
        self.asked.append(seconds)
        if self.fail_on and not self.lit_by_failure:
            raise self.fail_on
        self.since = self._clock.monotonic()
        if not self.hang.is_set():
            self.hanging += 1
            self.hang.wait(20)
            self.hanging -= 1
            self.since = self._clock.monotonic() if self.since is None else self.since
        if self.fail_on:
            raise self.fail_on

    def off(self) -> None:
        if self.fail_off:
            raise self.fail_off
        if self.since is not None:
            self.times.append((self.since, self._clock.monotonic()))
        self.since = None

    def close(self) -> None:
        self.closed = True


def receipt(*actions: str, acts: bool = True) -> Receipt:
    decision = Decision(
        "d1", "e1", "garden", 1, START, START, 0, 0, 1, "raccoon", "raccoon", {"raccoon": 0.9},
        (0, 0, 1, 1), Light.DAY, (Check("votes", acts, "3 of 5"),), actions,
    )  # fmt: skip
    return Receipt(decision, STORED)


def wait(until: Callable[[], bool]) -> None:
    """Wait for another thread."""
    end = time.monotonic() + 20
    while not until():
        assert time.monotonic() < end
        time.sleep(0.001)


class Garden:
    """A guard over lamps, and all that it tells."""

    def __init__(self, *actions: Action) -> None:
        self.clock = SetClock(START)
        self.told: list[Message] = []
        self.noted: list[Act] = []
        self.note_error: Exception | None = None
        self.lamps = {action.name: Lamp(self.clock) for action in actions}
        pairs = [(action, self.lamps[action.name]) for action in actions]
        self.guard = Guard(pairs, self.clock, self.told.append, self.note)
        self.settle()

    def note(self, act: Act) -> None:
        if self.note_error:
            raise self.note_error
        self.noted.append(act)

    def settle(self) -> None:
        """Wait until nothing is to be done at this time; who hangs is not waited for."""
        guard = self.guard

        def rests() -> bool:
            with guard._lock:
                now = self.clock.monotonic()
                switches = guard._switches.values()
                busy = sum(switch.on_calls + len(switch.off_calls) for switch in switches)
                due = any(guard._due(switch, now) for switch in switches)
            return not due and busy == sum(lamp.hanging for lamp in self.lamps.values())

        wait(rests)

    def advance(self, seconds: float, step: float = 0.25) -> None:
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 1e-9:
            self.clock.advance(min(step, left))
            self.settle()

    def release(self, lamp: Lamp) -> None:
        lamp.hang.set()
        wait(lambda: not lamp.hanging)
        self.settle()

    def fire(self, *names: str) -> Act:
        acts = self.guard.fire(receipt(*names), names, CAUSE)
        self.settle()
        return acts[0]

    @property
    def health(self) -> dict[str, HealthChanged]:
        return {m.part: m for m in self.told if isinstance(m, HealthChanged)}

    def results(self, name: str) -> list[tuple[str, str]]:
        return [(act.result, act.why) for act in self.noted if act.action == name]


def action(name: str = "lamp", **more: Any) -> Action:
    return Action(name, "lamp", **{"for_s": 3.0, "max_on_s": 5.0, "dry_run": False, **more})


@pytest.fixture
def garden() -> Iterator[Garden]:
    made = Garden(action())
    made.guard.arm(True, "a test")
    yield made
    for lamp in made.lamps.values():
        lamp.hang.set()
        lamp.fail_off = None
    made.guard.close()


def test_it_is_on_for_as_long_as_it_should(garden: Garden) -> None:
    lamp = garden.lamps["lamp"]
    assert garden.fire("lamp").result == "running"
    assert lamp.since == 0 and lamp.asked == [3.0] and garden.guard.running == ("lamp",)
    garden.advance(10)
    assert lamp.times == [(0, 3)] and garden.guard.settled
    first, last = garden.noted
    assert (first.result, first.time, first.end) == ("running", START, None)
    assert (last.result, last.time, last.end) == ("done", START, START + 3)
    assert [m.act for m in garden.told if isinstance(m, Acted)] == [first, last]


def test_without_a_receipt_nothing_goes_on(garden: Garden) -> None:
    decision = receipt("lamp").decision
    for given in (decision, None, object()):
        with pytest.raises(TypeError):
            garden.guard.fire(given, ["lamp"], CAUSE)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        garden.guard.fire(receipt("other"), ["lamp"], CAUSE)
    garden.settle()
    assert not garden.lamps["lamp"].asked


def test_nobody_else_makes_receipts() -> None:
    decision = receipt("lamp").decision
    for token in (None, object(), "STORED"):
        with pytest.raises(TypeError, match="only the store"):
            Receipt(decision, token)
    with pytest.raises(TypeError, match="does not act"):
        receipt()
    with pytest.raises(TypeError, match="does not act"):
        receipt("lamp", acts=False)
    with pytest.raises(AttributeError):
        receipt("lamp").decision = decision  # type: ignore[misc]


def test_disarmed_nothing_goes_on(garden: Garden) -> None:
    garden.guard.arm(False, "a test")
    act = garden.fire("lamp")
    assert (act.result, act.why) == ("refused", "disarmed")
    assert not garden.lamps["lamp"].asked and garden.noted == [act]


def test_disarming_ends_what_runs(garden: Garden) -> None:
    garden.fire("lamp")
    garden.advance(1)
    garden.guard.arm(False, "the page")
    garden.settle()
    assert garden.lamps["lamp"].times == [(0, 1)]
    assert garden.results("lamp")[-1] == ("done", "disarmed by the page")


def test_a_person_ends_what_runs_and_holds(garden: Garden) -> None:
    garden.fire("lamp")
    garden.advance(1)
    garden.guard.veto("a person is seen", 30)
    garden.settle()
    assert garden.lamps["lamp"].times == [(0, 1)]
    garden.guard.veto("another", 1)  # never shortens
    garden.advance(29.5)
    assert garden.fire("lamp").why == "a person is seen"
    assert garden.guard.test("lamp", "a test").result == "refused"
    garden.advance(0.5)
    assert garden.fire("lamp").result == "running"


def test_a_second_decision_extends_nothing(garden: Garden) -> None:
    garden.fire("lamp")
    garden.advance(2)
    assert garden.fire("lamp").why == "it is on already"
    garden.advance(5)
    assert garden.lamps["lamp"].times == [(0, 3)]


def test_a_start_that_hangs_is_cut_off(garden: Garden) -> None:
    lamp = garden.lamps["lamp"]
    lamp.hang.clear()
    garden.fire("lamp")
    garden.advance(8)
    assert lamp.times == [(0, 5)]  # the longest time on, from the call of `on`
    assert garden.results("lamp")[-1][0] == "failed"
    wait(lambda: "action lamp" in garden.health)
    assert not garden.health["action lamp"].well
    assert garden.fire("lamp").why.startswith("it is not known to be off yet")
    garden.release(lamp)  # it goes on now, late
    assert lamp.since is None and lamp.times[1:] == [(8, 8)]
    assert garden.fire("lamp").result == "running"
    garden.advance(4)
    assert garden.health["action lamp"].well


def test_an_end_that_was_asked_for_before_the_start_came_back_proves_nothing() -> None:
    """`off` hangs beside a hanging `on`, which then goes on; the next `off` fails."""
    clock, told = SetClock(START), list[Message]()
    lamp = Lamp(clock)
    guard = Guard([(action(), lamp)], clock, told.append, lambda act: None)
    wait(lambda: guard.settled)
    guard.arm(True, "a test")
    lamp.hang.clear()
    guard.fire(receipt("lamp"), ["lamp"], CAUSE)
    wait(lambda: lamp.hanging == 1)
    slow, plain, called = threading.Event(), lamp.off, list[int]()

    def off() -> None:
        called.append(1)
        if len(called) == 1:
            plain()
            slow.wait(20)
        elif len(called) == 2:
            raise OSError("no answer")
        else:
            plain()

    lamp.off = off  # type: ignore[method-assign]
    guard.veto("a person is seen", 1)
    wait(lambda: len(called) == 1)
    lamp.hang.set()
    wait(lambda: any(isinstance(m, HealthChanged) for m in told))
    slow.set()
    wait(lambda: not guard._switches["lamp"].off_calls)
    assert lamp.times and not guard.settled
    assert lamp.lit
    clock.advance(1)
    wait(lambda: guard.settled)
    assert lamp.times == [(0, 0), (0, 1)]
    guard.close()


@pytest.mark.parametrize(
    "error", [OSError("no bus"), LotorError("gone"), ValueError(), SystemExit()]
)
def test_a_start_that_fails_is_switched_off(garden: Garden, error: BaseException) -> None:
    lamp = garden.lamps["lamp"]
    lamp.fail_on, lamp.lit_by_failure = error, True
    garden.fire("lamp")
    assert lamp.times == [(0, 0)]
    assert garden.results("lamp")[-1][0] == "failed"
    wait(lambda: "action lamp" in garden.health)
    assert not garden.health["action lamp"].well and not garden.health["action lamp"].blocks


def test_an_end_that_fails_is_tried_until_it_succeeds(garden: Garden) -> None:
    lamp = garden.lamps["lamp"]
    garden.fire("lamp")
    lamp.fail_off = OSError("no answer")
    garden.advance(100)
    assert "no answer" in garden.health["action lamp"].text
    assert garden.fire("lamp").why.startswith("it is not known to be off yet")
    assert garden.results("lamp")[1][0] == "failed" and garden.noted[1].end is None
    lamp.fail_off = None
    garden.advance(61, step=1)
    assert lamp.since is None and garden.guard.settled
    assert garden.noted[-1].result == "failed" and garden.noted[-1].end is not None
    assert "went off only at try" in garden.noted[-1].why
    garden.fire("lamp")
    garden.advance(4)
    assert garden.health["action lamp"].well


def test_at_the_end_it_is_tried_with_pauses_and_said_once(
    garden: Garden, caplog: pytest.LogCaptureFixture
) -> None:
    lamp = garden.lamps["lamp"]
    garden.fire("lamp")
    lamp.fail_off = OSError("no answer")
    garden.guard.close(wait_s=1.2)
    tries = garden.guard._switches["lamp"].failures
    assert 2 <= tries <= 4
    said = [record.message for record in caplog.records]
    assert sum("no answer" in m.text for m in garden.told if isinstance(m, HealthChanged)) == 1
    assert not any("no answer" in text for text in said)  # whoever hears of the health says it
    assert "the action lamp could not be switched off: look after it" in said


def test_an_action_is_named_once_in_what_it_says(garden: Garden) -> None:
    lamp = garden.lamps["lamp"]
    lamp.fail_off = LotorError("action 'lamp': no plug at 10.0.0.9")
    garden.fire("lamp")
    garden.advance(6)
    wait(lambda: "action lamp" in garden.health)
    off = "cannot be switched off: no plug at 10.0.0.9; it is tried again"
    assert garden.health["action lamp"].text == off
    assert garden.fire("lamp").why == f"it is not known to be off yet: it {off}"


def test_one_action_that_hangs_holds_up_no_other() -> None:
    garden = Garden(action("first"), action("second"))
    garden.guard.arm(True, "a test")
    garden.lamps["first"].hang.clear()
    garden.fire("first", "second")
    garden.advance(6)
    assert garden.lamps["second"].times == [(0, 3)]
    garden.lamps["first"].hang.set()
    garden.guard.close()


def test_so_often_an_hour_at_most() -> None:
    garden = Garden(action(per_hour=2))
    garden.guard.arm(True, "a test")
    results = []
    for _ in range(4):
        results.append(garden.fire("lamp").result)
        garden.advance(600, step=100)
    assert results == ["running", "running", "refused", "refused"]
    garden.advance(1200, step=100)
    assert garden.fire("lamp").result == "running"
    garden.guard.close()


def test_what_was_before_a_restart_counts_within_the_hour() -> None:
    """By the time that was lived since, whatever the clock on the wall says."""
    clock = SetClock(START - 10 * 365 * 86400)
    lamp, noted = Lamp(clock), list[Act]()
    before = [Start("lamp", False, True, 3000.0), Start("lamp", True, False, 10.0)]
    before.append(Start("gone", False, True, 1.0))
    guard = Guard([(action(per_hour=1), lamp)], clock, lambda m: None, noted.append, starts=before)
    assert guard.settle(20)
    guard.arm(True, "a test")
    try:
        assert "1 times within the last hour" in guard.fire(receipt("lamp"), ["lamp"], CAUSE)[0].why
        assert "1 tests within the last hour" in guard.test("lamp", "a test").why
        clock.advance(601)
        (act,) = guard.fire(receipt("lamp"), ["lamp"], CAUSE)
        assert act.result == "running"
    finally:
        guard.close()


class Mute(Lamp):
    """Cannot even say what it does."""

    def __init__(self, clock: SetClock, error: BaseException | None) -> None:
        super().__init__(clock)
        self.error = error

    def describe(self) -> str:
        if self.error is None:
            threading.Event().wait()
        raise self.error or AssertionError


class Wordless(Exception):
    def __str__(self) -> str:
        raise ValueError("nor what went wrong")


@pytest.mark.parametrize("error", [ValueError("no\nwords"), SystemExit(3), Wordless(), None])
def test_a_device_that_cannot_say_what_it_does(
    error: BaseException | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions_load, "DESCRIBE_S", 0.2 if error is None else 20)
    clock = SetClock(START)
    guard = Guard(
        [(action(dry_run=True), Mute(clock, error))], clock, lambda m: None, lambda act: None
    )
    guard.arm(True, "a test")
    (act,) = guard.fire(receipt("lamp"), ["lamp"], CAUSE)
    guard.close()
    words = f"do what it cannot say ({said(error)})" if error else "do what it does not say"
    assert (act.result, act.why) == ("dry run", f"would {words} for 3 s")


def test_an_error_without_words_is_an_error(garden: Garden) -> None:
    lamp = garden.lamps["lamp"]
    lamp.fail_off = Wordless()
    garden.fire("lamp")
    garden.advance(3.5)
    assert "cannot be switched off: Wordless" in garden.health["action lamp"].text
    calls = len(garden.guard._switches["lamp"].off_calls), garden.guard._switches["lamp"].failures
    assert calls == (0, 1)  # it is tried with pauses
    lamp.fail_off = None
    garden.advance(2)
    assert garden.guard.settled and garden.health["action lamp"].text != ""


def test_a_dry_run_touches_nothing() -> None:
    garden = Garden(action(dry_run=True))
    assert garden.guard.test("lamp", "a test").result == "dry run"
    garden.guard.arm(True, "a test")
    act = garden.fire("lamp")
    assert (act.result, act.why, act.end) == ("dry run", "would shine for 3 s", START)
    garden.guard.close()
    lamp = garden.lamps["lamp"]
    assert not lamp.asked and not lamp.times and garden.results("lamp")[-1][0] == "dry run"


def test_a_test_is_short_and_needs_no_arming(garden: Garden) -> None:
    garden.guard.arm(False, "a test")
    act = garden.guard.test("lamp", "the page")
    garden.settle()
    garden.advance(4)
    assert act.decision is None and garden.lamps["lamp"].times == [(0, 1)]
    with pytest.raises(LotorError, match=r"no action 'lmap' \(did you mean 'lamp'\?\)"):
        garden.guard.test("lmap", "the page")


def test_what_cannot_be_recorded_does_not_happen(garden: Garden) -> None:
    garden.note_error = OSError("disk full")
    assert garden.fire("lamp").result == "failed"
    assert not garden.lamps["lamp"].asked
    assert garden.health["record of acts"].blocks
    garden.note_error = None
    assert garden.fire("lamp").result == "running"
    assert garden.health["record of acts"].well


def test_what_could_not_be_recorded_is_once_there_is_room(garden: Garden) -> None:
    garden.fire("lamp")
    garden.note_error = OSError("the disk is full")
    garden.advance(4)
    assert not garden.lamps["lamp"].lit  # a record that fails holds up no end
    wait(lambda: "record of acts" in garden.health)
    assert garden.health["record of acts"].blocks and not garden.health["record of acts"].well
    assert garden.results("lamp") == [("running", "")]
    garden.note_error = None
    end = time.monotonic() + 20
    while not garden.results("lamp")[1:]:  # the timer may not wait yet
        assert time.monotonic() < end
        garden.advance(6)
    assert garden.results("lamp") == [("running", ""), ("done", "")]
    assert garden.noted[-1].end == START + 3


def test_what_did_not_begin_for_want_of_a_record_is_on_record_later(garden: Garden) -> None:
    garden.note_error = OSError("the disk is full")
    garden.fire("lamp")
    garden.note_error = None
    garden.advance(6)
    wait(lambda: garden.health["record of acts"].well)
    assert {act.result for act in garden.noted} == {"failed"} and garden.noted[-1].end is not None
    assert not garden.lamps["lamp"].asked


def test_a_record_that_took_long_is_of_another_moment(garden: Garden) -> None:
    """Nobody knows who has come meanwhile."""
    note = garden.guard._note

    def slow(act: Act) -> None:
        if act.result == "running":
            garden.clock.advance(4.9 if not garden.lamps["lamp"].asked else 5.1)
        note(act)

    garden.guard._note = slow
    garden.guard._switches["lamp"].action = action(max_on_s=20)
    assert garden.fire("lamp").result == "running"
    garden.advance(10)
    assert garden.fire("lamp").why == "it took 5 s to put it on record"
    assert len(garden.lamps["lamp"].times) == 1 and not garden.lamps["lamp"].lit
    assert garden.results("lamp")[-1] == ("failed", "it took 5 s to put it on record")


def test_a_record_that_hangs_holds_up_no_other_end() -> None:
    garden = Garden(action("first"), action("second", for_s=12.0, max_on_s=15.0))
    garden.guard.arm(True, "a test")
    hangs, inside = threading.Event(), threading.Event()

    def hang(act: Act) -> None:
        inside.set()
        hangs.wait(30)

    try:
        garden.fire("first")
        garden.fire("second")
        garden.note_error = OSError("the disk is full")
        garden.advance(4)
        garden.guard._note = hang
        end = time.monotonic() + 20
        while not inside.wait(0.02):  # it is tried again, once the timer waits for it
            assert time.monotonic() < end
            garden.clock.advance(0.25)
        assert garden.lamps["second"].lit
        while garden.lamps["second"].lit:
            assert time.monotonic() < end
            garden.clock.advance(0.25)
            time.sleep(0.02)
    finally:
        hangs.set()
        garden.guard.close()


def test_a_device_that_hangs_while_it_is_closed_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard_module, "_CLOSE_S", 0.3)
    garden = Garden(action("first"), action("second"), action("third"))

    def hang() -> None:
        threading.Event().wait()

    def leave() -> None:
        raise SystemExit(3)

    monkeypatch.setattr(garden.lamps["first"], "close", hang)
    monkeypatch.setattr(garden.lamps["second"], "close", leave)
    garden.guard.close()
    assert garden.lamps["third"].closed


def test_a_clock_that_is_set_changes_nothing(garden: Garden) -> None:
    garden.fire("lamp")
    garden.clock.jump(-86400)
    garden.advance(2)
    garden.clock.jump(10**7)
    garden.settle()
    assert garden.lamps["lamp"].since is not None
    garden.advance(1)
    assert garden.lamps["lamp"].times == [(0, 3)]
    assert garden.noted[-1].end == START + 3


def test_at_the_start_everything_is_switched_off_first() -> None:
    clock = SetClock(START)
    lamp = Lamp(clock)
    lamp.since = 0.0  # left on by a process that was killed
    lamp.fail_off = OSError("not yet")
    told: list[Message] = []
    guard = Guard([(action(), lamp)], clock, told.append, lambda act: None)
    guard.arm(True, "a test")
    wait(lambda: bool(told))
    (act,) = guard.fire(receipt("lamp"), ["lamp"], CAUSE)
    assert act.why.endswith("cannot be switched off: not yet; it is tried again")
    assert guard.running == ("lamp",)
    lamp.fail_off = None
    clock.advance(1)
    wait(lambda: guard.settled)
    assert not lamp.lit
    guard.close()


def test_who_wants_to_act_at_once_waits_until_everything_is_off() -> None:
    """As a command does that tries an action and ends."""
    clock = SetClock(START)
    lamp = Lamp(clock)
    slow, plain = threading.Event(), lamp.off

    def off() -> None:
        slow.wait(20)
        plain()

    lamp.off = off  # type: ignore[method-assign]
    guard = Guard([(action(), lamp)], clock, lambda message: None, lambda act: None)
    assert not guard.settle(0.01)
    threading.Timer(0.05, slow.set).start()
    assert guard.settle(20)
    assert guard.test("lamp", "a test").result == "running"
    guard.close()


def test_closing_switches_off(garden: Garden) -> None:
    garden.fire("lamp")
    garden.guard.close()
    lamp = garden.lamps["lamp"]
    assert lamp.since is None and lamp.closed
    assert garden.noted[-1].why == "the sentinel ends"
    assert garden.guard.fire(receipt("lamp"), ["lamp"], CAUSE)[0].result == "refused"


PROGRAM = """
import sys
from pathlib import Path
from lotor.sentinel.clock import SystemClock
from lotor.sentinel.config import Action
from lotor.sentinel.guard import Guard

class Lamp:
    def say(self, text):
        with open(sys.argv[1], "a") as file:
            file.write(text + " ")
    def on(self, cause, seconds):
        self.say("on")
    def off(self):
        self.say("off")
    def close(self):
        self.say("close")

guard = Guard([(Action("lamp", "lamp", dry_run=False), Lamp())], SystemClock(), print, print)
assert guard.settle(20)
guard.test("lamp", "a test")
while "on" not in Path(sys.argv[1]).read_text().split():
    pass
END
"""


@pytest.mark.parametrize("end", ["raise ValueError('an error')", "sys.exit()", ""])
def test_however_the_program_ends_everything_is_off(tmp_path: Path, end: str) -> None:
    said = tmp_path / "said"
    command = [sys.executable, "-c", PROGRAM.replace("END", end), str(said)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == int("raise" in end), done.stderr
    first, on, *offs, last = said.read_text().split()
    # Once more where the end came before `on` had returned.
    assert (first, on, set(offs), last) == ("off", "on", {"off"}, "close")


def test_an_error_of_the_timer_itself_ends_everything(
    garden: Garden, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    garden.fire("lamp")
    turns: list[int] = []

    def broken() -> float:
        turns.append(1)
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(garden.guard, "_turn", broken)
        garden.guard._wake.set()
        wait(lambda: garden.lamps["lamp"].since is None)
        wait(lambda: len(turns) == 3)
    assert caplog.text.count("Traceback") == 1  # no flood
    garden.settle()
    assert garden.lamps["lamp"].since is None
    assert garden.health["guard"].blocks
    assert "timer has failed" in garden.fire("lamp").why


def test_without_threads_everything_goes_off_all_the_same(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at an interpreter's end, or without memory."""
    lamp = garden.lamps["lamp"]
    garden.fire("lamp")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _no_thread)
        garden.guard.veto("a person is seen", 0)
        assert not lamp.lit
        garden.fire("lamp")
        garden.settle()
        assert garden.guard.settled and len(lamp.asked) == 1
        wait(lambda: len(garden.noted) == 4)
    assert garden.results("lamp")[1:] == [
        ("done", "ended early: a person is seen"),
        ("running", ""),
        ("failed", "no thread could be started"),
    ]
    assert None not in [act.end for act in garden.noted[1::2]]


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


class Life(RuleBasedStateMachine):
    """Whatever happens in whatever order."""

    @initialize(per_hour=st.integers(0, 3), max_on=st.sampled_from([0.5, 2.0, 5.0]))
    def begin(self, per_hour: int, max_on: float) -> None:
        self.garden = Garden(
            action("first", max_on_s=max_on, for_s=max_on / 2, per_hour=per_hour),
            action("second", max_on_s=max_on, for_s=max_on, per_hour=per_hour),
        )
        self.max_on, self.per_hour = max_on, per_hour
        self.vetoed_until, self.seen_until, self.started = 0.0, 0.0, 0
        self.fired = {"first": list[float](), "second": list[float]()}

    @property
    def lamps(self) -> dict[str, Lamp]:
        return self.garden.lamps

    @property
    def held_until(self) -> float:
        return max(self.vetoed_until, self.seen_until)

    @rule(name=st.sampled_from(["first", "second"]))
    def fire(self, name: str) -> None:
        if self.garden.fire(name).result == "running":
            now = self.garden.clock.monotonic()
            assert self.garden.guard.armed and now >= self.held_until
            self.fired[name].append(now)
            self.started += 1
            recent = [time for time in self.fired[name] if now - time < 3600]
            assert len(recent) <= self.per_hour

    @rule(name=st.sampled_from(["first", "second"]))
    def test(self, name: str) -> None:
        now = self.garden.clock.monotonic()
        if self.garden.guard.test(name, "a test").result == "running":
            assert now >= self.held_until
            self.started += 1
        self.garden.settle()

    @rule(hold=st.sampled_from([0.0, 1.0, 30.0]))
    def veto(self, hold: float) -> None:
        self.garden.guard.veto("a person is seen", hold)
        self.vetoed_until = max(self.vetoed_until, self.garden.clock.monotonic() + hold)
        self.garden.settle()
        assert all(lamp.since is None or lamp.fail_off for lamp in self.lamps.values())

    @rule(hold=st.sampled_from([0.0, 1.0, 30.0]))
    def person(self, hold: float) -> None:
        self.garden.guard.person("a person is in view of garden", hold)
        self.seen_until = self.garden.clock.monotonic() + hold
        self.garden.settle()
        assert all(lamp.since is None or lamp.fail_off for lamp in self.lamps.values())

    @rule()
    def nobody(self) -> None:
        self.garden.guard.person(None, 0.0)
        self.seen_until = 0.0

    @rule(armed=st.booleans())
    def arm(self, armed: bool) -> None:
        self.garden.guard.arm(armed, "a test")
        self.garden.settle()
        if not armed:
            assert all(lamp.since is None or lamp.fail_off for lamp in self.lamps.values())

    @rule(seconds=st.sampled_from([0.3, 2.0, 7.0, 1000.0]))
    def advance(self, seconds: float) -> None:
        self.garden.advance(seconds, step=max(0.25, seconds / 20) if seconds < 10 else 100.0)

    @rule(jump=st.sampled_from([-86400.0, 3600.0]))
    def jump(self, jump: float) -> None:
        self.garden.clock.jump(jump)

    @rule(name=st.sampled_from(["first", "second"]), fails=st.booleans())
    def fail_on(self, name: str, fails: bool) -> None:
        self.lamps[name].fail_on = OSError("on") if fails else None
        self.lamps[name].lit_by_failure = fails

    @rule(name=st.sampled_from(["first", "second"]), fails=st.booleans())
    def fail_off(self, name: str, fails: bool) -> None:
        self.lamps[name].fail_off = OSError("off") if fails else None

    @precondition(lambda self: hasattr(self, "garden"))
    @rule(name=st.sampled_from(["first", "second"]), hangs=st.booleans())
    def hang(self, name: str, hangs: bool) -> None:
        lamp = self.lamps[name]
        if hangs:
            lamp.hang.clear()
        else:
            self.garden.release(lamp)

    @invariant()
    def nothing_is_on_that_may_not_be(self) -> None:
        if not hasattr(self, "garden"):
            return
        now = self.garden.clock.monotonic()
        for lamp in self.lamps.values():
            if lamp.since is not None and not lamp.fail_off:
                assert now - lamp.since < self.max_on and now >= self.held_until
        assert sum(len(lamp.asked) for lamp in self.lamps.values()) <= self.started

    def teardown(self) -> None:
        if hasattr(self, "garden"):
            for lamp in self.lamps.values():
                lamp.hang.set()
                lamp.fail_off = None
            self.garden.guard.close()
            assert all(lamp.since is None for lamp in self.lamps.values())


Life.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
TestLife = Life.TestCase

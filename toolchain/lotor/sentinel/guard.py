"""The one place that switches a deterrent on, and sees to it that it goes off again.

No action is on without a receipt (a decision that is on record) or a person's test, none longer
than its `max_on_s`, none while disarmed or while a person is seen. All of this goes by a clock that
never goes back. Every call of a device has a thread of its own, so that one that hangs holds up
neither the others nor its own end: `off` is then called beside it, and once more when it returns.

Until `off` has come back without an error an action is taken to be on: it is blocked, `off` is
tried again and again, and the health says so. So it is at the start, too, as nobody knows how the
last run ended.
"""

import atexit
import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lotor.errors import LotorError, said
from lotor.sentinel.actions import Cause, Deterrent
from lotor.sentinel.actions.load import described
from lotor.sentinel.bus import Acted, HealthChanged, Message
from lotor.sentinel.clock import Clock
from lotor.sentinel.config import Action
from lotor.sentinel.event import Act, Receipt, Start
from lotor.suggest import did_you_mean

TEST_S = 1.0
"""Seconds after which a test ends, counted from when the device says that it is on."""

_HOUR = 3600.0
_PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds between tries of `off`
_HANGS = 45.0  # seconds after which a call of `off` is taken to hang
_CALLS = 3  # of `off` at a time, when they hang
_LONGEST_WAIT = 60.0
_RECORD_S = 5.0  # that a record may take; and between tries to put there what could not be
_OWED = 200  # acts that wait for that
_CLOSE_S = 6.0  # that closing the devices may take: a helper takes 5

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Switch:
    """An action and what is known of its device.

    Attributes:
        deed: what the device does when on, in words.
        act: what runs; None when nothing does.
        began: when `on` was called, monotonic.
        camera: that caused it.
        due: when it must end, monotonic.
        off: whether the device is known to be off.
        ending: whether it is to be off now.
        end: result and reason of what runs, as soon as it is to end.
        on_calls: calls of `on` that have not returned.
        returned: calls of `on` that have; `off` counts only when it was called after the last one.
        off_calls: when those of `off` that have not returned began.
        failures: calls of `off` that failed since one succeeded.
        ill: what the health says is wrong; "" where it is well.
        retry: when `off` is tried again, monotonic.
        starts: when decisions set it off within the last hour; `tests` likewise.
        telling: held while it is told what became of it, so that this comes in order.
    """

    action: Action
    device: Deterrent
    deed: str
    off: bool
    ending: bool
    act: Act | None = None
    began: float = 0.0
    camera: str = ""
    due: float = 0.0
    end: tuple[str, str] = ("done", "")
    on_calls: int = 0
    returned: int = 0
    off_calls: list[float] = field(default_factory=list)
    failures: int = 0
    ill: str = ""
    retry: float = 0.0
    starts: deque[float] = field(default_factory=deque)
    tests: deque[float] = field(default_factory=deque)
    telling: threading.RLock = field(default_factory=threading.RLock)

    @property
    def settled(self) -> bool:
        """Whether nothing is on, nor may be."""
        return self.off and not self.act and not self.on_calls and not self.off_calls


class Guard:
    """Switches actions on and off.

    It is disarmed at first. Everything may be called from any thread, and none of it waits for a
    device but `settle` and `close`.

    Args:
        actions: each action of the configuration with its device (`actions.load`).
        clock: the time.
        report: is told of acts and health (`Bus.tell`).
        note: puts an act on record; called before `report`, with the same `time` and `action` again
            when it ends. Where it fails at a start, nothing is switched on; what could not be put
            on record is tried again until it is.
        blind_s: seconds without a frame of the camera that caused it after which what runs ends.
        starts: what was switched on before this run; it counts for `per_hour`.
    """

    def __init__(
        self,
        actions: Sequence[tuple[Action, Deterrent]],
        clock: Clock,
        report: Callable[[Message], None],
        note: Callable[[Act], None],
        blind_s: float = math.inf,
        starts: Sequence[Start] = (),
    ) -> None:
        self._clock, self._report, self._note = clock, report, note
        self._blind_s = blind_s
        self._looked: dict[str, float] = {}
        self._switches = {
            action.name: _Switch(
                *(action, device, described(device, action.name)),
                off=action.dry_run,
                ending=not action.dry_run,
            )
            for action, device in actions
        }
        for start in starts:
            if switch := self._switches.get(start.action):
                times = switch.tests if start.test else switch.starts
                times.append(clock.monotonic() - start.ago)
        self._lock = threading.Condition(threading.RLock())
        self._armed = self._closed = self._broken = self._unrecorded = False
        self._veto = self._person = ("", -math.inf)  # each why, and until when, monotonic
        self._untold: list[Act] = []  # that ended where nothing could be told
        # What could not be put on record yet, each act as it is now.
        self._owed: dict[tuple[str | None, str, float], Act] = {}
        self._owed_at = -math.inf  # when that was tried last, monotonic
        self._wake = threading.Event()
        self._timer = threading.Thread(target=self._watch, name="guard", daemon=True)
        self._timer.start()
        atexit.register(self.close)

    @property
    def armed(self) -> bool:
        """Whether deterrents may act."""
        return self._armed

    @property
    def running(self) -> tuple[str, ...]:
        """Names of actions that are on, or not known to be off."""
        with self._lock:
            return tuple(name for name, switch in self._switches.items() if not switch.off)

    @property
    def settled(self) -> bool:
        """Whether everything is known to be off and no device owes an answer."""
        with self._lock:
            return all(switch.settled for switch in self._switches.values())

    def settle(self, wait_s: float) -> bool:
        """Wait, in real time, until everything is known to be off; return whether it is.

        At the start that takes as long as devices take to be switched off; an action that is set
        off before is refused.
        """
        with self._lock:
            return self._lock.wait_for(lambda: self.settled, wait_s)

    def arm(self, armed: bool, by: str) -> None:
        """Let decisions act, or no longer; what runs ends at once when disarmed."""
        with self._lock:
            self._armed = armed
            if not armed:
                self._end_all("done", f"disarmed by {by}")

    def veto(self, why: str, hold_s: float) -> None:
        """End whatever runs, and switch nothing on for a while.

        Args:
            why: for people, e.g. "the frame is 6 s old".
            hold_s: seconds; a later call lets it last longer, never shorter.
        """
        with self._lock:
            until = self._clock.monotonic() + hold_s
            if until >= self._veto[1]:
                self._veto = (why, until)
            self._end_all("done", f"ended early: {why}")

    def person(self, why: str | None, hold_s: float) -> None:
        """Say, after every frame, whether a person is in view of any camera, or may be.

        If so, whatever runs ends, and nothing is switched on until it is said that nobody is, or
        nothing was said for `hold_s` seconds. What the rules let pass is so never refused here,
        which would begin a cool-down for nothing.

        Args:
            why: for people, e.g. "a person is in view of garden"; None for nobody.
            hold_s: seconds that it holds at most.
        """
        with self._lock:
            self._person = (why or "", self._clock.monotonic() + hold_s if why else -math.inf)
            if why:
                self._end_all("done", f"ended early: {why}")

    def fire(self, receipt: Receipt, names: Sequence[str], cause: Cause) -> tuple[Act, ...]:
        """Switch actions on because of a decision that is on record.

        Args:
            receipt: of the decision.
            names: of actions that it names.
            cause: what to tell the devices.

        Returns:
            For each name what became of it so far: running, dry run, refused or failed.

        Raises:
            TypeError: what is given is no receipt, or the decision does not name such an action.
        """
        if not isinstance(receipt, Receipt):
            raise TypeError("nothing is switched on without a receipt")
        decision = receipt.decision
        if foreign := [name for name in names if name not in decision.actions]:
            raise TypeError(f"decision {decision.id} does not name {', '.join(foreign)}")
        return tuple(self._start(name, decision.id, cause) for name in names)

    def test(self, name: str, by: str) -> Act:
        """Try an action for a moment, also when disarmed, but not while a person is seen.

        Raises:
            LotorError: there is none of that name.
        """
        if name not in self._switches:
            raise LotorError(
                f"there is no action '{name}'{did_you_mean(name, self._switches)}; actions: "
                f"{', '.join(self._switches) or 'none'}"
            )
        log.info("%s tries the action %s", by, name)
        return self._start(name, None, Cause("test", "", self._clock.now()))

    def close(self, wait_s: float = 5.0) -> None:
        """Switch everything off and give the devices back.

        What cannot be switched off within `wait_s` (of real time) is logged; a device that a
        helper process holds is tried further by that process.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._armed = False
            self._end_all("done", "the sentinel ends")
        atexit.unregister(self.close)
        until = time.monotonic() + wait_s
        again: dict[str, float] = {}  # when it may be tried anew, in real time as the wait
        with self._lock:
            while not self.settled and (now := time.monotonic()) < until:
                for name, switch in self._switches.items():
                    if not switch.off and not switch.off_calls and now >= again.get(name, now):
                        again[name] = now + _PAUSES[0] / 2
                        self._begin_off(switch)
                self._lock.wait(0.1)
        self._wake.set()
        self._timer.join(max(0.1, until - time.monotonic()))
        for name in self.running:
            log.error("the action %s could not be switched off: look after it", name)
        self._close_devices()
        self._tell_late()
        self._record_late()

    def _close_devices(self) -> None:
        """Close all of them at once: one that hangs is left."""

        def close(switch: _Switch) -> None:
            try:
                switch.device.close()
            except BaseException:  # a plug-in may raise anything
                log.exception("the action %s could not be closed", switch.action.name)

        threads = []
        for switch in self._switches.values():
            thread = threading.Thread(target=close, args=(switch,), name="guard-close", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # at the interpreter's end
                close(switch)
            else:
                threads.append(thread)
        until = time.monotonic() + _CLOSE_S
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            log.error("a device hangs while it is closed and is left")

    # Starting.

    def _start(self, name: str, decision: str | None, cause: Cause) -> Act:
        self._tell_late()
        switch = self._switches.get(name)
        act = Act(decision, name, self._clock.now(), None, "running")
        if switch is None:
            return self._tell(replace(act, end=act.time, result="failed", why="no such action"))
        action, test = switch.action, decision is None
        with switch.telling:
            with self._lock:
                now = self._clock.monotonic()
                if against := self._against(switch, now, test):
                    act = replace(act, end=act.time, result="refused", why=against)
                else:
                    (switch.tests if test else switch.starts).append(now)
                    seconds = min(action.for_s, action.max_on_s, TEST_S if test else action.for_s)
                    if action.dry_run:
                        what = f"would {switch.deed} for {seconds:g} s"
                        act = replace(act, end=act.time, result="dry run", why=what)
                    else:
                        switch.act, switch.began, switch.camera = act, now, cause.camera
                        switch.due = now + action.max_on_s
                        switch.off = switch.ending = False
                        switch.end, switch.on_calls = ("done", ""), 1
            if act.result != "running":
                return self._tell(act)
            wrong = "it could not be put on record" if self._tell(act).result == "failed" else ""
            with self._lock:
                # Who has come since, nobody may have seen: a disk that hangs holds up that, too.
                if (took := self._clock.monotonic() - now) > _RECORD_S and not wrong:
                    wrong = f"it took {took:.0f} s to put it on record"
                if wrong:
                    switch.on_calls -= 1
                    self._end(switch, "failed", wrong)
            if wrong:
                return replace(act, end=act.time, result="failed", why=wrong)
        self._wake.set()
        if not self._thread(self._on, switch, cause, seconds):
            with self._lock:
                switch.on_calls -= 1
                self._end(switch, "failed", "no thread could be started")
            self._tell_late()
        return act

    def _against(self, switch: _Switch, now: float, test: bool) -> str:
        """Return why an action may not start; empty when it may."""
        action = switch.action
        times, kind = (switch.tests, "tests") if test else (switch.starts, "times")
        while times and now - times[0] >= _HOUR:
            times.popleft()
        if self._closed:
            return "the sentinel ends"
        if self._broken or not self._timer.is_alive():
            return "the guard's timer has failed; restart the sentinel"
        if not self._armed and not test:
            return "disarmed"
        for why, until in (self._veto, self._person):
            if now < until:
                return why
        if switch.act and not switch.ending:
            return "it is on already"
        if not switch.settled:
            return "it is not known to be off yet" + (f": it {switch.ill}" if switch.ill else "")
        if len(times) >= action.per_hour:
            return f"{len(times)} {kind} within the last hour; {action.per_hour} are allowed"
        return ""

    def _on(self, switch: _Switch, cause: Cause, seconds: float) -> None:
        """Call `on`, in a thread of its own."""
        error: BaseException | None = None
        with self._lock:
            wanted = not switch.ending
        try:
            if wanted:
                switch.device.on(cause, seconds)
        except BaseException as caught:  # a plug-in may raise anything
            error = caught
        with self._lock:
            switch.on_calls -= 1
            switch.returned += 1
            if switch.ending:
                # It was to end meanwhile. Whether `off` came before or after: once more.
                self._begin_off(switch)
            elif error is None:
                switch.due = min(switch.due, self._clock.monotonic() + seconds)
                self._wake.set()
            else:
                self._end(switch, "failed", _line(error, switch.action.name))
            self._lock.notify_all()
        if error is not None:
            why = _line(error, switch.action.name)
            self._health(switch, f"cannot be switched on: {why}")

    # Ending. All of these are called with the lock held.

    def _end_all(self, result: str, why: str) -> None:
        for switch in self._switches.values():
            self._end(switch, result, why)

    def _end(self, switch: _Switch, result: str, why: str) -> None:
        if switch.act is None or switch.ending:
            return
        switch.ending, switch.end = True, (result, why)
        self._begin_off(switch)

    def _begin_off(self, switch: _Switch) -> None:
        now = self._clock.monotonic()
        switch.off = False
        switch.off_calls.append(now)
        if self._thread(self._off, switch, now, switch.returned):
            return
        # At the interpreter's end, or out of memory: then here, lest it stays on.
        switch.off_calls.remove(now)
        try:
            switch.device.off()
        except BaseException:
            log.exception("the action %s cannot be switched off", switch.action.name)
            switch.failures, switch.retry = switch.failures + 1, now + _PAUSES[0]
        else:
            if switch.act:
                end = switch.act.time + (now - switch.began)
                result, why = switch.end
                self._untold.append(replace(switch.act, end=end, result=result, why=why))
            switch.act, switch.off, switch.ending = None, not switch.on_calls, False
        self._wake.set()

    def _off(self, switch: _Switch, began: float, returned: int) -> None:
        """Call `off`, in a thread of its own."""
        error: BaseException | None = None
        try:
            switch.device.off()
        except BaseException as caught:  # a plug-in may raise anything
            error = caught
        with switch.telling:
            told: Act | None = None
            health: str | None = None
            with self._lock:
                now = self._clock.monotonic()
                switch.off_calls.remove(began)
                act, (result, why) = switch.act, switch.end
                if error is not None:
                    why = _line(error, switch.action.name)
                    health = f"cannot be switched off: {why}; it is tried again"
                    if act and not switch.failures:
                        told = replace(act, result="failed", why=health)
                    switch.retry = now + _PAUSES[min(switch.failures, len(_PAUSES) - 1)]
                    switch.failures += 1
                    switch.off, switch.ending = False, True
                elif not switch.off:
                    if switch.failures:
                        result, why = "failed", f"it went off only at try {switch.failures + 1}"
                    if act:
                        end = act.time + (now - switch.began)
                        told = replace(act, end=end, result=result, why=why)
                    switch.act, switch.failures = None, 0
                    # While `on` has not returned it may yet go on: `_on` calls again.
                    if not switch.on_calls and switch.returned == returned:
                        switch.off, switch.ending = True, False
                        if switch.ill and result == "done":
                            health = ""
                self._lock.notify_all()
            self._wake.set()
            if told is not None:
                self._tell(told)
            if health is not None:
                self._health(switch, health)

    # The timer.

    def looked(self, camera: str) -> None:
        """Say that a frame of a camera was looked at and decided: whoever comes is seen."""
        self._looked[camera] = self._clock.monotonic()

    def _end_of(self, switch: _Switch) -> float:
        """Return when what runs must end; earlier where nobody looks. A test has its person."""
        if switch.act is None or switch.act.decision is None:
            return switch.due
        return min(switch.due, self._looked.get(switch.camera, switch.began) + self._blind_s)

    def _due(self, switch: _Switch, now: float) -> bool:
        """Whether `off` is to be called now; with the lock held."""
        if switch.act and not switch.ending:
            return now >= self._end_of(switch)
        if not switch.ending or switch.off:
            return False
        if not switch.off_calls:
            # While `on` hangs and `off` succeeded, nothing can be done but wait for it.
            return now >= switch.retry and not (switch.on_calls and not switch.failures)
        return len(switch.off_calls) < _CALLS and now - switch.off_calls[-1] >= _HANGS

    def _watch(self) -> None:
        while True:
            try:
                wait = self._turn()
                if wait is None:
                    return
                self._clock.wait(self._wake, min(wait, self._settle_accounts()))
            except BaseException:
                # Nobody would switch off in time any more: nothing is switched on any more.
                known, self._broken = self._broken, True
                with self._lock:
                    self._end_all("failed", "the guard's timer failed")
                if not known:  # said once: it may fail ten times a second from now on
                    log.exception("the guard's timer failed")
                    self._tell_health(HealthChanged("guard", False, "its timer failed", True))
                time.sleep(0.1)

    def _settle_accounts(self) -> float:
        """Tell and record what is owed, beside the timer, as the store may hang.

        Returns:
            seconds after which it is to be called again.
        """
        if self._untold and not self._thread(self._tell_late):
            self._tell_late()
        if not self._owed:
            return _LONGEST_WAIT
        now = self._clock.monotonic()
        if now - self._owed_at >= _RECORD_S:
            self._owed_at = now
            self._thread(self._record_late)
        return _RECORD_S

    def _turn(self) -> float | None:
        """End what is due; return for how long nothing is, or None at the end."""
        with self._lock:
            self._wake.clear()
            if self._closed:
                return None
            now = self._clock.monotonic()
            for switch in self._switches.values():
                if not self._due(switch, now):
                    continue
                if switch.off_calls:
                    text = "does not answer when it is switched off; it is tried again"
                    self._thread(self._health, switch, text)
                if switch.act and not switch.ending:
                    late = switch.on_calls > 0 and now >= switch.due
                    why = f"did not say that it is on within {now - switch.began:g} s"
                    blind = "" if now >= switch.due else "ended early: no frame is looked at"
                    self._end(switch, *(("failed", f"it {why}") if late else ("done", blind)))
                    if late:
                        self._thread(self._health, switch, why)
                else:
                    self._begin_off(switch)
            return min(
                (self._next(switch, now) for switch in self._switches.values()), default=60.0
            )

    def _next(self, switch: _Switch, now: float) -> float:
        at = now + _LONGEST_WAIT
        if switch.act and not switch.ending:
            at = self._end_of(switch)
        elif switch.off_calls:
            at = switch.off_calls[-1] + _HANGS
        elif switch.ending and switch.failures:
            at = switch.retry
        return min(max(0.0, at - now), _LONGEST_WAIT)

    # Telling.

    def _tell(self, act: Act) -> Act:
        """Put an act on record and tell it; return it, as failed where that did not succeed."""
        key = act.decision, act.action, act.time
        try:
            self._note(act)
            with self._lock:
                self._owed.pop(key, None)
            self._recorded()
        except Exception as error:
            log.exception("an act of %s could not be put on record", act.action)
            failed = replace(
                act, result="failed", why=f"it could not be put on record: {said(error)}"
            )
            with self._lock:
                # What was to begin has not, and that is the end of it.
                self._owed[key] = replace(failed, end=act.time) if act.result == "running" else act
                while len(self._owed) > _OWED:
                    del self._owed[next(iter(self._owed))]
                self._unrecorded = True
            self._tell_health(
                HealthChanged("record of acts", False, f"cannot be written: {_line(error)}", True)
            )
            self._wake.set()
            act = failed
        try:
            self._report(Acted(act))
        except Exception:
            log.exception("an act of %s was not told", act.action)
        return act

    def _recorded(self) -> None:
        """Say that all is on record, where it was not."""
        with self._lock:
            if self._owed or not self._unrecorded:
                return
            self._unrecorded = False
        self._tell_health(HealthChanged("record of acts", True))

    def _record_late(self) -> None:
        """Put on record what could not be: nothing acts until it is."""
        with self._lock:
            owed = list(self._owed.items())
        try:
            for key, act in owed:
                switch = self._switches.get(act.action)
                with switch.telling if switch else contextlib.nullcontext():
                    if self._owed.get(key) is act:  # else there is news of it
                        self._note(act)
                        self._owed.pop(key, None)
        except Exception as error:
            log.debug("acts still cannot be put on record: %s", error)
            return
        self._recorded()

    def _tell_late(self) -> None:
        with self._lock:
            acts, self._untold = self._untold, []
        for act in acts:
            self._tell(act)

    def _health(self, switch: _Switch, text: str) -> None:
        part = f"action {switch.action.name}"
        if text and text == switch.ill:
            return
        switch.ill = text
        self._tell_health(HealthChanged(part, not text, text))

    def _tell_health(self, health: HealthChanged) -> None:
        try:
            self._report(health)
        except Exception:
            log.exception("the health of %s was not told", health.part)

    def _thread(self, call: Callable[..., None], *given: object) -> bool:
        """Call in a thread of its own; False when there is none to be had."""
        try:
            threading.Thread(target=call, args=given, name="guard-call", daemon=True).start()
        except RuntimeError:
            log.exception("no thread could be started")
            return False
        return True


def _line(error: BaseException, action: str = "") -> str:
    """Return an error as one line; whoever shows it names the action."""
    try:
        text = " ".join(str(error).split()).removeprefix(f"action '{action}': ")
        return text if isinstance(error, (LotorError, OSError)) and text else repr(error)
    except Exception:  # a plug-in's own class
        return type(error).__name__

"""The sentinel: all parts put together, and a thread for each camera.

On each frame, in this order: look (`pipeline.py`), decide (`rules.py`), put on record (`store.py`),
and only then act (`guard.py`); afterwards whoever wants to know is told (`bus.py`). Looking is each
camera's own; the rest is done by one camera at a time, as all share one garden.
"""

import contextlib
import functools
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from lotor.errors import LotorError, said
from lotor.sentinel.actions import Cause
from lotor.sentinel.actions.load import load
from lotor.sentinel.board_alarms import BoardAlarms
from lotor.sentinel.bus import (
    ArmedChanged,
    Bus,
    Decided,
    EventChanged,
    HealthChanged,
    Message,
    SceneSeen,
)
from lotor.sentinel.capture import Capture
from lotor.sentinel.clock import Clock, SystemClock
from lotor.sentinel.config import Config
from lotor.sentinel.event import UNKNOWN, Act, Decision, Receipt
from lotor.sentinel.events import Events
from lotor.sentinel.guard import Guard
from lotor.sentinel.media import CLOSE_S, Media
from lotor.sentinel.models import Models
from lotor.sentinel.pace import Pace
from lotor.sentinel.pipeline import Pipeline
from lotor.sentinel.retention import Retention
from lotor.sentinel.rules import Now, Rules
from lotor.sentinel.scene import Frame, Scene
from lotor.sentinel.sources import BoardEvent, Unusable, check_source, kind_of
from lotor.sentinel.store import LOST, Store, StoreError, unwritable
from lotor.sentinel.worker import Worker

log = logging.getLogger(__name__)

ARMED = "armed"
"""The store's setting: "yes" or "no"."""
TROUBLE_S = 60.0
"""After an internal error nothing acts for so long, and the health says so."""
LOST_S = 30.0
"""A visit whose camera gives no frame for so long is over, and for three of its pauses."""
OLD_S = 5.0
"""A frame that waited for so long, or for three of its camera's, says nothing of now: by it nothing
acts."""
FINISH_S = 10.0
"""Seconds of real time that each step of the end may take; then it is left."""
_DAY_S = 24 * 3600.0
_BLIND_S = 3.0  # without a frame, after which nothing stays on: nobody would see a person come
_CLIPS_S = 600.0  # that a film, and its end, wait for its clips at most
_WAIT_S = 1.0  # for a frame, before it is looked whether there is anything else to do
_UNSAVED = 1000  # events that wait to be put on record
_COUNTED = (
    "frames",
    "decisions",
    "events",
    "acts",
    "refused",
    "drop-outs",
    "errors",
    "board alarms",
)


class Part(Protocol):
    """What runs beside the cameras: the page, MQTT, webhooks, messages."""

    def close(self) -> None:
        """End."""
        ...


class Sentinel:
    """Watches; its public part is `bus.Controls`.

    Args:
        config: what to do.
        folder: of the configuration; its paths are relative to it.
        clock: the time.
        once: sources are read from beginning to end, no frame is dropped, and then it ends; all
            actions are dry runs.

    Raises:
        LotorError: a camera's source, a model, an action or the store's folder is not as it should
            be.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        clock: Clock | None = None,
        *,
        once: bool = False,
    ) -> None:
        if once:
            # A film shows neither who is in the garden now nor how long ago anything acted.
            dry = tuple(replace(action, dry_run=True) for action in config.action)
            config = replace(config, action=dry)
        self.config, self.folder, self.once = config, folder, once
        self.clock: Clock = clock or SystemClock()
        self.bus = Bus()
        self.url = ""
        self._lock = threading.Lock()  # of deciding; nothing that the guard calls may take it
        # Of arming: who spoke last, which never waits, and what follows from it.
        self._order, self._arming = threading.Lock(), threading.Lock()
        self._asked = 0  # how often somebody armed or disarmed it
        self._armed = False  # what was said last; the guard's own is False at the end
        self._known = threading.Lock()  # of counts, health and latest; nothing else within it
        self._counts = Counter(dict.fromkeys(_COUNTED, 0))
        self._health: dict[str, HealthChanged] = {}
        self._latest: dict[str, Scene] = {}
        self._trouble = -_DAY_S
        self._armed_unsaved = False  # somebody armed or disarmed it, and it is not on record yet
        self._failed: BaseException | None = None
        self._stop = threading.Event()
        self._unsaved: dict[str, EventChanged] = {}
        self._looked: dict[str, float] = {}  # when each camera that is not lost gave its last frame
        self._paces = {camera.name: Pace() for camera in config.camera}
        self._threads: list[Worker] = []
        self._captures: list[Capture] = []
        self._parts: list[Part] = []
        self.bus.subscribe(self._hear)
        with contextlib.ExitStack() as undo:
            check_sources(config)
            self.models = Models(config)
            check_labels(config, self.models)
            devices = [(action, load(action, folder)) for action in config.action]
            self.store = Store(store_folder(config, folder), self.clock, bus=self.bus)
            undo.callback(self.store.close)
            blind_s = max(_BLIND_S, 3 / min(camera.rate for camera in config.camera))
            # A film knows nothing of how long ago anything acted.
            starts = [] if once else self.store.starts(_DAY_S)
            self.guard = Guard(devices, self.clock, self.bus.tell, self._note, blind_s, starts)
            undo.callback(self.guard.close)
            self.media = Media(self.store, config.store, self.clock, self.bus, film=once)
            undo.callback(self.media.close)
            self.retention = Retention(self.store, config.store, self.clock, self.bus)
            self._opened = 0  # of the store's openings, those that were told
            self._rules = Rules(config, self.models.threshold_of)
            self._rules.acted_before(self.clock.monotonic(), [s.ago for s in starts if s.first])
            files = [model.file for model in self.models.opened]
            self._alarms = BoardAlarms(config, self._rules, files)
            self._events = Events()
            self._pipelines = {
                camera.name: Pipeline(camera, config, self.models) for camera in config.camera
            }
            # A film's times are its own.
            self._old = {
                camera.name: max(OLD_S, 3 / camera.rate)
                for camera in config.camera
                if kind_of(camera.source) not in ("file", "garden")
            }
            self._armed = self._armed_at_first()
            self.guard.arm(self._armed, "the configuration")
            self._look_at_store()
            undo.pop_all()

    def _armed_at_first(self) -> bool:
        """Return what was said last; where nobody knows any more what that was, it is disarmed."""
        known = self.store.setting(ARMED)
        if known is not None:
            return known == "yes"
        if lost := self.store.setting(LOST):
            text = f"{lost}; whether it was armed is not known, so it is disarmed until you arm it"
            self.bus.tell(HealthChanged(ARMED, False, text, blocks=True))
            return False
        return self.config.armed

    def _look_at_store(self) -> None:
        """Tell what was found when the log was opened; also when that was anew, meanwhile."""
        if (now := self.store.openings) == self._opened:
            return
        # It may be another one that is there now. One that was begun anew says so at the next
        # start: then nobody knows what acted, and it is disarmed.
        known = self.store.setting(ARMED) is not None or self.store.setting(LOST) is None
        self._armed_unsaved |= self._opened > 0 and known
        self._opened = now
        for notice in self.store.notices:
            self.bus.tell(HealthChanged("store", False, notice))

    # What others may ask: `bus.Controls`.

    @property
    def name(self) -> str:
        """Of the sentinel, as the configuration has it."""
        return self.config.name

    @property
    def armed(self) -> bool:
        """Whether deterrents may act."""
        return self._armed

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras."""
        return tuple(camera.name for camera in self.config.camera)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that the sentinel looks for, then `UNKNOWN`."""
        return (*(target.label for target in self.config.target), UNKNOWN)

    def arm(self, armed: bool, by: str) -> None:
        """Let deterrents act, or no longer; remembered over a restart as far as there is room.

        Whoever speaks last is obeyed, here, in the store and by all who are told. Disarming ends
        what runs at once, whatever else hangs.
        """
        with self._order:
            self._asked += 1
            mine = self._asked
            if not armed:
                self._obey(False, by)
        with self._arming:
            if mine != self._asked:
                return  # somebody has said something since
            try:
                self._remember_armed(armed)
            except StoreError as error:
                self._store_failed(error)
            with self._order:
                if mine != self._asked:
                    return
                self._obey(armed, by)
            log.info("%s by %s", "armed" if armed else "disarmed", by)
            if (state := self._health.get(ARMED)) and not state.well:
                self.bus.tell(HealthChanged(ARMED, True))
            self.bus.tell(ArmedChanged(armed, by))

    def _obey(self, armed: bool, by: str) -> None:
        self._armed = armed
        self.guard.arm(armed, by)

    def _remember_armed(self, armed: bool) -> None:
        """Put it on record; `_arming` is held."""
        self._armed_unsaved = True
        self.store.set_setting(ARMED, "yes" if armed else "no")
        self._armed_unsaved = False

    def test(self, action: str, by: str) -> Act:
        """Try an action for a moment, also when disarmed; dry runs stay dry.

        Raises:
            LotorError: there is none of that name.
        """
        return self.guard.test(action, by)

    def latest(self, camera: str) -> Scene | None:
        """Return what was seen last; None before the first frame."""
        return self._latest.get(camera)

    def health(self) -> tuple[HealthChanged, ...]:
        """Return the last state of every part."""
        with self._known:
            return tuple(self._health.values())

    def counters(self) -> dict[str, int]:
        """Return how often since the program began."""
        with self._known:
            return dict(self._counts) | {"clips left out": self.media.left_out}

    def lacks(self) -> dict[str, str]:
        """Return what of files and folders could not be read, in words, by camera."""
        return {each.camera.name: each.lacks for each in self._captures if each.lacks}

    # Its life.

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start_parts(self) -> None:
        """Begin the page, MQTT, webhooks and messages, as far as the configuration has them.

        Raises:
            LotorError: one cannot begin: a port is taken, a package is missing.
        """
        config, media = self.config, self.store.folder
        if config.page.on:
            from lotor.sentinel.page import Page

            page = Page(
                *(self, self.store, self.bus, config.page, media, config.camera, config.action),
                self.clock,
            )
            self.url = page.start()
            self._parts.append(page)
        if config.mqtt:
            from lotor.sentinel.mqtt import Mqtt

            mqtt = Mqtt(config, self.bus, self, self.store, self.clock, self.folder, media)
            mqtt.start()
            self._parts.append(mqtt)
        if config.webhook:
            from lotor.sentinel.webhook import webhooks

            for hook in webhooks(config, self.bus, self.store, self.clock):
                hook.start()
                self._parts.append(hook)
        if config.notify:
            from lotor.sentinel.notify import Notifier

            notifier = Notifier(config, self.bus, self.store, self.clock, self.folder, media)
            notifier.start()
            self._parts.append(notifier)

    def check_parts(self) -> None:
        """See what takes too long to be looked at before the cameras begin.

        Raises:
            LotorError: an address of [notify] cannot be used.
        """
        for part in self._parts:
            check = getattr(part, "check", None)
            if check is not None:
                check()

    def start_cameras(self) -> None:
        """Begin to watch; `wait` says when all cameras have ended."""
        self.retention.start()
        for camera in self.config.camera:
            capture = Capture(camera, self.clock, self.bus.tell, once=self.once, folder=self.folder)
            self._captures.append(capture)
            worker = Worker(
                f"watch {camera.name}",
                functools.partial(self._watch, capture, len(self._threads)),
                self.bus.tell,
                failed=self._failure,
                blocks=True,
            )
            self._threads.append(worker)
        for worker in self._threads:
            worker.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Return whether all cameras have ended within so many (real) seconds.

        Raises:
            LotorError: with `once`, a source cannot be read; else, one never could be.
        """
        for worker in self._threads:
            worker.join(seconds)
        if self._failed is not None:
            raise self._failed
        return not any(worker.is_alive() for worker in self._threads)

    def end(self) -> None:
        """Ask all cameras to end; not for signal handlers, as it takes a lock."""
        self._stop.set()

    def finish(self) -> None:
        """End all visits that last: there will be no more frames."""
        if not self._lock.acquire(timeout=FINISH_S):
            log.error("a camera's thread hangs: the visits that last are ended at the next start")
            return
        try:
            with self._on_record():
                for camera in self.cameras:  # a frame that is under way begins a visit of its own
                    self._forget_camera(camera)
                self._told(self._events.end_all())
        finally:
            self._lock.release()

    def close(self) -> None:
        """End: deterrents first, then cameras, visits and everything else.

        What hangs is left after a while: neither a disk nor a driver holds up the end.
        """
        # What was read to its end has time: nobody waits for the machine to go down.
        clips_s = _CLIPS_S if self.once and not self._stop.is_set() else CLOSE_S
        self._stop.set()
        _within(2 * FINISH_S, self.guard.close)
        _within(FINISH_S, *(capture.close for capture in self._captures))
        until = time.monotonic() + FINISH_S
        for worker in self._threads:
            worker.end(max(0.1, until - time.monotonic()))
        _within(2 * FINISH_S, self.finish)
        _within(clips_s + 5 * FINISH_S, functools.partial(self.media.close, clips_s))
        _within(2 * FINISH_S, *(part.close for part in reversed(self._parts)))
        _within(2 * FINISH_S, self.retention.close)
        _within(2 * FINISH_S, self.store.close)

    # A frame's way.

    def see(self, frame: Frame) -> Scene:
        """Look at a frame, decide, and act; whatever goes wrong is told and forbids acting."""
        scene = self._pipelines[frame.camera].look(frame)
        self._count("frames")
        with self._lock:
            # By our own clock: a film's times fall behind where looking is slower than the film.
            self._looked[frame.camera] = self.clock.monotonic()
            self._paces[frame.camera].see(self._looked[frame.camera])
            try:
                with self._on_record():
                    self._decide(scene)
            except Exception as error:  # a fault of ours: nothing acts, and it is seen
                self._failure(error)
        with self._known:
            self._latest[frame.camera] = scene
        self.bus.tell(SceneSeen(scene))
        return scene

    def heed(self, event: BoardEvent) -> None:
        """Take in what a board that watches by itself saw; its frames are looked at anyway."""
        log.info("the board of %s: %s %d, %s", event.camera, event.kind, event.number, event.text)
        self._count("board alarms", event.kind == "alarm")
        seen = event.seen
        if seen is None or event.kind not in ("alarm", "held"):
            return
        scene = self._alarms.look(event, seen, self._pipelines[event.camera])
        with self._lock:
            if seen.image is not None:
                self._looked[event.camera] = self.clock.monotonic()
            try:
                with self._on_record():
                    self._decide(scene, event)
            except Exception as error:  # as of a frame
                self._failure(error)
        if seen.image is not None:
            with self._known:
                self._latest[event.camera] = scene
            self.bus.tell(SceneSeen(scene))

    def tidy(self) -> None:
        """End visits whose camera was lost, and try again to put on record what waits."""
        with self._lock, self._on_record():
            now, changed = self.clock.monotonic(), list[EventChanged]()
            for camera, at in list(self._looked.items()):
                if now - at < max(LOST_S, 3 * self._paces[camera].seconds):
                    continue
                del self._looked[camera]
                self._forget_camera(camera)  # what is there afterwards is another visit
                changed += self._events.lose(camera)
            changed += self._events.end(self._alarms.over(now))
            self._told(changed)
            self._look_at_store()
            self._store_well()

    def _forget_camera(self, camera: str) -> None:
        self._rules.forget_camera(camera)
        self._alarms.forget_camera(camera)

    def _decide(self, scene: Scene, told: BoardEvent | None = None) -> None:
        """Decide about a frame, or about what a board told of one of its own."""
        frame = scene.frame
        self._tell_errors(scene)
        self._recover(frame.monotonic)
        now = self._now(frame)
        if told is not None and told.seen is not None:
            made = self._alarms.decide(told, told.seen, scene, now, self.clock.monotonic())
        else:
            made = self._rules.decide(scene, now)
        pictured = bool(frame.image.size)  # a board may give none
        # A film runs faster than the guard's clock, and its time is the rules' alone.
        left = 0.0 if self.once else self._rules.person_left(frame.monotonic)
        self.guard.person(self._rules.person_for(frame.monotonic), left)
        if pictured and not scene.errors:
            self.guard.looked(frame.camera)
        changed = self._events.follow(scene, made)
        if pictured and not scene.errors:
            self.media.see(frame, bool(scene.moving or made))
        try:
            receipts = self._record(made)
        finally:
            self._told(changed)
        if receipts and (old := self._too_old(frame)):  # the disk took its time
            self.guard.veto(old, 1.0)
        for receipt in receipts:
            decision = receipt.decision
            cause = Cause(decision.label or "", decision.camera, decision.time)
            self.guard.fire(receipt, decision.actions, cause)
        for decision in made:
            if decision.frames == 1:
                self.bus.tell(Decided(decision))
        grown = {change.event.id for change in changed if change.event.end is None}
        if told:  # its first picture may come after the event is known
            grown = {decision.event for decision in made if decision.event and pictured}
        for event in grown:
            # A picture goes out with messages: not with a person on it, as far as that is known.
            if self._events.best(event, frame.number) and not scene.shows_person:
                self.media.picture(event, frame)
        self._store_well()

    def _record(self, made: Sequence[Decision]) -> list[Receipt]:
        """Put decisions on record; return the receipts of those that act."""
        receipts = []
        for index, decision in enumerate(made):
            try:
                if decision.frames > 1:
                    self.store.extend(decision)
                elif receipt := self.store.record(decision):
                    receipts.append(receipt)
            except StoreError:
                for left in made[index:]:  # made anew on the next frame
                    self._rules.unmade(left)
                    self._alarms.unmade(left)
                raise
            self._count("decisions", decision.frames == 1)
        return receipts

    def _now(self, frame: Frame) -> Now:
        ill = [state for state in self.health() if not state.well]
        blocked = [f"{state.part}: {state.text}" for state in ill if state.blocks]
        at, badly = self.clock.monotonic(), {state.part for state in ill}
        looking = [
            name
            for name, last in self._looked.items()
            if at - last <= _BLIND_S and f"looking at {name}" not in badly
        ]
        if old := self._too_old(frame):
            blocked.append(old)
        return Now(self.guard.armed, blocked, looking)

    def _too_old(self, frame: Frame) -> str:
        """Return how old a frame is if it does not show who is there now, else nothing."""
        age = self.clock.monotonic() - frame.monotonic
        return (
            f"the frame is {age:.0f} s old" if age > self._old.get(frame.camera, math.inf) else ""
        )

    def _told(self, changed: Sequence[EventChanged]) -> None:
        """Put events on record, then tell; what cannot be recorded now waits until it can.

        Raises:
            StoreError: something waits.
        """
        for change in changed:
            before = self._unsaved.get(change.event.id)
            began = change.began or (before is not None and before.began)
            self._unsaved[change.event.id] = replace(change, began=began)
        while len(self._unsaved) > _UNSAVED:
            lost = self._unsaved.pop(next(iter(self._unsaved)))
            log.error("the event %s could not be put on record", lost.event)
        for id, change in list(self._unsaved.items()):
            self.store.save_event(change.event)
            del self._unsaved[id]
            if change.began:
                self._count("events")
            self.bus.tell(change)  # before anything that may fail
            if change.began:
                self.media.begin(change.event)
            if change.event.end is not None:
                self.media.end(change.event)

    def _note(self, act: Act) -> None:
        self.store.note(act, counts=not self.once)  # what a film would have set off limits nothing
        if act.result in ("running", "dry run"):
            self._count("acts")
        elif act.result == "refused":
            self._count("refused")

    def _count(self, what: str, more: int = 1) -> None:
        with self._known:
            self._counts[what] += more

    # Health.

    def _hear(self, message: Message) -> None:
        """Remember what a part says of itself."""
        if not isinstance(message, HealthChanged):
            return
        with self._known:
            before = self._health.get(message.part)
            self._health[message.part] = message
        lost = not message.well and (before is None or before.well)
        if lost and message.part.startswith("camera "):
            self._count("drop-outs")
        if before != message:
            level = logging.INFO if message.well else logging.WARNING
            log.log(level, "%s", message.line(before))

    @contextlib.contextmanager
    def _on_record(self) -> Iterator[None]:
        """Say so when something cannot be put on record; nothing acts meanwhile."""
        try:
            yield
        except StoreError as error:
            self._store_failed(error)

    def _store_failed(self, error: StoreError) -> None:
        self.bus.tell(unwritable(error))

    def _store_well(self) -> None:
        state = self._health.get("store")
        if state and state.blocks:
            self.store.keep_age()  # where there was nothing to write, that says nothing of the disk
            self.bus.tell(HealthChanged("store", True))
        if self._armed_unsaved:
            with self._arming:
                self._remember_armed(self._armed)

    def _failure(self, error: BaseException) -> None:
        log.exception("an internal error; nothing acts for %g s", TROUBLE_S)
        self._trouble = self.clock.monotonic()
        self._count("errors")
        text = said(error)
        self.guard.veto(f"an internal error: {type(error).__name__}", TROUBLE_S)
        self.bus.tell(HealthChanged("sentinel", False, text, blocks=True))

    def _tell_errors(self, scene: Scene) -> None:
        """Say what went wrong while looking; it forbids acting on that frame by its rule."""
        part = f"looking at {scene.frame.camera}"
        state = self._health.get(part)
        if scene.errors:
            self._count("errors")
            text = "; ".join(scene.errors)
            if state is None or state.text != text:
                self.bus.tell(HealthChanged(part, False, text))
        elif state and not state.well:
            self.bus.tell(HealthChanged(part, True))

    def _recover(self, monotonic: float) -> None:
        state = self._health.get("sentinel")
        if state and not state.well and monotonic - self._trouble >= TROUBLE_S:
            self.bus.tell(HealthChanged("sentinel", True))

    def _watch(self, capture: Capture, number: int) -> None:
        """What a camera's thread does."""
        try:
            while not self._stop.is_set():
                frame = capture.next(_WAIT_S)
                if frame is not None:
                    if self.once:  # a film goes faster than its clips are encoded
                        self.media.room(_CLIPS_S)
                    self.see(frame)
                elif capture.ended:
                    return
                for event in capture.events():
                    self.heed(event)
                self.tidy()
                self._threads[number].turn()
        except BaseException as error:
            if not self.once and not isinstance(error, Unusable):
                raise  # and begins anew
            if not isinstance(error, LotorError):
                log.exception("camera %s", capture.camera.name)
            self._failed = error
            text = f"it is watched no longer: {said(error)}"
            lost = HealthChanged(f"camera {capture.camera.name}", False, text, blocks=True)
            if isinstance(error, LotorError):  # `wait` says it, and then all ends
                with self._known:
                    self._health[lost.part] = lost
            else:
                self.bus.tell(lost)


def _within(seconds: float, *steps: Callable[[], None]) -> None:
    """Take steps of the end at the same time; leave what takes longer, and say what fails."""

    def take(step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:
            log.exception("while ending")

    threads = [threading.Thread(target=take, args=(step,), daemon=True) for step in steps]
    for thread, step in zip(threads, steps, strict=True):
        try:
            thread.start()
        except RuntimeError:  # out of memory, or the interpreter ends
            take(step)
    until = time.monotonic() + seconds
    for thread, step in zip(threads, steps, strict=True):
        if thread.ident is not None:
            thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            log.error("%s takes longer than %g s and is left", step, seconds)


def store_folder(config: Config, folder: Path) -> Path:
    """Return the store's folder; a relative one is taken from the configuration's."""
    return folder / Path(config.store.folder).expanduser()


def check_sources(config: Config) -> None:
    """See that waiting can mend whatever keeps a camera from opening.

    Raises:
        LotorError: one will never open; names it and what to change.
    """
    for camera in config.camera:
        try:
            check_source(camera.source)
        except Unusable as error:
            raise LotorError(f"camera {camera.name}: {error}") from error


def check_labels(config: Config, models: Models) -> None:
    """See that every target is a label of some model.

    Raises:
        LotorError: one is not.
    """
    known = {label for model in models.opened for label in model.labels}
    for target in config.target:
        if target.label not in known:
            raise LotorError(
                f"no model of the configuration knows the target '{target.label}'; labels: "
                f"{', '.join(sorted(known))}"
            )

"""The sentinel: all parts put together, and a thread for each camera.

On each frame, in this order: look (`pipeline.py`), decide (`rules.py`), put on record (`store.py`),
and only then act (`guard.py`); afterwards whoever wants to know is told (`bus.py`). Looking is each
camera's own; the rest is done by one camera at a time, as all share one garden.
"""

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from lotor.errors import LotorError
from lotor.sentinel.actions import Cause
from lotor.sentinel.actions.load import load
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
from lotor.sentinel.media import Media
from lotor.sentinel.models import Models
from lotor.sentinel.pipeline import Pipeline
from lotor.sentinel.retention import Retention
from lotor.sentinel.rules import Now, Rules
from lotor.sentinel.scene import Frame, Scene
from lotor.sentinel.sources import BoardEvent, Unusable, check_source
from lotor.sentinel.store import Store, StoreError

log = logging.getLogger(__name__)

ARMED = "armed"
"""The store's setting: "yes" or "no"."""
TROUBLE_S = 60.0
"""After an internal error nothing acts for so long, and the health says so."""
LOST_S = 30.0
"""A visit whose camera gives no frame for so long is over."""
_DAY_S = 24 * 3600.0
_BLIND_S = 3.0  # without a frame, after which nothing stays on: nobody would see a person come
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
        self._threads: list[threading.Thread] = []
        self._captures: list[Capture] = []
        self._parts: list[Part] = []
        self.bus.subscribe(self._hear)
        with contextlib.ExitStack() as undo:
            check_sources(config)
            self.models = Models(config)
            check_labels(config, self.models)
            devices = [(action, load(action, folder)) for action in config.action]
            self.store = Store(store_folder(config, folder), self.clock)
            undo.callback(self.store.close)
            blind_s = max(_BLIND_S, 3 / min(camera.rate for camera in config.camera))
            self.guard = Guard(devices, self.clock, self.bus.tell, self._note, blind_s)
            undo.callback(self.guard.close)
            self.media = Media(self.store, config.store, self.clock, self.bus)
            undo.callback(self.media.close)
            self.retention = Retention(self.store, config.store, self.clock, self.bus)
            for notice in self.store.notices:
                self.bus.tell(HealthChanged("store", False, notice))
            self._rules = Rules(config, self.models.threshold_of)
            self._events = Events()
            self._acts = [] if once else self._acts_on_record()
            self._pipelines = {
                camera.name: Pipeline(camera, config, self.models) for camera in config.camera
            }
            armed = self.store.setting(ARMED)
            self.guard.arm(config.armed if armed is None else armed == "yes", "the configuration")
            undo.pop_all()

    # What others may ask: `bus.Controls`.

    @property
    def name(self) -> str:
        """Of the sentinel, as the configuration has it."""
        return self.config.name

    @property
    def armed(self) -> bool:
        """Whether deterrents may act."""
        return self.guard.armed

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras."""
        return tuple(camera.name for camera in self.config.camera)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that the sentinel looks for, then `UNKNOWN`."""
        return (*(target.label for target in self.config.target), UNKNOWN)

    def arm(self, armed: bool, by: str) -> None:
        """Let deterrents act, or no longer; remembered over a restart as far as there is room."""
        if not armed:
            self.guard.arm(False, by)  # at once, whatever the store says
        try:
            self._remember_armed(armed)
        except StoreError as error:
            self._store_failed(error)
        self.guard.arm(armed, by)
        log.info("%s by %s", "armed" if armed else "disarmed", by)
        self.bus.tell(ArmedChanged(armed, by))

    def _remember_armed(self, armed: bool) -> None:
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
            return dict(self._counts)

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
            thread = threading.Thread(
                target=self._watch, args=(capture,), name=f"watch {camera.name}", daemon=True
            )
            self._threads.append(thread)
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Return whether all cameras have ended within so many (real) seconds.

        Raises:
            LotorError: with `once`, a source cannot be read; else, one never could be.
        """
        for thread in self._threads:
            thread.join(seconds)
        if self._failed is not None:
            raise self._failed
        return not any(thread.is_alive() for thread in self._threads)

    def end(self) -> None:
        """Ask all cameras to end; not for signal handlers, as it takes a lock."""
        self._stop.set()

    def finish(self) -> None:
        """End all visits that last: there will be no more frames."""
        with self._lock, self._on_record():
            for camera in self.cameras:  # a frame that is under way begins a visit of its own
                self._rules.forget_camera(camera)
            self._told(self._events.end_all())

    def close(self) -> None:
        """End: deterrents first, then cameras, visits and everything else."""
        self._stop.set()
        self.guard.close()
        for capture in self._captures:
            capture.close()
        for thread in self._threads:
            thread.join(5)
        self.finish()
        self.media.close()
        for part in reversed(self._parts):
            self._quietly(part.close)
        self.retention.close()
        self.store.close()

    # A frame's way.

    def see(self, frame: Frame) -> Scene:
        """Look at a frame, decide, and act; whatever goes wrong is told and forbids acting."""
        scene = self._pipelines[frame.camera].look(frame)
        self._count("frames")
        with self._lock:
            # By our own clock: a film's times fall behind where looking is slower than the film.
            self._looked[frame.camera] = self.clock.monotonic()
            try:
                with self._on_record():
                    self._decide(scene)
            except Exception as error:  # a fault of ours: nothing acts, and it is seen
                self._failure(error)
        with self._known:
            self._latest[frame.camera] = scene
        self.bus.tell(SceneSeen(scene))
        return scene

    def _board_said(self, event: BoardEvent) -> None:
        """Take in what a board that watches by itself decided; the frames are looked at anyway."""
        log.info("the board of %s: %s %d, %s", event.camera, event.kind, event.number, event.text)
        if event.kind == "alarm":
            self._count("board alarms")

    def tidy(self) -> None:
        """End visits whose camera was lost, and try again to put on record what waits."""
        with self._lock, self._on_record():
            now, changed = self.clock.monotonic(), list[EventChanged]()
            for camera in [name for name, at in self._looked.items() if now - at >= LOST_S]:
                del self._looked[camera]
                self._rules.forget_camera(camera)  # what is there afterwards is another visit
                changed += self._events.lose(camera)
            self._told(changed)

    def _decide(self, scene: Scene) -> None:
        frame = scene.frame
        self._tell_errors(scene)
        self._recover(frame.monotonic)
        made = self._rules.decide(scene, self._now(frame))
        if why := self._rules.person_for(frame.monotonic):
            # A film runs faster than the guard's clock, and its time is the rules' alone.
            left = 0.0 if self.once else self._rules.person_left(frame.monotonic)
            self.guard.veto(why, left)
        if not scene.errors:
            self.guard.looked(frame.camera)
        changed = self._events.follow(scene, made)
        if not scene.errors:
            self.media.see(frame, bool(scene.moving or made))
        try:
            receipts = self._record(made)
        finally:
            self._told(changed)
        for receipt in receipts:
            decision = receipt.decision
            self._rules.acted(frame.monotonic)
            self._remember_act(frame.time)
            cause = Cause(decision.label or "", decision.camera, decision.time)
            self.guard.fire(receipt, decision.actions, cause)
        for decision in made:
            if decision.frames == 1:
                self.bus.tell(Decided(decision))
        for event in {change.event.id for change in changed if change.event.end is None}:
            # A picture goes out with messages: not with a person on it, as far as that is known.
            if self._events.best(event, frame.number) and not self._rules.shows_person(scene):
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
                raise
            self._count("decisions", decision.frames == 1)
        return receipts

    def _now(self, frame: Frame) -> Now:
        blocked = [
            f"{state.part}: {state.text}"
            for state in self.health()
            if state.blocks and not state.well
        ]
        return Now(self.guard.armed, blocked, self._acts)

    def _acts_on_record(self) -> list[float]:
        """Return when deterrents were set off lately, each decision once."""
        times: dict[str, float] = {}
        for act in self.store.acts(self.clock.now() - _DAY_S):
            # One that failed may have been on: so a crash, which ends it as failed, hides none.
            if act.decision and act.result != "refused":
                times.setdefault(act.decision, act.time)
        return list(times.values())

    def _remember_act(self, time: float) -> None:
        self._acts = [each for each in self._acts if abs(time - each) < _DAY_S]
        self._acts.append(time)

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
                self.media.begin(change.event)
            if change.event.end is not None:
                self.media.end(change.event)
            self.bus.tell(change)

    def _note(self, act: Act) -> None:
        self.store.note(act)
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
        self.bus.tell(HealthChanged("store", False, str(error), blocks=True))

    def _store_well(self) -> None:
        state = self._health.get("store")
        if state and state.blocks:
            self.store.keep_age()  # where there was nothing to write, that says nothing of the disk
            if self._armed_unsaved:
                self._remember_armed(self.guard.armed)
            self.bus.tell(HealthChanged("store", True))

    def _failure(self, error: Exception) -> None:
        log.exception("an internal error; nothing acts for %g s", TROUBLE_S)
        self._trouble = self.clock.monotonic()
        self._count("errors")
        text = f"{type(error).__name__}: {error}"
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

    def _quietly(self, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception:
            log.exception("while ending")

    def _watch(self, capture: Capture) -> None:
        """A camera's thread."""
        try:
            while not self._stop.is_set():
                frame = capture.next(_WAIT_S)
                if frame is not None:
                    self.see(frame)
                elif capture.ended:
                    return
                for event in capture.events():
                    self._board_said(event)
                self.tidy()
        except BaseException as error:
            if not isinstance(error, LotorError):
                log.exception("camera %s", capture.camera.name)
            self._failed = error
            text = f"it is watched no longer: {error}"
            lost = HealthChanged(f"camera {capture.camera.name}", False, text, blocks=True)
            if isinstance(error, LotorError):  # `wait` says it, and then all ends
                with self._known:
                    self._health[lost.part] = lost
            else:
                self.bus.tell(lost)


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

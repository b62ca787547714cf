"""`lotor sentinel`: run it in a terminal or as a service, and say at the end what it saw."""

import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from lotor.errors import LotorError, reason
from lotor.sentinel.actions.load import load
from lotor.sentinel.bus import Acted, Decided, EventChanged, Message
from lotor.sentinel.clock import SystemClock
from lotor.sentinel.config import (
    FILE,
    Action,
    Camera,
    Config,
    Model,
    Store,
    Target,
    check,
    read_config,
)
from lotor.sentinel.daemon import Sentinel, store_folder
from lotor.sentinel.ending import Ending
from lotor.sentinel.event import Act, Decision, Event
from lotor.sentinel.frugal import return_freed_memory
from lotor.sentinel.guard import Guard
from lotor.sentinel.preflight import running
from lotor.sentinel.sources import is_missing, kind_of, missing
from lotor.sentinel.store import Store as Log
from lotor.suggest import did_you_mean
from lotor.zoo import find_model

TRIED = "out/sentinel"
"""Where things are kept that are only tried: with `--once`, or `--source` and no configuration."""
KEEPING = ("store", "media")
"""Parts of the health that say whether all could be kept."""
USERS = Path("~/.config/lotor") / FILE
"""Where the configuration is, if not in the folder one is in."""

log = logging.getLogger(__name__)


def find_config(given: Path | None) -> Path:
    """Return the configuration's file.

    Raises:
        LotorError: there is none.
    """
    for path in [given] if given else [Path(FILE), USERS.expanduser()]:
        if path.is_file():
            return path
    if given and given.exists():
        raise LotorError(f"{given} is no file; give the path of a {FILE}")
    if given:
        raise LotorError(f"there is no {given}; `lotor sentinel --init --config {given}` writes it")
    raise LotorError(
        f"there is no {FILE} here, nor {USERS}; `lotor sentinel --init` writes one; `lotor "
        "sentinel --source garden:` tries a garden that is made up, `--source 0` a webcam"
    )


def try_config(source: str, model: str | None) -> Config:
    """Return a configuration for a source alone: deterrents are dry runs."""
    _check_given(source)
    file = find_model(model or "raccoon")
    target = file.recipe.get("target")
    if target is None:
        raise LotorError(f"{file.name} names no target in its recipe; give one that does")
    return check(
        Config(
            camera=(Camera("garden", source),),
            model=(Model(model or "raccoon"),),
            target=(Target(str(target), actions=("bark",)),),
            action=(Action("bark", "sound", dry_run=True),),
            store=Store(folder=TRIED),
        ),
        "--source",
    )


def with_source(config: Config, source: str | None, model: str | None) -> Config:
    """Return a configuration with another source for its first camera alone, or another model.

    Raises:
        LotorError: the source makes no sense.
    """
    if source is not None:
        _check_given(source)
        config = replace(config, camera=(replace(config.camera[0], source=source),))
        # The camera alone: what else there is may name cameras and zones that are left out now.
        check(Config(camera=config.camera), "--source")
    if model is not None:
        config = replace(config, model=(Model(model),))
    return config


def rehearsal(config: Config, *, apart: bool) -> Config:
    """Return a configuration for `--once`: kept apart, and told to nobody.

    Args:
        config: as `configuration` gives it.
        apart: it has a store of its own, for what is seen in earnest.

    Raises:
        LotorError: that store is where a rehearsal would be kept.
    """
    folder = Path(TRIED).absolute()
    if apart and Path(config.store.folder).resolve() == folder.resolve():
        raise LotorError(
            f"--once is kept in {folder}, which is the configuration's own store; run it in "
            "another folder"
        )
    tells = {"MQTT": config.mqtt, "webhooks": config.webhook, "messages": config.notify}
    if left := [name for name, given in tells.items() if given]:
        log.info("with --once nothing is told by %s", ", ".join(left))
    return replace(
        config,
        mqtt=None,
        webhook=(),
        notify=None,
        store=replace(config.store, folder=str(folder)),
        page=replace(config.page, port=0),  # a sentinel that watches may have that one
    )


def check_tried(config: Config) -> None:
    """See that what is only tried can be kept in this folder.

    Raises:
        LotorError: another sentinel does that already, or nothing can be written here.
    """
    folder = Path(config.store.folder)  # which no `store.folder` gives
    if other := running(config, Path()):
        raise LotorError(
            f"another sentinel ({other}) keeps what it sees in {folder}; stop it, or run this one "
            "in another folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LotorError(
            f"cannot write to {folder}: {reason(error)}; run this in another folder"
        ) from error


def _check_given(source: str) -> None:
    try:
        kind_of(source)
    except LotorError as error:
        raise LotorError(f"--source: {error}") from error


@dataclass
class Seen:
    """What was told on the bus since the beginning."""

    events: dict[str, Event] = field(default_factory=dict)
    acts: dict[tuple[str | None, str, float], Act] = field(default_factory=dict)
    acted: list[Decision] = field(default_factory=list)
    against: Counter[str] = field(default_factory=Counter)
    held: dict[str, Counter[str]] = field(default_factory=dict)
    decisions: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, message: Message) -> None:
        """Take a message in; write what a person wants to read to the log."""
        with self.lock:
            if isinstance(message, EventChanged):
                event = message.event
                before = self.events.get(event.id)
                self.events[event.id] = event
                if message.began:
                    log.info("%s on %s (%.0f %%)", event.label, event.camera, 100 * event.score)
                elif event.end is not None and (before is None or before.end is None):
                    seconds = event.end - event.begin
                    log.info("%s on %s is gone after %.0f s", event.label, event.camera, seconds)
            elif isinstance(message, Decided):
                self.decisions += 1
                if message.decision.acts:
                    self.acted.append(message.decision)
                against = [c.rule for c in message.decision.checks if not c.passed]
                self.against.update(against)
                self.held.setdefault(message.decision.event or "", Counter()).update(against)
            elif isinstance(message, Acted):
                act = message.act
                self.acts[act.decision, act.action, act.time] = act
                log.info("%s: %s%s", act.action, act.result, f" ({act.why})" if act.why else "")


def run(
    config: Config, folder: Path, *, once: bool = False, stay: bool = False
) -> tuple[dict[str, Any], str]:
    """Watch until the sources end (`once`) or somebody ends it; return what was seen.

    Args:
        config: what to do.
        folder: of the configuration.
        once: see `Sentinel`.
        stay: with `once`, leave the page up until somebody ends it.

    Returns:
        data for `--json`, where `lost` says what could not be kept, and text.

    Raises:
        LotorError: something is not as it should be at the start, or a source with `once`.
    """
    return_freed_memory()
    seen = Seen()
    with Ending() as ending, Sentinel(config, folder, once=once) as sentinel:
        ending.switches = sentinel.guard
        sentinel.bus.subscribe(seen.take)
        sentinel.start_parts()
        if sentinel.url:
            log.info("page: %s", sentinel.url)
        sentinel.start_cameras()
        sentinel.check_parts()
        while not ending.asked and not sentinel.wait(0.5):
            pass
        if ending.asked:
            sentinel.end()
        else:
            sentinel.finish()
        if stay and sentinel.url and not ending.asked:
            log.info("all is seen; the page stays at %s until Ctrl-C", sentinel.url)
            while not ending.asked:
                time.sleep(0.3)
    counters = sentinel.counters()
    lost = [m.text for m in sentinel.health() if m.part in KEEPING and not m.well]
    data = {
        "events": [asdict(event) for event in seen.events.values()],
        "acts": [asdict(act) for act in seen.acts.values()],
        "counters": counters,
        "against": dict(seen.against.most_common()),
        "lacks": sentinel.lacks(),
        "lost": lost,
        "store": str(sentinel.store.folder),
    }
    text = as_text(seen, counters, sentinel.lacks(), sentinel.store.folder)
    return data, "\n".join([text, *(f"  not all of it: {each}" for each in lost)])


def try_action(config: Config, folder: Path, name: str) -> Act:
    """Try an action for a moment, without cameras, and return what became of it.

    Raises:
        LotorError: there is none of that name, it cannot be tried, or a sentinel runs.
    """
    _check_name(config, name)  # what follows takes seconds where a device does not answer
    # One that runs looks for people, and has the devices in hand: it is to be asked instead, never
    # got round by another store. None may begin meanwhile; what is tried is on record as all is.
    if other := running(config, folder):
        raise LotorError(
            f"a sentinel with this store runs ({other}); try '{name}' on its page, or stop it first"
        )
    store = Log(Path(config.store.folder), SystemClock())
    try:
        return _try_action(config, folder, name, store)
    finally:
        store.close()


def _try_action(config: Config, folder: Path, name: str, store: Log) -> Act:
    acts: list[Act] = []
    clock = SystemClock()

    def note(act: Act) -> None:
        store.note(act)
        acts.append(act)

    # Others stay untouched, and one that is ill does not hold this one up.
    devices = [(action, load(action, folder)) for action in config.action if action.name == name]
    guard = Guard(devices, clock, lambda message: None, note, starts=store.starts(3600))
    try:
        guard.settle(10)  # nothing counts as off before it was switched off once
        begun = guard.test(name, "the command line")
        waited = threading.Event()
        for _ in range(200):
            if begun.end is not None or (acts and acts[-1].end is not None):
                break
            waited.wait(0.05)
    finally:
        guard.close()
    return acts[-1] if acts else begun  # where nothing could be put on record


def _check_name(config: Config, name: str) -> None:
    names = [action.name for action in config.action]
    if name not in names:
        raise LotorError(
            f"there is no action '{name}'{did_you_mean(name, names)}; actions: "
            f"{', '.join(names) or 'none'}"
        )


def as_text(seen: Seen, counters: dict[str, int], lacks: Mapping[str, str], folder: Path) -> str:
    """Return what was seen, and what could not be (by camera), for people."""
    visits = sorted(seen.events.values(), key=lambda event: event.begin)
    nobody = "nobody came" if counters["frames"] else "no camera gave a picture"
    count = f"{len(visits)} visit{'s' if len(visits) != 1 else ''}" if visits else nobody
    frames = counters["frames"]
    lines = [f"{frames} frame{'s' * (frames != 1)}: {count}"]
    lines += [f"  not seen on {camera}: {what}" for camera, what in lacks.items()]
    for event in visits:
        lasted = (event.end or event.begin) - event.begin
        lines.append(
            f"  {datetime.fromtimestamp(event.begin):%H:%M:%S}  {event.label} "
            f"{100 * event.score:.0f} % on {event.camera}, by {event.light}, {lasted:.0f} s"
        )
        acted = [decision for decision in seen.acted if decision.event == event.id]
        if not acted:
            lines.append(f"    nothing set off: {_rules(seen.held.get(event.id, Counter()))}")
        for decision in acted:
            acts = [a for a in seen.acts.values() if a.decision == decision.id]
            done = ", ".join(_result(act) for act in acts) or "no action is known"
            none = all(act.result in ("refused", "failed") for act in acts)
            lines.append(f"    {'nothing set off' if none else 'set off'}: {done}")
            lines += [f"      {check.rule}: {check.why}" for check in decision.checks]
    lines.append(f"{seen.decisions} decisions on record, {len(seen.acted)} to act")
    if seen.against:
        lines.append(f"  what stood against it, and how often: {_rules(seen.against)}")
    lines.append(f"kept in {folder}")
    return "\n".join(lines)


def _result(act: Act) -> str:
    why = f" ({act.why})" if act.result in ("refused", "failed") else ""
    return f"{act.action} {act.result}{why}"


def _rules(count: Counter[str]) -> str:
    return ", ".join(f"{rule} {n}" for rule, n in count.most_common())


def log_to_stderr(verbose: bool) -> None:
    """Write what happens to stderr, with the time unless a service manager adds it."""
    formatter = "%(message)s" if not sys.stderr.isatty() else "%(asctime)s %(message)s"
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.INFO,
        format=formatter,
        datefmt="%H:%M:%S",
    )
    for noisy in ("aiohttp.access", "apprise", "bleak", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def configuration(given: Path | None, source: str | None, model: str | None) -> tuple[Config, Path]:
    """Return the configuration that the command line asks for, and its folder.

    The store's folder is a whole path in it.
    """
    if source is not None and given is None:
        config, folder = try_config(source, model), Path()
        if is_missing(source):  # just typed, so that it is a slip and no disk that comes back
            raise LotorError(missing(source))
    else:
        path = find_config(given)
        config, folder = with_source(read_config(path), source, model), path.parent
    store = replace(config.store, folder=str(store_folder(config, folder).absolute()))
    return replace(config, store=store), folder

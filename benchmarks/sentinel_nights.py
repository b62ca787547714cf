"""Nights of a garden in a minute each: visitors, people, wind, and everything that can go wrong.

    python benchmarks/sentinel_nights.py [--nights 7] [--seed 1] [--quiet-s 2]

The sentinel runs in a process of its own on a clock that is set, with its real parts: pipeline and
models, rules, store, guard, pictures, MQTT on a real Mosquitto. Its garden is made up
(`sentinel/garden.py`), so that it is known who is there. Cameras drop out and give broken frames,
the broker is stopped and started, the disk fills up (no file may grow), the clock is set forward
and back, and the process is killed. What must hold is looked for afterwards: in what the deterrent
itself wrote down, in the store, and with a subscriber of the broker's.
"""

import argparse
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from lotor.sentinel.garden import Garden, Walk, Who

NIGHT_S = 10 * 3600.0
EVENING = datetime(2026, 9, 1, 21).timestamp()
_FOR_S, _LONGEST_S = 4.0, 6.0
_FAIR_S = 2.0  # that a person is in view before the camera must have seen them


@dataclass(frozen=True)
class Span:
    """Something that lasts.

    Attributes:
        kind: "gone" (no frames), "broken" (frames that are none), "full" (disk), "wind".
        begin: seconds since the first evening.
        end: likewise.
    """

    kind: str
    begin: float
    end: float


@dataclass
class Plan:
    """What happens in all nights; times are seconds since the first evening, days left out.

    Attributes:
        walks: who comes.
        spans: what goes wrong.
        jumps: when the clock is set, and by how many seconds.
        kills: when the process is killed.
    """

    walks: list[Walk] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    jumps: list[tuple[float, float]] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)


def make_plan(seed: int, nights: int, night_s: float) -> Plan:
    """Return nights full of visitors and trouble."""
    rng, plan = random.Random(seed), Plan()
    for night in range(nights):
        begin = night * night_s
        at = begin + 120
        while at < begin + night_s - 300:
            who = rng.choice([Who.RACCOON, Who.RACCOON, Who.CAT, Who.PERSON])
            size = rng.uniform(0.25, 0.35) if who is not Who.PERSON else rng.uniform(0.75, 0.85)
            walk = Walk(
                who, at, rng.uniform(20, 60), size, rng.random() < 0.5, rng.choice([0.0, 0.3])
            )
            plan.walks.append(walk)
            if who is Who.RACCOON and rng.random() < 0.3:  # somebody comes to look
                late = at + rng.uniform(3, 15)
                plan.walks.append(Walk(Who.PERSON, late, rng.uniform(10, 30), 0.8, True))
            at = walk.end + rng.uniform(200, night_s / 8)
        for kind, longest in (("gone", 300), ("broken", 20), ("full", 200), ("wind", 600)):
            for _ in range(2):
                start = begin + rng.uniform(0, night_s - 400)
                plan.spans.append(Span(kind, start, start + rng.uniform(5, longest)))
        start = begin + rng.uniform(0, night_s * 0.8)
        back = rng.choice([-5 * 3600.0, 7 * 3600.0, 3 * 86400.0, -40.0])
        plan.jumps += [(start, back), (start + rng.uniform(100, 900), -back)]
        if night < (nights + 1) // 2:  # later nights must go on in one process, for its memory
            plan.kills.append(begin + rng.uniform(0.2, 0.8) * night_s)
    plan.jumps.sort()
    return plan


# The process that watches.


class Recorder:
    """A deterrent that writes down when it was on, and whether its reason was on record."""

    ENDS_ALONE = True

    def __init__(self, log: Path, database: Path, clock: Any) -> None:
        self._log, self._database, self._clock = log, database, clock
        self.on_since: float | None = None

    def describe(self) -> str:
        return "be written down"

    def on(self, cause: Any, seconds: float) -> None:
        self.on_since = self._clock.monotonic()
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as db:
            # Not the newest one: it goes on in a thread of its own, while others are decided.
            rows = db.execute(
                "SELECT id FROM decision WHERE camera = ? AND time = ? AND actions != '[]'",
                (cause.camera, cause.time),
            )
            found = rows.fetchone()
        self._write("on", {"reason": found and found[0], "label": cause.label})

    def off(self) -> None:
        if self.on_since is not None:
            self._write("off", {"seconds": self._clock.monotonic() - self.on_since})
            self.on_since = None

    def close(self) -> None:
        pass

    def _write(self, what: str, more: dict[str, Any]) -> None:
        line = json.dumps({"what": what, "at": self._clock.garden, **more}) + "\n"
        with self._log.open("a") as file:
            file.write(line)


def watch(folder: Path, plan: Plan, begin: float, end: float, port: int, quiet_s: float) -> None:
    """Watch from `begin` to `end`; every line on stdout is something that is promised."""
    from lotor.sentinel import config, daemon
    from lotor.sentinel.bus import Decided, EventChanged
    from lotor.sentinel.clock import SetClock
    from lotor.sentinel.frugal import return_freed_memory
    from lotor.sentinel.scene import Frame

    return_freed_memory()

    class GardenClock(SetClock):
        garden = begin

    clock = GardenClock(EVENING + begin)
    recorder = Recorder(folder / "recorder.jsonl", folder / "store" / "store.sqlite", clock)
    setattr(daemon, "load", lambda action, where: recorder)  # noqa: B010 (for type checkers)
    settings = config.check(
        config.Config(
            camera=(config.Camera("garden", "0"),),
            target=(config.Target("raccoon", actions=("bark",)), config.Target("cat")),
            action=(
                config.Action(*("bark", "sound"), for_s=_FOR_S, max_on_s=_LONGEST_S, dry_run=False),
            ),
            deciding=config.Deciding(cooldown_s=60, per_night=50),
            store=config.Store(folder=str(folder / "store"), media_mb=20, free_mb=0),
            mqtt=config.Mqtt("127.0.0.1", port) if port else None,
            page=config.Page(port=0),
        ),
        "the nights",
    )
    garden = Garden(
        plan.walks, [(s.begin, s.end) for s in plan.spans if s.kind == "wind"], night=True
    )
    jumps = [jump for jump in plan.jumps if jump[0] > begin]
    full, number, hour = False, 0, begin // 3600
    frame_time = begin

    def promise(**what: Any) -> None:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()

    def hear(message: Any) -> None:
        if isinstance(message, Decided):
            promise(decision=message.decision.id)
        elif isinstance(message, EventChanged) and message.event.end is not None:
            promise(event=message.event.id, label=message.event.label)

    with daemon.Sentinel(settings, folder, clock) as sentinel:
        sentinel.bus.subscribe(hear)
        sentinel.start_parts()
        sentinel.retention.start()
        promise(url=sentinel.url)
        while frame_time < end:
            busy = any(w.begin - 5 <= frame_time <= w.end + 5 for w in plan.walks)
            step = 0.25 if busy or recorder.on_since is not None else quiet_s
            frame_time += step
            clock.garden = frame_time
            clock.advance(step)
            while jumps and jumps[0][0] <= frame_time:
                clock.jump(jumps.pop(0)[1])
            kinds = {s.kind for s in plan.spans if s.begin <= frame_time < s.end}
            if ("full" in kinds) != full:
                full = not full
                hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
                resource.setrlimit(resource.RLIMIT_FSIZE, (8192 if full else hard, hard))
            number += 1
            _wait_for_off(clock, recorder)
            if "gone" not in kinds:
                image = garden.picture(frame_time)
                if "broken" in kinds:
                    image = image[:0]
                sentinel.see(Frame("garden", number, clock.now(), clock.monotonic(), image))
            if frame_time // 3600 != hour:
                hour = frame_time // 3600
                rss = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
                promise(hour=hour, rss=rss, counters=sentinel.counters())
            promise(at=frame_time)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard := resource.RLIM_INFINITY, hard))
        sentinel.finish()
        promise(over=True)
        sentinel.media.idle(20)
        until = time.monotonic() + (30 if port else 0)
        while sentinel.store.events_after(sentinel.store.cursor("mqtt"), 1):
            if time.monotonic() > until:  # who listens will miss them
                break
            time.sleep(0.1)
            clock.advance(1.0)  # who waits before trying the broker again waits by this clock
    promise(done=True)


def _wait_for_off(clock: Any, recorder: Recorder) -> None:
    """Give the guard's threads real time to do what is due; here a second takes milliseconds.

    The guard counts from when the device said that it is on, which may be frames later.
    """
    until = time.monotonic() + 10
    late = _FOR_S + 1.0
    while (since := recorder.on_since) is not None and clock.monotonic() - since >= late:
        if time.monotonic() > until:
            raise SystemExit("the deterrent was not switched off")
        time.sleep(0.001)


# The process that looks whether all held.


@dataclass
class Found:
    """What came of it; every list must be empty.

    Attributes:
        without_reason: times at which the deterrent went on with no such decision on record.
        with_person: times at which it went on, or stayed on, while a person was in view.
        too_long: seconds that it was on, where that is too long.
        lost: ids of decisions and events that were promised and are not on record.
        untold: ids of events on record that no subscriber of the broker got.
        open: ids of events that never ended.
        rss: bytes of resident memory at each hour of the last process.
        visits: of raccoons; `seen` of them are in an event called raccoon.
        seen: see `visits`.
        false: events called raccoon with none there.
        acted: how often the deterrent went on.
        restarts: of the process.
        counters: of the last process.
    """

    without_reason: list[float] = field(default_factory=list)
    with_person: list[float] = field(default_factory=list)
    too_long: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)
    visits: int = 0
    seen: int = 0
    false: int = 0
    acted: int = 0
    restarts: int = 0
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """What did not hold, a line each."""
        checks = {
            "went on without a reason on record": self.without_reason,
            "was on in a person's presence": self.with_person,
            "was on too long": self.too_long,
            "was promised and lost": self.lost,
            "was told to nobody": self.untold,
            "never ended": self.open,
        }
        return [f"{what}: {found}" for what, found in checks.items() if found]

    @property
    def growth(self) -> float:
        """By which share memory grew in the second half of the last process's hours.

        From the median of its first third to that of its last: in any one hour a clip may be in the
        making, which takes some megabytes and is no leak.
        """
        half = self.rss[len(self.rss) // 2 :]
        third = len(half) // 3
        return median(half[-third:]) / median(half[:third]) - 1 if third else 0.0


class Promised:
    """What the watching process said, read as it comes."""

    def __init__(self) -> None:
        self.at = 0.0
        self.decisions: set[str] = set()
        self.events: set[str] = set()
        self.rss: list[int] = []
        self.counters: dict[str, int] = {}
        self.over = self.done = False

    def take(self, line: str) -> None:
        """Take a line."""
        what = json.loads(line)
        self.at = what.get("at", self.at)
        self.over |= what.get("over", False)
        self.done |= what.get("done", False)
        if "decision" in what:
            self.decisions.add(what["decision"])
        if "event" in what:
            self.events.add(what["event"])
        if "rss" in what:
            self.rss.append(what["rss"])
            self.counters = what["counters"]


def run(
    folder: Path, seed: int, nights: int, night_s: float = NIGHT_S, quiet_s: float = 2.0,
    broker: Any = None,
) -> Found:  # fmt: skip
    """Live through all nights and look whether everything held.

    Args:
        folder: for the store and what the deterrent wrote down.
        seed: of what happens.
        nights: how many.
        night_s: how long each is.
        quiet_s: seconds between frames while nobody is near.
        broker: a `mosquitto.Mosquitto` that runs, is stopped and started; None does without.
    """
    plan, found, said = make_plan(seed, nights, night_s), Found(), Promised()
    (folder / "plan.json").write_text(json.dumps(asdict(plan)))
    total, kills, rng = nights * night_s, list(plan.kills), random.Random(seed + 1)
    heard: set[str] = set()
    ended = threading.Event()
    threads = []
    if broker is not None:
        threads = [
            threading.Thread(target=_listen, args=(broker.port, heard, said, ended), daemon=True),
            threading.Thread(target=_upset, args=(broker, rng, said, ended), daemon=True),
        ]
        for thread in threads:
            thread.start()
    while not said.done:
        said.rss.clear()
        until = kills.pop(0) if kills else None
        process = subprocess.Popen(
            [sys.executable, __file__, "--child", str(folder), "--begin", str(said.at),
             "--end", str(total), "--port", str(broker.port if broker else 0),
             "--quiet-s", str(quiet_s)],
            stdout=subprocess.PIPE, stderr=(folder / "log").open("a"), text=True,
        )  # fmt: skip
        assert process.stdout
        for line in process.stdout:
            said.take(line)
            if until is not None and said.at >= until:
                time.sleep(rng.uniform(0, 0.05))
                process.send_signal(signal.SIGKILL)
                for rest in process.stdout:
                    with suppress(json.JSONDecodeError):  # cut amid a line: not promised
                        said.take(rest)
                break
        status = process.wait()
        if not said.done:
            if status != -signal.SIGKILL:
                raise SystemExit(f"the sentinel ended with {status}: see {folder / 'log'}")
            found.restarts += 1
    ended.set()
    for thread in threads:
        thread.join(60)
    found.rss, found.counters = said.rss, said.counters
    _judge(folder, plan, said, heard if broker else None, found)
    return found


def _upset(broker: Any, rng: random.Random, said: Promised, ended: threading.Event) -> None:
    while not ended.wait(rng.uniform(2, 6)) and not said.over:
        broker.stop()
        ended.wait(rng.uniform(0.1, 2))
        broker.start()


def _listen(port: int, heard: set[str], said: Promised, ended: threading.Event) -> None:
    """Gather the ids of events as any subscriber would that is not always connected."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
    client.on_connect = lambda c, *_: c.subscribe("lotor/+/events", qos=1)
    client.on_message = lambda c, data, m: heard.add(_ended(json.loads(m.payload)))
    client.reconnect_delay_set(1, 1)
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    ended.wait()
    until = time.monotonic() + 30
    while not said.events <= heard and time.monotonic() < until:
        time.sleep(0.1)
    client.loop_stop()


def _ended(told: dict[str, Any]) -> str:
    return str(told["event"]) if told["type"] == "end" else ""


def _judge(folder: Path, plan: Plan, said: Promised, heard: set[str] | None, found: Found) -> None:
    garden = Garden(plan.walks)
    with closing(sqlite3.connect(folder / "store" / "store.sqlite")) as db:
        acting = {row[0] for row in db.execute("SELECT id FROM decision WHERE actions != '[]'")}
        decisions = {row[0] for row in db.execute("SELECT id FROM decision")}
        events = db.execute("SELECT id, label, begin, end FROM event").fetchall()
    told = {row[0] for row in events}
    found.lost = sorted((said.decisions - decisions) | (said.events - told))
    found.open = [row[0] for row in events if row[3] is None]
    raccoons = [(row[2], row[3]) for row in events if row[1] == Who.RACCOON]
    seen = set()
    for begin, end in raccoons:
        walk = _visitor(plan, begin, end)
        seen.add(walk)
        found.false += walk is None
    visits = [walk for walk in plan.walks if walk.who is Who.RACCOON]
    found.visits, found.seen = len(visits), len(seen - {None})
    if heard is not None:
        found.untold = sorted(said.events - heard)
    recorded = folder / "recorder.jsonl"
    lines = recorded.read_text().splitlines() if recorded.is_file() else []  # it was never on
    for line in map(json.loads, lines):
        if line["what"] == "on":
            found.acted += 1
            reason = line["reason"]
            if reason not in acting:
                found.without_reason.append(line["at"])
            if _person_for(garden, line["at"]) >= _FAIR_S:
                found.with_person.append(line["at"])
        elif line["seconds"] > _LONGEST_S + 0.5:
            found.too_long.append(line["seconds"])


def _visitor(plan: Plan, begin: float, end: float) -> Walk | None:
    """Return the raccoon of an event by its wall clock's times, which may have been set."""
    off = {0.0} | {by for _, by in plan.jumps}
    for walk in plan.walks:
        if walk.who is Who.RACCOON and any(
            begin - EVENING - by <= walk.end + 10 and end - EVENING - by >= walk.begin - 10
            for by in off
        ):
            return walk
    return None


def _person_for(garden: Garden, at: float) -> float:
    """Return for how many seconds a person has been in view."""
    spans = [at - w.begin for w in garden.walks if w.who is Who.PERSON and w.begin <= at <= w.end]
    return max(spans, default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nights", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quiet-s", type=float, default=2.0)
    parser.add_argument("--child", type=Path)
    parser.add_argument("--begin", type=float)
    parser.add_argument("--end", type=float)
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    if args.child:
        raw = json.loads((args.child / "plan.json").read_text())
        plan = Plan(
            [Walk(**{**walk, "who": Who(walk["who"])}) for walk in raw["walks"]],
            [Span(**span) for span in raw["spans"]],
            [(at, by) for at, by in raw["jumps"]],
            raw["kills"],
        )
        watch(args.child, plan, args.begin, args.end, args.port, args.quiet_s)
        return
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from mosquitto import PROGRAM, Mosquitto

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Mosquitto(folder / "broker") if PROGRAM else None
        if broker:
            broker.start()
        begun = time.monotonic()
        try:
            found = run(folder, args.seed, args.nights, quiet_s=args.quiet_s, broker=broker)
        finally:
            if broker:
                broker.stop()
        took = time.monotonic() - begun
    print(f"{args.nights} nights in {took:.0f} s, {found.restarts} kills")
    print(f"raccoons: {found.seen} of {found.visits} seen, {found.false} events without one")
    print(f"the deterrent was set off {found.acted} times")
    print(f"memory at each hour (MB): {[round(rss / 1e6) for rss in found.rss]}")
    print(f"it grew by {100 * found.growth:.1f} % in the second half")
    print(f"counters of the last process: {dict(Counter(found.counters))}")
    for line in found.wrong:
        print(f"WRONG: {line}")
    sys.exit(bool(found.wrong) or found.growth > 0.05)


if __name__ == "__main__":
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    main()

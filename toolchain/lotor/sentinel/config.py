"""sentinel.toml -> Config: every key of the sentinel, checked; `docs/sentinel.md` explains them.

The dataclasses are the schema (`lotor.schema`). What a plug-in takes (`[action.options]`) is
checked by the plug-in's own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lotor.errors import LotorError
from lotor.schema import parse, read_table
from lotor.sentinel.sources import kind_of, redact
from lotor.suggest import did_you_mean

FILE = "sentinel.toml"
"""Where the configuration is looked for, in the folder one is in."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_TOPIC = re.compile(r"[^+#/\s]+(/[^+#/\s]+)*")
_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")


@dataclass(frozen=True)
class Zone:
    """A part of a camera's view.

    Attributes:
        name: what it is called.
        polygon: its corners, x and y as shares of width and height, 0..1; three at least.
    """

    name: str
    polygon: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Camera:
    """Where frames come from, and what of them is looked at.

    Attributes:
        name: what it is called, e.g. in messages.
        source: `/dev/video0` or `0` (a webcam), `rtsp://…` or `http://…`, a video file, a folder
            of images, `picamera:0`, `board:NAME`, `ros2:/topic`, or `garden:`, one that is made up.
        rate: frames a second that are looked at, at most.
        size: width and height in pixels that a webcam or `picamera:0` is asked for; others send
            what they are set to.
        masks: polygons as of a zone, in which nothing counts as moving.
        zone: parts of the view that targets and models may name.
        light: "auto", or what its pictures always are.
        least_area: share of the frame that must move, 0..1; smaller things are not looked at.
        frames: of a board: "all" that its line carries, or only those of its "alarms", which holds
            up its own watching less.
    """

    name: str
    source: str
    rate: float = 5.0
    size: tuple[int, ...] = (640, 480)
    masks: tuple[tuple[tuple[float, ...], ...], ...] = ()
    zone: tuple[Zone, ...] = ()
    light: Literal["auto", "day", "night"] = "auto"
    least_area: float = 0.001
    frames: Literal["all", "alarms"] = "all"


@dataclass(frozen=True)
class When:
    """A condition; what is left out is always met.

    Attributes:
        light: by day, or by night and infrared.
        cameras: names of cameras.
        zones: names of zones, of which the track is in one.
        months: 1..12.
        hours: "21:00-06:00", local time.
    """

    light: Literal["day", "night"] | None = None
    cameras: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    months: tuple[int, ...] = ()
    hours: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """A model that says what moves. The first one whose condition is met is asked.

    Attributes:
        name: of a model that ships, or the path of a `.tflite` with its recipe beside it.
        when: it is asked.
    """

    name: str
    when: When = When()


@dataclass(frozen=True)
class Veto:
    """A model that sees people: while it does, nothing acts.

    Attributes:
        model: name of the model; "" leaves it out, which `--check` warns of.
        threshold: its score from which on somebody is there, 0..1; its own when left out.
        hold_s: seconds after somebody was last seen in which nothing acts.
        others_suffice: a board that gives no frame with its alarm may set something off while other
            cameras look and see nobody. Its own view is then seen by no model of people.
        label_threshold: the score from which on a part shows somebody by the label `person` of the
            model that is asked what it is, 0..0.5: beyond that it would say nothing of people.
    """

    model: str = "person"
    threshold: float | None = None
    hold_s: float = 30.0
    others_suffice: bool = False
    label_threshold: float = 0.03


@dataclass(frozen=True)
class Target:
    """What is to be chased off, or only to be told of.

    Attributes:
        label: what a model calls it, e.g. "cat".
        threshold: the score from which on a frame votes for it, 0..1; the model's when left out.
        night_threshold: the same by night; `threshold` when left out.
        zones: it counts only there; everywhere when empty.
        actions: names of `[[action]]`s; none: it is remembered and told, nothing more.
    """

    label: str
    threshold: float | None = None
    night_threshold: float | None = None
    zones: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deciding:
    """When to act.

    Attributes:
        votes: so many (k)...
        of: ...of the last frames (n) of a track must vote.
        memory_s: seconds after which a frame is forgotten.
        cooldown_s: seconds after a deterrent in which there is no other.
        per_night: deterrents between noon and noon (local time), at most.
        quiet_hours: "22:00-07:00", local time, in which nothing acts.
    """

    votes: int = 3
    of: int = 5
    memory_s: float = 10.0
    cooldown_s: float = 120.0
    per_night: int = 20
    quiet_hours: tuple[str, ...] = ()


@dataclass(frozen=True)
class Action:
    """A deterrent; at first a dry run.

    Attributes:
        name: what it is called, and what targets name.
        kind: "sound", "gpio", "http", "mqtt", "board", "ble", or that of a plug-in.
        for_s: seconds that it is on.
        max_on_s: seconds after which it is switched off, whatever happens.
        per_hour: so often at most.
        dry_run: only say what would be done. Watch that for some nights before you set it to false.
        options: what the plug-in takes.
    """

    name: str
    kind: str
    for_s: float = 5.0
    max_on_s: float = 10.0
    per_hour: int = 12
    dry_run: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Webhook:
    """An address that gets every event as JSON, by POST.

    Attributes:
        url: the address.
        labels: only events with these labels; all when empty.
        timeout_s: seconds to wait for an answer.
    """

    url: str
    labels: tuple[str, ...] = ()
    timeout_s: float = 10.0


@dataclass(frozen=True)
class Mqtt:
    """A broker, and Home Assistant behind it.

    Attributes:
        host: name or address of the broker.
        port: of the broker.
        user: name at the broker, if it asks for one.
        password_file: a file whose first line is the password.
        tls: speak TLS, checked against the system's authorities or `ca_file`.
        ca_file: an authority of one's own.
        prefix: first part of the topics.
        discovery: Home Assistant's prefix; "" for none.
    """

    host: str
    port: int = 1883
    user: str = ""
    password_file: str = ""
    tls: bool = False
    ca_file: str = ""
    prefix: str = "lotor"
    discovery: str = "homeassistant"


@dataclass(frozen=True)
class Notify:
    """Messages to people, through Apprise.

    Attributes:
        urls: Apprise's addresses, e.g. "ntfy://garden".
        urls_file: a file with one a line, for those that hold a password.
        labels: only of these; of every target when empty.
        cooldown_s: seconds after a message in which there is no other.
        per_hour: messages an hour at most.
        picture: attach the best picture.
    """

    urls: tuple[str, ...] = ()
    urls_file: str = ""
    labels: tuple[str, ...] = ()
    cooldown_s: float = 300.0
    per_hour: int = 6
    picture: bool = True


@dataclass(frozen=True)
class Store:
    """What is kept, and for how long.

    Attributes:
        folder: where events, pictures and clips are.
        events_days: events and decisions are kept for so long.
        media_days: pictures and clips, which are larger, for so long.
        media_mb: pictures and clips together take at most so many megabytes (10^6 bytes).
        free_mb: so much of the disk is left free.
        before_s: seconds of a clip before its event.
        after_s: seconds of a clip after it.
        clip_s: seconds of a clip at most.
    """

    folder: str = "~/.local/share/lotor/sentinel"
    events_days: int = 365
    media_days: int = 30
    media_mb: int = 2000
    free_mb: int = 500
    before_s: float = 3.0
    after_s: float = 3.0
    clip_s: float = 60.0


@dataclass(frozen=True)
class Page:
    """The page to look at.

    Attributes:
        host: who may reach it: "127.0.0.1" this machine, "0.0.0.0" the network.
        port: where the page is; 0 takes a free one.
        on: whether there is one.
        names: host names it is reached by besides this machine's own, e.g. a proxy's.
    """

    host: str = "127.0.0.1"
    port: int = 8787
    on: bool = True
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Config:
    """All of it; tables that are lists are `[[camera]]`, `[[model]]`, `[[target]]`, `[[action]]`.

    Attributes:
        name: of the sentinel, where there are several.
        armed: whether deterrents may act when it is started first; afterwards what the page or
            MQTT said last is remembered.
    """

    camera: tuple[Camera, ...]
    name: str = "garden"
    armed: bool = True
    model: tuple[Model, ...] = (Model("raccoon"),)
    veto: Veto = Veto()
    target: tuple[Target, ...] = (Target("raccoon"),)
    deciding: Deciding = Deciding()
    action: tuple[Action, ...] = ()
    webhook: tuple[Webhook, ...] = ()
    mqtt: Mqtt | None = None
    notify: Notify | None = None
    store: Store = Store()
    page: Page = Page()


def read_config(path: Path) -> Config:
    """Read a configuration.

    Raises:
        LotorError: the file cannot be read or is wrong; names file and key.
    """
    where = f"configuration {path}"
    return check(parse(Config, read_table(path, where), where), where)


def check(config: Config, where: str) -> Config:
    """Return a configuration in which all names and numbers make sense.

    Raises:
        LotorError: one does not; begins with `where`.
    """
    checks = _Checks(where)
    zones = checks.cameras(config)
    checks.models(config, zones)
    checks.targets(config, zones)
    checks.acting(config)
    checks.telling(config)
    checks.keeping(config)
    return config


class _Checks:
    """What a schema cannot say; each raises `LotorError` at the first mistake."""

    def __init__(self, where: str) -> None:
        self.where = where

    def wrong(self, text: str) -> LotorError:
        return LotorError(f"{self.where}: {text}")

    def names(self, kind: str, found: list[str]) -> set[str]:
        for name in found:
            if not _NAME.fullmatch(name):
                raise self.wrong(
                    f"{kind} name '{name}': up to 32 of a-z, 0-9, - and _, a letter or digit first"
                )
            if found.count(name) > 1:
                raise self.wrong(f"two {kind}s are called '{name}'; give each a name of its own")
        return set(found)

    def known(self, kind: str, wanted: tuple[str, ...], have: set[str], key: str) -> None:
        for name in wanted:
            if name not in have:
                listed = ", ".join(sorted(have)) or "there is none"
                close = did_you_mean(name, have)
                raise self.wrong(f"'{key}' names the {kind} '{name}'{close}; {kind}s: {listed}")

    def between(self, key: str, value: float | None, low: float, high: float) -> None:
        if value is not None and not low <= value <= high:
            raise self.wrong(f"'{key}' is {value:g}; it must be {low:g} to {high:g}")

    def hours(self, key: str, spans: tuple[str, ...]) -> None:
        for span in spans:
            if not _HOURS.fullmatch(span):
                raise self.wrong(f"'{key}' has '{span}'; give hours as 22:00-07:00")

    def polygon(self, key: str, corners: tuple[tuple[float, ...], ...]) -> None:
        if len(corners) < 3 or any(len(corner) != 2 for corner in corners):
            raise self.wrong(f"'{key}' must be three corners [x, y] or more")
        for value in (value for corner in corners for value in corner):
            self.between(key, value, 0, 1)

    def cameras(self, config: Config) -> dict[str, set[str]]:
        if not config.camera:
            raise self.wrong("there is no [[camera]]; `lotor sentinel --init` writes one")
        self.names("sentinel", [config.name])
        self.names("camera", [camera.name for camera in config.camera])
        zones: dict[str, set[str]] = {}
        for camera in config.camera:
            key = f"camera {camera.name}"
            if not camera.source:
                raise self.wrong(f"'{key}' has an empty source")
            try:
                kind = kind_of(camera.source)
            except LotorError as error:
                raise self.wrong(f"'{key}.source': {error}") from error
            self.between(f"{key}.rate", camera.rate, 0.01, 120)
            if len(camera.size) != 2:
                raise self.wrong(f"'{key}.size' must be width and height, as [640, 480]")
            for pixels in camera.size:
                self.between(f"{key}.size", pixels, 16, 8192)
            self.between(f"{key}.least_area", camera.least_area, 0, 1)
            if camera.frames != "all" and kind != "board":
                raise self.wrong(
                    f"'{key}.frames' is '{camera.frames}', and only a board tells of alarms; leave "
                    "it out"
                )
            zones[camera.name] = self.names("zone", [zone.name for zone in camera.zone])
            for zone in camera.zone:
                self.polygon(f"{key}.zone {zone.name}", zone.polygon)
            for mask in camera.masks:
                self.polygon(f"{key}.masks", mask)
        return zones

    def models(self, config: Config, zones: Mapping[str, set[str]]) -> None:
        if not config.model:
            raise self.wrong("there is no [[model]]")
        for model in config.model:
            key = f"model {model.name}.when"
            self.known("camera", model.when.cameras, set(zones), f"{key}.cameras")
            # A condition that names a zone of another camera alone is never met.
            there = [zones[name] for name in model.when.cameras] or zones.values()
            self.known("zone", model.when.zones, set().union(*there), f"{key}.zones")
            self.hours(f"{key}.hours", model.when.hours)
            for month in model.when.months:
                self.between(f"{key}.months", month, 1, 12)

    def targets(self, config: Config, zones: Mapping[str, set[str]]) -> None:
        actions = self.names("action", [action.name for action in config.action])
        self.between("veto.threshold", config.veto.threshold, 0, 1)
        self.between("veto.label_threshold", config.veto.label_threshold, 0, 0.5)
        self.between("veto.hold_s", config.veto.hold_s, 0, 86400)
        if config.veto.others_suffice and not config.veto.model:
            raise self.wrong("'veto.others_suffice' needs 'veto.model', which sees people for them")
        labels = [target.label for target in config.target]
        for target in config.target:
            key = f"target {target.label}"
            if target.label in ("person", "unknown"):
                raise self.wrong(f"'{key}': nothing may be set off at a {target.label}")
            if labels.count(target.label) > 1:
                raise self.wrong(f"two targets are called '{target.label}'; put them together")
            self.between(f"{key}.threshold", target.threshold, 0, 1)
            self.between(f"{key}.night_threshold", target.night_threshold, 0, 1)
            self.known("zone", target.zones, set().union(*zones.values()), f"{key}.zones")
            self.known("action", target.actions, actions, f"{key}.actions")

    def acting(self, config: Config) -> None:
        rule = config.deciding
        self.between("deciding.of", rule.of, 1, 1000)
        self.between("deciding.votes", rule.votes, 1, rule.of)
        self.between("deciding.memory_s", rule.memory_s, 0.1, 3600)
        self.between("deciding.cooldown_s", rule.cooldown_s, 0, 86400)
        self.between("deciding.per_night", rule.per_night, 0, 1000)
        self.hours("deciding.quiet_hours", rule.quiet_hours)
        for action in config.action:
            key = f"action {action.name}"
            self.between(f"{key}.max_on_s", action.max_on_s, 0.1, 600)
            self.between(f"{key}.for_s", action.for_s, 0, action.max_on_s)
            self.between(f"{key}.per_hour", action.per_hour, 0, 3600)

    def telling(self, config: Config) -> None:
        labels = [target.label for target in config.target]
        for hook in config.webhook:
            if not hook.url.startswith(("http://", "https://")):
                raise self.wrong(
                    f"'webhook.url' is '{redact(hook.url)}'; it must begin with http:// or https://"
                )
            self.between("webhook.timeout_s", hook.timeout_s, 0.1, 60)
            self.known("label", hook.labels, {*labels, "unknown"}, "webhook.labels")
        if config.mqtt:
            self.between("mqtt.port", config.mqtt.port, 1, 65535)
            if not config.mqtt.host:
                raise self.wrong("'mqtt.host' is empty; name the broker")
            for key, topic in (
                ("prefix", config.mqtt.prefix),
                ("discovery", config.mqtt.discovery),
            ):
                if not _TOPIC.fullmatch(topic) and (topic or key == "prefix"):
                    raise self.wrong(
                        f"'mqtt.{key}' is '{topic}'; give a topic as home/lotor, no + or #"
                    )
        if config.notify:
            self.known("label", config.notify.labels, {*labels, "unknown"}, "notify.labels")
            self.between("notify.cooldown_s", config.notify.cooldown_s, 0, 86400)
            self.between("notify.per_hour", config.notify.per_hour, 0, 3600)
            if not config.notify.urls and not config.notify.urls_file:
                raise self.wrong("[notify] has neither 'urls' nor 'urls_file'")
            for number, url in enumerate(config.notify.urls, 1):
                if "://" not in url:  # which is not shown: it may hold a password
                    raise self.wrong(
                        f"'notify.urls': number {number} is no address as ntfy://my-garden"
                    )

    def keeping(self, config: Config) -> None:
        for key in ("events_days", "media_days", "media_mb"):
            self.between(f"store.{key}", getattr(config.store, key), 1, 10**6)
        self.between("store.free_mb", config.store.free_mb, 0, 10**6)
        for key in ("before_s", "after_s"):
            self.between(f"store.{key}", getattr(config.store, key), 0, 60)
        self.between("store.clip_s", config.store.clip_s, 1, 600)
        self.between("page.port", config.page.port, 0, 65535)
        for name in config.page.names:
            if not re.fullmatch(r"[A-Za-z0-9.-]+", name):
                raise self.wrong(
                    f"'page.names' has '{name}'; give host names as in garden.example.org"
                )

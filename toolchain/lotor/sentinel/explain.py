"""`lotor sentinel --check`: what a configuration means, in sentences, and what is doubtful."""

from dataclasses import dataclass
from pathlib import Path

from lotor.sentinel.actions.load import described, load
from lotor.sentinel.config import Config, Target, When
from lotor.sentinel.daemon import check_labels, store_folder
from lotor.sentinel.models import Models
from lotor.sentinel.preflight import against_start, doubtful, running
from lotor.sentinel.scene import Light
from lotor.sentinel.sources import kind_of, redact

_KINDS = {
    "v4l2": "webcam",
    "stream": "stream",
    "file": "file or folder",
    "picamera": "Picamera2",
    "board": "board",
    "ros2": "ROS 2 topic",
    "garden": "made up:",
}


@dataclass(frozen=True)
class Explained:
    """A configuration in words.

    Attributes:
        lines: what it does.
        warnings: what is allowed, and may not be meant.
        errors: what keeps the sentinel from starting on this machine, as it is now.
    """

    lines: tuple[str, ...]
    warnings: tuple[str, ...]
    errors: tuple[str, ...] = ()

    def __str__(self) -> str:
        found = [f"warning: {warning}" for warning in self.warnings]
        found += [f"error: {error}" for error in self.errors]
        if self.errors:
            found.append("the sentinel does not start like that")
        return "\n".join([*self.lines, *found])


def explain(config: Config, folder: Path) -> Explained:
    """Explain a configuration; opens its models, and looks at what a start needs.

    Raises:
        LotorError: a model, a target or an action's options are wrong.
    """
    models = Models(config)
    check_labels(config, models)
    deeds = {action.name: described(load(action, folder), action.name) for action in config.action}
    lines = [f"sentinel {config.name}: {'armed' if config.armed else 'disarmed'} at first"]
    lines += _cameras(config)
    lines += _models(config, models)
    for target in config.target:
        lines += _target(config, target, models)
    lines += _deciding(config)
    lines += _actions(config, deeds)
    lines += _tells(config)
    lines += _keeps(config, folder)
    if other := running(config, folder):
        lines.append(f"a sentinel with this store runs: {other}")
    warnings = [*doubtful(config, folder), *_warnings(config)]
    return Explained(tuple(lines), tuple(warnings), tuple(against_start(config, folder)))


def _cameras(config: Config) -> list[str]:
    lines = []
    for camera in config.camera:
        kind = _KINDS[kind_of(camera.source)]
        line = f"camera {camera.name}: {kind} {redact(camera.source)}, "
        line += f"{camera.rate:g} frames/s at most"
        if camera.frames == "alarms":
            line += ", those of its alarms alone"
        if camera.zone:
            line += f"; zones {', '.join(zone.name for zone in camera.zone)}"
        if camera.masks:
            count = len(camera.masks)
            line += f"; {count} mask{'s' * (count > 1)}"
        lines.append(line)
    return lines


def _models(config: Config, models: Models) -> list[str]:
    lines = [f"what moves is shown to {model.name}{_when(model.when)}" for model in config.model]
    if models.veto:
        name, threshold = models.veto
        lines.append(
            f"while {name} sees a person (from {100 * threshold:.0f} %), and for "
            f"{config.veto.hold_s:g} s after, nothing is set off"
        )
    if any(model.person is not None for model in models.opened):
        lines.append(
            f"what moves may be a person by the model's own label from "
            f"{100 * config.veto.label_threshold:g} % on (veto.label_threshold)"
        )
    return lines


def _when(when: When) -> str:
    parts = []
    if when.light:
        parts.append(f"by {when.light}")
    if when.cameras:
        parts.append(f"on {', '.join(when.cameras)}")
    if when.zones:
        parts.append(f"in {', '.join(when.zones)}")
    if when.months:
        parts.append(f"in months {', '.join(map(str, when.months))}")
    if when.hours:
        parts.append(f"at {', '.join(when.hours)}")
    return (", if " + ", ".join(parts)) if parts else ""


def _target(config: Config, target: Target, models: Models) -> list[str]:
    rule = config.deciding
    where = f" in {', '.join(target.zones)}" if target.zones else ""
    does = f"sets off {', '.join(target.actions)}" if target.actions else "is remembered and told"
    knowing = [model.name for model in models.opened if target.label in model.labels]
    scores = " or ".join(dict.fromkeys(_threshold(target, name, models) for name in knowing))
    return [f"a {target.label}{where} {does}: {rule.votes} of {rule.of} frames from {scores}"]


def _threshold(target: Target, model: str, models: Models) -> str:
    """Return from which scores of a model on a frame votes, and who says so."""
    day = target.threshold
    night = day if target.night_threshold is None else target.night_threshold
    chosen = [
        models.threshold_of(model, target.label, light) if given is None else given
        for given, light in ((day, Light.DAY), (night, Light.NIGHT))
    ]
    of = f"{100 * chosen[0]:.0f} %" + (
        "" if chosen[0] == chosen[1] else f" by day, {100 * chosen[1]:.0f} % by night"
    )
    if day is not None:
        return f"{of} on (as configured)"
    return f"{of} on ({'' if night is None else 'by day '}the default of {model})"


def _deciding(config: Config) -> list[str]:
    rule = config.deciding
    line = f"at most every {rule.cooldown_s:g} s, and {rule.per_night} times a night"
    if rule.quiet_hours:
        line += f"; never at {', '.join(rule.quiet_hours)}"
    return [line]


def _actions(config: Config, deeds: dict[str, str]) -> list[str]:
    return [
        f"action {action.name}: {'would ' if action.dry_run else ''}"
        f"{deeds[action.name]} for {action.for_s:g} s, never longer than "
        f"{action.max_on_s:g} s, {action.per_hour} times an hour"
        + (" (dry run)" if action.dry_run else "")
        for action in config.action
    ]


def _tells(config: Config) -> list[str]:
    lines = []
    if config.page.on:
        lines.append(f"page: http://{config.page.host}:{config.page.port}/")
    if config.mqtt:
        lines.append(
            f"MQTT: {config.mqtt.host}:{config.mqtt.port}"
            + (", found by Home Assistant" if config.mqtt.discovery else "")
        )
    lines += [f"webhook: {len(config.webhook)}"] * bool(config.webhook)
    if config.notify:
        lines.append(
            f"messages: one a visit, every {config.notify.cooldown_s:g} s and "
            f"{config.notify.per_hour} an hour at most"
        )
    return lines


def _keeps(config: Config, folder: Path) -> list[str]:
    store = config.store
    return [
        f"kept in {store_folder(config, folder)}: events for {store.events_days} days, pictures "
        f"and clips for {store.media_days} days and {store.media_mb} MB"
    ]


def _warnings(config: Config) -> list[str]:
    found = []
    used = {name for target in config.target for name in target.actions}
    real = [action.name for action in config.action if not action.dry_run]
    if not config.veto.model:
        found.append(
            "no model looks for people (veto.model is empty): a deterrent may be set off in the "
            "presence of one"
        )
    if config.veto.others_suffice:
        found.append(
            "a board that gives no frame may set something off where nobody looked for a person "
            "(veto.others_suffice)"
        )
    found += [
        f"zone {', '.join(target.zones)}: a board that watches whole frames does not say where on "
        f"them, so that its own word of a {target.label} sets nothing off"
        for target in config.target
        if target.zones and any(kind_of(camera.source) == "board" for camera in config.camera)
    ]
    found += [
        f"action {action.name} is set off by no target"
        for action in config.action
        if action.name not in used
    ]
    found += [
        f"action {action.name} is a dry run: once you trust it, set dry_run = false"
        for action in config.action
        if action.dry_run and action.name in used
    ]
    if real:
        found += [
            f"camera {camera.name} is a file or folder, and {', '.join(real)} would be set off for "
            "real by it"
            for camera in config.camera
            if kind_of(camera.source) in ("file", "garden")
        ]
    zones = {name for target in config.target for name in target.zones}
    zones |= {name for model in config.model for name in model.when.zones}
    found += [
        f"zone {zone.name} is named by no target and no model"
        for camera in config.camera
        for zone in camera.zone
        if zone.name not in zones
    ]
    found += [
        f"a {target.label} sets nothing off on camera {camera.name}: none of its zones "
        f"({', '.join(target.zones)}) is there"
        for target in config.target
        for camera in config.camera
        if target.zones and not {zone.name for zone in camera.zone} & set(target.zones)
    ]
    if config.page.on and config.page.host not in ("127.0.0.1", "::1", "localhost"):
        found.append(
            f"the page listens on {config.page.host} and has no login: whoever reaches it may look "
            "and switch"
        )
    if config.mqtt and config.mqtt.user and not config.mqtt.tls:
        found.append("MQTT's password goes over the network in the clear: set mqtt.tls")
    if not config.armed and real:
        found.append(f"it starts disarmed: {', '.join(real)} wait until the page or MQTT arms it")
    last = config.model[-1]
    if _when(last.when):
        found.append(
            f"where no condition of a model is met, nothing is asked, as {last.name} has one too"
        )
    return found

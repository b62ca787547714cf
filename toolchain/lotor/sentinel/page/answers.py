"""What the sentinel knows, in JSON: the shapes of `docs/sentinel-page.md`."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lotor.sentinel.config import Action, Camera
from lotor.sentinel.event import Act, Decision, Event
from lotor.sentinel.scene import Scene, Track

_MOST_BOXES = 32  # of each kind; a storm moves every leaf

Json = dict[str, Any]


def dumps(value: Any) -> str:
    """Return JSON in one line of ASCII; what is no finite number becomes null."""
    return json.dumps(_finite(value), separators=(",", ":"), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def event(found: Event) -> Json:
    """Return an event; files become addresses, which change when the file does."""
    files = {"picture": found.picture, "clip": found.clip}
    return asdict(found) | {
        kind: f"api/events/{found.id}/{kind}" if name else None for kind, name in files.items()
    }


def decision(found: Decision, acts: list[Act]) -> Json:
    """Return a decision with what became of its actions."""
    return asdict(found) | {
        "acts": [asdict(act) for act in acts],
        "why": found.why,
    }


def camera(name: str, settings: Camera | None, latest: Scene | None, monotonic: float) -> Json:
    """Return a camera: outlines as shares of width and height, its picture's size and age in s."""
    zones = settings.zone if settings else ()
    return {
        "name": name,
        "zones": [asdict(zone) for zone in zones],
        "masks": settings.masks if settings else (),
        "rate": settings.rate if settings else None,
        "width": latest.frame.image.shape[1] if latest else None,
        "height": latest.frame.image.shape[0] if latest else None,
        "age": monotonic - latest.frame.monotonic if latest else None,
    }


def action(settings: Action) -> Json:
    """Return an action that can be tried."""
    return {
        "name": settings.name,
        "kind": settings.kind,
        "for_s": settings.for_s,
        "dry_run": settings.dry_run,
    }


def scene(found: Scene) -> Json:
    """Return what is drawn over a frame; boxes are x0, y0, x1, y1 in its pixels."""
    height, width = found.frame.image.shape[:2]
    return {
        "number": found.frame.number,
        "time": found.frame.time,
        "width": width,
        "height": height,
        "light": found.light,
        "moving": found.moving[:_MOST_BOXES],
        "tracks": [_track(track) for track in found.tracks[:_MOST_BOXES]],
        "person": _person(found),
        "errors": found.errors[:4],
    }


def _track(track: Track) -> Json:
    seen = track.detection
    label = None if seen is None else "unknown" if seen.unknown else seen.label
    return {
        "number": track.number,
        "box": track.box,
        "label": label,
        "score": seen.scores[seen.label] if seen else None,
        "zones": track.zones,
    }


def _person(found: Scene) -> Json:
    """Return what the veto says: "none", "idle", "clear", "there" or "failed"."""
    if found.veto is None:
        return {"state": "none", "model": None, "threshold": None, "score": None}
    model, threshold = found.veto
    if found.person is None:
        state = "idle"
    elif math.isnan(found.person):
        state = "failed"
    else:
        state = "there" if found.person >= threshold else "clear"
    return {"state": state, "model": model, "threshold": threshold, "score": found.person}

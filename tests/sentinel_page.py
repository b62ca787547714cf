"""A sentinel that is made up: what the page's tests, and a look at the page, need of one."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.sentinel import config
from lotor.sentinel.bus import (
    Acted,
    ArmedChanged,
    Bus,
    Decided,
    EventChanged,
    HealthChanged,
    SceneSeen,
)
from lotor.sentinel.clock import Clock, SetClock, SystemClock
from lotor.sentinel.event import Act, Check, Decision, Event
from lotor.sentinel.page import Page
from lotor.sentinel.scene import Detection, Frame, Light, Scene, Track

NIGHT = 1_790_000_000.0
HAND = {"X-Lotor": "1", "Content-Type": "application/json"}
CAMERAS = (
    config.Camera(
        "back",
        "folder/",
        masks=(((0.0, 0.0), (0.3, 0.0), (0.3, 0.2), (0.0, 0.2)),),
        zone=(config.Zone("pond", ((0.4, 0.5), (0.95, 0.5), (0.95, 0.95), (0.4, 0.95))),),
    ),
)
ACTIONS = (
    config.Action("bark", "sound"),
    config.Action("spray", "gpio", for_s=3.0, dry_run=False),
)


class Controls:
    """Switches that remember, and scenes that a test puts there."""

    name = "garden"
    labels = ("raccoon", "unknown")

    def __init__(self, bus: Bus, clock: Clock, cameras: tuple[str, ...] = ("back",)) -> None:
        self.bus, self.clock, self.cameras = bus, clock, cameras
        self.armed = True
        self.asked: list[tuple[str, object, str]] = []
        self.parts = tuple(HealthChanged(f"camera {name}", True) for name in cameras)
        self.scenes: dict[str, Scene] = {}
        self.stuck: threading.Event | None = None  # while it is not set, nothing is answered
        self.latest_asked = 0

    def _wait(self) -> None:
        if self.stuck:
            self.stuck.wait(30)

    def arm(self, armed: bool, by: str) -> None:
        self._wait()
        self.asked.append(("arm", armed, by))
        self.armed = armed
        self.bus.tell(ArmedChanged(armed, by))

    def test(self, action: str, by: str) -> Act:
        self._wait()
        self.asked.append(("test", action, by))
        now = self.clock.now()
        if action == "spray":
            raise LotorError("spray: the pin is taken by another program")
        return Act(None, action, now, now, "dry run", "would play bark.wav")

    def latest(self, camera: str) -> Scene | None:
        self.latest_asked += 1
        return self.scenes.get(camera)

    def health(self) -> tuple[HealthChanged, ...]:
        return self.parts

    def counters(self) -> dict[str, int]:
        return {"frames": 48211, "decisions": 12, "events": 3, "acts": 1}

    def see(self, scene: Scene) -> None:
        """As the sentinel does: remember what was seen, then tell."""
        self.scenes[scene.frame.camera] = scene
        self.bus.tell(SceneSeen(scene))

    def fall_ill(self, part: HealthChanged) -> None:
        self.parts = (*(p for p in self.parts if p.part != part.part), part)
        self.bus.tell(part)


class Store:
    """Events in memory, as `StoreReader` has them."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.kept: dict[str, Event] = {}
        self.decided: dict[str, list[Decision]] = {}
        self.acted: dict[str, list[Act]] = {}
        self.broken = False

    def events(
        self,
        limit: int,
        before: str | None = None,
        label: str | None = None,
        camera: str | None = None,
    ) -> list[Event]:
        if self.broken:
            raise OSError("the disk is gone")
        found = [
            event
            for id, event in sorted(self.kept.items(), reverse=True)
            if (before is None or id < before)
            and label in (None, event.label)
            and camera in (None, event.camera)
        ]
        return found[:limit]

    def event(self, id: str) -> Event | None:
        return self.kept.get(id)

    def decisions(self, event_id: str) -> list[Decision]:
        return self.decided.get(event_id, [])

    def acts_of(self, decision_id: str) -> list[Act]:
        return self.acted.get(decision_id, [])

    def change(self, event: Event) -> None:
        began = event.id not in self.kept
        self.kept[event.id] = event
        self.bus.tell(EventChanged(event, began))

    def decide(self, decision: Decision, acts: list[Act]) -> None:
        assert decision.event is not None
        self.decided.setdefault(decision.event, []).append(decision)
        self.acted[decision.id] = acts
        self.bus.tell(Decided(decision))
        for act in acts:
            self.bus.tell(Acted(act))


def picture(shade: int = 90, width: int = 320, height: int = 240) -> Image:
    """A lawn with something dark on it."""
    rng = np.random.default_rng(shade)
    image = rng.integers(0, 30, (height, width, 3), np.uint8)
    image += np.array([shade // 4, shade, shade // 2], np.uint8)
    cv2.ellipse(image, (width * 6 // 10, height * 7 // 10), (40, 24), 0, 0, 360, (40, 40, 45), -1)
    return image


def scene(
    number: int,
    clock: Clock | None = None,
    camera: str = "back",
    image: Image | None = None,
    person: float | None = 0.03,
    label: str = "raccoon",
) -> Scene:
    """Something on the lawn, and a track that is lost just now."""
    clock = clock or SystemClock()
    image = picture() if image is None else image
    height, width = image.shape[:2]
    box = (int(width * 0.47), int(height * 0.58), int(width * 0.73), int(height * 0.82))
    other = (int(width * 0.1), int(height * 0.3), int(width * 0.2), int(height * 0.4))
    detection = Detection(box, "raccoon", {label: 0.94, "cat": 0.04, "background": 0.02})
    return Scene(
        Frame(camera, number, clock.now(), clock.monotonic(), image),
        Light.DAY,
        moving=(box, other),
        tracks=(
            Track(3, box, detection, 7, 0.0, 1.0, ("pond",)),
            Track(4, other, None, 2, 0.0, 0.5),
        ),
        person=person,
        veto=("person", 0.5),
    )


def event(
    begin: float, label: str = "raccoon", number: int = 1, actions: tuple[str, ...] = ("bark",)
) -> Event:
    """A visit of 12 s."""
    return Event(
        f"{begin:014.3f}-{number:08x}",
        "back",
        3,
        label,
        0.94,
        begin,
        begin + 12,
        Light.NIGHT,
        ("pond",),
        9,
        actions,
    )


def decisions(of: Event) -> tuple[Decision, Decision]:
    """First too few votes, then a bark."""
    wait = Decision(
        f"{of.id}-a",
        of.id,
        of.camera,
        of.track,
        of.begin,
        of.begin + 0.4,
        100,
        101,
        2,
        of.label,
        "raccoon",
        {"raccoon": 0.71, "cat": 0.2, "background": 0.09},
        (150, 140, 230, 200),
        Light.NIGHT,
        (
            Check("armed", True, "armed by the page"),
            Check("votes", False, "2 of the last 5 frames say raccoon; 3 are needed"),
            Check("person", True, "nobody for 30 s (0.03; from 0.50 on somebody is there)"),
        ),
    )
    act = replace(
        wait,
        id=f"{of.id}-b",
        time=of.begin + 0.6,
        until=of.begin + 0.6,
        first=102,
        last=102,
        frames=1,
        scores={"raccoon": 0.94, "cat": 0.04, "background": float("nan")},
        checks=(
            wait.checks[0],
            Check("votes", True, "3 of the last 5 frames say raccoon; 3 are needed"),
            wait.checks[2],
        ),
        actions=("bark",),
    )
    return wait, act


def remember(store: Store, folder: Path, of: Event, image: Image | None = None) -> Event:
    """Put an event with a picture and two decisions into a store; returns it as it is kept."""
    name = f"{of.id}.jpg"
    cv2.imwrite(str(folder / name), picture(60) if image is None else image)
    kept = replace(of, picture=name)
    store.change(kept)
    wait, act = decisions(kept)
    store.decide(wait, [])
    done = Act(act.id, "bark", act.time, act.time + 5, "done")
    store.decide(act, [done])
    return kept


class Garden:
    """A page that is served, and what is behind it."""

    def __init__(self, folder: Path, settings: config.Page | None = None) -> None:
        self.clock = SetClock(NIGHT)
        self.bus = Bus()
        self.controls = Controls(self.bus, self.clock)
        self.store = Store(self.bus)
        self.folder = folder
        settings = settings or config.Page(port=0)
        self.page = Page(
            self.controls, self.store, self.bus, settings, folder, CAMERAS, ACTIONS, self.clock
        )
        self.url = self.page.start()
        self.port = int(self.url.rstrip("/").rpartition(":")[2])

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(
        self,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        method: str | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = self.connect()
        data = json.dumps(body) if body is not None else None
        own = HAND if headers is None and body is not None else headers or {}
        connection.request(method or ("GET" if body is None else "POST"), path, data, own)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    def json(self, path: str, body: Any = None) -> Any:
        status, _, content = self.ask(path, body)
        assert status == 200, content
        return json.loads(content)

    def wait(self, until: Callable[[], Any]) -> None:
        for _ in range(2000):
            if until():
                return
            time.sleep(0.01)
        pytest.fail("it does not come to be")

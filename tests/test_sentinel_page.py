"""The sentinel's page over HTTP: what it shows, what it refuses, and whom it never holds up."""

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from lotor.errors import LotorError
from lotor.sentinel import config, worker
from lotor.sentinel.bus import ArmedChanged, HealthChanged
from sentinel_page import (
    HAND,
    NIGHT,
    Garden,
    decisions,
    event,
    picture,
    remember,
    scene,
)

web_server = pytest.importorskip("lotor.sentinel.page.server", reason="aiohttp is not installed")


class Listener:
    """Somebody with the page open: reads the stream."""

    def __init__(self, garden: Garden, receive: int | None = None) -> None:
        self.socket = socket.socket()
        if receive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", garden.port))
        self.socket.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        if self.status == 200:
            while b"retry" not in self.file.readline():
                pass

    def next(self) -> tuple[str, Any]:
        """The next message: its kind, and what it says."""
        while True:
            line = self.file.readline()
            assert line, "the stream has ended"
            if line.startswith(b"event: "):
                kind = line[7:].decode().strip()
                return kind, json.loads(self.file.readline()[6:])

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def garden(tmp_path: Path) -> Iterator[Garden]:
    made = Garden(tmp_path)
    yield made
    made.page.close()


# What it shows.


def test_the_files_of_the_page(garden: Garden) -> None:
    for path, kind in (
        ("/", "text/html"),
        ("/page.js", "text/javascript"),
        ("/page.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
    ):
        status, headers, content = garden.ask(path)
        assert (status, headers.get_content_type(), len(content) > 100) == (200, kind, True)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert garden.ask("/page.py")[0] == 404


def test_state(garden: Garden) -> None:
    state = garden.json("/api/state")
    assert (state["name"], state["time"]) == ("garden", NIGHT)
    assert state["armed"] == {"armed": True, "by": None, "time": None}
    assert state["labels"] == ["raccoon", "unknown"]
    assert state["counters"]["frames"] == 48211
    (camera,) = state["cameras"]
    assert camera["zones"] == [
        {"name": "pond", "polygon": [[0.4, 0.5], [0.95, 0.5], [0.95, 0.95], [0.4, 0.95]]}
    ]
    assert camera["masks"] == [[[0.0, 0.0], [0.3, 0.0], [0.3, 0.2], [0.0, 0.2]]]
    assert (camera["width"], camera["age"]) == (None, None)
    assert state["actions"] == [
        {"name": "bark", "kind": "sound", "for_s": 5.0, "dry_run": True},
        {"name": "spray", "kind": "gpio", "for_s": 3.0, "dry_run": False},
    ]
    garden.controls.see(scene(0, garden.clock))
    garden.clock.advance(7.5)
    garden.controls.fall_ill(HealthChanged("camera back", False, "no frames for 7 s", True))
    state = garden.json("/api/state")
    (camera,) = state["cameras"]
    assert (camera["width"], camera["height"], camera["age"]) == (320, 240, 7.5)
    assert state["health"] == [
        {"part": "camera back", "well": False, "text": "no frames for 7 s", "blocks": True}
    ]


def test_events_come_newest_first_a_page_at_a_time(garden: Garden) -> None:
    labels = ("raccoon", "unknown")
    for number in range(7):
        garden.store.change(event(NIGHT + number, labels[number % 2], number))
    first = garden.json("/api/events?limit=3")
    assert [found["begin"] - NIGHT for found in first["events"]] == [6, 5, 4]
    assert first["more"] is True
    rest = garden.json(f"/api/events?limit=4&before={first['events'][-1]['id']}")
    assert [found["begin"] - NIGHT for found in rest["events"]] == [3, 2, 1, 0]
    assert rest["more"] is False
    unknown = garden.json("/api/events?label=unknown&camera=back")["events"]
    assert [found["begin"] - NIGHT for found in unknown] == [5, 3, 1]
    assert garden.json("/api/events?camera=front") == {"events": [], "more": False}


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "limit=1e1", "limit=²", "before=../x", "before=%00"],
)
def test_a_query_that_makes_no_sense(garden: Garden, query: str) -> None:
    status, _, content = garden.ask(f"/api/events?{quote(query, safe='=%')}")
    assert status == 400
    assert query.partition("=")[0] in json.loads(content)["error"]


def test_an_event_says_why(garden: Garden) -> None:
    kept = remember(garden.store, garden.folder, event(NIGHT))
    garden.store.decided[kept.id].reverse()  # whatever order the store has them in
    found = garden.json(f"/api/events/{kept.id}")
    assert found["event"]["picture"] == f"api/events/{kept.id}/picture"
    assert found["event"]["clip"] is None
    assert found["left_out"] == 0
    held, acted = found["decisions"]
    assert [(check["rule"], check["passed"]) for check in held["checks"]] == [
        ("armed", True),
        ("votes", False),
        ("person", True),
    ]
    assert held["why"] == "2 of the last 5 frames say raccoon; 3 are needed"
    assert (held["actions"], held["acts"]) == ([], [])
    assert acted["scores"] == {"raccoon": 0.94, "cat": 0.04, "background": None}
    assert [(act["action"], act["result"]) for act in acted["acts"]] == [("bark", "done")]


def test_very_many_decisions_are_cut(garden: Garden) -> None:
    kept = event(NIGHT)
    garden.store.change(kept)
    wait, _ = decisions(kept)
    for number in range(250):
        garden.store.decide(replace(wait, id=str(number), first=number), [])
    found = garden.json(f"/api/events/{kept.id}")
    assert (len(found["decisions"]), found["left_out"]) == (200, 50)
    assert found["decisions"][-1]["first"] == 249


def test_pictures_and_clips(garden: Garden) -> None:
    kept = remember(garden.store, garden.folder, event(NIGHT))
    status, headers, content = garden.ask(f"/api/events/{kept.id}/picture")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert content == (garden.folder / f"{kept.id}.jpg").read_bytes()
    assert garden.ask(f"/api/events/{kept.id}/clip")[0] == 404
    (garden.folder / "2026").mkdir()
    (garden.folder / "2026/a.webm").write_bytes(bytes(range(200)))
    garden.store.change(replace(kept, clip="2026/a.webm"))
    path = f"/api/events/{kept.id}/clip"
    status, headers, content = garden.ask(path, headers={"Range": "bytes=10-19"})
    assert (status, headers["Content-Type"], content) == (206, "video/webm", bytes(range(10, 20)))
    (garden.folder / "2026/a.webm").unlink()
    status, _, content = garden.ask(path)
    assert (status, "not kept any more" in json.loads(content)["error"]) == (404, True)


@pytest.mark.parametrize("name", ["../secret.jpg", "link.jpg", "/etc/passwd", "sentinel.db", "."])
def test_nothing_but_pictures_of_the_folder_is_handed_out(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "media"
    inside.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (inside / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (inside / "sentinel.db").write_bytes(b"secret")
    garden = Garden(inside)
    try:
        kept = replace(event(NIGHT), picture=name)
        garden.store.change(kept)
        assert garden.ask(f"/api/events/{kept.id}/picture")[0] == 404
    finally:
        garden.page.close()


@pytest.mark.parametrize(
    "path",
    [
        "/api/events/..%2f..%2fsecret/picture",
        "/api/events/%2e%2e/picture",
        "/api/events/../../../../etc/passwd",
        "/..%2fserver.py",
        "/api/events/x%00/picture",
        "/api/events/" + "a" * 65,
        "/api/cameras/..%2fback/picture",
        "/api/nothing",
    ],
)
def test_a_path_that_is_none(garden: Garden, path: str) -> None:
    status, _, content = garden.ask(path)
    assert status == 404
    assert json.loads(content)["error"]


# Who may ask, and for what.


def test_arming_says_who_and_when(garden: Garden) -> None:
    garden.json("/api/state")
    garden.clock.advance(60)
    state = garden.json("/api/arm", {"armed": False})
    assert garden.controls.asked == [("arm", False, "the page")]
    assert state["armed"] == {"armed": False, "by": "the page", "time": NIGHT + 60}
    garden.bus.tell(ArmedChanged(True, "MQTT"))
    assert garden.json("/api/state")["armed"]["by"] == "MQTT"


def test_who_asks_from_another_machine_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    garden = Garden(tmp_path, config.Page(host="0.0.0.0", port=0))
    try:
        assert garden.url == f"http://{socket.gethostname()}:{garden.port}/"
        assert garden.ask("/", headers={"Host": socket.gethostname()})[0] == 200
        garden.json("/api/arm", {"armed": False})
        monkeypatch.setattr(web_server, "_loopback", lambda address: False)
        garden.json("/api/arm", {"armed": True})
        assert [by for _, _, by in garden.controls.asked] == ["the page", "the page (127.0.0.1)"]
    finally:
        garden.page.close()


def test_version_6_of_the_internet_protocol(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    garden = Garden(tmp_path, config.Page(host="::1", port=0))
    try:
        assert garden.url == f"http://[::1]:{garden.port}/"
        connection = http.client.HTTPConnection("::1", garden.port, timeout=20)
        connection.request("GET", "/api/state")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        garden.page.close()


def test_trying_an_action(garden: Garden) -> None:
    act = garden.json("/api/test/bark", {})
    assert (act["result"], act["why"]) == ("dry run", "would play bark.wav")
    status, _, content = garden.ask("/api/test/spray", {})
    assert status == 400
    assert json.loads(content)["error"] == "spray: the pin is taken by another program"
    assert garden.controls.asked == [("test", name, "the page") for name in ("bark", "spray")]
    assert garden.ask("/api/test/siren", {})[0] == 404
    assert len(garden.controls.asked) == 2


GOOD = {"X-Lotor": "1", "Host": "localhost:8787", "Origin": "http://localhost:8787"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (GOOD, 200),
        (GOOD | {"Sec-Fetch-Site": "same-origin"}, 200),
        ({"X-Lotor": "1", "Host": "192.168.1.7:80"}, 200),
        ({"X-Lotor": "1", "Host": "[::1]:8787"}, 200),
        ({key: value for key, value in GOOD.items() if key != "X-Lotor"}, 403),
        (GOOD | {"Origin": "http://evil.example"}, 403),
        (GOOD | {"Origin": "http://localhost:9999"}, 403),
        (GOOD | {"Origin": "null"}, 403),
        (GOOD | {"Sec-Fetch-Site": "cross-site"}, 403),
        (GOOD | {"Sec-Fetch-Site": "same-site"}, 403),
        ({"X-Lotor": "1", "Host": "evil.example"}, 403),
        (GOOD | {"Host": "evil.example:8787", "Origin": "http://evil.example:8787"}, 403),
        ({"X-Lotor": "1", "Host": "localhost.evil.example"}, 403),
        ({"X-Lotor": "1", "Host": "[::1"}, 403),
        ({"X-Lotor": "1", "Host": ""}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/api/arm", "/api/test/bark"])
def test_who_may_change_something(
    garden: Garden, path: str, headers: dict[str, str], status: int
) -> None:
    assert garden.ask(path, {"armed": False}, headers)[0] == status
    assert bool(garden.controls.asked) == (status == 200)


@pytest.mark.parametrize("path", ["/", "/api/state", "/api/stream", "/api/cameras/back/picture"])
def test_nothing_is_shown_under_a_foreign_name(garden: Garden, path: str) -> None:
    status, _, content = garden.ask(path, headers={"Host": "evil.example"})
    assert (status, "page.names" in json.loads(content)["error"]) == (403, True)
    foreign = {"Host": "localhost", "Sec-Fetch-Site": "cross-site"}
    assert (garden.ask(path, headers=foreign)[0] == 403) == (path != "/")  # a link may lead here


def test_a_name_of_ones_own(tmp_path: Path) -> None:
    garden = Garden(tmp_path, config.Page(port=0, names=("garden.example.org",)))
    try:
        assert garden.ask("/api/state", headers={"Host": "Garden.Example.org"})[0] == 200
        assert garden.ask("/api/state", headers={"Host": "example.org"})[0] == 403
    finally:
        garden.page.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("[]", 400),
        ("", 400),
        ('{"armed": 0}', 400),
        ('{"armed": "false"}', 400),
        ("\xff", 400),
        ("[" * 4000, 400),
        (" " * 5000, 413),
    ],
    ids=["half", "list", "empty", "number", "string", "latin-1", "deep", "long"],
)
def test_a_body_that_makes_no_sense(garden: Garden, body: str, status: int) -> None:
    connection = garden.connect()
    connection.request("POST", "/api/arm", body.encode("latin-1"), HAND)
    answer = connection.getresponse()
    assert answer.status == status
    assert json.loads(answer.read())["error"]
    connection.close()
    assert not garden.controls.asked


def test_looking_changes_nothing(garden: Garden) -> None:
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        assert garden.ask("/api/arm", method=method, headers=GOOD)[0] == 405
    assert garden.ask("/api/state", {}, GOOD)[0] == 405
    assert not garden.controls.asked


# When things go wrong.


def test_a_port_that_is_taken(garden: Garden) -> None:
    with pytest.raises(LotorError, match=rf"port {garden.port} .*in use.*page\.port"):
        Garden(garden.folder, config.Page(port=garden.port))


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_a_host_that_is_not_this_machine(tmp_path: Path, host: str) -> None:
    with pytest.raises(LotorError, match=rf"{host}.*page\.host|page\.host is '{host}'"):
        Garden(tmp_path, config.Page(host=host, port=0))


def test_without_aiohttp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LotorError, match=r"pip install 'lotor\[sentinel\]'"):
        Garden(tmp_path)


def test_a_store_that_fails(garden: Garden, caplog: pytest.LogCaptureFixture) -> None:
    garden.store.broken = True
    status, headers, content = garden.ask("/api/events")
    assert status == 500
    assert json.loads(content) == {"error": "the sentinel could not answer; its log says why"}
    assert "Content-Security-Policy" in headers
    assert "the disk is gone" in caplog.text
    garden.store.broken = False
    assert garden.json("/api/events") == {"events": [], "more": False}


def test_a_part_that_does_not_answer(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    garden.json("/api/state")
    monkeypatch.setattr(web_server, "_PATIENCE_S", 0.2)
    garden.controls.stuck = threading.Event()
    try:
        status, _, content = garden.ask("/api/arm", {"armed": False})
        assert (status, "does not answer" in json.loads(content)["error"]) == (503, True)
        assert garden.json("/api/events") == {"events": [], "more": False}
    finally:
        garden.controls.stuck.set()


def test_a_disk_that_hangs_holds_up_nobody_who_disarms(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    garden.json("/api/state")
    monkeypatch.setattr(web_server, "_PATIENCE_S", 0.2)
    hangs = threading.Event()
    monkeypatch.setattr(garden.store, "events", lambda *arguments: hangs.wait(30) and [])
    try:
        for _ in range(6):
            assert garden.ask("/api/events")[0] == 503
        monkeypatch.setattr(web_server, "_PATIENCE_S", 20)
        assert garden.json("/api/arm", {"armed": False})["armed"]["armed"] is False
        assert garden.json("/api/state")["health"]
    finally:
        hangs.set()


def test_a_page_that_cannot_go_on_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("broken")

    serve = web_server.serve
    monkeypatch.setattr(worker, "PAUSES_S", (0.05,))
    monkeypatch.setattr(web_server, "serve", fail)
    garden = Garden(tmp_path)
    told: list[Any] = []
    garden.bus.subscribe(told.append)
    socket.create_connection(("127.0.0.1", garden.port)).close()
    garden.wait(lambda: told)
    text = "it failed: RuntimeError: broken; it begins anew within 0.05 s"
    assert told == [HealthChanged("page thread", False, text)]
    monkeypatch.setattr(web_server, "serve", serve)

    def answers() -> bool:
        with suppress(OSError):
            return bool(garden.json("/api/state")["name"] == "garden")
        return False

    garden.wait(answers)  # at the same address
    assert told[1] == HealthChanged("page thread", True)
    garden.page.close()


# Live pictures.


def test_a_live_picture_and_what_is_drawn_on_it(garden: Garden) -> None:
    path = "/api/cameras/back/picture"
    assert garden.ask(path)[0] == 204
    assert garden.ask("/api/cameras/front/picture")[0] == 404
    garden.controls.see(replace(scene(5, garden.clock, person=0.8), errors=("the model failed",)))
    garden.clock.advance(2)
    status, headers, content = garden.ask(path)
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    seen = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert seen is not None and seen.shape == (240, 320, 3)
    assert np.abs(seen.astype(int).mean((0, 1)) - picture().mean((0, 1))).max() < 3
    drawn = json.loads(headers["Lotor-Scene"])
    assert (drawn["number"], drawn["age"], drawn["light"]) == (5, 2.0, "day")
    assert drawn["tracks"] == [
        {
            "number": 3,
            "box": [150, 139, 233, 196],
            "label": "raccoon",
            "score": 0.94,
            "zones": ["pond"],
        },
        {"number": 4, "box": [32, 72, 64, 96], "label": None, "score": None, "zones": []},
    ]
    assert drawn["moving"] == [[150, 139, 233, 196], [32, 72, 64, 96]]
    assert drawn["person"] == {"state": "there", "model": "person", "threshold": 0.5, "score": 0.8}
    assert drawn["errors"] == ["the model failed"]


@pytest.mark.parametrize(
    ("person", "state"),
    [(0.5, "there"), (0.49, "clear"), (None, "idle"), (float("nan"), "failed")],
)
def test_what_is_said_of_a_person(garden: Garden, person: float | None, state: str) -> None:
    garden.controls.see(scene(0, garden.clock, person=person))
    headers = garden.ask("/api/cameras/back/picture")[1]
    assert json.loads(headers["Lotor-Scene"])["person"]["state"] == state


def test_no_watch_for_people_and_the_unknown(garden: Garden) -> None:
    seen = scene(0, garden.clock)
    detection = seen.tracks[0].detection
    assert detection is not None
    track = replace(seen.tracks[0], detection=replace(detection, unknown=True))
    garden.controls.see(replace(seen, veto=None, person=None, tracks=(track,)))
    drawn = json.loads(garden.ask("/api/cameras/back/picture")[1]["Lotor-Scene"])
    assert drawn["person"]["state"] == "none"
    assert [track["label"] for track in drawn["tracks"]] == ["unknown"]


def test_who_has_a_picture_waits_for_the_next(garden: Garden) -> None:
    garden.controls.see(scene(7, garden.clock))
    path = "/api/cameras/back/picture?after=7"
    assert garden.ask(path)[0] == 204
    answers: list[int] = []

    def look() -> None:
        headers = garden.ask(path)[1]
        answers.append(json.loads(headers["Lotor-Scene"])["number"])

    asked = garden.controls.latest_asked
    looking = threading.Thread(target=look)
    looking.start()
    garden.wait(lambda: garden.controls.latest_asked > asked)
    garden.controls.see(scene(8, garden.clock))
    looking.join(20)
    assert answers == [8]


def test_a_large_picture_is_made_smaller(garden: Garden) -> None:
    garden.controls.see(scene(0, garden.clock, image=picture(width=1920, height=1080)))
    _, headers, content = garden.ask("/api/cameras/back/picture")
    seen = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert seen is not None and seen.shape == (540, 960, 3)
    assert json.loads(headers["Lotor-Scene"])["width"] == 1920  # boxes are in its pixels


def test_a_frame_that_is_no_picture(garden: Garden) -> None:
    garden.controls.see(scene(0, garden.clock, image=np.zeros((0, 0, 3), np.uint8)))
    status, _, content = garden.ask("/api/cameras/back/picture")
    assert (status, "no picture" in json.loads(content)["error"]) == (400, True)


def test_one_picture_is_made_for_all_who_look(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lotor.sentinel.page import live

    made: list[int] = []
    real = live.jpeg

    def count(image: Any) -> bytes:
        made.append(1)
        return real(image)

    monkeypatch.setattr(live, "jpeg", count)
    garden.controls.see(scene(0, garden.clock))
    sizes: list[int] = []

    def look() -> None:
        sizes.append(len(garden.ask("/api/cameras/back/picture")[2]))

    looking = [threading.Thread(target=look) for _ in range(12)]
    for thread in looking:
        thread.start()
    for thread in looking:
        thread.join(20)
    assert (len(sizes), len(set(sizes)), len(made)) == (12, 1, 1)


def test_a_page_that_nobody_looks_at_costs_nothing(tmp_path: Path) -> None:
    program = """if True:
        import sys, threading
        from pathlib import Path
        from lotor.sentinel import config
        from lotor.sentinel.bus import Bus
        from lotor.sentinel.clock import SystemClock
        from lotor.sentinel.page import Page
        from sentinel_page import Controls, Store, scene

        bus = Bus()
        controls = Controls(bus, SystemClock())
        page = Page(controls, Store(bus), bus, config.Page(port=0), Path(sys.argv[1]))
        url = page.start()
        for number in range(100):
            controls.see(scene(number))
        print(controls.latest_asked, "aiohttp" in sys.modules, "asyncio" in sys.modules)
        import urllib.request
        urllib.request.urlopen(url).read()
        print("aiohttp" in sys.modules)
        page.close()
        print(threading.active_count())
    """
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == ["0 False False", "True", "1"], done.stderr


# The stream, and clients that behave badly.


def test_open_pages_are_told(garden: Garden) -> None:
    listeners = [Listener(garden) for _ in range(3)]
    kept = remember(garden.store, garden.folder, event(NIGHT))
    garden.controls.fall_ill(HealthChanged("store", False, "the disk is full", True))
    for listener in listeners:
        kind, what = listener.next()
        assert (kind, what["id"], what["picture"]) == (
            "event",
            kept.id,
            f"api/events/{kept.id}/picture",
        )
        waiting = {
            "decided": {"event": kept.id},
            "acted": {"decision": f"{kept.id}-b"},
            "state": {},
        }
        while waiting:
            kind, what = listener.next()
            assert waiting.pop(kind, what) == what
        listener.close()
    garden.json("/api/state")


def test_a_client_that_takes_nothing_holds_up_nobody(garden: Garden) -> None:
    stalled, quick = Listener(garden, receive=2048), Listener(garden)
    heard: list[str] = []
    done = threading.Event()

    def listen() -> None:
        while not done.is_set():
            kind, what = quick.next()
            heard.append(what.get("id", kind))
            if what.get("label") == "last":
                done.set()

    reading = threading.Thread(target=listen)
    reading.start()
    long = tuple(f"zone-{number:026}" for number in range(32))
    for number in range(4000):  # more than all buffers take
        garden.store.change(replace(event(NIGHT + number, number=number), zones=long))
        garden.store.kept.clear()
        if number % 50 == 49:
            garden.json("/api/state")
    garden.store.change(event(NIGHT, "last"))
    reading.join(20)
    assert done.is_set() and len(heard) > 1000
    kinds = []
    while True:  # it wakes up: what it missed is not told, but that it missed something is
        kind, what = stalled.next()
        kinds.append(kind)
        if what.get("label") == "last" or kind == "reload":
            break
    assert len(kinds) < 4000 and kinds[-1] == "reload"
    stalled.close()
    quick.close()


def test_a_client_that_takes_nothing_for_long_is_dropped(
    garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    garden.json("/api/state")
    monkeypatch.setattr(web_server, "_WRITE_S", 0.3)
    before = threading.active_count()
    stalled = Listener(garden, receive=2048)
    long = ("zone" * 5000,)
    for number in range(400):
        garden.store.change(replace(event(NIGHT + number, number=number), zones=long))
        garden.store.kept.clear()
        if number % 20 == 19:
            garden.json("/api/state")  # lets the page tell them
    time.sleep(1)
    with pytest.raises((ConnectionError, AssertionError, ValueError)):  # ends, maybe amid a message
        while True:
            stalled.next()
    stalled.close()
    assert threading.active_count() <= before + 1


def test_no_more_streams_than_it_has_room_for(garden: Garden) -> None:
    listeners = [Listener(garden) for _ in range(16)]
    assert Listener(garden).status == 503
    assert garden.json("/api/events") == {"events": [], "more": False}
    for listener in listeners:
        listener.close()

    def again() -> bool:
        listener = Listener(garden)
        listener.close()
        return listener.status == 200

    garden.wait(again)


def test_too_many_requests_at_once(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    garden.json("/api/state")
    monkeypatch.setattr(web_server, "_REQUESTS", 3)
    waiting = [garden.connect() for _ in range(3)]
    for connection in waiting:
        connection.request("GET", "/api/cameras/back/picture")  # no frame: it waits for one
    garden.wait(lambda: garden.ask("/api/state")[0] == 503)
    for connection in waiting:
        assert connection.getresponse().status == 204
        connection.close()
    garden.json("/api/state")


def test_connections_that_say_nothing(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    garden.json("/api/state")
    monkeypatch.setattr(web_server, "_FIRST_WORD_S", 0.2)
    monkeypatch.setattr(web_server, "_CONNECTIONS", 5)
    silent = [socket.create_connection(("127.0.0.1", garden.port), 20) for _ in range(8)]
    for connection in silent:
        with suppress(ConnectionError):
            assert connection.recv(1) == b""
        connection.close()
    garden.json("/api/state")


def test_memory_stays_flat(garden: Garden) -> None:
    image = picture()

    def live(first: int, count: int) -> None:
        for number in range(first, first + count):
            garden.controls.see(scene(number, garden.clock, image=image))
            if number % 20 == 0:
                garden.store.change(event(NIGHT + number, number=number))
                garden.store.kept.clear()
            if number % 100 == 0:
                listener = Listener(garden)
                assert garden.ask("/api/cameras/back/picture")[0] == 200
                listener.close()

    live(0, 1000)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    live(1000, 10_000)
    garden.wait(lambda: Listener(garden).status == 200)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 1_500_000  # of 10,000 pictures of 230,000


def test_closing_with_somebody_looking(tmp_path: Path) -> None:
    garden = Garden(tmp_path)
    listener = Listener(garden)
    waiting = garden.connect()
    waiting.request("GET", "/api/cameras/back/picture")
    garden.page.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("page")]
    assert garden.bus._subscribers == ()
    garden.controls.see(scene(0, garden.clock))
    with pytest.raises(OSError):
        garden.ask("/api/state")
    garden.page.close()
    listener.close()
    waiting.close()


def test_closing_before_anybody_looked(tmp_path: Path) -> None:
    garden = Garden(tmp_path)
    garden.page.close()
    with pytest.raises(OSError):
        garden.ask("/api/state")
    assert garden.bus._subscribers == ()

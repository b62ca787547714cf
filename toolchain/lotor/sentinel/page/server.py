"""Requests of the page: what is shown, what may be asked, and who may ask.

There is no login: whoever reaches the address may look and switch. What is kept out is other
people's pages in the owner's browser: a request under a foreign name (DNS rebinding) or from a
foreign page (CSRF) is refused.
"""

import asyncio
import ipaddress
import json
import logging
import re
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aiohttp import web

from lotor.errors import LotorError
from lotor.sentinel.bus import (
    Acted,
    ArmedChanged,
    Decided,
    EventChanged,
    HealthChanged,
    Message,
    SceneSeen,
)
from lotor.sentinel.page import Page, answers
from lotor.sentinel.page.live import Live

log = logging.getLogger(__name__)

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HERE = Path(__file__).parent
_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_MEDIA = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_HAND = "X-Lotor"  # a foreign page cannot send a header of its own without asking first
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_LARGEST_BODY = 4096
_CONNECTIONS = 100
_REQUESTS = 48  # at once
_STREAMS = 16
_FIRST_WORD_S = 15  # a connection that has asked nothing by then is closed
_BODY_S = 10
_PATIENCE_S = 20  # for a part of the sentinel
_WRITE_S = 20
_PING_S = 15
_UNREAD = 64  # messages that a slow stream may owe
_EVENTS = 100
_DECISIONS = 200


def serve(page: Page, listener: socket.socket, woken: socket.socket) -> None:
    """Answer until something can be read of `woken`."""
    asyncio.run(_run(page, listener, woken))


async def _run(page: Page, listener: socket.socket, woken: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(4, thread_name_prefix="page")
    # A disk that hangs holds up all who ask the store, and nobody who disarms.
    near = ThreadPoolExecutor(4, thread_name_prefix="page near")
    try:
        server = _Server(page, pool, near)
        runner = web.AppRunner(
            server.app(),
            access_log=None,
            keepalive_timeout=30,
            handler_cancellation=True,
            shutdown_timeout=1,
        )
        await runner.setup()
        listening = await loop.create_server(_few(runner), sock=listener)
        leave = page.bus.subscribe(server.hear)
        try:
            woken.setblocking(False)
            await loop.sock_recv(woken, 1)
        finally:
            leave()
            listening.close()
            server.end()
            await runner.cleanup()
    finally:
        near.shutdown(wait=False, cancel_futures=True)
        pool.shutdown(cancel_futures=True)


def _few(runner: web.AppRunner) -> Callable[[], asyncio.Protocol]:
    """Return what makes connections: no more than so many, none that never says a word."""
    assert runner.server is not None
    factory = runner.server
    silent = runner.app[_SILENT]

    def accept() -> asyncio.Protocol:
        if len(factory.connections) >= _CONNECTIONS:
            return _Refusal()
        connection = factory()
        silent.add(connection)

        def check() -> None:
            if connection in silent:
                silent.remove(connection)
                if isinstance(connection.transport, asyncio.Transport):
                    connection.transport.abort()

        asyncio.get_running_loop().call_later(_FIRST_WORD_S, check)
        return connection

    return accept


_SILENT: web.AppKey[set[Any]] = web.AppKey("silent", set)


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class _Stream:
    """What an open page has not been told yet; of one thing, only the newest."""

    def __init__(self) -> None:
        self.owed: dict[str, tuple[str, Any]] = {}
        self.news = asyncio.Event()

    def put(self, key: str, kind: str, what: Any) -> None:
        if len(self.owed) >= _UNREAD and key not in self.owed:
            self.owed = {"reload": ("reload", {})}
        else:
            self.owed[key] = kind, what
        self.news.set()


class _Server:
    def __init__(self, page: Page, pool: ThreadPoolExecutor, near: ThreadPoolExecutor) -> None:
        self._page, self._pool, self._near = page, pool, near
        self._loop = asyncio.get_running_loop()
        self._live = Live(page.controls.cameras, page.controls.latest, near)
        self._streams: set[_Stream] = set()
        self._requests = 0
        self._ending = False
        self._names = {"localhost", *(name.lower() for name in page.settings.names)}
        own = socket.gethostname().lower()
        self._names |= {own, f"{own.partition('.')[0]}.local"}
        self._media = page.media_folder.resolve()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=_LARGEST_BODY)
        app[_SILENT] = set()
        for path in _FILES:
            app.router.add_get(path, self._file)
        app.router.add_get("/api/state", self._state)
        app.router.add_get("/api/events", self._events)
        app.router.add_get("/api/events/{id}", self._event)
        app.router.add_get("/api/events/{id}/{file:picture|clip}", self._event_file)
        app.router.add_get("/api/cameras/{name}/picture", self._picture)
        app.router.add_get("/api/stream", self._stream)
        app.router.add_post("/api/arm", self._arm)
        app.router.add_post("/api/test/{name}", self._test)
        return app

    def end(self) -> None:
        self._ending = True
        for stream in self._streams:
            stream.news.set()

    # What is told.

    def hear(self, message: Message) -> None:
        """Take a message of the bus, in any thread, without waiting for anything."""
        with suppress(RuntimeError):  # told while the page ends: its loop is closed
            if isinstance(message, SceneSeen):
                self._live.saw(message.scene.frame.camera)
            elif self._streams:
                self._loop.call_soon_threadsafe(self._spread, message)

    def _spread(self, message: Message) -> None:
        if isinstance(message, EventChanged):
            key, kind, what = message.event.id, "event", answers.event(message.event)
        elif isinstance(message, Decided):
            event = message.decision.event
            key, kind, what = f"decided {event}", "decided", {"event": event}
        elif isinstance(message, Acted):
            key, kind, what = "acted", "acted", {"decision": message.act.decision}
        elif isinstance(message, HealthChanged | ArmedChanged):
            key, kind, what = "state", "state", {}
        else:
            return
        for stream in self._streams:
            stream.put(key, kind, what)

    # Who may ask.

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        request.app[_SILENT].discard(request.protocol)
        if self._requests >= _REQUESTS:
            return _fail(503, "too many requests at once; try again in a moment")
        self._requests += 1
        try:
            refused = self._refused(request)
            response = _fail(403, refused) if refused else await handler(request)
        except web.HTTPException as error:
            response = _fail(error.status, error.reason)
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
        except LotorError as error:
            response = _fail(400, str(error))
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            response = _fail(500, "the sentinel could not answer; its log says why")
        finally:
            self._requests -= 1
        if not response.prepared:
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    def _refused(self, request: web.Request) -> str | None:
        """Return why a request is refused; None if it is not."""
        host = request.headers.get("Host", "")
        name = _host_name(host)
        if not (name in self._names or _is_address(name)):
            return (
                f"this page is not called '{name[:64]}'; add that name to page.names if it shall be"
            )
        foreign = request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        if foreign and request.path != "/":  # a link elsewhere may lead here, nothing more
            return "another site's page asks for this; open the page itself"
        if request.method != "POST":
            return None
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != host:
            return f"the request comes of a page of '{origin[:64]}'; open this sentinel's own"
        if _HAND not in request.headers:
            return f"a request that changes something needs the header {_HAND}: 1"
        return None

    # Answers.

    async def _ask(self, question: Callable[..., T], *arguments: Any) -> T:
        """Return what the store, or a disk, answers."""
        return await self._answer(self._pool, question, *arguments)

    async def _ask_near(self, question: Callable[..., T], *arguments: Any) -> T:
        """Return what the sentinel itself answers."""
        return await self._answer(self._near, question, *arguments)

    async def _answer(
        self, pool: ThreadPoolExecutor, question: Callable[..., T], *arguments: Any
    ) -> T:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._loop.run_in_executor(pool, question, *arguments)
        except TimeoutError:
            log.warning("%s has not answered the page for %d s", question, _PATIENCE_S)
            raise web.HTTPServiceUnavailable(
                reason="a part of the sentinel does not answer; its log says which"
            ) from None

    async def _file(self, request: web.Request) -> web.Response:
        name, kind = _FILES[request.path]
        content = await self._ask((_HERE / name).read_bytes)
        return web.Response(body=content, content_type=kind, charset="utf-8")

    async def _state(self, request: web.Request) -> web.Response:
        return _json(await self._ask_near(self._state_now))

    def _state_now(self) -> answers.Json:
        page = self._page
        controls, clock = page.controls, page.clock
        by, since = page.armed_by or (None, None)
        latest = {name: controls.latest(name) for name in controls.cameras}
        monotonic = clock.monotonic()
        return {
            "name": controls.name,
            "time": clock.now(),
            "armed": {"armed": controls.armed, "by": by, "time": since},
            "cameras": [
                answers.camera(name, page.cameras.get(name), scene, monotonic)
                for name, scene in latest.items()
            ],
            "labels": controls.labels,
            "actions": [answers.action(action) for action in page.actions],
            "health": [asdict(part) for part in controls.health()],
            "counters": controls.counters(),
        }

    async def _events(self, request: web.Request) -> web.Response:
        query = request.query
        limit = _whole(query.get("limit", "30"), "limit", 1, _EVENTS)
        before, label, camera = (query.get(key) or None for key in ("before", "label", "camera"))
        if before is not None and not _ID.fullmatch(before):
            raise LotorError("'before' is no id of an event")
        found = await self._ask(self._page.store.events, limit + 1, before, label, camera)
        events = [answers.event(event) for event in found[:limit]]
        return _json({"events": events, "more": len(found) > limit})

    async def _event(self, request: web.Request) -> web.Response:
        return _json(await self._ask(self._event_now, _id(request)))

    def _event_now(self, id: str) -> answers.Json:
        store = self._page.store
        event = store.event(id)
        if event is None:
            raise web.HTTPNotFound(reason=_GONE)
        decisions = sorted(store.decisions(id), key=lambda decision: decision.first)
        return {
            "event": answers.event(event),
            "decisions": [
                answers.decision(decision, store.acts_of(decision.id))
                for decision in decisions[-_DECISIONS:]
            ],
            "left_out": max(0, len(decisions) - _DECISIONS),
        }

    async def _event_file(self, request: web.Request) -> web.StreamResponse:
        path = await self._ask(self._file_of, _id(request), request.match_info["file"])
        return web.FileResponse(path, headers={"Content-Type": _MEDIA[path.suffix.lower()]})

    def _file_of(self, id: str, kind: str) -> Path:
        event = self._page.store.event(id)
        if event is None:
            raise web.HTTPNotFound(reason=_GONE)
        name = event.picture if kind == "picture" else event.clip
        path = (self._media / name).resolve() if name else None
        # The store names the file, yet nothing outside the folder is handed out whatever it says.
        if (
            path is None
            or path.suffix.lower() not in _MEDIA
            or not path.is_relative_to(self._media)
            or not path.is_file()
        ):
            raise web.HTTPNotFound(reason=f"the event's {kind} is not kept any more, or not yet")
        return path

    async def _picture(self, request: web.Request) -> web.Response:
        after = request.query.get("after")
        number = None if after is None else _whole(after, "after", 0, 2**62)
        try:
            picture = await self._live.picture(request.match_info["name"], number)
        except KeyError:
            raise web.HTTPNotFound(reason="there is no camera of that name") from None
        if picture is None:
            return web.Response(status=204)
        age = self._page.clock.monotonic() - picture.monotonic
        headers = {"Lotor-Scene": answers.dumps(picture.scene | {"age": age})}
        headers["Cache-Control"] = "no-store"
        return web.Response(body=picture.jpeg, content_type="image/jpeg", headers=headers)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if len(self._streams) >= _STREAMS:
            return _fail(503, f"{_STREAMS} pages are open already; close one")
        response = web.StreamResponse(headers=_HEADERS | {"Content-Type": "text/event-stream"})
        stream = _Stream()
        self._streams.add(stream)
        self._requests -= 1  # it waits, and is counted as a stream
        try:
            await response.prepare(request)
            await self._write(response, "retry: 2000\n\n")
            while not self._ending:
                try:
                    async with asyncio.timeout(_PING_S):
                        await stream.news.wait()
                except TimeoutError:
                    await self._write(response, ": still here\n\n")
                stream.news.clear()
                owed, stream.owed = stream.owed, {}
                for kind, what in owed.values():
                    await self._write(response, f"event: {kind}\ndata: {answers.dumps(what)}\n\n")
        except (TimeoutError, ConnectionError):
            if request.transport:
                request.transport.abort()
        finally:
            self._streams.discard(stream)
            self._requests += 1
        return response

    async def _write(self, response: web.StreamResponse, text: str) -> None:
        async with asyncio.timeout(_WRITE_S):
            await response.write(text.encode())

    async def _arm(self, request: web.Request) -> web.Response:
        armed = (await _body(request)).get("armed")
        if not isinstance(armed, bool):
            raise LotorError('say {"armed": true} or {"armed": false}')
        await self._ask_near(self._page.controls.arm, armed, _who(request))
        return _json(await self._ask_near(self._state_now))

    async def _test(self, request: web.Request) -> web.Response:
        await _body(request)
        name = request.match_info["name"]
        if name not in (action.name for action in self._page.actions):
            raise web.HTTPNotFound(reason="there is no action of that name")
        act = await self._ask_near(self._page.controls.test, name, _who(request))
        return _json(asdict(act))


_GONE = "there is no such event, or it is not kept any more"


def _json(value: answers.Json) -> web.Response:
    return web.Response(text=answers.dumps(value), content_type="application/json")


def _fail(status: int, text: str) -> web.Response:
    response = _json({"error": text})
    response.set_status(status)
    return response


def _id(request: web.Request) -> str:
    id = request.match_info["id"]
    if not _ID.fullmatch(id):
        raise web.HTTPNotFound(reason=_GONE)
    return id


def _whole(text: str, key: str, low: int, high: int) -> int:
    if not (re.fullmatch(r"[0-9]{1,18}", text) and low <= int(text) <= high):
        raise LotorError(f"'{key}' must be a whole number of {low} to {high}")
    return int(text)


async def _body(request: web.Request) -> answers.Json:
    """Return the request's JSON object; {} of an empty body."""
    try:
        async with asyncio.timeout(_BODY_S):
            body = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the request does not end") from None
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:  # the latter: thousands of brackets
        raise LotorError("the request is no JSON") from error
    if not isinstance(found, dict):
        raise LotorError("the request is no JSON object")
    return found


def _who(request: web.Request) -> str:
    """Return who asks: the page, and of which machine where that is another one."""
    remote = request.remote or ""
    return "the page" if not remote or _loopback(remote) else f"the page ({remote})"


def _host_name(host: str) -> str:
    """Return the name in a `Host` header, without the port; "" if it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _loopback(address: str) -> bool:
    return _is_address(address) and ipaddress.ip_address(address).is_loopback

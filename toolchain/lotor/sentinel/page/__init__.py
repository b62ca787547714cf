"""The page to look at: what the cameras see, what happened and why, and a few switches.

`Page` is its life; `server.py` answers requests, `live.py` makes live pictures, `answers.py` says
in JSON what the sentinel knows. The address listens from the start, but aiohttp is loaded when
somebody first asks, so that a page nobody looks at takes no memory and delays no camera.
"""

import importlib.util
import logging
import os
import select
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from lotor.errors import LotorError
from lotor.sentinel import config
from lotor.sentinel.bus import ArmedChanged, Bus, Controls, Message
from lotor.sentinel.clock import Clock, SystemClock
from lotor.sentinel.event import Act, Decision, Event
from lotor.sentinel.worker import Worker

log = logging.getLogger(__name__)

_STALLED_MS = 30_000  # a connection that takes nothing for so long is closed
_LEAVING_S = 10.0


class StoreReader(Protocol):
    """What the page asks of the store, from any thread."""

    def events(
        self,
        limit: int,
        before: str | None = None,
        label: str | None = None,
        camera: str | None = None,
    ) -> list[Event]:
        """Return events, the newest first: those before an id, of a label, of a camera."""
        ...

    def event(self, id: str) -> Event | None:
        """Return one event; None if there is none."""
        ...

    def decisions(self, event_id: str) -> list[Decision]:
        """Return all decisions of an event."""
        ...

    def acts_of(self, decision_id: str) -> list[Act]:
        """Return what became of a decision's actions."""
        ...


class Page:
    """Serves the page in a thread of its own.

    Args:
        controls: of the sentinel.
        store: where events come from.
        bus: what is told on it, open pages are told at once.
        settings: `[page]` of the configuration.
        media_folder: of pictures and clips.
        cameras: as configured, for the outlines of zones and masks.
        actions: as configured, for the buttons that try them.
        clock: for ages and times.
    """

    def __init__(
        self,
        controls: Controls,
        store: StoreReader,
        bus: Bus,
        settings: config.Page,
        media_folder: Path,
        cameras: Sequence[config.Camera] = (),
        actions: Sequence[config.Action] = (),
        clock: Clock | None = None,
    ) -> None:
        self.controls, self.store, self.bus, self.settings = controls, store, bus, settings
        self.media_folder, self.clock = media_folder, clock or SystemClock()
        self.cameras = {camera.name: camera for camera in cameras}
        self.actions = tuple(actions)
        self.armed_by: tuple[str, float] | None = None
        self._thread: Worker | None = None
        self._listener: socket.socket | None = None

    def start(self) -> str:
        """Listen, and return the page's address.

        Raises:
            LotorError: aiohttp is missing, or the address cannot be listened on.
        """
        listener = self._listener = listen(self.settings)
        self._port = listener.getsockname()[1]
        self._wake, self._woken = socket.socketpair()
        self._leave = self.bus.subscribe(self._note)
        self._thread = Worker("page", self._serve, self.bus.tell)
        self._thread.start()
        host = self.settings.host
        if host in ("0.0.0.0", "::"):
            host = socket.gethostname()
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self._port}/"

    def close(self) -> None:
        """End: nobody is answered any more."""
        if self._thread is None:
            return
        self._leave()
        self._wake.send(b".")
        if self._thread.end(_LEAVING_S):
            self._wake.close()
            self._woken.close()
        self._thread = None

    def _note(self, message: Message) -> None:
        if isinstance(message, ArmedChanged):
            self.armed_by = message.by, self.clock.now()

    def _serve(self) -> None:
        # Where it begins anew, at the same address.
        listener, self._listener = self._listener, None
        if listener is None:
            listener = listen(replace(self.settings, port=self._port))
        with listener:
            ready, _, _ = select.select([listener, self._woken], [], [])
            if self._woken in ready:
                return
            from lotor.sentinel.page.server import serve

            assert self._thread is not None
            self._thread.turn()
            serve(self, listener, self._woken)


def listen(settings: config.Page) -> socket.socket:
    """Return a socket that listens where the page is to be.

    Raises:
        LotorError: aiohttp is missing, or the address cannot be listened on.
    """
    if importlib.util.find_spec("aiohttp") is None:
        raise LotorError("the page needs aiohttp: pip install 'lotor[sentinel]'")
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server(
            (host, port), family=family, backlog=32, dualstack_ipv6=host == "::"
        )
    except OSError as error:
        if (error.errno or 0) < 0:  # of finding the address, which Python wraps
            raise LotorError(
                f"the page: page.host is '{host}', which is no address of this machine; give "
                "127.0.0.1 for this machine alone or 0.0.0.0 for the network"
            ) from error
        why = os.strerror(error.errno or 0)  # Python's own text repeats the address
        raise LotorError(
            f"the page: cannot listen on {host} port {port} ({why}); give another "
            "page.port (0 takes a free one), or a page.host of this machine"
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # what is accepted inherits it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED_MS)
    return listener

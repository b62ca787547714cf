"""Messages to people, through Apprise: one for a visit, and no more than a person wants.

Visits that get no message of their own (cool-down, cap of an hour, a message that failed) are
counted in the next one. An address is never logged, only its number and its kind.
"""

import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lotor.errors import LotorError
from lotor.sentinel.bus import Bus, HealthChanged, Message
from lotor.sentinel.clock import Clock
from lotor.sentinel.config import Config
from lotor.sentinel.config import Notify as Options
from lotor.sentinel.visit import Visit, Visits

log = logging.getLogger(__name__)

PART = "notify"
"""Its name in `HealthChanged`."""

_HOUR_S = 3600.0
_PICTURE_S = 5.0
"""A message waits so long for its picture, and for what became of its actions."""
_AGAIN_S = (2.0, 10.0, 30.0)
"""Before each further attempt."""
_LOAD_S = 20.0
_MOST = 32


@dataclass(frozen=True)
class _Offer:
    """A message to be sent: of a visit, offered at a monotonic time, with visits that had none."""

    visit: Visit
    at: float
    more: Counter[str]


class Notifier:
    """Tells people of visits.

    Args:
        config: with its `notify`.
        bus: whose visits are told; hears of its health.
        clock: of cool-down, cap and back-off.
        folder: that `urls_file` is relative to.
        media: that an event's picture is relative to.

    Raises:
        LotorError: `urls_file` cannot be read, there is no address, or Apprise is missing.
    """

    def __init__(self, config: Config, bus: Bus, clock: Clock, folder: Path, media: Path) -> None:
        if config.notify is None:
            raise LotorError("the configuration has no [notify]")
        if find_spec("apprise") is None:
            raise LotorError("[notify] needs Apprise: pip install 'lotor[sentinel]'")
        self._options = config.notify
        self._name, self._bus, self._clock, self._media = config.name, bus, clock, media
        self._urls = _urls(self._options, folder)
        self._labels = frozenset(self._options.labels or (target.label for target in config.target))
        self._visits = Visits()
        self._lock = threading.Lock()
        self._sent: deque[float] = deque()
        self._last = -math.inf
        self._more: Counter[str] = Counter()
        self._offers: deque[_Offer] = deque()
        self._health: HealthChanged | None = None
        self._loading = threading.Lock()
        self._services: list[tuple[str, Any]] | None = None
        self._wrong: list[str] = []
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._leave: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name=PART, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._leave = self._bus.subscribe(self._take)
        self._thread.start()

    def close(self) -> None:
        """End; a message that waits is not sent."""
        self._leave()
        self._stop.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def test(self) -> None:
        """Send a message now, whatever the cool-down; waits until it is sent.

        Raises:
            LotorError: an address did not take it.
        """
        failed = self._try(
            self._load(), f"Lotor {self._name}: a test", "Messages of the sentinel arrive.", None
        )
        if failed or self._wrong:
            bad = [name for name, _ in failed] + self._wrong
            raise LotorError(f"the message was not taken by {', '.join(bad)}; see [notify]")

    @property
    def waiting(self) -> int:
        """How many visits the next message will count besides its own."""
        with self._lock:
            return self._more.total()

    def _take(self, message: Message) -> None:
        with self._lock:
            visit = self._visits.take(message)
            if visit is None or visit.event is None:
                return
            if visit.confirmed and not visit.told and visit.event.label in self._labels:
                visit.told = True
                self._offer(visit, visit.event.label)
        self._changed.set()

    def _offer(self, visit: Visit, label: str) -> None:
        """Give a visit a message, or count it; the lock is held."""
        now = self._clock.monotonic()
        while self._sent and now - self._sent[0] >= _HOUR_S:
            self._sent.popleft()
        if (
            now - self._last < self._options.cooldown_s
            or len(self._sent) >= self._options.per_hour
            or len(self._offers) >= _MOST
        ):
            self._more[label] += 1
            return
        self._sent.append(now)
        self._last = now
        self._offers.append(_Offer(visit, now, self._more))
        self._more = Counter()

    def _run(self) -> None:
        # Apprise takes seconds of a small machine to load: others begin first.
        self._clock.wait(self._changed, _LOAD_S)
        while not self._stop.is_set():
            self._changed.clear()
            with self._lock:
                offer = self._offers[0] if self._offers else None
                ready = offer is not None and self._ready(offer)
            if offer is None:
                self._load()
                self._changed.wait()
            elif not ready:
                left = offer.at + _PICTURE_S - self._clock.monotonic()
                self._clock.wait(self._changed, left)
            else:
                self._tell(offer)
                with self._lock:
                    self._offers.popleft()

    def _ready(self, offer: _Offer) -> bool:
        """Whether all is there that the message could say, or was waited for long enough."""
        event, decision = offer.visit.event, offer.visit.decision
        if event is None or event.end is not None:
            return True
        if self._clock.monotonic() - offer.at >= _PICTURE_S:
            return True
        acted = decision is None or all(name in offer.visit.acts for name in decision.actions)
        return acted and (bool(event.picture) or not self._options.picture)

    def _tell(self, offer: _Offer) -> None:
        """Send; what is not sent in the end is counted in the next message."""
        with self._lock:
            title, body = message_of(offer.visit, offer.more)
            event = offer.visit.event
        picture = None
        if self._options.picture and event and event.picture:
            path = self._media / event.picture
            picture = str(path) if path.is_file() else None
        services = left = self._load()
        for again in (*_AGAIN_S, None):
            left = self._try(left, title, body, picture)
            if not left or again is None or self._clock.wait(self._stop, again):
                break
            if again == _AGAIN_S[-1]:
                picture = None  # some take none, or none so large
        took = len(services) - len(left)
        bad = [name for name, _ in left] + self._wrong
        if not took and event:
            with self._lock:
                self._more.update(offer.more)
                self._more[event.label] += 1
        if bad or not took:
            names = ", ".join(bad) or "any address"
            self._tell_health(False, f"a message was not taken by {names}")
        else:
            self._tell_health(True)

    def _try(
        self, services: list[tuple[str, Any]], title: str, body: str, picture: str | None
    ) -> list[tuple[str, Any]]:
        """Send to each; return those that did not take it."""
        failed = []
        for name, service in services:
            try:
                took = bool(service.notify(body=body, title=title, attach=picture))
            except Exception as error:  # its text may hold an address
                log.error("%s: %s", name, type(error).__name__)
                took = False
            if not took:
                failed.append((name, service))
        return failed

    def _load(self) -> list[tuple[str, Any]]:
        """Return what Apprise makes of each address, and tell of those that it does not know."""
        with self._loading:
            if self._services is not None:
                return self._services
            # They write addresses into their logs: what is not understood, and what is asked for.
            for name in ("apprise", "urllib3"):
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
            from apprise import Apprise, AppriseAsset

            self._wrong.clear()
            asset = AppriseAsset(async_mode=False)
            services: list[tuple[str, Any]] = []
            for number, url in enumerate(self._urls, 1):
                name = f"address {number} ({url.partition('://')[0][:16]})"
                service = Apprise(asset=asset)
                if service.add(url):
                    services.append((name, service))
                else:
                    self._wrong.append(name)
            self._services = services
        if self._wrong:
            self._tell_health(False, f"[notify]: Apprise cannot use {', '.join(self._wrong)}")
        return services

    def _tell_health(self, well: bool, text: str = "") -> None:
        state = HealthChanged(PART, well, text)
        if state == self._health:
            return
        self._health = state
        if not well:
            log.warning("%s", text)
        self._bus.tell(state)


def message_of(visit: Visit, more: Counter[str]) -> tuple[str, str]:
    """Return title and text of the message of a visit.

    Args:
        visit: with its event.
        more: visits since the last message that had none, by label.
    """
    event, decision = visit.event, visit.decision
    assert event is not None
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.begin))
    lines = [f"{clock}, {event.light}, score {event.score:.2f}."]
    if decision is None or not decision.acts:
        lines.append(f"Nothing was done: {decision.why if decision else 'no decision was made'}.")
    else:
        for name in decision.actions:
            act = visit.acts.get(name)
            result = f"{act.result}: {act.why}" if act and act.why else act.result if act else "on"
            lines.append(f"{name}: {result}.")
    if total := more.total():
        each = ", ".join(f"{count} {label}" for label, count in sorted(more.items()))
        lines.append(f"{total} more visit{'s' * (total != 1)} since the last message: {each}.")
    return f"{event.label} at {event.camera}", "\n".join(lines)


def _urls(options: Options, folder: Path) -> tuple[str, ...]:
    urls = list(options.urls)
    if options.urls_file:
        path = folder / Path(options.urls_file).expanduser()
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise LotorError(f"'notify.urls_file' {path}: cannot be read: {error}") from error
        urls += [line.strip() for line in lines if line.strip() and line.strip()[0] != "#"]
    if not urls:
        raise LotorError(f"'notify.urls_file' {options.urls_file}: it has no address")
    return tuple(urls)

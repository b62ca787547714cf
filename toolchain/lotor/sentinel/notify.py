"""Messages to people, through Apprise: one for a visit, and no more than a person wants.

Visits that get no message of their own (cool-down, cap of an hour, a message that failed) are
counted in the next one. A message that waits or is on its way is on record with the counts, and is
sent after a restart; one that had just been taken may so come twice. An address is never logged,
only its number and its kind.
"""

import json
import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lotor.errors import LotorError, reason
from lotor.sentinel.bus import Acted, Bus, Decided, EventChanged, HealthChanged, Message
from lotor.sentinel.clock import Clock
from lotor.sentinel.config import Config
from lotor.sentinel.config import Notify as Options
from lotor.sentinel.event import Act, Decision, Event
from lotor.sentinel.outbox import Journal
from lotor.sentinel.visit import Visits, telling
from lotor.sentinel.worker import Worker

log = logging.getLogger(__name__)

PART = "notify"
"""Its name in `HealthChanged`."""

_NO_APPRISE = "[notify] needs Apprise: pip install 'lotor[sentinel]'"
_HOUR_S = 3600.0
_PICTURE_S = 5.0
"""A message waits so long for its picture, and for what became of its actions."""
_AGAIN_S = (2.0, 10.0, 30.0)
"""Before each further attempt."""
_LOAD_S = 20.0
_RUNS = 2
"""So many runs of the program begin to send a message: one may die of it."""
_MOST = 32


@dataclass(frozen=True)
class _Offer:
    """A message to be sent: of an event, offered at a monotonic time, with visits that had none.

    `tries` counts the runs of the program that began to send it.
    """

    event: Event
    at: float
    more: Counter[str]
    tries: int = 0


class Notifier:
    """Tells people of visits.

    Args:
        config: with its `notify`.
        bus: whose visits are told; hears of its health.
        journal: has the events.
        clock: of cool-down, cap and back-off.
        folder: that `urls_file` is relative to.
        media: that an event's picture is relative to.

    Raises:
        LotorError: `urls_file` cannot be read, there is no address, or Apprise is missing.
    """

    def __init__(
        self,
        config: Config,
        bus: Bus,
        journal: Journal,
        clock: Clock,
        folder: Path,
        media: Path,
    ) -> None:
        if config.notify is None:
            raise LotorError("the configuration has no [notify]")
        if find_spec("apprise") is None:
            raise LotorError(_NO_APPRISE)
        self._options = config.notify
        self._name, self._bus, self._journal, self._clock = config.name, bus, journal, clock
        self._media = media
        self._urls = addresses(self._options, folder)
        self._labels = frozenset(self._options.labels or (target.label for target in config.target))
        self._visits = Visits()
        self._lock = threading.Lock()
        self._sent: deque[float] = deque()
        self._last = -math.inf
        self._more: Counter[str] = Counter()
        self._offers: deque[_Offer] = deque()
        self._sending: _Offer | None = None
        self._recorded = ""
        self._health: HealthChanged | None = None
        self._loading = threading.Lock()
        self._services: list[tuple[str, Any]] | None = None
        self._wrong: list[str] = []
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._leave: Callable[[], None] = lambda: None
        self._thread = Worker(PART, self._run, bus.tell)

    def start(self) -> None:
        """Begin; what was sent before a restart counts for cool-down and cap."""
        self._recall()
        self._leave = self._bus.subscribe(self._take)
        self._thread.start()

    def close(self) -> None:
        """End; a message that waits is sent after the next start."""
        self._leave()
        self._stop.set()
        self._changed.set()
        self._thread.end(10)

    def check(self) -> None:
        """See that Apprise knows every address; loads it, which takes seconds of a small machine.

        Raises:
            LotorError: it cannot use one; names it by its number and kind.
        """
        self._load()
        if self._wrong:
            raise LotorError(unusable(self._wrong))

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
            if visit and visit.confirmed and not visit.told and visit.event.label in self._labels:
                visit.told = True
                self._offer(visit.event)
        # A picture, or what became of an action, is what a message may wait for.
        if isinstance(message, EventChanged | Decided | Acted):
            self._changed.set()

    def _offer(self, event: Event) -> None:
        """Give a visit a message, or count it; the lock is held."""
        now = self._clock.monotonic()
        while self._sent and now - self._sent[0] >= _HOUR_S:
            self._sent.popleft()
        if (
            now - self._last < self._options.cooldown_s
            or len(self._sent) >= self._options.per_hour
            or len(self._offers) >= _MOST
        ):
            self._more[event.label] += 1
            return
        self._sent.append(now)
        self._last = now
        self._offers.append(_Offer(event, now, self._more))
        self._more = Counter()

    def _run(self) -> None:
        # Apprise takes seconds of a small machine to load: others begin first.
        self._clock.wait(self._changed, _LOAD_S)
        while not self._stop.is_set():
            self._changed.clear()
            offer = self._offers[0] if self._offers else None
            if offer is None:
                self._remember()
                self._load()
                self._thread.turn()
                self._changed.wait()
                continue
            self._remember()
            left = offer.at + _PICTURE_S - self._clock.monotonic()
            event, decision, acts = self._on_record(offer.event)
            missing = set(decision.actions if decision else ()) - {act.action for act in acts}
            if left > 0 and (missing or (self._options.picture and not event.picture)):
                self._clock.wait(self._changed, left)
                continue
            with self._lock:
                # First: what goes wrong must not send it again and again.
                offer = self._offers.popleft()
                offer = self._sending = replace(offer, tries=offer.tries + 1)
            self._remember()
            taken = False
            try:
                taken = self._tell(*message_of(event, decision, acts, offer.more), event.picture)
            finally:
                with self._lock:
                    self._sending = None
                    if not taken and self._stop.is_set():  # there was no time: after the restart
                        self._offers.appendleft(offer)
                    elif not taken:
                        self._more.update(offer.more)
                        self._more[event.label] += 1
                self._remember()
            self._thread.turn()

    def _remember(self) -> None:
        """Put on record what waits, what is to be counted, and when messages were sent."""
        with self._lock:
            ahead = self._clock.now() - self._clock.monotonic()
            waits = [self._sending, *self._offers] if self._sending else list(self._offers)
            text = json.dumps(
                {
                    "sent": [round(each + ahead, 1) for each in self._sent],
                    "waiting": [(offer.event.id, offer.tries) for offer in waits],
                    "more": dict(sum((offer.more for offer in waits), Counter(self._more))),
                }
            )
        if text == self._recorded:
            return
        try:
            self._journal.set_cursor(PART, text)
            self._recorded = text
        except LotorError as error:  # a full disk: people want to know of it all the more
            log.warning("%s: %s", PART, error)

    def _recall(self) -> None:
        """Take what was sent before for sent; where the clock was set back, for sent just now.

        What waited then waits again, unless it is older than an hour, or two runs ended as they
        sent it: then it is counted.
        """
        now, monotonic = self._clock.now(), self._clock.monotonic()
        try:
            kept = json.loads(self._journal.cursor(PART) or "{}")
            if isinstance(kept, list):  # written by an earlier version
                kept = {"sent": kept}
            times = [float(each) for each in kept.get("sent", ())]
            more = Counter({str(label): int(n) for label, n in kept.get("more", {}).items()})
            waited = [
                (self._journal.event(str(id)), int(tries)) for id, tries in kept.get("waiting", ())
            ]
        except (LotorError, ValueError, TypeError, AttributeError) as error:
            log.warning("%s: when messages were sent is not known: %s", PART, error)
            return
        with self._lock:
            self._sent.extend(sorted(monotonic - max(0.0, now - each) for each in times))
            self._last = max(self._sent, default=-math.inf)
            for event, tries in waited:
                if event is None:  # forgotten since
                    continue
                if now - event.begin < _HOUR_S and tries < _RUNS:
                    self._offers.append(_Offer(event, monotonic, Counter(), tries))
                else:
                    more[event.label] += 1
                    log.warning(
                        "%s: the message of %s is too old or was begun too often: it is counted",
                        *(PART, event.id),
                    )
            self._more.update(more)
            if self._offers:
                self._changed.set()  # it has waited for long enough

    def _on_record(self, event: Event) -> tuple[Event, Decision | None, list[Act]]:
        """Return an event's last state, the decision that says most, and what came of it."""
        try:
            event = self._journal.event(event.id) or event
            decision = telling(self._journal.decisions(event.id))
            return event, decision, self._journal.acts_of(decision.id) if decision else []
        except Exception as error:  # a message that says less is better than none
            log.error("%s: %s", PART, error)
            return event, None, []

    def _tell(self, title: str, body: str, picture: str | None) -> bool:
        """Send; return whether anybody took it."""
        path = self._media / picture if self._options.picture and picture else None
        attach = str(path) if path and path.is_file() else None
        services = left = self._load()
        for again in (*_AGAIN_S, None):
            left = self._try(left, title, body, attach)
            self._remember()  # what came meanwhile
            if not left or again is None or self._clock.wait(self._stop, again):
                break
            if again == _AGAIN_S[-1]:
                attach = None  # some take none, or none so large
        if bad := [name for name, _ in left] + self._wrong:
            self._tell_health(False, f"a message was not taken by {', '.join(bad)}")
        else:
            self._tell_health(True)
        return len(left) < len(services)

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
            services, self._wrong = services_of(self._urls)
            self._services = services
        if self._wrong:
            self._tell_health(False, f"Apprise cannot use {', '.join(self._wrong)}")
        return services

    def _tell_health(self, well: bool, text: str = "") -> None:
        state = HealthChanged(PART, well, text)
        if state == self._health:
            return
        self._health = state
        self._bus.tell(state)


def services_of(urls: Iterable[str]) -> tuple[list[tuple[str, Any]], list[str]]:
    """Return what Apprise makes of each address, with its name, and names of what it cannot use.

    The name is the number and the kind: an address may hold a password.
    """
    # They write addresses into their logs: what is not understood, and what is asked for.
    for name in ("apprise", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    from apprise import Apprise, AppriseAsset

    asset = AppriseAsset(async_mode=False)
    services, wrong = list[tuple[str, Any]](), list[str]()
    for number, url in enumerate(urls, 1):
        name = f"address {number} ({url.partition('://')[0][:16]})"
        service = Apprise(asset=asset)
        try:
            understood = service.add(url)
        except Exception as error:  # its text may hold the address
            log.error("%s: %s", name, type(error).__name__)
            understood = False
        if understood:
            services.append((name, service))
        else:
            wrong.append(name)
    return services, wrong


def unusable(wrong: Sequence[str]) -> str:
    """Return what to say of addresses that Apprise cannot use."""
    return (
        f"[notify]: Apprise cannot use {', '.join(wrong)}; how an address is written: "
        "https://github.com/caronc/apprise/wiki"
    )


def check_addresses(options: Options, folder: Path) -> None:
    """See that Apprise is there and knows every address; sends nothing.

    Raises:
        LotorError: it is not, or does not.
    """
    if find_spec("apprise") is None:
        raise LotorError(_NO_APPRISE)
    if wrong := services_of(addresses(options, folder))[1]:
        raise LotorError(unusable(wrong))


def message_of(
    event: Event, decision: Decision | None, acts: Iterable[Act], more: Counter[str]
) -> tuple[str, str]:
    """Return title and text of the message of a visit.

    Args:
        event: the visit.
        decision: that says most of it.
        acts: what became of its actions.
        more: visits since the last message that had none, by label.
    """
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.begin))
    lines = [f"{clock}, {event.light}, score {event.score:.2f}."]
    if decision is None or not decision.acts:
        lines.append(f"Nothing was done: {decision.why if decision else 'no reason is on record'}.")
    else:
        results = {act.action: act for act in acts}
        for name in decision.actions:
            act = results.get(name)
            result = act.result if act and act.result != "running" else "on"
            lines.append(
                f"{name}: {result}: {act.why}." if act and act.why else f"{name}: {result}."
            )
    if total := more.total():
        each = ", ".join(f"{count} {label}" for label, count in sorted(more.items()))
        lines.append(f"{total} more visit{'s' * (total != 1)} since the last message: {each}.")
    return f"{event.label} at {event.camera}", "\n".join(lines)


def addresses(options: Options, folder: Path) -> tuple[str, ...]:
    """Return all addresses, those of `urls_file` too.

    Raises:
        LotorError: it cannot be read, or there is none.
    """
    urls = list(options.urls)
    if options.urls_file:
        path = folder / Path(options.urls_file).expanduser()
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = reason(error)
            raise LotorError(f"'notify.urls_file' {path}: cannot be read: {why}") from error
        urls += [line.strip() for line in lines if line.strip() and line.strip()[0] != "#"]
    if not urls:
        raise LotorError(f"'notify.urls_file' {options.urls_file}: it has no address")
    return tuple(urls)

"""How long pictures, clips and the log are kept: by bytes, by days, by the room on the disk.

Days are those in which the store was in use (`Store.age`), so that no clock that is set makes
anything old. Rows go first, then the files: whatever breaks it off, nothing is named that is not
there.
"""

import contextlib
import shutil
import threading

from lotor.sentinel import config
from lotor.sentinel.bus import Bus, HealthChanged
from lotor.sentinel.clock import Clock
from lotor.sentinel.store import DAY, Kept, Store, StoreError
from lotor.sentinel.worker import Worker

PART = "disk"
"""What its health is told of (`HealthChanged`)."""

_CLOSE_S = 10.0
_EVERY_S = 600.0
_PAUSE_S = 0.05  # between steps, in which others get to the store
_FILES, _ROWS = 20, 50  # in a step


class Retention:
    """Removes what is too much or too old, at once and then every ten minutes.

    Args:
        store: that is kept small.
        settings: how small.
        clock: to wait by.
        bus: is told when the disk is full, and of what goes wrong.
    """

    def __init__(
        self, store: Store, settings: config.Store, clock: Clock, bus: Bus | None = None
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._bus = bus or Bus()
        self._closing = threading.Event()
        self._ill = ""
        self._thread = Worker("retention", self._run, self._bus.tell)

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """End after the step that is being made."""
        self._closing.set()
        self._thread.end(_CLOSE_S)

    def round(self) -> None:
        """Remove all that is to be removed now, and tell how the disk is.

        Raises:
            StoreError: the store cannot be used.
        """
        self._store.keep_age()
        while self.step() and not self._clock.wait(self._closing, _PAUSE_S):
            pass
        short = self._free() < self._settings.free_mb * 10**6
        self._tell(
            f"less than store.free_mb ({self._settings.free_mb} MB) of the disk is free: no "
            "pictures and clips are kept until there is room"
            if short
            else ""
        )

    def step(self) -> bool:
        """Remove some files and rows; return whether there were any.

        Raises:
            StoreError: the store cannot be used.
        """
        gone = self._superfluous()
        if gone:
            self._store.drop_media(kept.event for kept in gone)
            for kept in gone:
                for name in kept.files:
                    with contextlib.suppress(OSError):  # else it is swept at the next start
                        (self._store.folder / name).unlink()
        age = self._store.age()
        rows = self._store.expire(
            age - self._settings.events_days * DAY,
            age - self._settings.media_days * DAY,
            _ROWS,
        )
        return bool(gone or rows)

    def _superfluous(self) -> list[Kept]:
        """Return the oldest events whose files must go."""
        age = self._store.age()
        days = min(self._settings.media_days, self._settings.events_days)
        too_much = self._store.media_bytes() - self._settings.media_mb * 10**6
        missing = self._settings.free_mb * 10**6 - self._free()
        gone = []
        for kept in self._store.media(_FILES):
            # Another program may fill the disk: the last day's stay.
            old = kept.age < age - days * DAY
            if not (old or too_much > 0 or (missing > 0 and kept.age < age - DAY)):
                break
            gone.append(kept)
            too_much -= kept.size
            missing -= kept.size
        return gone

    def _free(self) -> int:
        try:
            return shutil.disk_usage(self._store.folder).free
        except OSError as error:
            raise StoreError(f"{self._store.folder} cannot be used: {error.strerror}") from error

    def _run(self) -> None:
        while True:
            try:
                self.round()
            except StoreError as error:
                self._tell(str(error))
            self._thread.turn()
            if self._clock.wait(self._closing, _EVERY_S):
                return

    def _tell(self, text: str) -> None:
        if text != self._ill:
            self._ill = text
            self._bus.tell(HealthChanged(PART, not text, text))

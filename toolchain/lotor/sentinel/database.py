"""The SQLite file of a store: opened, mended, locked, and opened again when its disk comes back."""

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lotor.errors import LotorError
from lotor.files import locked, sync_folder
from lotor.sentinel.clock import Clock

log = logging.getLogger(__name__)

DATABASE, LOCK, DAMAGED, MEDIA = "store.sqlite", "store.lock", "store-damaged-", "media"
_CHECK_BYTES = 64_000_000  # a larger log is checked only after a crash: a start must not take long
_TRIES, _TRY_S = 5, 0.05  # at the lock, and seconds between them
_CLOSE_S = 5.0
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_REOPEN = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
}

_MIGRATIONS = (
    """
    CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE cursor (name TEXT PRIMARY KEY, id TEXT NOT NULL);
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, camera TEXT NOT NULL,
        track INTEGER NOT NULL, label TEXT NOT NULL, score REAL NOT NULL, begin REAL NOT NULL,
        end REAL, light TEXT NOT NULL, zones TEXT NOT NULL, frames INTEGER NOT NULL,
        actions TEXT NOT NULL, picture TEXT, clip TEXT, picture_bytes INTEGER NOT NULL DEFAULT 0,
        clip_bytes INTEGER NOT NULL DEFAULT 0, ended INTEGER UNIQUE, age REAL NOT NULL
    );
    CREATE INDEX event_age ON event (age);
    CREATE INDEX event_begin ON event (begin);
    CREATE INDEX event_media ON event (seq) WHERE picture IS NOT NULL OR clip IS NOT NULL;
    CREATE TABLE decision (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, event TEXT,
        camera TEXT NOT NULL, track INTEGER NOT NULL, time REAL NOT NULL, until REAL NOT NULL,
        first INTEGER NOT NULL, last INTEGER NOT NULL, frames INTEGER NOT NULL, label TEXT,
        model TEXT NOT NULL, scores TEXT NOT NULL, box TEXT NOT NULL, light TEXT NOT NULL,
        checks TEXT NOT NULL, actions TEXT NOT NULL, age REAL NOT NULL
    );
    CREATE INDEX decision_event ON decision (event);
    CREATE INDEX decision_time ON decision (time);
    CREATE INDEX decision_age ON decision (age);
    CREATE INDEX decision_alone ON decision (age) WHERE event IS NULL;
    CREATE TABLE act (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, decision TEXT, action TEXT NOT NULL,
        time REAL NOT NULL, end REAL, result TEXT NOT NULL, why TEXT NOT NULL, age REAL NOT NULL
    );
    CREATE INDEX act_time ON act (time);
    CREATE INDEX act_age ON act (age);
    CREATE INDEX act_decision ON act (decision);
    CREATE TABLE forgotten (id TEXT PRIMARY KEY);
    """,
    # What limits go by; forgetting and expiry leave it. Acts of before are there with their age.
    """
    CREATE TABLE start (action TEXT NOT NULL, test INTEGER NOT NULL, first INTEGER NOT NULL,
        used REAL NOT NULL);
    INSERT INTO start SELECT action, decision IS NULL, decision IS NOT NULL AND seq = (SELECT
        min(seq) FROM act other WHERE other.decision = act.decision AND result != 'refused'), age
        FROM act WHERE result != 'refused';
    """,
)
"""What leads from each version of the schema to the next; only ever added to."""


LOST = "lost"
"""The setting of a log that was begun in the place of one that was lost: why."""


class StoreError(LotorError):
    """Something could not be remembered or looked up; what was committed before is untouched."""


class Database:
    """A connection; any thread may use it, one at a time.

    Attributes:
        lock: held while it is used.
        notices: what was mended at opening, a line each.
        openings: how often it was opened; more than once where it was lost and came back.

    Args:
        folder: where the file lies; see `Store`.
        clock: names a damaged file.
        alone: lock the folder and mend; else the file must be there.
        opened: is called whenever it was opened.

    Raises:
        StoreError: it cannot be opened.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        alone: bool,
        opened: Callable[[sqlite3.Connection], None],
    ) -> None:
        self.lock = threading.RLock()
        self.notices: list[str] = []
        self.openings = 0
        self._folder = folder
        self._path = folder / DATABASE
        self._clock = clock
        self._alone = alone
        self._opened = opened
        self._db: sqlite3.Connection | None = None
        self._held = contextlib.ExitStack()  # the folder's lock
        self._file: tuple[int, int] | None = None
        self._closed = False
        self._suspect = False  # SQLite has said that the file is damaged
        with self.lock:
            self._connect()

    @contextlib.contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one transaction: all of it becomes true, or nothing.

        Raises:
            StoreError: nothing became true.
        """
        with self.lock, self._failing():
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise

    def read(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Return the rows that a query finds.

        Raises:
            StoreError: they cannot be read.
        """
        with self.lock, self._failing():
            return self._connection().execute(query, values).fetchall()

    def scrub(self) -> None:
        """Leave no byte of what was removed in the files.

        Raises:
            StoreError: there is no room, or somebody else was using them all the time.
        """
        with self.lock, self._failing():
            db = self._connection()
            db.execute("VACUUM")  # secure_delete leaves copies in pages that were rearranged
            (busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise StoreError(f"{self._path} is in use; try again")

    def close(self) -> None:
        """Give the folder back; harmless when done before.

        Where somebody hangs in it, the folder is left to the end of the process.
        """
        self._closed = True
        if not self.lock.acquire(timeout=_CLOSE_S):
            log.error("%s is in use and cannot be closed", self._path)
            return
        try:
            self._disconnect()
        finally:
            self.lock.release()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Turn an error of SQLite into a StoreError; after a bad one, the next call opens anew."""
        try:
            yield
        # The last two: what SQLite has no type for, such as half a character.
        except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            self._suspect |= code in _DAMAGE
            if code in _REOPEN:
                self._disconnect()
            raise StoreError(f"{self._path} cannot be used: {_reason(error)}") from error

    def _connection(self) -> sqlite3.Connection:
        """Return the connection that writes, opened again where it was lost."""
        if self._closed:
            raise StoreError(f"{self._path} is closed")
        if self._db is not None and self._file != _identity(self._path):
            self._disconnect()  # SQLite would go on writing into a file that nobody can find
        if self._db is None:
            if self._file is not None and _identity(self._path) is None:
                raise StoreError(
                    f"{self._path} is gone: is its disk still there? Bring it back, or start the "
                    "sentinel again for an empty one"
                )
            self._connect()
        assert self._db is not None
        return self._db

    def _connect(self) -> None:
        """Open the database, mended where needed and with the schema of today.

        Raises:
            StoreError: it cannot be.
        """
        if not self._alone and not self._path.exists():
            raise StoreError(f"no sentinel has remembered anything in {self._folder}")
        # An empty file is what a power cut may leave of one.
        known = (self._folder / LOCK).exists() or self._path.exists()
        lost = f"the log in {self._folder} was gone, and a new one was begun" if known else ""
        try:
            if self._alone:
                self._take_folder()
            with self._failing():
                try:
                    self._db = self._open(lost)
                except sqlite3.DatabaseError as error:
                    if not self._alone or error.sqlite_errorcode & 0xFF not in _DAMAGE:
                        raise
                    self._db = self._open(self._move_aside(_reason(error)))
                self._suspect = False
                self._opened(self._db)
        except StoreError:
            self._disconnect()
            raise
        self._file = _identity(self._path)
        self.openings += 1

    def _take_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            owner = _first_line(self._folder / LOCK)
            self._lock_folder()
            with contextlib.suppress(OSError):  # the disk may be full
                (self._folder / LOCK).write_text(f"process {os.getpid()}\n", "utf-8")
        except BlockingIOError as error:
            raise StoreError(
                f"another sentinel ({owner or 'another process'}) keeps its log in {self._folder}; "
                "stop it, or give this one another 'store.folder'"
            ) from error
        except OSError as error:
            raise StoreError(
                f"cannot write to {self._folder}: {error.strerror or error}; "
                "make it writable, or name another 'store.folder'"
            ) from error

    def _lock_folder(self) -> None:
        """Take the lock; who only asks whether it is free, as `--check`, has it for a moment."""
        for left in reversed(range(_TRIES)):
            try:
                self._held.enter_context(locked(self._folder / LOCK, wait=False))
                return
            except BlockingIOError:
                if not left:
                    raise
                time.sleep(_TRY_S)

    def _open(self, lost: str) -> sqlite3.Connection:
        """Open it; `lost` says why, if it has no tables, it is not the first of its folder."""
        doubtful = self._suspect or self._path.with_name(f"{DATABASE}-wal").exists()
        db = sqlite3.connect(self._path, timeout=5, isolation_level=None, check_same_thread=False)
        try:
            # Removed rows are overwritten; a commit returns when the disk has it.
            for pragma in ("secure_delete = ON", "journal_mode = WAL", "synchronous = FULL"):
                db.execute(f"PRAGMA {pragma}")
            if self._alone and (doubtful or self._path.stat().st_size <= _CHECK_BYTES):
                (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
                if found != "ok":
                    raise _damaged(found.replace("\n", " "))
            self._migrate(db, lost)
        except BaseException:
            db.close()
            raise
        return db

    def _migrate(self, db: sqlite3.Connection, lost: str) -> None:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > len(_MIGRATIONS):
            raise StoreError(
                f"{self._path} was written by a newer Lotor (version {version} of its tables; "
                f"this one knows {len(_MIGRATIONS)}); upgrade Lotor"
            )
        if version < len(_MIGRATIONS) and not self._alone:
            raise StoreError(f"{self._path} is of an older Lotor; start the sentinel once")
        for number, script in enumerate(_MIGRATIONS[version:], version + 1):
            if number == 1 and lost:  # in one with the tables: whatever breaks it off, it is known
                quoted = lost.replace("'", "''")
                script += f"INSERT INTO setting VALUES ('{LOST}', '{quoted}');"
            db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
        if version == 0 and lost:
            self.notices.append(lost)
            log.warning("%s", lost)

    def _move_aside(self, reason: str) -> str:
        """Give a damaged database and its media other names; return what is to be said of it.

        Nothing is thrown away.
        """
        stamp = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y%m%dT%H%M%SZ")
        new = self._folder / f"{DAMAGED}{stamp}.sqlite"
        try:
            number = 1
            while new.exists():
                number += 1
                new = self._folder / f"{DAMAGED}{stamp}-{number}.sqlite"
            if (self._folder / MEDIA).exists():  # else they would be files that belong to nothing
                (self._folder / MEDIA).rename(new.with_suffix(".media"))
            for ending in ("-wal", "-shm", ""):
                old = self._path.with_name(DATABASE + ending)
                if old.exists():
                    old.rename(new.with_name(new.name + ending))
            sync_folder(self._folder)
        except OSError as error:
            raise StoreError(
                f"{self._path} is damaged ({reason}) and cannot be moved aside: {error.strerror}"
            ) from error
        return (
            f"the log was damaged ({reason}): it is kept as {new}, with its pictures and clips "
            "beside it, and a new one was begun"
        )

    def _disconnect(self) -> None:
        """Close what is open; the folder's lock goes, too, as the disk may have gone."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None
        self._held.close()


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _damaged(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _first_line(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").partition("\n")[0]
    except OSError:
        return ""


def _reason(error: Exception) -> str:
    """Return what went wrong, in a line; SQLite says little of disks."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full; make room there"
    return getattr(error, "strerror", None) or str(error)

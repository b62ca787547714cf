"""`lotor sentinel forget` and `export`: all that is remembered of a time, removed or handed out.

A sentinel may run meanwhile. Data sets go first, and each is whole at any time; then a file says
what is to be removed from the store, so that asking again ends what was broken off:

    FOLDER/forgetting.json       while something is being forgotten
"""

import contextlib
import hashlib
import json
import math
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import cv2

from lotor.errors import LotorError
from lotor.files import locked, write_files
from lotor.sentinel.clock import Clock, SystemClock
from lotor.sentinel.config import Config
from lotor.sentinel.database import DAMAGED
from lotor.sentinel.event import Decision, Event
from lotor.sentinel.store import Store

JOURNAL, LOCK, EVENTS = "forgetting.json", "forget.lock", "events.json"


@dataclass
class Forgotten:
    """What was removed, and what knew it.

    Attributes:
        events: how many were removed from the log.
        files: how many pictures and clips.
        photographs: ids of those that were removed from data sets, by folder.
        models: folders of the models that learned from them.
        left: what may hold something still, a line each.
    """

    events: int = 0
    files: int = 0
    photographs: dict[str, list[str]] = field(default_factory=dict)
    models: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.events} events, {self.files} pictures and clips removed"]
        lines += [f"  {len(ids)} photographs removed from {data}"
                  for data, ids in self.photographs.items()]  # fmt: skip
        lines += [f"  train again: {model}" for model in self.models]
        lines += [f"  may still hold something: {what}" for what in self.left]
        return "\n".join(lines)


@dataclass(frozen=True)
class Exported:
    """What was handed out.

    Attributes:
        events: how many.
        files: how many pictures and clips.
        path: of the folder or the archive.
    """

    events: int
    files: int
    path: str

    def __str__(self) -> str:
        return f"{self.events} events, {self.files} pictures and clips in {self.path}"


def moment(text: str, end: bool = False) -> float:
    """Return the Unix time of an ISO date or time, local where it names no zone.

    Args:
        text: such as "2026-11-30", "2026-11-30T21:00" or "2026-11-30T20:00Z".
        end: of a date alone, take the end of the day in place of its begin.

    Raises:
        LotorError: it is neither.
    """
    try:
        when = datetime.fromisoformat(text)
        if end and len(text) <= len("2026-11-30"):
            when = datetime.combine(when.date() + timedelta(days=1), time())
        return when.timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise LotorError(
            f"'{text}' is no time; give one as 2026-11-30 or 2026-11-30T21:00"
        ) from error


def forget(
    config: Config,
    begin: float,
    end: float,
    data_sets: Sequence[Path] = (),
    *,
    models: Iterable[Path] | None = None,
    clock: Clock | None = None,
) -> Forgotten:
    """Remove all that went on at some time in [begin, end), Unix time; asked again it completes.

    Photographs of the data sets go that are such a picture, or a frame of such a clip, to the
    pixel. An event that has not ended stays, and is named.

    Args:
        config: of the sentinel.
        begin: of the time.
        end: of it.
        data_sets: folders that `lotor data` made, which pictures may have got into.
        models: folders in which models lie; `models/` when None.
        clock: the machine's when None.

    Raises:
        LotorError: the times are the wrong way round, there is no log, a data set is none or would
            be empty, or something cannot be written.
    """
    _in_order(begin, end)
    folder = Path(config.store.folder).expanduser()
    with _opened(folder, clock) as store, _alone(folder):
        before = _journal(folder)
        events = store.events_between(begin, end)
        files = {*before.get("files", []), *(name for event in events for name in _files(event))}
        known = {Path(name): ids for name, ids in before.get("data", {}).items()}
        photographs = _photographs(folder, sorted(files), data_sets, known)
        periods = [*before.get("periods", []), [begin, end]]
        named = {str(data): ids for data, ids in photographs.items()}
        journal = {"periods": periods, "files": sorted(files), "data": named}
        _write(folder, journal)
        result = Forgotten()
        _forget_photographs(result, photographs, models)
        for first, last in periods:
            gone = store.forget(first, last)
            result.events += len(gone)
            files.update(name for names in gone.values() for name in names)  # written meanwhile
        for event in store.events_between(begin, end):
            files -= set(_files(event))
            result.left.append(f"event {event.id}, which has not ended yet: ask again")
        for name in sorted(files):
            if (folder / name).exists():
                _unlink(folder / name)
                result.files += 1
        store.scrub()
        _unlink(folder / JOURNAL)
    result.left += [
        f"{path}, a damaged log, and the .media beside it: remove them if they reach back so far"
        for path in sorted(folder.glob(f"{DAMAGED}*.sqlite"))
    ]
    return result


def export(
    config: Config, begin: float, end: float, out: Path, *, clock: Clock | None = None
) -> Exported:
    """Write all that went on at some time in [begin, end), Unix time.

    `events.json` has every event with its decisions and acts; pictures and clips lie beside it
    under the names that it says.

    Args:
        config: of the sentinel.
        begin: of the time.
        end: of it.
        out: a folder, or a file that ends in `.zip`; must not be there yet.
        clock: the machine's when None.

    Raises:
        LotorError: the times are the wrong way round, there is no log, `out` is there already, or
            cannot be written; then nothing of it is left.
    """
    _in_order(begin, end)
    if out.exists():
        raise LotorError(f"{out} is there already; name another one")
    folder = Path(config.store.folder).expanduser()
    scratch = out.with_name(f".{out.name}.part")
    with _opened(folder, clock) as store:
        events = store.events_between(begin, end)
        text = json.dumps(_all(store, events, begin, end), indent=2) + "\n"
        names = [name for event in events for name in _files(event) if (folder / name).exists()]
        try:
            if out.suffix == ".zip":
                with zipfile.ZipFile(scratch, "w") as archive:
                    archive.writestr(EVENTS, text, zipfile.ZIP_DEFLATED)
                    for name in names:
                        archive.write(folder / name, name)
            else:
                scratch.mkdir(parents=True)
                (scratch / EVENTS).write_text(text, "utf-8")
                for name in names:
                    (scratch / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(folder / name, scratch / name)
            scratch.rename(out)
        except OSError as error:
            raise LotorError(f"cannot write {out}: {error.strerror or error}") from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
    return Exported(len(events), len(names), str(out))


def _in_order(begin: float, end: float) -> None:
    if not begin < end:
        raise LotorError("the time to forget or export must begin before it ends")


@contextlib.contextmanager
def _opened(folder: Path, clock: Clock | None) -> Iterator[Store]:
    store = Store(folder, clock or SystemClock(), alone=False)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        with locked(folder / LOCK, wait=False):
            yield
    except BlockingIOError as error:
        raise LotorError(f"{folder} is being forgotten by another command; wait for it") from error


def _journal(folder: Path) -> dict[str, Any]:
    """Return what was being removed when it was broken off; empty where nothing was."""
    try:
        found = json.loads((folder / JOURNAL).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise LotorError(f"{folder / JOURNAL} cannot be read: {error}") from error
    return dict(found)


def _write(folder: Path, journal: dict[str, Any]) -> None:
    try:
        write_files({folder / JOURNAL: json.dumps(journal).encode("utf-8")})
    except OSError as error:
        raise LotorError(f"cannot write to {folder}: {error.strerror or error}") from error


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise LotorError(f"cannot remove {path}: {error.strerror or error}") from error


def _files(event: Event) -> list[str]:
    return [name for name in (event.picture, event.clip) if name]


# Photographs of data sets that came from here


def _photographs(
    folder: Path, files: Sequence[str], data_sets: Sequence[Path], known: dict[Path, list[str]]
) -> dict[Path, list[str]]:
    """Return ids of the photographs to forget, by data set; `known`: those that were begun with."""
    if not data_sets and not known:
        return {}
    from lotor.data.store import PHOTOS, open_store, tombstones  # not on every Raspberry Pi

    hashes = (
        {digest for name in files for digest in _digests(folder / name)} if data_sets else set()
    )
    found = {}
    asked = [data.resolve() for data in data_sets]
    for data in dict.fromkeys([*known, *asked]):
        if data not in asked and not data.exists():
            continue
        held = open_store(data)
        there = {path.stem: path for path in sorted((data / PHOTOS).glob("*"))}
        begun = {id for id in known.get(data, []) if id in there or id in tombstones(data)}
        same = {
            id for id, path in there.items() if hashes and not hashes.isdisjoint(_digests(path))
        }
        if ids := sorted(begun | same):
            found[data] = ids
        if not {photo.id for photo in held.photos} - set(ids):
            raise LotorError(f"nothing would be left of {data}; remove the folder itself instead")
    return found


def _forget_photographs(
    result: Forgotten, photographs: dict[Path, list[str]], models: Iterable[Path] | None
) -> None:
    if not photographs:
        return
    from lotor.data.forget import forget

    roots = list(models) if models is not None else None
    for data, ids in photographs.items():
        told = forget(data, ids, "the sentinel forgot that time", roots)
        result.photographs[str(data)] = told.ids
        result.models += [model for model in told.models if model not in result.models]
        result.left += [what for what in told.left if what not in result.left]


def _digests(path: Path) -> Iterator[str]:
    """Yield SHA-256 of the pixels of a picture, or of every frame of a film."""
    film = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG) if path.suffix == ".webm" else None
    if film is None:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is not None:
            yield _digest(image)
        return
    try:
        while True:
            good, frame = film.read()
            if not good:
                return
            yield _digest(frame)
    finally:
        film.release()


def _digest(image: Any) -> str:
    return hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()


# What is handed out


def _all(store: Store, events: Sequence[Event], begin: float, end: float) -> dict[str, Any]:
    listed = {event.id for event in events}
    return {
        "from": _iso(begin),
        "to": _iso(end),
        "events": [
            {**asdict(event), "decisions": [_told(store, one) for one in store.decisions(event.id)]}
            for event in events
        ],
        "decisions": [
            _told(store, one)
            for one in store.decisions_between(begin, end)
            if one.event not in listed
        ],
        "tests": [
            asdict(act) for act in store.acts(begin) if act.decision is None and act.time < end
        ],
    }


def _told(store: Store, one: Decision) -> dict[str, Any]:
    scores = {label: s if math.isfinite(s) else None for label, s in one.scores.items()}
    acts = [asdict(act) for act in store.acts_of(one.id)]
    return {**asdict(one), "scores": scores, "acts": acts}


def _iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat()

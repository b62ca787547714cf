"""What is remembered of a time is removed to the last byte, or handed out."""

import json
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from lotor.data.ingest import import_photos
from lotor.data.store import open_store, tombstones
from lotor.errors import LotorError
from lotor.sentinel import forget as module
from lotor.sentinel.clock import SetClock
from lotor.sentinel.config import Camera, Config
from lotor.sentinel.config import Store as Settings
from lotor.sentinel.event import Act, Event
from lotor.sentinel.forget import JOURNAL, export, forget, moment
from lotor.sentinel.media import jpeg, sweep
from lotor.sentinel.store import Store, StoreError
from lotor.sentinel.webm import write_webm
from test_data_forget import model
from test_sentinel_store import NOON, decision, visit

MARKER = "A-MARK-THAT-OCCURS-NOWHERE-ELSE"


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config((Camera("gate", "0"),), store=Settings(folder=str(tmp_path / "log")))


@pytest.fixture
def store(config: Config) -> Iterator[Store]:
    """A running sentinel's store of five visits, an hour apart."""
    made = Store(Path(config.store.folder), SetClock(NOON))
    for hour in range(5):
        remember(made, hour, MARKER if hour in (1, 2) else "plain")
    yield made
    made.close()


def remember(store: Store, hour: int, mark: str) -> Event:
    """A visit with all that there can be of it; its strings say `mark`."""
    begin = NOON + 3600 * hour
    event = visit(begin, begin + 60, zones=(mark,))
    store.save_event(event)
    for of in (event.id, None):
        made = decision(begin, of, until=begin + 50, model=mark)
        store.record(made)
        store.note(Act(made.id, "siren", begin, begin + 1, "done", mark))
    store.note(Act(None, "siren", begin + 2, begin + 3, "done", mark))
    media = store.folder / "media/day"
    media.mkdir(parents=True, exist_ok=True)
    frames = [(n / 5, picture(10 * hour + n)) for n in range(3)]
    (media / f"{hour}.jpg").write_bytes(picture(100 + hour))
    write_webm(media / f"{hour}.webm", frames)
    store.set_picture(event.id, f"media/day/{hour}.jpg", 9)
    store.set_clip(event.id, f"media/day/{hour}.webm", 9)
    return event


def picture(number: int) -> bytes:
    noise = np.random.default_rng(number).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return jpeg(cv2.resize(noise, (64, 48)).astype(np.uint8), 640, 95)


def marked(folder: Path) -> list[str]:
    return [path.name for path in sorted(folder.rglob("*"))
            if path.is_file() and MARKER.encode() in path.read_bytes()]  # fmt: skip


def hours(store: Store) -> list[int]:
    """Which visits there are, and nothing is there of others."""
    found = [round((event.begin - NOON) / 3600) for event in store.events(99)][::-1]
    files = sorted(path.name for path in store.folder.rglob("media/day/*"))
    assert files == sorted(f"{hour}.{suffix}" for hour in found for suffix in ("jpg", "webm"))
    for kind in (store.decisions_between(0, 9e9), store.acts(0)):
        times = [round((one.time - NOON) // 3600) for one in kind]
        assert set(times) == set(found)
    return found


def test_nothing_is_left_of_a_time(store: Store, config: Config) -> None:
    assert marked(store.folder)
    found = forget(config, NOON + 3600, NOON + 3 * 3600)
    assert (found.events, found.files, found.left) == (2, 4, [])
    assert hours(store) == [0, 3, 4]
    assert marked(store.folder) == []
    assert not (store.folder / JOURNAL).exists()
    with sqlite3.connect(store.folder / "store.sqlite") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    again = forget(config, NOON + 3600, NOON + 3 * 3600)
    assert (again.events, again.files) == (0, 0)
    assert str(again).startswith("0 events, 0 pictures and clips removed")
    store.record(decision(NOON))  # the sentinel beside it goes on


def test_the_log_gets_smaller(store: Store, config: Config) -> None:
    for n in range(50):
        store.record(decision(NOON + 9e4 + n, model="x" * 9000))
    forget(config, NOON - 1, NOON)
    before = (store.folder / "store.sqlite").stat().st_size
    forget(config, NOON + 9e4, NOON + 9e4 + 100)
    assert (store.folder / "store.sqlite").stat().st_size < before - 400_000


def test_an_event_counts_as_long_as_it_lasts(store: Store, config: Config) -> None:
    begin = NOON + 2 * 3600
    assert forget(config, begin + 59, begin + 3600).events == 1
    assert forget(config, begin - 3539, begin).events == 0
    assert len(store.events(99)) == 4


def test_what_began_before_a_time_and_went_on_goes_too(store: Store, config: Config) -> None:
    begin = NOON + 3600
    trial = Act(None, "siren", begin + 10, begin + 30, "done", MARKER)
    store.note(trial)
    lasting = visit(NOON + 9e5)  # whose decisions stay
    store.save_event(lasting)
    store.record(decision(NOON + 9e5, lasting.id))
    store.record(decision(begin + 21, "too short to be an event"))
    forget(config, begin + 20, begin + 25)
    assert trial not in store.acts(0)
    left = store.decisions_between(begin, begin + 60)
    assert left == [] and store.events_between(begin, begin + 60) == []
    rest = [act for act in store.acts(begin) if act.time < begin + 60]
    assert rest and all(act.end and act.end <= begin + 3 for act in rest)  # over by then


def test_an_event_that_lasts_stays_and_is_named(store: Store, config: Config) -> None:
    last = visit(NOON + 90)
    store.save_event(last)
    kept = decision(NOON + 95, last.id)
    store.record(kept)
    act = Act(kept.id, "siren", NOON + 95, None, "running")
    store.note(act)
    taken = store.folder / "media/day/last.jpg"
    taken.write_bytes(picture(7))
    store.set_picture(last.id, "media/day/last.jpg", 9)
    last = replace(last, picture="media/day/last.jpg")
    found = forget(config, NOON, NOON + 100)
    assert (found.events, found.files) == (1, 2)
    assert taken.exists()
    assert found.left == [f"event {last.id}, which has not ended yet: ask again"]
    assert store.open_events() == [last]
    assert store.decisions(last.id) == [kept] and store.acts_of(kept.id) == [act]
    store.save_event(replace(last, end=NOON + 96))
    assert forget(config, NOON, NOON + 100).events == 1
    assert not taken.exists()
    assert store.event(last.id) is None and store.acts_of(kept.id) == []


def test_a_clip_that_is_written_meanwhile_goes_too(
    store: Store, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, late = Store.forget, store.folder / "media/day/late.webm"

    def forgets(self: Store, begin: float, end: float) -> dict[str, tuple[str, ...]]:
        late.write_bytes(b"seen")
        assert store.set_clip(store.events(1)[0].id, "media/day/late.webm", 4)
        return real(self, begin, end)

    monkeypatch.setattr(Store, "forget", forgets)
    forget(config, NOON + 4 * 3600, NOON + 5 * 3600)
    assert not late.exists()


STEPS = ("store.forget", "file", "store.scrub", "journal", "photographs")


@pytest.mark.parametrize("step", STEPS)
def test_what_was_broken_off_is_completed_when_asked_again(
    step: str, store: Store, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, models = data_set(store, tmp_path)

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    unlink, seen = module._unlink, list[Path]()

    def fails_later(path: Path) -> None:
        seen.append(path)
        if (path.name == JOURNAL) == (step == "journal") and (step == "journal" or len(seen) > 1):
            raise Killed
        unlink(path)

    with monkeypatch.context() as patch:
        if step.startswith("store."):
            patch.setattr(Store, step.removeprefix("store."), killed)
        elif step == "photographs":
            patch.setattr("lotor.data.forget.remove_traces", killed)
        else:
            patch.setattr(module, "_unlink", fails_later)
        with pytest.raises(Killed):
            forget(config, NOON + 3600, NOON + 7200, [data], models=[models])
    found = forget(config, NOON + 7200, NOON + 3 * 3600, [data], models=[models])
    assert hours(store) == [0, 3, 4]
    assert marked(store.folder) == []
    assert found.models == [str(models / "knows")]
    assert len(open_store(data).photos) == 3
    assert not (store.folder / JOURNAL).exists()
    assert sweep(store) == 0


def test_a_data_set_that_was_half_done_is_completed(
    store: Store, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is gone by then; it is named by what was begun, also when nobody names the set."""
    data, models = data_set(store, tmp_path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("lotor.data.forget.remove_traces", killed)
        forget(config, NOON + 3600, NOON + 7200, [data], models=[models])
    assert len(open_store(data).photos) == 4
    found = forget(config, NOON + 3600, NOON + 7200, models=[models])
    assert [len(ids) for ids in found.photographs.values()] == [1]
    assert found.models == [str(models / "knows")]
    assert hours(store) == [0, 2, 3, 4]


def data_set(store: Store, folder: Path) -> tuple[Path, Path]:
    """A data set with a picture of hour 1, a frame of hour 2's clip, and three others."""
    taken = folder / "in/raccoon"
    taken.mkdir(parents=True)
    shutil.copy(store.folder / "media/day/1.jpg", taken / "picture.jpg")
    film = cv2.VideoCapture(str(store.folder / "media/day/2.webm"))
    film.read()
    cv2.imwrite(str(taken / "frame.png"), film.read()[1])
    for number in range(200, 203):
        (taken / f"{number}.jpg").write_bytes(picture(number))
    import_photos(folder / "in", folder / "set", name="")
    model(folder / "models/knows", manifest_sha256=open_store(folder / "set").manifest_hash)
    model(folder / "models/innocent", manifest_sha256="0" * 64)
    return folder / "set", folder / "models"


def test_training_sets_forget_too(store: Store, config: Config, tmp_path: Path) -> None:
    data, models = data_set(store, tmp_path)
    ids = {photo.source: photo.id for photo in open_store(data).photos}
    found = forget(config, NOON + 3600, NOON + 3 * 3600, [data], models=[models])
    assert found.photographs == {str(data): sorted([ids["picture.jpg"], ids["frame.png"]])}
    assert found.models == [str(models / "knows")]
    assert len(open_store(data).photos) == 3
    assert set(tombstones(data)) == {ids["picture.jpg"], ids["frame.png"]}
    text = str(found)
    assert f"2 photographs removed from {data}" in text
    assert f"train again: {models / 'knows'}" in text
    json.dumps(asdict(found))


def test_a_data_set_that_would_be_empty_stops_it_before_anything(
    store: Store, config: Config, tmp_path: Path
) -> None:
    taken = tmp_path / "in/raccoon"
    taken.mkdir(parents=True)
    shutil.copy(store.folder / "media/day/1.jpg", taken)
    import_photos(tmp_path / "in", tmp_path / "set", name="")
    with pytest.raises(LotorError, match="nothing would be left"):
        forget(config, NOON, NOON + 9e5, [tmp_path / "set"])
    with pytest.raises(LotorError, match="no data set in"):
        forget(config, NOON, NOON + 9e5, [tmp_path / "in"])
    assert hours(store) == [0, 1, 2, 3, 4]
    assert not (store.folder / JOURNAL).exists()


def test_a_damaged_log_is_named(store: Store, config: Config) -> None:
    old = store.folder / "store-damaged-20260101T000000Z.sqlite"
    old.write_bytes(b"?")
    assert forget(config, NOON, NOON + 1).left == [
        f"{old}, a damaged log, and the .media beside it: remove them if they reach back so far"
    ]


def test_mistakes(config: Config, store: Store, tmp_path: Path) -> None:
    with pytest.raises(LotorError, match="must begin before it ends"):
        forget(config, NOON, NOON)
    with pytest.raises(LotorError, match="must begin before it ends"):
        export(config, NOON, NOON, tmp_path / "out")
    (store.folder / JOURNAL).write_text("{")
    with pytest.raises(LotorError, match=f"{JOURNAL} cannot be read"):
        forget(config, NOON, NOON + 1)
    (store.folder / JOURNAL).unlink()
    none = replace(config, store=Settings(folder=str(tmp_path / "none")))
    with pytest.raises(StoreError, match="no sentinel has remembered anything"):
        forget(none, NOON, NOON + 1)
    assert not (tmp_path / "none").exists()
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(store.folder / module.LOCK)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as other:  # fmt: skip
        assert other.stdout and other.stdin
        other.stdout.readline()
        with pytest.raises(LotorError, match="by another command"):
            forget(config, NOON, NOON + 1)
        other.stdin.close()


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_export(name: str, store: Store, config: Config, tmp_path: Path) -> None:
    store.record(decision(NOON + 5000, scores={"raccoon": float("nan")}))
    out = tmp_path / name
    found = export(config, NOON + 3600, NOON + 3 * 3600, out)
    assert (found.events, found.files) == (2, 4)
    if out.suffix == ".zip":
        with zipfile.ZipFile(out) as archive:
            archive.extractall(tmp_path / "unzipped")
        out = tmp_path / "unzipped"
    said = json.loads((out / "events.json").read_text(), parse_constant=pytest.fail)
    (first, second) = said["events"]
    assert first["label"] == "raccoon" and first["zones"] == [MARKER]
    (made,) = first["decisions"]
    assert made["checks"][0] == {"rule": "votes", "passed": True, "why": "3 of 5"}
    assert [act["action"] for act in made["acts"]] == ["siren"]
    for event in said["events"]:
        for key in ("picture", "clip"):
            assert (out / event[key]).read_bytes() == (store.folder / event[key]).read_bytes()
    assert len(said["decisions"]) == 3 and len(said["tests"]) == 2
    assert said["decisions"][-1]["scores"] == {"raccoon": None}
    assert said["from"] == "2026-09-21T15:13:20+00:00"
    with pytest.raises(LotorError, match="is there already"):
        export(config, NOON, NOON + 1, tmp_path / name)
    assert second["begin"] == NOON + 7200


def test_an_export_that_cannot_be_written_leaves_nothing(
    store: Store, config: Config, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file/out", "file/out.zip"):
        with pytest.raises(LotorError, match="cannot write"):
            export(config, NOON, NOON + 9e5, tmp_path / name)
    before = sorted(tmp_path.iterdir())
    (store.folder / "media/day/1.jpg").unlink()
    (store.folder / "media/day/1.jpg").mkdir()  # cannot be read
    with pytest.raises(LotorError, match="cannot write"):
        export(config, NOON, NOON + 9e5, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_is_gone_is_not_handed_out(
    store: Store, config: Config, tmp_path: Path
) -> None:
    (store.folder / "media/day/1.jpg").unlink()
    found = export(config, NOON + 3600, NOON + 7200, tmp_path / "out")
    assert (found.events, found.files) == (1, 1)


def test_moments() -> None:
    assert moment("2026-11-30") == datetime(2026, 11, 30).timestamp()
    assert moment("2026-11-30", end=True) == datetime(2026, 12, 1).timestamp()
    assert moment("2026-11-30T21:00", end=True) == datetime(2026, 11, 30, 21).timestamp()
    assert moment("2026-11-30T21:00+00:00") == 1796072400
    for text in ("", "yesterday", "2026-13-01", "9999-12-31"):
        with pytest.raises(LotorError, match="is no time"):
            moment(text, end=True)

"""A sentinel that is killed at any moment, and disks that are full, read-only, or away."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from lotor.sentinel import config
from lotor.sentinel.clock import SetClock, SystemClock
from lotor.sentinel.database import DATABASE, MEDIA
from lotor.sentinel.media import Media
from lotor.sentinel.store import Store, StoreError
from test_sentinel_store import NOON, decision, recorded, visit

WRITER = Path(__file__).parent / "sentinel_writer.py"
SYNCED = Path(__file__).parent / "synced.c"
SETTINGS = config.Store(free_mb=0)


class Nursery:
    """A program that becomes a sentinel again and again, each time until it is killed."""

    def __init__(self, preload: Path | None = None) -> None:
        self._program = subprocess.Popen(
            [sys.executable, str(WRITER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, bufsize=1, env={**os.environ, "LD_PRELOAD": str(preload or "")},
        )  # fmt: skip

    def receipts(self, folder: Path, word: str, seconds: float) -> list[str]:
        """Let one live until it says a word, and some more; return what it got receipts of."""
        assert self._program.stdin and self._program.stdout
        self._program.stdin.write(f"{folder}\n")
        said = [self._program.stdout.readline().split()]
        assert said[0][0] == "born", said
        pid = int(said[0][1])
        while not any(line[0] == word for line in said):
            said.append(self._program.stdout.readline().split())
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        while said[-1] != ["dead"]:
            said.append(self._program.stdout.readline().split())
        return [line[1] for line in said if line[0] == "kept"]

    def close(self) -> None:
        assert self._program.stdin and self._program.stdout
        self._program.stdin.close()
        self._program.stdout.close()
        self._program.wait()


def killed_often(folder: Path, rounds: int, seed: int) -> int:
    """Kill a sentinel again and again and see that all is well; return how many receipts it got."""
    delay = random.Random(seed)
    receipts, seen = set[str](), set[str]()
    with contextlib.closing(Nursery()) as nursery:
        for number in range(rounds):
            # While it opens the store, while it decides, and with pictures and clips.
            word = ("born", "kept", "kept", "written")[number % 4]
            receipts.update(nursery.receipts(folder, word, delay.random() ** 2 / 4))
            check(folder, receipts, seen)
    assert {Path(name).suffix for name in seen} == {".jpg", ".webm"}
    return len(receipts)


def check(folder: Path, receipts: set[str], seen: set[str]) -> None:
    """Open what a killed sentinel has left; `seen`: files that were found good before."""
    clock = SystemClock()
    store = Store(folder, clock)
    try:
        assert not any("damaged" in notice for notice in store.notices), store.notices
        kept = {one.id for one in store.decisions_between(0, 9e12)}
        assert receipts <= kept, f"{len(receipts - kept)} receipts of {len(receipts)} are lost"
        assert store.open_events() == []
        assert all(act.end is not None for act in store.acts(0))
        assert store._database.read("PRAGMA integrity_check") == [("ok",)]
        media = Media(store, SETTINGS, clock)
        assert media.idle(20)
        media.close()
        named = {name for each in store.media() for name in each.files}
        files = {path.relative_to(folder).as_posix()
                 for path in (folder / MEDIA).rglob("*") if path.is_file()}  # fmt: skip
        assert named == files
        for name in named - seen:
            assert whole(folder / name), name
        seen |= named
    finally:
        store.close()


def whole(path: Path) -> bool:
    if path.suffix == ".jpg":
        return path.read_bytes().endswith(b"\xff\xd9") and cv2.imread(str(path)) is not None
    film = cv2.VideoCapture(str(path))
    return film.read()[0]


def test_killed_at_any_moment(tmp_path: Path) -> None:
    assert killed_often(tmp_path / "log", 40, seed=1) >= 30


@pytest.mark.slow
@pytest.mark.timeout(1800)  # five minutes on a busy machine
def test_killed_four_hundred_times(tmp_path: Path) -> None:
    assert killed_often(tmp_path / "log", 400, seed=2) >= 300


def test_a_power_cut_takes_what_was_not_synced(tmp_path: Path) -> None:
    """A kill leaves what the kernel has; here only what was synced is left."""
    shim, delay = tmp_path / "synced.so", random.Random(3)
    subprocess.run(["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o",
                    str(shim), str(SYNCED), "-ldl"], check=True)  # fmt: skip
    every = 0
    with contextlib.closing(Nursery(shim)) as nursery:
        for number in range(12):
            folder, left = tmp_path / f"log{number}", tmp_path / f"left{number}"
            receipts = nursery.receipts(folder, "kept", 0.3 * delay.random())
            left.mkdir()
            for path in folder.glob("*.synced"):
                if (folder / path.stem).exists():  # SQLite syncs the folder when it removes a file
                    shutil.copy(path, left / path.stem)
            store = Store(left, SystemClock())
            kept = {one.id for one in store.decisions_between(0, 9e12)}
            assert store.notices == [] or "damaged" not in store.notices[0]
            assert set(receipts) <= kept
            assert store._database.read("PRAGMA integrity_check") == [("ok",)]
            store.close()
            every += len(receipts)
    assert every >= 12


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
                             capture_output=True, text=True, check=False)  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write a file that takes all the room there is."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return path


def test_a_full_disk(small_disk: Path) -> None:
    clock = SetClock(NOON)
    store = Store(small_disk / "log", clock)
    media = Media(store, SETTINGS, clock)
    one = visit(NOON)
    store.save_event(one)
    kept = [recorded(store, decision(NOON, one.id)) for _ in range(3)]
    for _ in range(3):
        filler = fill(small_disk)
        with pytest.raises(StoreError):
            while True:
                kept.append(recorded(store, decision(NOON, one.id)))
        with pytest.raises(StoreError, match="cannot be used"):
            store.save_event(visit(NOON, label="x" * 9000))
        assert store.decisions(one.id) == kept
        filler.unlink()
        kept.append(recorded(store, decision(NOON, one.id)))
    filler = fill(small_disk)
    store.close()
    media.close()
    filler.unlink()
    again = Store(small_disk / "log", clock)
    assert again.decisions(one.id) == kept
    assert again._database.read("PRAGMA integrity_check") == [("ok",)]
    again.close()


def test_a_disk_that_is_full_at_the_start(small_disk: Path) -> None:
    filler = fill(small_disk)
    with pytest.raises(StoreError, match=r"full|No space"):
        Store(small_disk / "log", SetClock(NOON))
    filler.unlink()
    store = Store(small_disk / "log", SetClock(NOON))
    store.record(decision(NOON))
    store.close()


def test_a_read_only_disk(small_disk: Path) -> None:
    Store(small_disk / "log", SetClock(NOON)).close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreError, match=f"cannot write to {small_disk / 'log'}: Read-only"):
        Store(small_disk / "log", SetClock(NOON))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write to .*name another 'store.folder'"):
        Store(tmp_path / "file/log", SetClock(NOON))


def test_a_disk_that_goes_away(small_disk: Path) -> None:
    """Unplugged and plugged in again: no receipt for what nobody can find."""
    store = Store(small_disk / "log", SetClock(NOON))
    store.record(decision(NOON))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(small_disk)], check=True)
    try:
        with pytest.raises(StoreError, match="is gone: is its disk still there"):
            store.record(decision(NOON))
        assert list(small_disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small_disk)], check=True)
    store.record(decision(NOON))
    assert len(store.decisions_between(0, 9e9)) == 2
    store.close()
    with sqlite3.connect(small_disk / "log" / DATABASE) as db:
        assert db.execute("SELECT count(*) FROM decision").fetchone() == (2,)

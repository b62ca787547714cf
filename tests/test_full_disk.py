"""Commands of data sets on a full disk: one line, exit code 2, and what was there is untouched."""

import json
import shutil
import signal
import threading
import urllib.error
import urllib.request
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from full_disk import contents, full_disk, refused
from lotor.cli import main
from lotor.data import label as label_module
from lotor.data.ingest import import_photos
from lotor.data.label import JOURNAL, Labelling, serve
from lotor.data.samples import LIST, Stored
from lotor.data.store import commit, open_store

RECIPE = """
about = "a folder of classes"
homepage = "http://127.0.0.1:9"
licence = "CC0"
format = "folder"
source = "in"

[[file]]
url = "http://127.0.0.1:9/all.zip"
into = "in"
"""


def photographs(folder: Path, first: int, count: int) -> Path:
    """Write plain pictures, whose files are smaller than a manifest."""
    for number in range(first, first + count):
        path = folder / ("raccoon", "cat")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 20), (number, 2 * number, 90)).save(path)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    import_photos(photographs(tmp_path / "old", 1, 12), tmp_path / "set", name="")
    # A hash that two have: near duplicates.
    photos = open_store(tmp_path / "set").photos
    commit(
        tmp_path / "set", [replace(p, phash=f"f0f0f0f0f0f0{n:04x}") for n, p in enumerate(photos)]
    )
    return tmp_path / "set"


def test_import(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new, before = photographs(tmp_path / "new", 20, 12), contents(store)
    largest = max(path.stat().st_size for path in new.rglob("*.png"))
    assert 60 < largest < len(before["manifest.csv"])
    for room in (0, largest - 1, largest, len(before["manifest.csv"])):
        line = refused(room, capsys, "data", "import", new, "--into", store)
        assert f"cannot write to {store}" in line
        assert contents(store) == before
        assert "nothing has changed" in line or room < largest  # the commit
    assert main(["data", "import", str(new), "--into", str(store)]) == 0
    assert len(open_store(store).photos) == 24


def test_import_into_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = photographs(tmp_path / "new", 1, 12)
    for room in (0, 500):
        refused(room, capsys, "data", "import", new, "--into", tmp_path / "set")
        assert contents(tmp_path / "set") == {}


@pytest.mark.parametrize("command", ["split", "dedupe", "forget"])
def test_changes(command: str, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(store)
    more = {"dedupe": ["--fix"], "forget": [open_store(store).photos[0].id]}.get(command, [])
    assert f"cannot write to {store}" in refused(0, capsys, "data", command, store, *more)
    assert contents(store) == before
    assert main(["data", command, str(store), *more]) == 0
    assert contents(store) != before


def test_a_label_that_cannot_be_kept_is_told_and_spoils_no_other(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelling = Labelling(store, again=True)
    first, second = list(labelling.photos)[:2]
    labelling.label(first, "dog")
    before = contents(store)
    with serve(labelling) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/label"
        body = json.dumps({"id": second, "kind": "fox"}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        for half in (0, 20):  # bytes of the line that still fit
            with (
                full_disk(len(before[JOURNAL]) + half),
                pytest.raises(urllib.error.HTTPError) as caught,
            ):
                urllib.request.urlopen(request, timeout=10)
            assert caught.value.code == 507
            assert "cannot write: " in json.loads(caught.value.read())["error"]
            assert contents(store) == before
        server.shutdown()
    assert second not in labelling.said
    labelling.label(second, "fox")
    assert Labelling(store, again=True).said == {first: "dog", second: "fox"}


def test_labels_stay_in_the_journal_until_there_is_room(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    labelling = Labelling(store, again=True)
    labelling.label(next(iter(labelling.photos)), "dog")
    with (store / JOURNAL).open("a") as journal:
        journal.write('{"id": "cut o')  # is mended where there is no room, too
    monkeypatch.setattr(label_module, "serve", _interrupted)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)  # pytest's own stay
    line = refused(0, capsys, "data", "label", store)
    assert "the labels are kept in labels.jsonl there: make room" in line
    assert "dog" not in {photo.kind for photo in open_store(store).photos}
    assert main(["data", "label", str(store)]) == 0
    assert "dog" in {photo.kind for photo in open_store(store).photos}
    assert not (store / JOURNAL).exists()


def _interrupted(labelling: Labelling, port: int = 0) -> object:
    class Server(ThreadingHTTPServer):
        def serve_forever(self, poll_interval: float = 0.5) -> None:
            raise KeyboardInterrupt

    return Server(("127.0.0.1", port), BaseHTTPRequestHandler)


def test_pull(
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path / "cache"))
    new, mirror = photographs(tmp_path / "new", 20, 12), tmp_path / "mirror"
    mirror.mkdir()
    with zipfile.ZipFile(mirror / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in new.rglob("*.png"):
            archive.write(path, path.relative_to(new))
        archive.writestr("notes.txt", "much that is said in few words " * 3000)
    recipe = tmp_path / "made-up.toml"
    recipe.write_text(RECIPE)
    command = ("data", "pull", recipe, "--from", mirror, "--into", store)
    before, size = contents(store), (mirror / "all.zip").stat().st_size
    assert len(before["manifest.csv"]) < size < 93000
    for room, where in ((0, "all.zip.part"), (size - 1, "all.zip.part"), (size, "made-up")):
        line = refused(room, capsys, *command)
        assert f"{where}: File too large; make room there, or keep downloads elsewhere" in line
        assert contents(store) == before
    with full_disk(93000):
        assert main([str(argument) for argument in command]) == 0
    assert len(open_store(store).photos) == 24


def test_pull_whose_import_finds_no_room(
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path / "cache"))
    mirror, before = tmp_path / "mirror", contents(store)
    mirror.mkdir()
    new = photographs(tmp_path / "new", 20, 12)
    with zipfile.ZipFile(mirror / "all.zip", "w") as archive:
        archive.write(new / "raccoon/20.png", "raccoon/20.png")
    recipe = tmp_path / "made-up.toml"
    recipe.write_text(RECIPE)
    room = len(before["manifest.csv"])
    line = refused(room, capsys, "data", "pull", recipe, "--from", mirror, "--into", store)
    assert f"cannot write to {store}" in line
    assert "nothing has changed" in line
    assert contents(store) == before


def test_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path / "cache"))
    cached, out = tmp_path / "cache/samples", tmp_path / "out"
    cached.mkdir(parents=True)
    Image.new("RGB", (24, 20), (1, 2, 3)).save(cached / "a.png")
    (cached / LIST).write_text("{}")
    stored = [Stored(cached / "a.png", "raccoon", "made up", "CC0", "0")]
    monkeypatch.setattr("lotor.data.samples._cached", lambda folder, samples: stored)
    shutil.copytree(cached, out)
    (out / "a.png").write_bytes(b"of before")
    before = contents(out)
    for room in (0, 20):
        line = refused(room, capsys, "data", "samples", "--out", out)
        assert f"cannot write samples to {out}" in line
        assert contents(out) == before

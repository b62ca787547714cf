"""Public data sets: from a server of this machine, broken off, damaged, and with no network."""

import functools
import hashlib
import http.server
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Lotor
from lotor.data.manifest import Box
from lotor.data.pull import RemoteFile, find_public, public_sets, pull, unpack
from lotor.data.store import open_store
from lotor.errors import LotorError
from test_data_import import photo

RECIPE = """
about = "two made-up raccoons"
homepage = "http://localhost"
licence = "CC0"
format = "coco"
source = "list.json"
images = "pictures"

[[file]]
url = "{url}/list.json"

[[file]]
url = "{url}/pictures.zip"
sha256 = "{sha256}"

[classes]
procyon = "raccoon"
"""


class _Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, also from the middle of a file on; breaks off after `limit` bytes."""

    limit: int | None = None
    asked: list[str]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(f"{self.path} {wanted or 'whole'}")
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        body = path.read_bytes()
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:][: type(self).limit])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder with the files and a recipe `made-up.toml`, and the URL that serves it."""
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "server"
    with zipfile.ZipFile(_folder(folder) / "pictures.zip", "w") as archive:
        for name in ("one.jpg", "two.jpg"):
            archive.write(photo(tmp_path / "made" / name, 80, 60), f"pictures/{name}")
        archive.writestr("../../escaped.txt", "nothing leaves the folder")
    rows = [{"id": i, "file_name": f"{n}.jpg"} for i, n in enumerate(("one", "two"))]
    boxes = [{"image_id": 0, "category_id": 1, "bbox": [1, 2, 30, 40]}]
    table = {"images": rows, "annotations": boxes, "categories": [{"id": 1, "name": "procyon"}]}
    (folder / "list.json").write_text(json.dumps(table))
    _Server.limit, _Server.asked = None, []
    handler = functools.partial(_Server, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{running.server_address[1]}"
        sha256 = hashlib.sha256((folder / "pictures.zip").read_bytes()).hexdigest()
        (tmp_path / "made-up.toml").write_text(RECIPE.format(url=url, sha256=sha256))
        yield folder, url
        running.shutdown()


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def test_a_public_set_is_downloaded_once(server: tuple[Path, str], tmp_path: Path) -> None:
    recipe = find_public(str(tmp_path / "made-up.toml"))
    done = pull(recipe, tmp_path / "set")
    assert done.added == 2
    one, two = sorted(open_store(tmp_path / "set").photos, key=lambda p: p.source)
    assert (one.kind, one.boxes, one.licence) == ("raccoon", (Box(1, 2, 31, 42, "raccoon"),), "CC0")
    assert two.kind == "background"
    assert len(_Server.asked) == 2
    assert pull(recipe, tmp_path / "set").known == 2
    assert len(_Server.asked) == 2
    assert not list(tmp_path.glob("**/../../escaped.txt"))
    assert not (tmp_path / "escaped.txt").exists()
    assert not (tmp_path / "cache" / "escaped.txt").exists()


def test_a_broken_download_goes_on(server: tuple[Path, str], tmp_path: Path) -> None:
    recipe = find_public(str(tmp_path / "made-up.toml"))
    _Server.limit = 1000
    with pytest.raises(LotorError, match=r"cannot get .*pictures\.zip"):
        pull(recipe, tmp_path / "set")
    assert not (tmp_path / "set").exists()
    _Server.limit = None
    assert pull(recipe, tmp_path / "set").added == 2
    assert _Server.asked[-1] == "/pictures.zip bytes=1000-"


def test_another_file_than_the_known_one(server: tuple[Path, str], tmp_path: Path) -> None:
    recipe = find_public(str(tmp_path / "made-up.toml"))
    (server[0] / "pictures.zip").write_bytes(b"something else")
    with pytest.raises(LotorError, match=r"is not the file that the recipe names"):
        pull(recipe, tmp_path / "set")
    assert not list((tmp_path / "cache").rglob("pictures.zip*"))


def test_a_damaged_archive_is_fetched_again(server: tuple[Path, str], tmp_path: Path) -> None:
    recipe = find_public(str(tmp_path / "made-up.toml"))
    whole = (server[0] / "pictures.zip").read_bytes()
    unknown = [RemoteFile(f.url) for f in recipe.file]
    loose = type(recipe)(**{**vars(recipe), "file": tuple(unknown)})
    (server[0] / "pictures.zip").write_bytes(whole[:-100])
    with pytest.raises(LotorError, match=r"pictures\.zip is damaged .*pull again"):
        pull(loose, tmp_path / "set")
    (server[0] / "pictures.zip").write_bytes(whole)
    assert pull(loose, tmp_path / "set").added == 2


def test_other_bytes_than_were_pulled_before_are_told(
    server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = find_public(str(tmp_path / "made-up.toml"))
    listed = server[0] / "list.json"
    first = pull(recipe, tmp_path / "set")
    hashes = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in server[0].iterdir()}
    assert first.downloads == hashes
    assert f"list.json: SHA-256 {hashes['list.json']}" in str(first)
    kept = (tmp_path / "set/downloads.csv").read_text()
    assert kept == "set,file,sha256\n" + "".join(
        f"made-up,{name},{hashes[name]}\n" for name in ("list.json", "pictures.zip")
    )
    # Elsewhere, a year later.
    listed.write_text(listed.read_text().replace("[1, 2, 30, 40]", "[1, 2, 30, 41]"))
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path / "another"))
    told = rf"list\.json of 'made-up' is not .*{hashes['list.json']}"
    with pytest.raises(LotorError, match=told):
        pull(recipe, tmp_path / "set")
    assert open_store(tmp_path / "set").manifest_hash == first.version
    assert pull(recipe, tmp_path / "other").added == 2
    (tmp_path / "set/downloads.csv").write_text("set,file,sha256\n")
    assert pull(recipe, tmp_path / "set").known == 2
    assert (tmp_path / "set/downloads.csv").read_text() != kept


def test_another_archive_of_the_same_name_is_unpacked(
    server: tuple[Path, str], tmp_path: Path
) -> None:
    recipe = find_public(str(tmp_path / "made-up.toml"))
    loose = type(recipe)(**{**vars(recipe), "file": tuple(RemoteFile(f.url) for f in recipe.file)})
    pull(loose, tmp_path / "set")
    (tmp_path / "cache/data/made-up/pictures.zip").unlink()
    with zipfile.ZipFile(server[0] / "pictures.zip", "w") as archive:
        for name in ("one.jpg", "two.jpg"):
            archive.write(photo(tmp_path / "new" / name, 80, 60), f"pictures/{name}")
    assert pull(loose, tmp_path / "set2").added == 2
    first, second = (
        {photo.id for photo in open_store(tmp_path / name).photos} for name in ("set", "set2")
    )
    assert not first & second


def test_a_cached_file_that_has_changed_is_not_used(
    server: tuple[Path, str], tmp_path: Path
) -> None:
    recipe = find_public(str(tmp_path / "made-up.toml"))
    pull(recipe, tmp_path / "set")
    with (tmp_path / "cache/data/made-up/pictures.zip").open("ab") as archive:
        archive.write(b"more")
    with pytest.raises(LotorError, match="is not the file that the recipe names"):
        pull(recipe, tmp_path / "set")
    assert pull(recipe, tmp_path / "set").known == 2


@pytest.mark.parametrize("name", ["all.zip", "all.tar.gz"])
def test_archives_damaged_inside_are_told(tmp_path: Path, name: str) -> None:
    """Wherever a byte is wrong, the archive is told to be damaged, or it did not matter."""
    whole = tmp_path / name
    content = bytes(range(256)) * 3
    if name.endswith("zip"):
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr("one.bin", content)
    else:
        with tarfile.open(whole, "w:gz") as tarred:
            info = tarfile.TarInfo("one.bin")
            info.size = len(content)
            tarred.addfile(info, io.BytesIO(content))
    raw = whole.read_bytes()
    told = 0
    for place in range(0, len(raw), 5):
        damaged = tmp_path / str(place) / name
        damaged.parent.mkdir()
        damaged.write_bytes(raw[:place] + bytes([raw[place] ^ 0x41]) + raw[place + 1 :])
        try:
            unpack(damaged, damaged.parent)
        except LotorError as error:
            assert f"{name} is damaged" in str(error)
            assert not damaged.exists()
            told += 1
    assert told > len(raw) / 5 / 2


def test_with_no_network_it_says_what_it_would_fetch(
    server: tuple[Path, str], tmp_path: Path
) -> None:
    recipe = find_public(str(tmp_path / "made-up.toml"))
    nowhere = "http://127.0.0.1:9"
    offline = type(recipe)(
        **{**vars(recipe), "file": tuple(RemoteFile(f"{nowhere}/{f.name}") for f in recipe.file)}
    )
    with pytest.raises(LotorError) as caught:
        pull(offline, tmp_path / "set")
    assert f"{nowhere}/list.json, {nowhere}/pictures.zip (licence: CC0)" in str(caught.value)
    assert "--from FOLDER" in str(caught.value)
    assert pull(offline, tmp_path / "set", str(server[0])).added == 2
    assert pull(offline, tmp_path / "set2", server[1]).added == 2


def test_recipes_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match=r"no public data set 'ena'.*ena24"):
        find_public("ena")
    for text in ("about = 1", "[", "file = 3", "[[file]]\nurl = 'x'\nwhat = 2"):
        (tmp_path / "x.toml").write_text(text)
        with pytest.raises(LotorError, match=r"x\.toml is no"):
            find_public(str(tmp_path / "x.toml"))


def test_the_recipes_of_the_package() -> None:
    names = {recipe.name for recipe in public_sets()}
    assert names == {"cct20", "coco-val2017", "ena24", "raccoons"}
    for recipe in public_sets():
        assert recipe.licence
        assert all(file.url.startswith("http") for file in recipe.file)
        # A branch is no version.
        assert not any("refs/heads" in file.url for file in recipe.file)


def test_the_command(lotor: Lotor, server: tuple[Path, str], tmp_path: Path) -> None:
    listed = lotor("data", "pull")
    assert "cct20: camera traps" in listed.stdout
    shown = lotor("data", "pull", "cct20")
    assert "6,493 MB" in shown.stdout
    done = lotor("data", "pull", tmp_path / "made-up.toml", "--into", tmp_path / "set", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["added"] == 2

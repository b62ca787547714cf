"""`lotor data pull`: a public data set by its recipe, downloaded, checked and imported.

A recipe is a TOML file: what it is, under which licence, the files, and how they are imported.
Those of this package are in `public/`; a path names any other.
"""

import contextlib
import errno
import hashlib
import http.client
import struct
import tarfile
import tomllib
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from lotor.data.ingest import Imported, import_photos
from lotor.errors import LotorError
from lotor.files import sync
from lotor.progress import Progress
from lotor.resources import cache_dir
from lotor.suggest import did_you_mean

_PUBLIC = Path(__file__).parent / "public"
_PART = 1 << 20
_TIMEOUT_S = 30
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
# What the libraries raise; the last ones for what a damaged header seems to ask for.
_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, struct.error, ValueError,
    NotImplementedError, RuntimeError,
)  # fmt: skip


@dataclass(frozen=True)
class RemoteFile:
    """A file of a public data set: where, its size and SHA-256 if known, where it is unpacked."""

    url: str
    bytes: int = 0
    sha256: str = ""
    into: str = ""

    @property
    def name(self) -> str:
        """Its name without folders."""
        return PurePosixPath(self.url).name


@dataclass(frozen=True)
class Public:
    """A public data set: see the recipes."""

    name: str
    about: str
    homepage: str
    licence: str
    format: str
    source: str
    file: tuple[RemoteFile, ...]
    images: str = ""
    classes: Mapping[str, str] = field(default_factory=dict)


def public_sets() -> list[Public]:
    """Return the recipes of this package."""
    return [read_public(path) for path in sorted(_PUBLIC.glob("*.toml"))]


def find_public(name: str) -> Public:
    """Return a recipe by its name or the path of its file."""
    if name.endswith(".toml"):
        return read_public(Path(name))
    path = _PUBLIC / f"{name}.toml"
    if not path.is_file():
        known = [recipe.stem for recipe in sorted(_PUBLIC.glob("*.toml"))]
        raise LotorError(
            f"no public data set '{name}'{did_you_mean(name, known)}: {', '.join(known)}, or the "
            "path of a recipe that ends in .toml"
        )
    return read_public(path)


def read_public(path: Path) -> Public:
    """Read a recipe."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise LotorError(f"cannot read recipe {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LotorError(f"{path} is no TOML: {error}") from error
    try:
        files = tuple(RemoteFile(**row) for row in table.pop("file"))
        return Public(name=path.stem, file=files, **table)
    except (KeyError, TypeError, AttributeError) as error:
        raise LotorError(f"{path} is no recipe of a public data set: {error}") from error


def pull(
    recipe: Public,
    into: Path,
    mirror: str | None = None,
    short_side: int | None = None,
    skip_bad: bool = False,
) -> Imported:
    """Download a public data set and import it.

    What is downloaded stays in the cache; a download that was broken off goes on where it ended.

    Args:
        recipe: of the data set.
        into: folder of one's own data set.
        mirror: URL or folder that has the files by their names, instead of the recipe's URLs.
        short_side: see `import_photos`.
        skip_bad: see `import_photos`.

    Raises:
        LotorError: no connection, a file that is not the known one, or no room.
    """
    folder = cache_dir() / "data" / recipe.name
    downloads = {}
    try:
        for file in recipe.file:
            path = _fetch(recipe, file, folder, mirror)
            downloads[file.name] = _checked(path, file)
            unpack(path, folder / file.into)
    except OSError as error:
        raise _no_room(folder, error) from error
    return import_photos(
        folder / recipe.source,
        into,
        recipe.format,
        images=folder / recipe.images if recipe.images else None,
        name=recipe.name,
        classes=recipe.classes,
        licence=recipe.licence,
        short_side=short_side,
        skip_bad=skip_bad,
        downloads=downloads,
    )


def as_text(recipe: Public) -> str:
    """Return what a recipe would fetch."""
    lines = [f"{recipe.name}: {recipe.about}", f"  {recipe.homepage}; licence: {recipe.licence}"]
    for file in recipe.file:
        size = f"  {file.bytes / 1e6:,.0f} MB" if file.bytes else ""
        lines.append(f"  {file.url}{size}")
    return "\n".join(lines)


def _fetch(recipe: Public, file: RemoteFile, folder: Path, mirror: str | None) -> Path:
    """Return the downloaded file, which is whole."""
    path = folder / file.name
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    url = f"{mirror.rstrip('/')}/{file.name}" if mirror else file.url
    try:
        if mirror and "://" not in mirror:
            source = Path(mirror) / file.name
            with source.open("rb") as content:
                _keep(content, part, False, file, source.stat().st_size)
        else:
            _download(url, part, file)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise LotorError(
            f"cannot get {url} ({reason}); pulling '{recipe.name}' fetches "
            f"{', '.join(f.url for f in recipe.file)} (licence: {recipe.licence}): connect, or put "
            "these files into a folder and say --from FOLDER"
        ) from error
    _mark(path).unlink(missing_ok=True)  # of another file of that name
    sync(part)
    part.replace(path)
    return path


def _checked(path: Path, file: RemoteFile) -> str:
    """Return the SHA-256 of a file; it is the one that is known, where one is."""
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if file.sha256 and digest != file.sha256:
        path.unlink()
        raise LotorError(
            f"{file.url} is not the file that the recipe names: its SHA-256 is {digest}"
        )
    return digest


def _download(url: str, part: Path, file: RemoteFile) -> None:
    """Download to `part`, going on where it ended where the server can."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # there is no more: it was whole
            return
        raise
    with answer:
        goes_on = answer.status == 206
        length = int(answer.headers.get("Content-Length") or 0)
        got = _keep(answer, part, goes_on, file, (have if goes_on else 0) + length)
        if length and got < length:
            raise http.client.IncompleteRead(b"", length - got)


def _keep(content: Any, part: Path, goes_on: bool, file: RemoteFile, total: int) -> int:
    """Write what can be read to `part`; return its bytes. Errors of the disk are a LotorError."""
    got = 0
    with (
        _writing(part, "ab" if goes_on else "wb") as write,
        Progress(f"downloading {file.name}", -(-total // _PART), "MB") as progress,
    ):
        while piece := content.read(_PART):
            write(piece)
            got += len(piece)
            progress.advance()
    return got


@contextlib.contextmanager
def _writing(path: Path, mode: str) -> Iterator[Callable[[bytes], None]]:
    """Open a file and yield what writes to it, so that a full disk is no matter of the network."""

    def write(piece: bytes) -> None:
        left = memoryview(piece)
        try:
            while left:
                left = left[opened.write(left) :]
        except OSError as error:
            raise _no_room(path, error) from error

    try:
        opened: Any = path.open(mode, buffering=0)
    except OSError as error:
        raise _no_room(path, error) from error
    with opened:
        yield write


def _no_room(path: Path, error: OSError) -> LotorError:
    return LotorError(
        f"cannot write to {path}: {error.strerror or error}; make room there, or keep downloads "
        "elsewhere with $LOTOR_CACHE"
    )


def _mark(path: Path) -> Path:
    """Return the file that says that an archive is unpacked."""
    return path.with_name(f"{path.name}.unpacked")


def unpack(path: Path, folder: Path) -> None:
    """Unpack an archive beside its like; nothing leaves the folder, and nothing is half there.

    Raises:
        LotorError: it is damaged; it is removed.
        OSError: there is no room.
    """
    if not path.name.endswith(_ARCHIVES):
        return
    if _mark(path).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as zipped:
                zipped.extractall(folder)  # drops "..", roots and drives by itself
        else:
            with tarfile.open(path) as tarred:
                tarred.extractall(folder, filter="data")
                while tarred.fileobj and tarred.fileobj.read(_PART):
                    pass  # gzip's checksum comes last
    except (*_DAMAGED, OSError) as error:
        # Not of the disk: a place before the file's start, and gzip's own.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        path.unlink()
        raise LotorError(
            f"{path.name} is damaged ({error}); pull again to fetch it anew"
        ) from error
    _mark(path).touch()

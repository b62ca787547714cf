"""What a benchmark measures on: `benchmark.toml` in a model's folder, frozen by content hash."""

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lotor.data.manifest import SPLITS, DataSet, Photo, data_folder, read_manifest
from lotor.errors import LotorError
from lotor.progress import Progress
from lotor.resources import resource
from lotor.suggest import did_you_mean
from lotor.train.recipe import build
from lotor.zoo import ModelFile

FILE = "benchmark.toml"
PREVIOUS = "previous"
BASELINES = ("always-background", "colour-histogram", PREVIOUS)
_KEY_DIGITS = 16


@dataclass(frozen=True)
class Small:
    """Which animals are small: their largest box takes less than `area` (0..1) of the frame."""

    area: float = 0.1


@dataclass(frozen=True)
class Hard:
    """Which photographs without the target look like it.

    Those of the `classes`, and those whose note (of the garden data also the path in its source)
    holds one of the `words`: see `lotor.benchmark.subsets.says`.
    """

    classes: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Benchmark:
    """A frozen benchmark.

    Attributes:
        target: the label of the recipe that is looked for.
        data: folder of photographs, relative to the checkout; --data replaces it.
        manifest_sha256: of the data set's manifest, hex.
        photos_sha256: of the split's photographs (see `photos_hash`), hex.
        split: train, val or test.
        baselines: what the model must beat, some of `BASELINES`.
        watched: figures that must not become worse than the previous version's, in any subset.
        rounds: bootstrap samples of every interval.
        small: of the subset `small`.
        hard: of the subset `hard`.
    """

    target: str
    data: str
    manifest_sha256: str
    photos_sha256: str
    split: str = "test"
    baselines: list[str] = field(default_factory=lambda: list(BASELINES))
    watched: list[str] = field(
        default_factory=lambda: ["average_precision", "recall_1", "recall_5"]
    )
    rounds: int = 1000
    small: Small = field(default_factory=Small)
    hard: Hard = field(default_factory=Hard)


@dataclass(frozen=True)
class Opened:
    """A benchmark with the data that it is run on.

    Attributes:
        benchmark: what `benchmark.toml` says.
        path: of that file; the results of all versions lie beside it.
        data: the whole data set.
        split: the split measured on.
        photos: its photographs.
        keys: of each photograph, the first 16 digits of its content's SHA-256.
        photos_sha256: of all of them.
        frozen: whether this is what the benchmark is frozen on.
    """

    benchmark: Benchmark
    path: Path
    data: DataSet
    split: str
    photos: list[Photo]
    keys: list[str]
    photos_sha256: str
    frozen: bool


def find_file(model: ModelFile) -> Path:
    """Return `benchmark.toml` beside a model, else that of the shipped model its recipe names."""
    beside = model.path.with_name(FILE)
    name = str(model.recipe.get("name", model.name))
    shipped = resource("models", name, FILE)
    for path in (beside, shipped):
        if path.is_file():
            return path
    raise LotorError(
        f"no {FILE} beside {model.path}, and none of a shipped model '{name}': it says what data, "
        "split and target the benchmark is frozen on; docs/training.md shows one"
    )


def read_benchmark(path: Path) -> Benchmark:
    """Read and check `benchmark.toml`; an unknown key is an error that names the closest one."""
    from lotor.benchmark.metrics import METRICS

    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise LotorError(f"cannot read {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise LotorError(f"{path} is no TOML: {error}") from error
    found = build(Benchmark, table, path.name)
    for key, values, known in (
        ("split", [found.split], SPLITS),
        ("baselines", found.baselines, BASELINES),
        ("watched", found.watched, tuple(METRICS)),
    ):
        for value in values:
            if value not in known:
                raise LotorError(
                    f"{path.name}: {key} '{value}'{did_you_mean(value, known)} is none of "
                    f"{', '.join(known)}"
                )
    if not 0 < found.small.area <= 1:
        raise LotorError(f"{path.name}: small.area is {found.small.area}; it is a share, 0 to 1")
    if found.rounds < 20:
        raise LotorError(f"{path.name}: rounds is {found.rounds}; an interval takes at least 20")
    return found


def open_data(path: Path, data: Path | None, split: str | None, unfrozen: bool) -> Opened:
    """Read a benchmark's data and see that it is what the benchmark is frozen on.

    Args:
        path: of `benchmark.toml`.
        data: another folder of photographs than the benchmark's.
        split: another split.
        unfrozen: allow other data and splits; `Opened.frozen` tells.

    Raises:
        LotorError: the data or the split is another one, and `unfrozen` is False.
    """
    benchmark = read_benchmark(path)
    folder = data_folder(data, benchmark.data)
    found = read_manifest(folder)
    used = split or benchmark.split
    photos = found.split(used)
    mistake = _other(benchmark, found, used)
    if mistake and not unfrozen:
        raise LotorError(mistake)
    if not photos:
        raise LotorError(f"{folder} has no photograph in split {used}")
    hashes = hash_photos(photos)
    whole = photos_hash(folder, photos, hashes)
    if not mistake and whole != benchmark.photos_sha256:
        mistake = _changed(path, f"the photographs of split {used}", whole, benchmark.photos_sha256)
        if not unfrozen:
            raise LotorError(mistake)
    keys = [content[:_KEY_DIGITS] for content in hashes]
    return Opened(benchmark, path, found, used, photos, keys, whole, not mistake)


def _other(benchmark: Benchmark, data: DataSet, split: str) -> str:
    """Say in what the data is not what a benchmark is frozen on; empty where it is."""
    if data.manifest_hash != benchmark.manifest_sha256:
        manifest = data.folder / "manifest.csv"
        return _changed(manifest, "it", data.manifest_hash, benchmark.manifest_sha256)
    if split != benchmark.split:
        return (
            f"the benchmark is frozen on split {benchmark.split}, not {split}; --unfrozen "
            "measures there all the same, and marks the result"
        )
    return ""


def _changed(path: Path, what: str, found: str, frozen: str) -> str:
    return (
        f"{path}: {what} has the SHA-256 {found}, and the benchmark is frozen on {frozen}; "
        "--unfrozen measures all the same, and marks the result"
    )


def photos_hash(folder: Path, photos: Sequence[Photo], hashes: Sequence[str]) -> str:
    """Return the SHA-256 of photographs: of a line "HASH  FILE" for each, in order of the files.

    It is what `sha256sum FILE... | sha256sum` gives in the data set's folder.
    """
    lines = {
        photo.path.relative_to(folder).as_posix(): content
        for photo, content in zip(photos, hashes, strict=True)
    }
    text = "".join(f"{lines[name]}  {name}\n" for name in sorted(lines))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def hash_photos(photos: Sequence[Photo]) -> list[str]:
    """Return the SHA-256 of every photograph's file, hex."""
    hashes = []
    with Progress("reading", len(photos), "photographs") as progress:
        for photo in photos:
            try:
                hashes.append(hashlib.sha256(photo.path.read_bytes()).hexdigest())
            except OSError as error:
                raise LotorError(f"cannot read image {photo.path}: {error.strerror}") from error
            progress.advance()
    return hashes

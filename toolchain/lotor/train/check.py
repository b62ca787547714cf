"""What a training needs of its photographs and of its folder, found out before it starts."""

import hashlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lotor.data.manifest import SPLITS, UNLABELLED, DataSet, Photo
from lotor.errors import LotorError
from lotor.preprocess import Image, read_image
from lotor.progress import Progress
from lotor.train.quiet import quiet
from lotor.train.recipe import Recipe

_NAMED = 3  # bad photographs; the rest is counted


def check_folder(out: Path) -> None:
    """Make the folder of what a training writes, and see that it can be written to.

    Raises:
        LotorError: it cannot.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except FileExistsError as error:
        raise LotorError(f"{out} is a file; give a folder with --out") from error
    except OSError as error:
        raise LotorError(
            f"cannot write to {out}: {error.strerror}; give another folder with --out"
        ) from error


def check_data(data: DataSet, recipe: Recipe) -> tuple[DataSet, str]:
    """Return the photographs that a training can use, and the SHA-256 of their files' contents.

    What can be lived with is told as a warning: photographs without a class are left out; a split
    may lack a label; two splits may share a photograph.

    Raises:
        LotorError: a photograph is damaged or not what the manifest says, a split is empty, or
            there is nothing to learn. All bad photographs are in one error.
    """
    data = _labelled(data)
    _check_splits(data, recipe)
    used = [photo for photo in data.photos if photo.split]
    bad: list[str] = []
    every = hashlib.sha256()
    first: dict[bytes, Photo] = {}
    shared: list[str] = []
    with Progress("checking photographs", len(used), "files") as progress:
        for photo in used:
            try:
                digest = _check_photo(photo)
            except LotorError as error:
                bad.append(str(error))
            else:
                every.update(digest)
                other = first.setdefault(digest, photo)
                if other.split != photo.split:
                    shared.append(_two_splits(data, other, photo))
            progress.advance()
    if bad:
        raise LotorError(
            f"{len(bad)} of {len(used)} photographs cannot be used: {_some(bad, '; ')}; mend "
            "them, or take them out of the manifest"
        )
    if shared:
        _warn(
            f"{len(shared)} photographs are in two splits ({_some(shared)}): figures are better "
            f"than the model; `lotor data dedupe {data.folder}`"
        )
    return data, every.hexdigest()


def _labelled(data: DataSet) -> DataSet:
    nameless = [photo for photo in data.photos if photo.split and photo.kind == UNLABELLED]
    if not nameless:
        return data
    names = [_name(data, photo) for photo in nameless]
    _warn(
        f"{len(names)} photographs have no class yet and are left out ({_some(names)}); "
        f"`lotor data label {data.folder}`"
    )
    return replace(data, photos=tuple(p for p in data.photos if p.kind != UNLABELLED))


def _check_splits(data: DataSet, recipe: Recipe) -> None:
    counts = {
        split: [
            sum(recipe.label_of(photo.kind) == index for photo in photos)
            for index in range(len(recipe.labels))
        ]
        for split, photos in ((name, data.split(name)) for name in SPLITS)
    }
    for split, needed in (("train", "learn from"), ("val", "choose thresholds by")):
        if not any(counts[split]):
            raise LotorError(
                f"{data.folder} has no photograph with a class in split {split}, to {needed}; "
                f"`lotor data split {data.folder}`"
            )
    drawn = [label for label in recipe.labels if recipe.data.share[label] > 0]
    found = dict(zip(recipe.labels, counts["train"], strict=True))
    if lacking := [label for label in drawn if not found[label]]:
        raise LotorError(
            f"no photograph to train on is labelled {', '.join(lacking)}: add some, or set "
            "the share to 0 in the recipe's [data.share]"
        )
    if len(drawn) < 2:
        raise LotorError(
            f"all photographs to train on would be {', '.join(drawn) or 'nothing'}: a classifier "
            "needs two labels with a share above 0 in the recipe's [data.share]"
        )
    for split in ("val", "test"):
        if not any(counts[split]):
            _warn(f"split {split} is empty: no figure will be of photographs that decided nothing")
        elif lacking := [
            label
            for label, count in zip(recipe.labels, counts[split], strict=True)
            if not count and label in drawn
        ]:
            _warn(f"split {split} has no {', '.join(lacking)}: its figures tell nothing of that")
    kinds = {photo.kind for photo in data.photos}
    if unknown := sorted(set(recipe.data.classes) - kinds):
        _warn(f"no photograph has the class {', '.join(unknown)} that the recipe names")


def _check_photo(photo: Photo) -> bytes:
    """Return the SHA-256 of a photograph's file."""
    try:
        content = photo.path.read_bytes()
    except OSError as error:
        raise LotorError(f"cannot read image {photo.path}: {error.strerror}") from error
    digest = hashlib.sha256(content)
    if photo.sha256 and photo.sha256 != digest.hexdigest():
        raise LotorError(f"{photo.path} has changed: its SHA-256 is not the manifest's")
    with quiet():  # decoders have much to say about damaged files
        image = read_image(photo.path)
    _check_size(photo, image)
    return digest.digest()


def _check_size(photo: Photo, image: Image) -> None:
    height, width = image.shape[:2]
    if (photo.width or width, photo.height or height) != (width, height):
        raise LotorError(
            f"{photo.path} has {width}x{height} pixels, the manifest says "
            f"{photo.width}x{photo.height}"
        )
    for x0, y0, x1, y1, _ in photo.boxes:
        if x0 >= width or y0 >= height:
            raise LotorError(
                f"{photo.path}: box {x0},{y0},{x1},{y1} is outside the image of {width}x{height}"
            )


def _two_splits(data: DataSet, a: Photo, b: Photo) -> str:
    return f"{_name(data, a)} in {a.split} and {_name(data, b)} in {b.split}"


def _name(data: DataSet, photo: Photo) -> str:
    return photo.path.relative_to(data.folder).as_posix()


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return between.join([*names[:_NAMED], *more])


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)

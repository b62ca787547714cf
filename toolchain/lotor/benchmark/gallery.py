"""The worst mistakes of a model as a page and a sheet of photographs, for one's own eyes.

Who may show the photographs of a data set is seldom clear: both go to a folder that git ignores.
"""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lotor.benchmark.run import MAIN, Run, Variant
from lotor.contact_sheet import Tile, draw
from lotor.errors import LotorError
from lotor.files import write_files
from lotor.preprocess import Image, read_image

FILE, SHEET = "gallery.html", "worst.png"
SHOWN = 24
"""Photographs of each kind of mistake on the page; the sheet has the first nine."""

_ON_SHEET = 9
_PIXELS = 240  # long side on the page
_STYLE = """body{font:15px sans-serif;margin:2em;background:#f0f3f5;color:#222}
main{display:flex;flex-wrap:wrap;gap:1em}
figure{margin:0;background:#fff;padding:8px;width:240px}
img{width:240px;height:180px;object-fit:contain;background:#e4e7eb}
figcaption{font-size:13px;overflow-wrap:anywhere}b.wrong{color:#c8102e}"""


def folder(model: str) -> Path:
    """Return where a model's gallery goes when nothing else is said."""
    return Path("out") / "benchmark" / model


def check(where: Path) -> None:
    """See that a gallery can go to a folder, before the long work.

    Raises:
        LotorError: it is no folder, or holds other files: git will ignore all that is in it.
    """
    try:
        others = {path.name for path in where.iterdir()} - {FILE, SHEET, ".gitignore"}
    except FileNotFoundError:
        return
    except OSError as error:
        raise LotorError(
            f"cannot write to {where}: {error.strerror}; give another folder with --gallery"
        ) from error
    if others:
        raise LotorError(
            f"{where} holds other files ({min(others)}), and git ignores all that is beside a "
            "gallery; give a folder of its own with --gallery"
        )


@dataclass(frozen=True)
class Mistake:
    """A photograph that the model took for the wrong thing, or nearly.

    Attributes:
        path: the photograph.
        score: of the target.
        scores: of all labels.
        truth: its class in the data set.
        said: the label with the highest score.
        wrong: whether that is about the target, and false.
        parts: subsets that it is in.
    """

    path: Path
    score: float
    scores: dict[str, float]
    truth: str
    said: str
    wrong: bool
    parts: list[str]


def worst(run: Run, variant: Variant, positive: bool, count: int = SHOWN) -> list[Mistake]:
    """Return the targets with the lowest scores, or the others with the highest."""
    column = variant.scored.scores[:, run.target]
    rows = np.flatnonzero((variant.scored.truth == run.target) == positive)
    order = rows[np.argsort(column[rows] if positive else -column[rows], kind="stable")]
    found = []
    for index in order[:count]:
        row, scores = int(variant.rows[index]), variant.scored.scores[index]
        photo, best = run.opened.photos[row], int(scores.argmax())
        found.append(
            Mistake(
                photo.path,
                float(column[index]),
                dict(zip(run.labels, map(float, scores), strict=True)),
                photo.kind,
                run.labels[best],
                (best == run.target) != positive,
                [part.name for part in run.subsets if part.member[row] and part.name != "all"],
            )
        )
    return found


def write(run: Run, where: Path) -> list[Path]:
    """Write the page and the sheet; return their files.

    Raises:
        LotorError: they cannot be written.
    """
    name = f"{MAIN}-views" if f"{MAIN}-views" in run.variants else MAIN
    variant, target = run.variants[name], run.labels[run.target]
    kinds = {
        f"{target} with the lowest scores": worst(run, variant, True),
        f"Not {target}, with the highest scores": worst(run, variant, False),
    }
    title = f"{run.model.name} {run.model_sha256[:12]}, {variant.where}: worst mistakes"
    tiles = [_tile(one) for mistakes in kinds.values() for one in mistakes[:_ON_SHEET]]
    sheet = draw(tiles, title, f"split {run.opened.split} of {run.opened.data.folder}", target)
    files = {
        where / FILE: _page(title, kinds, run.opened.data.folder).encode("utf-8"),
        where / SHEET: bytes(cv2.imencode(".png", sheet)[1]),
        where / ".gitignore": b"*\n",
    }
    try:
        write_files(files)
    except OSError as error:
        raise LotorError(
            f"cannot write to {where}: {error.strerror}; give another folder with --gallery"
        ) from error
    return [where / FILE, where / SHEET]


def forget(root: Path, names: Sequence[str]) -> list[Path]:
    """Remove the galleries that show photographs, of all models; return their pages.

    Args:
        root: where galleries go to `folder`.
        names: what the photographs' files are called, without suffix.

    Raises:
        LotorError: one cannot be read or removed.
    """
    removed = []
    for page in sorted((root / folder("*").parent).glob(f"*/{FILE}")):
        try:
            text = page.read_text("utf-8", "replace")
            if any(name in text for name in names):
                page.with_name(SHEET).unlink(missing_ok=True)
                page.unlink()  # last, for it says what the sheet shows
                removed.append(page)
        except OSError as error:
            raise LotorError(
                f"cannot remove {page}: {error.strerror}; mend that, and do it again"
            ) from error
    return removed


def _tile(one: Mistake) -> Tile:
    note = f"{one.truth}: {one.path.name}"
    return Tile(read_image(one.path), one.said, one.scores, note, not one.wrong)


def _page(title: str, kinds: dict[str, list[Mistake]], data: Path) -> str:
    parts = [f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>"]
    parts.append(f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1>")
    for heading, mistakes in kinds.items():
        parts.append(f"<h2>{html.escape(heading)}</h2>")
        parts.append(f"<main>{''.join(_figure(one, data) for one in mistakes)}</main>")
    return "\n".join(parts) + "\n"


def _figure(one: Mistake, data: Path) -> str:
    said = f'<b class="{"wrong" if one.wrong else "right"}">{html.escape(one.said)}</b>'
    where = html.escape(one.path.relative_to(data).as_posix())
    tags = html.escape(", ".join(one.parts))
    return (
        f'<figure><img src="data:image/jpeg;base64,{_jpeg(read_image(one.path))}" alt="">'
        f"<figcaption>{one.score:.3f}: {html.escape(one.truth)}, called {said}<br>{where}<br>"
        f"{tags}</figcaption></figure>"
    )


def _jpeg(image: Image) -> str:
    scale = min(1.0, _PIXELS / max(image.shape[:2]))
    if scale < 1:
        size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return base64.b64encode(bytes(cv2.imencode(".jpg", image)[1])).decode("ascii")

"""Where something is: peaks of a heat map, or a detector's boxes, in pixels of the photograph."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lotor import geometry
from lotor.boxes import Found, boxes_of
from lotor.classifier import Classifier, open_classifier
from lotor.decision import read_chosen
from lotor.errors import LotorError
from lotor.files import write_files
from lotor.preprocess import Image, ImageInput, read_image
from lotor.progress import Progress
from lotor.zoo import ModelFile

Heat = npt.NDArray[np.float64]
"""Probabilities of one label, [rows, columns]."""

_HALF = 0.5  # a region goes down to so much of its peak
_THRESHOLD = 0.5  # where training has chosen none
_ALARMS = "5%"  # of the photographs without the target: from which threshold on a peak counts


TASKS = ("locate", "detect")
"""What a recipe's `task` says of a model that tells where something is."""


def heat_maps(classifier: Classifier, image: Image) -> npt.NDArray[np.float64]:
    """Return the probability of each label in each cell of a BGR image: [rows, columns, labels]."""
    output = classifier.infer(classifier.input.tensor(image))
    if output.ndim != 4:
        raise LotorError(
            f'the recipe says task = "locate", but the output {list(output.shape)} is no heat map '
            "[1, rows, columns, labels]"
        )
    cells = output.reshape(-1, output.shape[3])
    return np.stack([classifier.probabilities(cell) for cell in cells]).reshape(output.shape[1:])


def peak_of(heat: Heat) -> tuple[int, int]:
    """Return the row and column of the highest cell; of equal ones, that among the highest others.

    The probabilities of integers are coarse: in the middle of a large animal many are equal.
    """
    near, far = (cv2.blur(heat, (n, n), borderType=cv2.BORDER_CONSTANT) for n in (3, 5))
    best = np.argmax(np.where(heat == heat.max(), near + far, -np.inf))
    return int(best) // heat.shape[1], int(best) % heat.shape[1]


def regions(heat: Heat, threshold: float) -> list[npt.NDArray[np.bool_]]:
    """Return the regions of a heat map that have a peak of at least `threshold`, highest first.

    A region is what hangs together, corners included, around a peak with at least half of its
    height; cells that a higher peak has taken are no peak (non-maximum suppression).
    """
    left, found = heat.copy(), []
    while left.max() >= threshold:
        row, column = peak_of(left)
        high = (left >= max(_HALF * left[row, column], 1e-9)).astype(np.uint8)
        names = cv2.connectedComponents(high, connectivity=8)[1]
        region = names == names[row, column]
        found.append(np.asarray(region, np.bool_))
        # Its slopes belong to it as well.
        left[cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = -1
    return found


def find(
    heat: npt.NDArray[np.float64],
    labels: Sequence[str],
    background: str,
    threshold: float,
    frame: tuple[int, int],
    shape: ImageInput,
    core: float = 1.0,
) -> list[Found]:
    """Return what a heat map shows, best first.

    Args:
        heat: [rows, columns, labels].
        labels: their names.
        background: the label that stands for nothing.
        threshold: least score of a peak.
        frame: height and width of the photograph.
        shape: how photographs enter the model.
        core: share of an animal's height and width that training had marked; boxes are that much
            larger than regions.
    """
    rows, columns = heat.shape[:2]
    back = np.linalg.inv(geometry.of_view((0, 0, *frame[::-1]), shape.height, shape.width,
                                          shape.aspect))  # fmt: skip
    cell = np.array([shape.width / columns, shape.height / rows])
    found = []
    for index, label in enumerate(labels):
        if label == background:
            continue
        for region in regions(heat[:, :, index], threshold):
            y, x = np.nonzero(region)
            low = np.array([x.min(), y.min()]) * cell
            high = np.array([x.max() + 1, y.max() + 1]) * cell
            middle, half = (low + high) / 2, (high - low) / 2 / core
            corners = back[:2, :2] @ np.stack([middle - half, middle + half], 1) + back[:2, 2:]
            x0, x1 = np.clip(np.rint(corners[0]), 0, frame[1]).astype(int)
            y0, y1 = np.clip(np.rint(corners[1]), 0, frame[0]).astype(int)
            score = float(heat[:, :, index][region].max())
            found.append(Found(label, score, (int(x0), int(y0), int(x1), int(y1))))
    return sorted(found, key=lambda one: -one.score)


def ask(
    model: ModelFile,
    paths: Sequence[Path],
    views: bool = False,
    board: str | None = None,
    draw: Path | None = None,
) -> list[dict[str, Any]]:
    """Ask a model where something is, on this machine or on a board; see `locate`."""
    if views:
        raise LotorError(f"{model.name} locates, on the whole frame: leave out --views")
    if draw:
        _check_drawings(paths, draw)
    threshold = read_chosen(model).thresholds.get(_ALARMS)
    with open_classifier(model, board) as classifier:
        return locate(classifier, model.recipe, paths, threshold, draw)


def locate(
    classifier: Classifier,
    recipe: dict[str, Any],
    paths: Sequence[Path],
    threshold: float | None = None,
    draw: Path | None = None,
) -> list[dict[str, Any]]:
    """Say where something is on images.

    Args:
        classifier: with a heat map, or a detector.
        recipe: of the model.
        paths: image files.
        threshold: least score of what is told; 0.5 when None.
        draw: a folder for copies of the images with boxes drawn.

    Returns:
        One entry an image: `path`, `label` and `score` (of what is seen best, else background's),
        `scores` (the highest of each label; the lowest of background's), `box` (of the best, x0,
        y0, x1, y1 in pixels; None where nothing is), `found` (label, score and box each).
    """
    background = background_of(recipe)
    look = _look_for_boxes if recipe.get("task") == "detect" else _look_at_heat
    see = look(classifier, recipe, _THRESHOLD if threshold is None else threshold)
    images = []
    with Progress("detect", len(paths), "images") as progress:
        for path in paths:
            image = read_image(path)
            found, scores = see(image)
            images.append(_entry(path, scores, background, found))
            if draw:
                _draw(image, found, draw / f"{path.stem}.png")
            progress.advance()
    return images


def background_of(recipe: Mapping[str, Any]) -> str:
    """Return the label that stands for nothing."""
    return str(recipe.get(str(recipe.get("task")), {}).get("background", "background"))


See = Callable[[Image], tuple[list[Found], dict[str, float]]]
"""BGR image -> what is on it, best first, and the score of each label."""


def _look_at_heat(classifier: Classifier, recipe: Mapping[str, Any], threshold: float) -> See:
    background, shape = background_of(recipe), classifier.input
    core = float(recipe.get("locate", {}).get("core", 1.0))

    def see(image: Image) -> tuple[list[Found], dict[str, float]]:
        heat, labels = heat_maps(classifier, image), classifier.labels
        found = find(heat, labels, background, threshold, image.shape[:2], shape, core)
        lowest, highest = (end(axis=(0, 1)) for end in (heat.min, heat.max))
        return found, {
            label: float(lowest[i] if label == background else highest[i])
            for i, label in enumerate(labels)
        }

    return see


def _look_for_boxes(classifier: Classifier, recipe: Mapping[str, Any], threshold: float) -> See:
    background, find_boxes = background_of(recipe), boxes_of(classifier, recipe)

    def see(image: Image) -> tuple[list[Found], dict[str, float]]:
        found = find_boxes(image)
        scores = {
            label: max((f.score for f in found if f.label == label), default=0.0)
            for label in classifier.labels
        }
        if background in scores:
            scores[background] = 1.0 - max(scores.values())
        return [f for f in found if f.score >= threshold], scores

    return see


def _check_drawings(paths: Sequence[Path], folder: Path) -> None:
    """Refuse to draw over a photograph, or two photographs into one file."""
    photographs = {path.resolve() for path in paths}
    drawings: dict[Path, Path] = {}
    for path in paths:
        drawing = (folder / f"{path.stem}.png").resolve()
        if drawing in photographs:
            raise LotorError(f"--draw {folder} would draw over {drawing}; name another folder")
        if drawings.setdefault(drawing, path) != path:
            raise LotorError(
                f"--draw {folder} would draw both {drawings[drawing]} and {path} into "
                f"{drawing.name}; ask for them one by one"
            )


def _entry(
    path: Path, scores: Mapping[str, float], background: str, found: Sequence[Found]
) -> dict[str, Any]:
    scores = {label: round(score, 6) for label, score in scores.items()}
    best = found[0] if found else None
    label = best.label if best else background
    return {
        "path": str(path),
        "label": label,
        "score": round(best.score, 6) if best else scores.get(background, 0.0),
        "scores": scores,
        "box": list(best.box) if best else None,
        "found": [
            {"label": f.label, "score": round(f.score, 6), "box": list(f.box)} for f in found
        ],
    }


def _draw(image: Image, found: Sequence[Found], path: Path) -> None:
    drawn = image.copy()
    for one in found:
        x0, y0, x1, y1 = one.box
        cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), (40, 220, 255), 2)
        text = f"{one.label} {one.score:.0%}"
        place = (x0 + 3, min(image.shape[0] - 4, y0 + 14))
        cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 220, 255), 1, 16)
    try:
        write_files({path: cv2.imencode(".png", drawn)[1].tobytes()})
    except OSError as error:
        raise LotorError(f"cannot write {path}: {error.strerror}; name another folder") from error


def as_text(images: Sequence[dict[str, Any]]) -> str:
    """Return a line an image: label, score, box, path."""
    return "\n".join(
        "{:<14} {:5.1%}   {:<20} {}".format(
            image["label"], image["score"], ",".join(map(str, image["box"] or ["-"])), image["path"]
        )
        for image in images
    )

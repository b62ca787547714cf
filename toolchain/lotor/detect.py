"""What is on a photograph: one score a label, on the full frame or on crops of it too."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lotor.classifier import Classifier, classify
from lotor.decision import NOTHING, Chosen
from lotor.errors import LotorError
from lotor.preprocess import IMAGE_SUFFIXES, Image, read_image
from lotor.progress import Progress
from lotor.suggest import did_you_mean

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of the photograph, the end excluded."""


def find_images(paths: Iterable[Path]) -> list[Path]:
    """Return the image files among `paths`; a folder stands for all images below it, sorted."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            beside = path.parent if path.parent.is_dir() else Path()
            hint = did_you_mean(path.name, (p.name for p in beside.iterdir()))
            raise LotorError(f"no image {path}{hint}")
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
            if not inside:
                raise LotorError(f"no image in {path}: none of {', '.join(IMAGE_SUFFIXES)}")
            found += inside
        else:
            found.append(path)
    return found


def views(height: int, width: int) -> list[Box]:
    """Return the parts of a frame that are scored: all of it, then nine crops.

    Five have half of its height and width, four 0.7 of them: what is small fills more of some. They
    lie in the corners, and the fifth half in the centre, so that a second one sees nearly all that
    one sees.
    """
    boxes = [(0, 0, width, height)]
    for tenths in (5, 7):
        h, w = max(1, height * tenths // 10), max(1, width * tenths // 10)
        down, across = height - h, width - w
        places = [(x, y) for y in (0, down) for x in (0, across)]
        if tenths == 5:
            places.append((across // 2, down // 2))
        boxes += [(x, y, x + w, y + h) for x, y in places]
    return boxes


def combine(scores: npt.NDArray[np.float64], target: int) -> tuple[npt.NDArray[np.float64], int]:
    """Join the scores of several views into one: the target's two best views count.

    The target's score is the mean of its two highest, so that no alarm comes of one crop that
    deceives; the other labels keep the full frame's proportions in what is left, so that the scores
    still sum to what the full frame's did.

    Args:
        scores: [views, labels], the full frame first.
        target: index of the label that is looked for.

    Returns:
        scores [labels], and the index of the target's best view.
    """
    best = int(scores[:, target].argmax())
    whole, found = scores[0], float(np.sort(scores[:, target])[-2:].mean())
    rest = whole.sum() - whole[target]
    left = max(0.0, float(whole.sum()) - found)
    joined = whole * (left / rest) if rest > 0 else np.zeros_like(whole)
    joined[target] = found
    return joined, best


def target_index(classifier: Classifier, recipe: dict[str, Any]) -> int:
    """Return the index of the label that a model's recipe is about."""
    target = recipe.get("target")
    if target not in classifier.labels:
        raise LotorError(
            'views need a label to look for: state target = "LABEL" in the model\'s recipe.toml'
        )
    return classifier.labels.index(target)


def score_image(
    classifier: Classifier,
    image: Image,
    target: int | None = None,
    whole: npt.NDArray[Any] | None = None,
) -> tuple[npt.NDArray[np.float64], Box]:
    """Score one BGR image; with a target, on all views.

    Args:
        classifier: the model.
        image: BGR.
        target: index of the label that views are for.
        whole: the model's raw output for the whole image, where it is there already.

    Returns:
        scores [labels], and the part of the image that decided.
    """
    boxes = views(*image.shape[:2])
    first = classify(classifier, image) if whole is None else classifier.probabilities(whole)
    if target is None:
        return first, boxes[0]
    parts = [first, *(classify(classifier, image[y0:y1, x0:x1]) for x0, y0, x1, y1 in boxes[1:])]
    scores, best = combine(np.stack(parts), target)
    return scores, boxes[best]


UNKNOWN = "unknown"
"""What is said in place of a label of an image that is unlike all that the model knows."""


def detect(
    classifier: Classifier,
    paths: Sequence[Path],
    target: int | None = None,
    chosen: Chosen = NOTHING,
    alarm_for: int | None = None,
) -> list[dict[str, Any]]:
    """Say what is on images.

    Args:
        classifier: the model.
        paths: of the images.
        target: index of a label: score views too, and take the two where it is likeliest.
        chosen: what training chose for the model.
        alarm_for: index of the label that an alarm is about.

    Returns:
        One entry an image: `path`, `label`, `score`, `scores`; `view` with a target; `alarm` where
        a threshold was chosen by cost; `ood` (1 for what is known, more for what is not) where the
        model tells it, and beyond its threshold "unknown" as `label`, which is never an alarm.
    """
    images = []
    with Progress("detect", len(paths), "images") as progress:
        for path in paths:
            image = read_image(path)
            whole = classifier.infer(classifier.input.tensor(image))
            scores, view = score_image(classifier, image, target, whole)
            entry = {"path": str(path), **said(classifier, scores, whole, chosen)}
            if target is not None:
                entry["view"] = list(view)
            if alarm_for is not None and chosen.alarm is not None:
                known = entry["label"] != UNKNOWN
                entry["alarm"] = bool(known and scores[alarm_for] >= chosen.alarm)
            images.append(entry)
            progress.advance()
    return images


def said(
    classifier: Classifier,
    scores: npt.NDArray[np.float64],
    whole: npt.NDArray[Any],
    chosen: Chosen = NOTHING,
) -> dict[str, Any]:
    """Return what is said of an image: `label`, `score`, `scores`, and `ood` where it is told.

    Args:
        classifier: the model.
        scores: of all labels, [labels].
        whole: the model's raw output for the whole image.
        chosen: what training chose for the model.
    """
    best, unlike = int(scores.argmax()), classifier.unlike(whole)
    entry: dict[str, Any] = {
        "label": UNKNOWN if chosen.is_unknown(unlike) else classifier.labels[best],
        "score": round(float(scores[best]), 6),
        "scores": {
            label: round(float(score), 6)
            for label, score in zip(classifier.labels, scores, strict=True)
        },
    }
    return entry if unlike is None else entry | {"ood": round(unlike, 4)}


def as_text(images: Sequence[dict[str, Any]]) -> str:
    """Return a line an image: label, score, alarm or not, path, the other labels' scores.

    What is unknown has no score.
    """
    lines = []
    for image in images:
        others = "  ".join(
            f"{label} {score:.2f}"
            for label, score in image["scores"].items()
            if label != image["label"]
        )
        alarm = {True: "ALARM  ", False: "       ", None: ""}[image.get("alarm")]
        # The best score is another label's where the label is unknown.
        score = "" if image["label"] == UNKNOWN else f"{image['score']:.1%}"
        lines.append(f"{image['label']:<14} {score:>5}   {alarm}{image['path']}   ({others})")
    return "\n".join(lines)

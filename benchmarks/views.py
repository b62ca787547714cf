"""How far a device's views of photographs are from those that OpenCV prepares, on val.

    .venv/bin/python benchmarks/views.py raccoon [--data DIR] [--limit N]

Both are scored by the C on this machine: the crops that `lotor evaluate --views` takes, squeezed by
OpenCV, and those of `NAME_views`, in integers. Nothing is measured on test.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lotor import integer_views
from lotor.classifier import HostClassifier
from lotor.data.manifest import data_folder, read_manifest
from lotor.detect import score_image, target_index, views
from lotor.errors import LotorError
from lotor.evaluate import average_precision, label_indices, spread
from lotor.preprocess import read_image, resize
from lotor.progress import Progress
from lotor.zoo import find_model


def measure(name: str, data: Path | None, limit: int | None = None) -> dict[str, Any]:
    """Return average precision with either, and how many pixels and scores differ."""
    model = find_model(name)
    classifier = HostClassifier(model)
    target = target_index(classifier, model.recipe)
    label_of = label_indices(model.recipe, classifier.labels)
    if classifier.input.aspect != "stretch" or classifier.input.channels != 3:
        raise LotorError(f"{name} has no views on a device: it takes no whole frame in RGB")
    folder = data_folder(data, str(model.recipe["data"].get("folder")))
    photos = spread(read_manifest(folder).split("val"), limit)
    taken, pixels, found = classifier.input, [0, 0], []
    with Progress("views", len(photos), "photographs") as progress:
        for photo in photos:
            image = read_image(photo.path)
            for x0, y0, x1, y1 in views(*image.shape[:2]):
                view = image[y0:y1, x0:x1]
                own = integer_views.resize(view[:, :, ::-1], taken.height, taken.width)
                pixels[0] += int((own != resize(view, taken.height, taken.width)).sum())
                pixels[1] += own.size
            opencv = score_image(classifier, image, target)[0][target]
            found.append((opencv, int(integer_views.score(classifier, image, target)[0][target])))
            progress.advance()
    positive = np.array([label_of(photo.kind) == target for photo in photos])
    opencv, device = np.array(found, np.float64).T
    scale = classifier.probabilities(np.full(len(classifier.labels), -127, np.int8))[0] / 2
    return {
        "model": model.name,
        "photographs": len(photos),
        "pixels": pixels[1],
        "pixels_different": pixels[0],
        "scores_different": int((opencv != device * scale).sum()),
        "largest_difference": float(np.abs(opencv - device * scale).max()),
        "average_precision": {
            "opencv": average_precision(opencv, positive),
            "device": average_precision(device, positive),
        },
    }


def as_text(result: dict[str, Any]) -> str:
    """Return a line."""
    precision = result["average_precision"]
    return (
        f"{result['model']}: average precision {precision['opencv']:.4f} by OpenCV, "
        f"{precision['device']:.4f} by a device; {result['pixels_different']:,} of "
        f"{result['pixels']:,} values of pixels differ, and {result['scores_different']} of "
        f"{result['photographs']} scores, by at most {result['largest_difference']:.4f}"
    )


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="raccoon", help="e.g. raccoon")
    parser.add_argument("--data", type=Path, help="folder of photographs with a manifest.csv")
    parser.add_argument("--limit", type=int, help="photographs, spread evenly")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if len(sys.argv) == 1:
        print("left out: name a model that has views")
        return 0
    try:
        result = measure(args.model, args.data, args.limit)
    except LotorError as error:
        print(f"views.py: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=2) if args.json else as_text(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

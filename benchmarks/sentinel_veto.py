"""How often the sentinel takes somebody to be in view: on frames with people, and without.

    python benchmarks/sentinel_veto.py [--split val] [--veto MODEL] [--label-threshold T] [--json]

Frames are made of photographs: one without an animal is the garden, and people and animals are cut
out of theirs and set into it, by day and by infrared, as in `sentinel_counts.py`. Each is looked at
by the whole pipeline, after some frames of the empty garden. Of frames with people as many as may
be should count as such, of the others as few; one frame tells less than a visit of many does. With
`--split test`, no model saw any of them in training; who has something to choose takes val.
"""

import argparse
import json
import sys
from collections.abc import Iterator

import cv2
import numpy as np

from lotor.data.manifest import Photo, read_manifest
from lotor.errors import LotorError
from lotor.preprocess import Image, read_image
from lotor.progress import Progress
from lotor.sentinel import config
from lotor.sentinel.garden import HEIGHT, WIDTH, Garden, Walk, Who
from lotor.sentinel.models import Models
from lotor.sentinel.pipeline import Pipeline
from lotor.sentinel.scene import Frame
from sentinel_counts import SHARED, looks

EMPTY = 12
"""Frames of the empty garden before."""
STEP_S = 0.25
FROM = EMPTY * STEP_S
GARDENS = 24
OTHERS = ("cat", "dog", "bird", "deer", "other_animal", "insect")
SIZES = {
    "a person": (0.6, 0.9),
    "a person far away": (0.2, 0.4),
    "a person behind or before a raccoon": (0.6, 0.9),
    "a raccoon": (0.3, 0.6),
    "a raccoon far away": (0.15, 0.3),
    "another animal": (0.3, 0.6),
}
"""Who is on a frame, and how large: shares of the frame's height."""


def walks(
    who: str, photo: Photo, raccoons: list[Photo], rng: np.random.Generator
) -> Iterator[Walk]:
    """Those on one frame, at the time when it is taken."""
    place = rng.uniform(0.3, 0.7)
    size = rng.uniform(*SIZES[who])
    main = Walk(Who.CAT, FROM - place * 10, 10, size, cutout=looks(photo))
    if "before" not in who:
        yield main
        return
    near = place + rng.uniform(-0.2, 0.2)
    other = raccoons[rng.integers(len(raccoons))]
    beside = Walk(Who.RACCOON, FROM - near * 10, 10, rng.uniform(0.2, 0.5), cutout=looks(other))
    yield from (main, beside) if rng.random() < 0.5 else (beside, main)


def is_vetoed(scenery: Image, night: bool, there: list[Walk], models: Models) -> bool:
    """Return whether a frame with somebody in a garden counts as one that may show a person."""
    camera = config.Camera("garden", "0", light="night" if night else "day")
    pipeline = Pipeline(camera, config.Config((camera,)), models)
    empty = Garden([], night=night, scenery=scenery)
    for number in range(EMPTY):
        time = number * STEP_S
        pipeline.look(Frame("garden", number, time, time, empty.picture(time)))
    picture = Garden(there, night=night, scenery=scenery).picture(FROM)
    scene = pipeline.look(Frame("garden", EMPTY, FROM, FROM, picture))
    assert models.veto is not None and not scene.errors
    return scene.person is not None and scene.person >= models.veto[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="raccoon")
    parser.add_argument("--veto", default="person", help="what sees people")
    parser.add_argument("--label-threshold", type=float, default=config.Veto.label_threshold)
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--each", type=int, default=2, help="frames of each photograph")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.each < 1:
        parser.error(f"--each {args.each}: at least 1 frame of each photograph")
    if not SHARED.is_dir():
        raise SystemExit("no photographs in ../shared/data: nothing to look at")
    camera = (config.Camera("garden", "0"),)
    veto = config.Veto(args.veto, label_threshold=args.label_threshold)
    settings = config.Config(camera, model=(config.Model(args.model),), veto=veto)
    models = Models(config.check(settings, "the command line"))
    rng = np.random.default_rng(0)
    kinds: dict[str, list[Photo]] = {}
    for photo in read_manifest(SHARED / "garden").split(args.split):
        kinds.setdefault(photo.kind, []).append(photo)
    gardens = []
    for index in rng.permutation(len(kinds["background"]))[:GARDENS]:
        image = read_image(kinds["background"][index].path)
        image = np.asarray(cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))
        gardens.append(image)
    animals = [photo for kind in OTHERS for photo in kinds[kind][:20]]
    tried = []
    for who in SIZES:
        photos = kinds["person"] if "person" in who else animals
        photos = kinds["raccoon"] if who.startswith("a raccoon") else photos
        for night in (False, True):
            tried += [(who, night, photo) for photo in photos for _ in range(args.each)]
    counts: dict[tuple[str, bool], list[bool]] = {}
    with Progress("frames", len(tried), "looked at") as progress:
        for who, night, photo in tried:
            scenery = gardens[rng.integers(len(gardens))]
            there = list(walks(who, photo, kinds["raccoon"], rng))
            counts.setdefault((who, night), []).append(is_vetoed(scenery, night, there, models))
            progress.advance()
    found = {
        who: {
            light: (sum(counts[who, night]), len(counts[who, night]))
            for light, night in (("day", False), ("infrared", True))
        }
        for who in SIZES
    }
    if args.json:
        print(json.dumps(found))
        return
    print(f"{'frames of ' + args.split + ' with':40}{'by day':>16}{'by infrared':>16}")
    for who, row in found.items():
        cells = [f"{count / of:.2f} of {of}" for count, of in row.values()]
        print(f"{who:40}{cells[0]:>16}{cells[1]:>16}")


if __name__ == "__main__":
    try:
        main()
    except LotorError as error:
        print(f"sentinel_veto.py: {error}", file=sys.stderr)
        sys.exit(2)

"""Frames and small models for tests of a camera's loop."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from camera import draw
from lotor.classifier import HostClassifier
from lotor.compiler import Compiled, compile_model
from lotor.detect import Box
from lotor.device.ready import frame_views
from lotor.device.watch import Action, Event, Settings
from lotor.integer_views import score
from lotor.pixels import from_rgb, to_rgb
from lotor.preprocess import Image, resize
from lotor.watch_model import HostWatch
from lotor.zoo import ModelFile, find_model
from tflite_builder import ModelBuilder, Quant

LABELS = ("background", "raccoon", "person", "cat")
RECIPE = """
target = "TARGET"
[input]
mean = 128.0
std = 128.0
"""
SHAPES = ["", "raccoon", "raccoon+person", "person", "cat", "raccoon+cat"]


def frames(count: int, width: int, height: int, seed: int = 1) -> list[Image]:
    """Return RGB frames: some show one thing for a while, some are noise."""
    rng, found = np.random.default_rng(seed), list[Image]()
    while len(found) < count:
        shapes = SHAPES[int(rng.integers(len(SHAPES)))]
        base = resize(draw(shapes.split("+") if shapes else []), height, width)[:, :, ::-1]
        gain = rng.uniform(0.3, 1.6, 3)
        for _ in range(int(rng.integers(1, 7))):
            noise = rng.normal(0, rng.choice([2, 40]), base.shape)
            found.append(np.clip(base * gain + noise, 0, 255).astype(np.uint8))
    return found[:count]


def small_models(folder: Path) -> tuple[ModelFile, ModelFile]:
    """Return one that looks for raccoons and tells the unknown, and one that looks for people.

    Nobody trained them; their scores are far apart where frames are.
    """
    first = _write(folder, "watcher", "raccoon", 32, 7, 0.03, 12)
    return first, _write(folder, "guard", "person", 24, 2, 0.01)


def _write(
    folder: Path, name: str, target: str, side: int, seed: int, spread: float, directions: int = 0
) -> ModelFile:
    m = ModelBuilder(seed)
    x = m.conv2d(m.input((1, side, side, 3), Quant(1 / 128, 0)), 6, (3, 3), (2, 2))
    x = m.mean(x, (1, 2))
    m.output(m.softmax(m.fully_connected(x, len(LABELS), multiplier=spread)))
    recipe = RECIPE.replace("TARGET", target)
    if directions:
        m.output(m.fully_connected(x, directions, quant=Quant(1 / 16, 0), multiplier=0.002))
        recipe += f"[ood]\ndirections = {directions}\n"
    place = folder / name
    place.mkdir(parents=True)
    (place / f"{name}.tflite").write_bytes(m.build())
    (place / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    (place / "recipe.toml").write_text(recipe)
    model = find_model(str(place / f"{name}.tflite"))
    if directions:
        host = HostClassifier(model)
        images = [frame[:, :, ::-1] for frame in frames(20, 80, 60, 9)]
        unlike = sorted(host.unlike(host.infer(host.input.tensor(image))) or 0 for image in images)
        (place / "metrics.json").write_text(json.dumps({"ood": {"threshold": unlike[13]}}))
    return model


def compiled_for(model: ModelFile, target: str = "portable") -> Compiled:
    return compile_model(model.path, target, labels=model.labels or (), views=frame_views(model))


def middle(model: ModelFile, images: Sequence[Image], share: float, views: bool) -> int:
    """Return a score in half steps that this share of the frames does not reach."""
    classifier = HostClassifier(model)
    target = classifier.labels.index(model.recipe["target"])
    crops: list[Box] | None = None if views else []
    found = [int(score(classifier, i[:, :, ::-1], target, crops)[0][target]) for i in images]
    return sorted(found)[int(share * len(found))]


def fed(image: Image, pixel_format: str) -> tuple[bytes, Image]:
    """Return a frame as it is sent, and as the board has it."""
    raw = from_rgb(image, pixel_format)
    return raw, to_rgb(raw, pixel_format, *image.shape[:2])


def without_action(event: Event) -> Event:
    return dataclasses.replace(event, action=Action.NONE)


def expected_events(
    model: ModelFile,
    veto: ModelFile | None,
    settings: Settings,
    seen: Sequence[tuple[int, int, Image]],
    first: int,
) -> list[Event]:
    """Return what Python says of frames: (number, milliseconds, RGB)."""
    watch = compiled_for(model).report["watch"]
    host = HostWatch(model, settings, watch["person_from"], veto, first)
    return [host.look(*frame) for frame in seen]

"""A classifier with a second output that tells the unknown, made without training."""

import hashlib
import json
from pathlib import Path

import numpy as np

from lotor.classifier import HostClassifier
from lotor.oracle import Oracle
from lotor.preprocess import Image
from lotor.zoo import ModelFile, find_model
from tflite_builder import ModelBuilder, Quant

LABELS = ("raccoon", "person", "other_animal", "background")
DIRECTIONS = 12  # no power of two: a mean is rounded

RECIPE = f"""
name = "watcher"
target = "TARGET"
task = "classify"
[input]
height = SIDE
width = SIDE
mean = 128.0
std = 128.0
[data]
folder = "nowhere"
other = "other_animal"
[data.classes]
raccoon = "raccoon"
person = "person"
background = "background"
[ood]
directions = {DIRECTIONS}
"""


def build(side: int, seed: int = 1) -> bytes:
    """The file: 16 channels at the input's resolution, then a quarter, and two dense layers."""
    m = ModelBuilder(seed)
    x = m.input((1, side, side, 3), Quant(1 / 128, 0))
    x = m.conv2d(x, 16, (1, 1), activation="RELU6")
    x = m.depthwise_conv2d(x, stride=(2, 2), activation="RELU6")
    x = m.mean(x, (1, 2))
    m.output(m.softmax(m.fully_connected(x, len(LABELS), multiplier=0.02)))
    m.output(m.fully_connected(x, DIRECTIONS, quant=Quant(1 / 16, 0), multiplier=0.01))
    return m.build()


def write(
    folder: Path, side: int, images: list[Image], name: str = "watcher", target: str = LABELS[0]
) -> ModelFile:
    """Write the model with all that training leaves beside it; half of `images` are unknown."""
    folder.mkdir(parents=True, exist_ok=True)
    path, content = folder / f"{name}.tflite", build(side)
    path.write_bytes(content)
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    recipe = RECIPE.replace("SIDE", str(side)).replace("TARGET", target)
    (folder / "recipe.toml").write_text(recipe)
    host = HostClassifier(find_model(str(path)))
    tensors = [host.input.tensor(image) for image in images]
    unlike = sorted(host.unlike(host.infer(tensor)) or 0.0 for tensor in tensors)
    metrics = {
        "thresholds": {"1%": 0.5, "5%": 0.3},
        "ood": {"threshold": unlike[(len(unlike) - 1) // 2]},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "golden").mkdir(exist_ok=True)
    scores, second = Oracle(path).run(tensors[0])
    np.savez(
        folder / "golden" / "first.npz",
        input=tensors[0],
        output=scores,
        output_1=second,
        model_sha256=hashlib.sha256(content).hexdigest(),
    )
    return find_model(str(path))

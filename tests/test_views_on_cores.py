"""Views of a frame on emulated cores: the scores that Python says of the same pixels."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cortex_m import BOARDS, execute, needs_emulator
from lotor import integer_views
from lotor.classifier import HostClassifier
from lotor.codegen.views import Views
from lotor.compiler import Compiled, compile_model
from lotor.detect import Box, views
from lotor.preprocess import Image
from lotor.zoo import ModelFile, find_model
from tflite_builder import ModelBuilder, Quant

pytestmark = needs_emulator
LABELS = ("background", "raccoon", "cat", "dog")
RECIPE = 'target = "raccoon"\n[input]\nmean = 128.0\nstd = 128.0\n'
GAP = 5  # bytes behind every row of a frame

# A frame, which may lie in flash, is asked about on the grid, and then on crops of one's own.
_WORK = """
    static uint8_t rgb[{height} * {stride}];
    static const struct lotor_view own[] = {{{crops}}};
    static struct {{ int32_t best; int16_t scores[{labels}]; int8_t more[{more} + 1]; }} said;
    for (unsigned turn = 0; turn < {turns}; turn++) {{
        move(6, from, rgb, sizeof rgb);
        const struct lotor_frame frame = {{rgb, {height}, {width}, {stride}}};
        said.best = {name}_views(arena, &frame, NULL, 0, said.scores{second});
        move(5, to, &said, sizeof said);
        said.best = {name}_views(arena, &frame, own, {count}, said.scores{second});
        move(5, to, &said, sizeof said);
    }}
"""


def scene(height: int, width: int, seed: int) -> Image:
    """Return something like a photograph, BGR: blurred things before a blurred background."""
    rng = np.random.default_rng(seed)
    near, far = (rng.integers(0, 256, (s, s + 1, 3), np.uint8) for s in (9, 3))
    parts = [cv2.resize(p, (width, height), interpolation=cv2.INTER_CUBIC) for p in (near, far)]
    mixed = 0.6 * parts[0] + 0.4 * parts[1] + rng.normal(0, 3, (height, width, 3))
    return np.clip(mixed, 0, 255).astype(np.uint8)


def asked(
    compiled: Compiled, frames: list[Image], crops: list[Box], folder: Path
) -> list[tuple[int, list[int], list[int]]]:
    """Return of each frame the best view, the scores, and the second output of the whole frame.

    Once on the grid, then on crops of one's own.
    """
    height, width = frames[0].shape[:2]
    labels, *second = (output.elements for output in compiled.graph.outputs)
    stride, more = 3 * width + GAP, sum(second)
    work = _WORK.format(
        name=compiled.name,
        height=height,
        width=width,
        stride=stride,
        labels=labels,
        more=more,
        second=", said.more" if more else "",
        turns=len(frames),
        crops=", ".join("{" + ", ".join(map(str, box)) + "}" for box in crops),
        count=len(crops),
    )
    rows = np.full((len(frames), height, stride), 0xA5, np.uint8)
    for place, frame in zip(rows, frames, strict=True):
        place[:, : 3 * width] = frame[:, :, ::-1].reshape(height, -1)
    head = f'#include "{compiled.name}_views.h"'
    written = execute(compiled, head, work, rows.tobytes(), folder)
    fields = [("best", "<i4"), ("scores", "<i2", labels), ("more", "i1", more + 1)]
    return [
        (int(r["best"]), r["scores"].tolist(), r["more"][:more].tolist())
        for r in np.frombuffer(written, np.dtype(fields, align=True))
    ]


def compare(
    model: ModelFile, target: str, shape: tuple[int, int], turns: int, folder: Path
) -> None:
    """Compare a core with Python on frames of a shape."""
    compiled = compile_model(
        model.path, target, labels=model.labels or (), views=Views(model.recipe)
    )
    frames, crops = [scene(*shape, seed) for seed in range(turns)], views(*shape)[4:9:2]
    found = asked(compiled, frames, crops, folder)
    python = HostClassifier(model)
    index = python.labels.index("raccoon")
    expected = []
    for frame in frames:
        whole = python.infer(python.input.tensor(frame))[0, len(python.labels) :].tolist()
        for boxes in (None, crops):
            scores, best = integer_views.score(python, frame, index, boxes)
            expected.append((best, scores.tolist(), whole))
    assert found == expected
    assert len({tuple(scores) for _, scores, _ in found}) > turns


@pytest.mark.parametrize("target", BOARDS)
def test_every_core_says_what_python_says(target: str, tmp_path: Path) -> None:
    """A small model; the frame is averaged, most crops are enlarged."""
    m = ModelBuilder(9)
    x = m.conv2d(m.input((1, 24, 24, 3), Quant(1 / 128, 0)), 6, (3, 3), (2, 2))
    m.output(m.softmax(m.fully_connected(m.mean(x, (1, 2)), len(LABELS), multiplier=0.03)))
    (tmp_path / "tiny.tflite").write_bytes(m.build())
    (tmp_path / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "program").mkdir()
    model = find_model(str(tmp_path / "tiny.tflite"))
    compare(model, target, (37, 45), 4, tmp_path / "program")


def test_the_raccoon_model_on_a_camera_s_frame(tmp_path: Path) -> None:
    compare(find_model("raccoon"), "cortex-m4", (120, 160), 1, tmp_path)

"""Views of a frame in C against what Python says of the same pixels."""

import ctypes
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from conftest import CHECKOUT, Lotor
from lotor import integer_views, preprocess
from lotor.classifier import HostClassifier
from lotor.codegen.views import Views, half_steps
from lotor.compiler import Compiled, compile_model
from lotor.decision import read_chosen
from lotor.detect import Box, combine, score_image, views
from lotor.integer_views import join, resize
from lotor.preprocess import Image
from lotor.zoo import ModelFile, find_model
from sanitized import FLAGS
from tflite_builder import ModelBuilder, Quant
from two_outputs import DIRECTIONS, write

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-pedantic")
LANGUAGES = {"C": ("-x", "c", "-std=c11"), "C++": ("-x", "c++", "-std=c++11")}
TRAPS = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")

# Height and width of frames, then of inputs: smaller and larger ones, odd, tall, single pixels.
SHAPES = [
    ((120, 160), (96, 96)),
    ((96, 128), (96, 96)),  # a third of all means lie in the middle
    ((96, 96), (96, 96)),
    ((192, 192), (96, 96)),
    ((190, 270), (96, 96)),
    ((84, 112), (96, 96)),
    ((480, 31), (96, 96)),
    ((97, 211), (32, 48)),
    ((1, 1), (96, 96)),
    ((1, 200), (9, 7)),
    ((200, 3), (9, 7)),
    ((5, 5), (1, 1)),
    ((2, 3), (3, 2)),
]


def pictures(height: int, width: int, seed: int = 4) -> Iterator[Image]:
    """Noise, something like a photograph, and the extremes."""
    rng = np.random.default_rng(seed)
    yield rng.integers(0, 256, (height, width, 3), np.uint8)
    blobs = rng.integers(0, 256, (6, 8, 3), np.uint8)
    smooth = cv2.resize(blobs, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float64)
    yield np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    yield np.full((height, width, 3), 255, np.uint8)
    yield rng.choice(np.array([0, 255], np.uint8), (height, width, 3))


def with_stride(image: Image, more: int) -> Image:
    """Return the same pixels with `more` bytes after each row, which nobody may read."""
    height, width = image.shape[:2]
    rows = np.full((height, 3 * width + more), 0xA5, np.uint8)
    rows[:, : 3 * width] = image.reshape(height, -1)
    flat = rows.reshape(-1)[: rows.size - more]  # and none after the last
    steps = (rows.strides[0], 3, 1)
    return np.lib.stride_tricks.as_strided(flat, image.shape, steps)


def build(folder: Path, source: str, *files: str, language: str = "C") -> Any:
    """Return a library of `source` and C files; undefined behaviour traps."""
    (folder / "all").write_text(source)
    usual = ["gcc", *WARNINGS, *TRAPS, "-O2", "-fPIC"]
    _do([*usual, *LANGUAGES[language], "-c", "all", "-o", "all.o"], folder)
    _do([*usual, "-std=c11", "-shared", *files, "all.o", "-o", "all.so"], folder)
    return ctypes.CDLL(str(folder / "all.so"))


def _do(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


KERNEL = f"""
#include "{CHECKOUT / "kernels/views/portable.h"}"
int fits(const uint8_t *, const int32_t *, const int32_t *, int32_t);
int fits(const uint8_t *rgb, const int32_t *sizes, const int32_t *crops, int32_t count) {{
    const struct lotor_frame frame = {{rgb, sizes[0], sizes[1], sizes[2]}};
    return lotor_views_fit(&frame, (const struct lotor_view *)(const void *)crops, count);
}}
void grid(const int32_t *, int32_t *);
void grid(const int32_t *sizes, int32_t *out) {{
    const struct lotor_frame frame = {{NULL, sizes[0], sizes[1], 0}};
    for (int32_t i = 0; i <= LOTOR_VIEWS_CROPS; i++) {{
        const struct lotor_view view = lotor_view_of(&frame, i);
        *out++ = view.x0, *out++ = view.y0, *out++ = view.x1, *out++ = view.y1;
    }}
}}
void squeeze(const uint8_t *, const int32_t *, const int32_t *, int32_t, int32_t, const int8_t *,
             int8_t *);
void squeeze(const uint8_t *rgb, const int32_t *sizes, const int32_t *box, int32_t out_h,
             int32_t out_w, const int8_t *steps, int8_t *out) {{
    const struct lotor_frame frame = {{rgb, sizes[0], sizes[1], sizes[2]}};
    const struct lotor_view view = {{box[0], box[1], box[2], box[3]}};
    lotor_view_resize(&frame, &view, out_h, out_w, steps, out);
}}
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The functions of `kernels/views/portable.h`."""
    return build(tmp_path_factory.mktemp("kernel"), KERNEL)


def _ints(*values: int) -> Any:
    return (ctypes.c_int32 * len(values))(*values)


def _pointer(array: np.ndarray) -> Any:
    return array.ctypes.data_as(ctypes.c_void_p)


@pytest.mark.parametrize(("frame", "size"), SHAPES)
def test_every_view_is_squeezed_as_in_python(
    kernel: Any, frame: tuple[int, int], size: tuple[int, int]
) -> None:
    table = np.random.default_rng(1).permutation(256).astype(np.uint8).view(np.int8)
    for number, image in enumerate(pictures(*frame)):
        placed = with_stride(image, 7 * (number % 2))
        sizes = _ints(*frame, placed.strides[0])
        for x0, y0, x1, y1 in views(*frame):
            expected = resize(image[y0:y1, x0:x1], *size)
            out = np.zeros((*size, 3), np.int8)
            box = _ints(x0, y0, x1, y1)
            kernel.squeeze(_pointer(placed), sizes, box, *size, None, _pointer(out))
            assert (out.astype(int) + 128 == expected).all()
            kernel.squeeze(_pointer(placed), sizes, box, *size, _pointer(table), _pointer(out))
            assert (out == table[expected]).all()


@pytest.mark.parametrize(("frame", "size"), SHAPES)
def test_python_squeezes_as_opencv_does(frame: tuple[int, int], size: tuple[int, int]) -> None:
    """But for few of the means in the middle, which OpenCV's sums in floats take for others."""
    different = pixels = 0
    for image in pictures(*frame):
        for x0, y0, x1, y1 in views(*frame):
            view = image[y0:y1, x0:x1]
            found = resize(view, *size).astype(int)
            apart = np.abs(found - preprocess.resize(view[:, :, ::-1], *size))
            assert apart.max() <= 1
            different, pixels = different + int((apart > 0).sum()), pixels + apart.size
    assert different <= 0.001 * pixels


def test_means_are_exact() -> None:
    """By hand: of 4, 4, 4 and 6 of an area, in the middle, which goes to the even one."""
    row = np.array([[[10, 11, 0]], [[11, 12, 1]]], np.uint8)
    assert resize(row, 1, 1).tolist() == [[[10, 12, 0]]]
    square = np.array([[[0], [1]], [[1], [0]]], np.uint8).repeat(3, axis=2)
    assert resize(square, 1, 1).tolist() == [[[1, 1, 1]]]  # half up: 2 by 2
    three = np.array([[[0, 0, 0], [90, 30, 255], [3, 3, 3]]], np.uint8)
    assert resize(three, 1, 2).tolist() == [[[30, 10, 85], [32, 12, 87]]]


def test_the_grid_is_that_of_python(kernel: Any) -> None:
    sides = [*range(1, 40), 96, 97, 120, 160, 199, 240, 319, 320, 480, 639, 640, 1200, 1600, 32767]
    for height in sides:
        for width in sides:
            found = (ctypes.c_int32 * 40)()
            kernel.grid(_ints(height, width), found)
            boxes = [tuple(found[at : at + 4]) for at in range(0, 40, 4)]
            assert boxes == views(height, width)


def test_what_cannot_be_read_is_refused(kernel: Any) -> None:
    data = _pointer(np.zeros(1, np.uint8))

    def fits(height: int, width: int, stride: int, *box: int) -> bool:
        crops = _ints(*box) if box else None
        return bool(kernel.fits(data, _ints(height, width, stride), crops, len(box) // 4))

    assert not kernel.fits(None, _ints(4, 4, 12), None, 0)
    assert fits(4, 4, 12)
    assert fits(4, 4, 13)
    assert fits(4096, 4096, 3 * 4096)
    assert not any(fits(*s) for s in [(0, 4, 12), (4, 0, 12), (-1, 4, 12), (4, -4, 12), (4, 4, 11)])
    assert not any(fits(*s) for s in [(4, 4, -12), (4096, 4097, 3 * 4097), (1, 32768, 3 * 32768)])
    assert fits(4, 5, 15, 0, 0, 5, 4)
    assert fits(4, 5, 15, 4, 3, 5, 4)
    for box in [
        (-1, 0, 5, 4),
        (0, -1, 5, 4),
        (0, 0, 6, 4),
        (0, 0, 5, 5),
        (2, 0, 2, 4),
        (0, 3, 5, 2),
    ]:
        assert not fits(4, 5, 15, 0, 0, 1, 1, *box)


BOUNDS = f"""
#include "{CHECKOUT / "kernels/views/portable.h"}"
#include <stdlib.h>
int main(void) {{
    const int32_t shapes[][5] = {{SHAPES}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {{
        const int32_t *s = shapes[i];
        const size_t bytes = (size_t)((s[0] - 1) * s[4] + 3 * s[1]);
        uint8_t *const rgb = calloc(bytes, 1);
        int8_t *const out = malloc((size_t)(3 * s[2] * s[3]));
        const struct lotor_frame frame = {{rgb, s[0], s[1], s[4]}};
        for (int32_t view = 0; view <= LOTOR_VIEWS_CROPS; view++) {{
            const struct lotor_view part = lotor_view_of(&frame, view);
            lotor_view_resize(&frame, &part, s[2], s[3], NULL, out);
        }}
        free(rgb);
        free(out);
    }}
    return 0;
}}
"""


def test_nothing_beyond_a_frame_is_touched(tmp_path: Path) -> None:
    """Frames and inputs that end with their last byte, under the address sanitizer."""
    sides = [(*frame, *size, 3 * frame[1] + 2) for frame, size in SHAPES]
    shapes = ", ".join("{" + ", ".join(map(str, s)) + "}" for s in sides)
    (tmp_path / "main.c").write_text(BOUNDS.replace("{SHAPES}", "{" + shapes + "}"))
    _do(["gcc", *FLAGS, "main.c", "-o", "main"], tmp_path)
    _do(["./main"], tmp_path)


def test_joined_scores_are_those_of_floats() -> None:
    """The target's exactly, the others' to a quarter of a step."""
    rng = np.random.default_rng(2)
    for turn in range(2000):
        count, labels = int(rng.integers(1, 12)), int(rng.integers(1, 9))
        steps = rng.integers(0, (3, 40, 256)[turn % 3], (count, labels))
        target = int(rng.integers(labels))
        scores, best = join(steps, target)
        expected, which = combine(steps / 256, target)
        assert (best, scores[target] / 512) == (which, expected[target])
        assert np.abs(scores / 512 - expected).max() <= 1 / 4 / 256 + 1e-12


JOIN = f"""
#include "{CHECKOUT / "kernels/views/portable.h"}"
int32_t joined(const int32_t *, int32_t, int32_t, int32_t, int16_t *);
int32_t joined(const int32_t *steps, int32_t views, int32_t labels, int32_t target,
               int16_t *scores) {{
    struct lotor_views_seen seen = {{0, 0, 0, 0}};
    for (int32_t label = 0; label < labels; label++) {{
        scores[label] = (int16_t)steps[label];
    }}
    for (int32_t view = 0; view < views; view++) {{
        lotor_views_take(&seen, steps[view * labels + target]);
    }}
    lotor_views_join(&seen, labels, target, scores);
    return seen.best;
}}
"""


def test_scores_are_joined_as_in_python(tmp_path: Path) -> None:
    library, rng = build(tmp_path, JOIN), np.random.default_rng(6)
    sizes = [(int(rng.integers(1, 12)), int(rng.integers(1, 9))) for _ in range(1500)]
    for turn, (count, labels) in enumerate([*sizes, (3, 16384)]):
        steps = rng.integers(0, (3, 40, 256)[turn % 3], (count, labels)).astype(np.int32)
        if labels > 1000:
            steps[:] = 255
        target = int(rng.integers(labels))
        scores, best = join(steps.astype(np.int64), target)
        found = np.zeros(labels, np.int16)
        which = library.joined(_pointer(steps), count, labels, target, _pointer(found))
        assert (which, found.tolist()) == (best, scores.tolist())


RECIPE = """
target = "raccoon"
[input]
mean = MEAN
std = STD
"""
LABELS = ("background", "raccoon", "cat")


def tiny(folder: Path, recipe: str, height: int = 24, width: int = 20) -> ModelFile:
    """Write a classifier; what it says of a frame depends on where something is."""
    m = ModelBuilder(9)
    x = m.conv2d(m.input((1, height, width, 3), Quant(1 / 128, 0)), 6, (3, 3), (2, 2))
    m.output(m.softmax(m.fully_connected(m.mean(x, (1, 2)), len(LABELS), multiplier=0.03)))
    folder.mkdir(exist_ok=True)
    (folder / "tiny.tflite").write_bytes(m.build())
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    (folder / "recipe.toml").write_text(recipe)
    return find_model(str(folder / "tiny.tflite"))


def compiled_of(model: ModelFile, alarm: float | None = None) -> Compiled:
    """Compile a model with its views."""
    wanted = Views(model.recipe, alarm)
    return compile_model(model.path, "portable", labels=model.labels or (), views=wanted)


class Watcher:
    """`NAME_views` of a model, compiled here."""

    def __init__(self, compiled: Compiled, folder: Path, language: str = "C") -> None:
        compiled.write(folder)
        name, self.graph = compiled.name, compiled.graph
        more = ", output_1" if len(self.graph.outputs) > 1 else ""
        given = "void *arena, const uint8_t *rgb, const int32_t *sizes, const int32_t *crops, "
        given += "int32_t count, int16_t *scores, int8_t *output_1"
        head = 'extern "C" ' if language == "C++" else ""
        self._ask = build(
            folder,
            f"""
#include "{name}_views.h"
{head}int ask({given});
int ask({given}) {{
    const struct lotor_frame frame = {{rgb, sizes[0], sizes[1], sizes[2]}};
    const struct lotor_view *views = (const struct lotor_view *)(const void *)crops;
    (void)output_1;
    return {name}_views(arena, &frame, views, count, scores{more});
}}
""",
            f"{name}.c",
            language=language,
        ).ask
        self.memory = np.full(compiled.plan.arena_bytes + 16, 0xA5, np.uint8)
        self.arena = self.memory.ctypes.data + -self.memory.ctypes.data % 16

    def ask(
        self, image: Image, crops: list[Box] | None = None, more: int = 0
    ) -> tuple[list[int], int, list[int]]:
        """Return scores, the best view and the second output for a BGR image."""
        placed = with_stride(image[:, :, ::-1], more)
        scores = np.zeros(self.graph.outputs[0].elements, np.int16)
        second = np.zeros(self.graph.outputs[-1].elements, np.int8)
        sizes = _ints(*image.shape[:2], placed.strides[0])
        boxes = None if crops is None else _ints(*(side for box in crops for side in box))
        places = _pointer(scores), _pointer(second)
        arena = ctypes.c_void_p(self.arena)
        best = self._ask(arena, _pointer(placed), sizes, boxes, len(crops or ()), *places)
        return scores.tolist(), best, second.tolist()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("mean", "std"), [(128, 128), (110, 90)])
def test_a_frame_is_scored_as_in_python(mean: int, std: int, language: str, tmp_path: Path) -> None:
    """Pixels that are the input less 128, and pixels that a table turns into it."""
    recipe = RECIPE.replace("MEAN", f"{mean}.0").replace("STD", f"{std}.0")
    model = tiny(tmp_path / "model", recipe)
    compiled = compiled_of(model)
    assert ("steps[256]" in compiled.views) == (mean != 128)
    watcher, python = Watcher(compiled, tmp_path, language), HostClassifier(model)
    seen, table = set(), []
    shapes = [(24, 20), (61, 83), (120, 33), (30, 200), (5, 7), (1, 1), (160, 120)]
    for number, shape in enumerate(shapes):
        for image in pictures(*shape, number):
            expected, best = integer_views.score(python, image, 1)
            scores, which, _ = watcher.ask(image, more=5 * (number % 2))
            assert (scores, which) == (expected.tolist(), best)
            seen.add(which)
            table.append(scores)
            own = views(*shape)[3:8:2]
            for crops in (own, own[:1], []):
                expected, best = integer_views.score(python, image, 1, crops)
                assert watcher.ask(image, crops)[:2] == (expected.tolist(), best)
    assert len(seen) > 4
    assert len(np.unique(table, axis=0)) > 15


def test_it_is_what_detection_says(tmp_path: Path) -> None:
    """`lotor detect --views` asks OpenCV, whose pixels are the same here."""
    model = find_model("raccoon")
    watcher, python = Watcher(compiled_of(model), tmp_path), HostClassifier(model)
    for image in list(pictures(120, 160))[:2]:
        scores, best, _ = watcher.ask(image)
        expected, view = score_image(python, image, 0)
        assert views(120, 160)[best] == view
        assert scores[0] / 512 == expected[0]
        assert np.abs(np.array(scores) / 512 - expected).max() <= 1 / 4 / 256 + 1e-12


def test_the_second_output_is_that_of_the_full_frame(tmp_path: Path) -> None:
    frames = list(pictures(50, 70))
    model = write(tmp_path / "model", 32, frames)
    watcher, python = Watcher(compiled_of(model), tmp_path), HostClassifier(model)
    for image in frames:
        expected, best = integer_views.score(python, image, 0)
        scores, which, second = watcher.ask(image)
        assert (scores, which) == (expected.tolist(), best)
        pixels = resize(image[:, :, ::-1], 32, 32).astype(np.int16) - 128
        raw = python.infer(pixels.astype(np.int8)[None])
        assert second == raw[0, -DIRECTIONS:].tolist()


def test_a_wrong_call_is_refused(tmp_path: Path) -> None:
    watcher = Watcher(
        compiled_of(tiny(tmp_path, RECIPE.replace("MEAN", "128").replace("STD", "128"))), tmp_path
    )
    image = next(pictures(30, 40))
    assert watcher.ask(image)[1] >= 0
    assert watcher.ask(image, [(0, 0, 41, 30)])[1] == -2
    assert watcher.ask(image[:, :0])[1] == -2
    before = watcher.memory.copy()
    watcher.arena += 4
    assert watcher.ask(image)[1] == -1
    watcher.arena = 0
    assert watcher.ask(image)[1] == -1
    assert (watcher.memory == before).all()


def test_only_classifiers_of_frames_have_views(tmp_path: Path) -> None:
    usual = RECIPE.replace("MEAN", "128").replace("STD", "128")
    assert compiled_of(tiny(tmp_path, usual)).views
    for recipe in (
        "",
        usual.replace("raccoon", "bear"),
        f'task = "locate"{usual}',
        f'{usual}aspect = "crop"\n',
        f"{usual}[ood]\ndirections = 4\n",
    ):
        assert compiled_of(tiny(tmp_path, recipe)).views == ""
    m = ModelBuilder()
    m.output(m.softmax(m.fully_connected(m.input((1, 40), Quant(0.1, 0)), len(LABELS))))
    (tmp_path / "tiny.tflite").write_bytes(m.build())
    (tmp_path / "recipe.toml").write_text(usual)
    assert compiled_of(find_model(str(tmp_path / "tiny.tflite"))).views == ""


def test_a_threshold_is_the_least_score_that_alarms() -> None:
    for scale in (1 / 256, 0.0037, 1 / 255):
        for threshold in (
            0.0,
            0.828125,
            0.5,
            1 / 3,
            1.0000001,
            *(n * (scale / 2) for n in range(9)),
        ):
            least = half_steps(threshold, scale)
            assert least * (scale / 2) >= threshold > (least - 1) * (scale / 2)


def test_the_command_writes_the_header(lotor: Lotor, tmp_path: Path) -> None:
    done = lotor("compile", "raccoon", "-o", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "raccoon_views.h"
    assert str(path) in json.loads(done.stdout)["files"]
    header = path.read_text()
    (least,) = re.findall(r"#define RACCOON_VIEWS_ALARM (\d+)", header)
    assert int(least) / 512 == read_chosen(find_model("raccoon"), views=True).alarm
    assert set(re.findall(r"#\s*include\s*(\S+)", header)) == {
        '"raccoon.h"',
        "<stddef.h>",
        "<stdint.h>",
    }
    assert "views" not in (tmp_path / "raccoon.h").read_text()
    tool = Path(sys.executable).with_name("clang-format")
    if tool.exists():
        style = f"--style=file:{CHECKOUT / '.clang-format'}"
        _do([str(tool), style, "--dry-run", "-Werror", str(path)], tmp_path)


def test_usage_in_the_header_is_a_program(tmp_path: Path) -> None:
    compiled = compiled_of(write(tmp_path / "model", 32, [*pictures(20, 20)]))
    compiled.write(tmp_path)
    text = (
        "static _Alignas(16) uint8_t arena[WATCHER_ARENA_BYTES];\nstatic uint8_t pixels[57600];\n"
    )
    text += f"static int8_t output_1[{DIRECTIONS}];\nint main(void) {{\n"
    (usage,) = re.findall(r"^/\* Score a frame[\s\S]*?\*/", compiled.views, re.MULTILINE)
    *lines, call = re.findall(r"^ \*     (.*)$", usage, re.MULTILINE)
    text += "\n".join([*lines, f"return {call.removesuffix(';')} < 0;", "}\n"])
    (tmp_path / "main.c").write_text(f'#include "{compiled.name}_views.h"\n{text}')
    files = ["main.c", f"{compiled.name}.c"]
    _do(["gcc", "-std=c11", *WARNINGS, *files, "-o", "main"], tmp_path)
    _do(["./main"], tmp_path)


def test_two_models_in_one_file_and_nothing_that_is_not_called(tmp_path: Path) -> None:
    """Without a call, the header adds no byte to a program."""
    for name in ("raccoon", "person"):
        compiled_of(find_model(name)).write(tmp_path)
    text = '#include "raccoon_views.h"\n#include "person_views.h"\nint nothing;\n'
    (tmp_path / "main.c").write_text(text)
    command = ["gcc", "-std=c11", *WARNINGS, "-Wundef", "-O0", "-c", "main.c", "-o", "main.o"]
    _do(command, tmp_path)
    listed = subprocess.run(["nm", tmp_path / "main.o"], capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in listed.stdout.splitlines()] == ["nothing"]

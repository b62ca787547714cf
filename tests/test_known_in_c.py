"""`NAME_known` of the generated header against what Python says of the same bytes."""

import ctypes
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from conftest import CHECKOUT, Lotor
from lotor.classifier import HostClassifier
from lotor.compiler import compile_model
from lotor.decision import Chosen
from lotor.ood import steps_within
from lotor.zoo import find_model
from tflite_builder import ModelBuilder, Quant
from two_outputs import LABELS, RECIPE, write

# Type, values, scale and zero point of the second output; the first two are what training writes.
OUTPUTS = {
    "int8": ("int8", 64, 1 / 16, 0),
    "int16": ("int16", 64, 1 / 1024, 0),
    "no power of two": ("int8", 12, 1 / 16, 0),
    "any": ("int8", 7, 0.07, -3),
}
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-pedantic")
LANGUAGES = {"C": ("-x", "c", "-std=c11"), "C++": ("-x", "c++", "-std=c++17")}


def classifier(kind: str, folder: Path) -> HostClassifier:
    """Return a model with such a second output."""
    dtype, count, scale, zero_point = OUTPUTS[kind]
    m = ModelBuilder(1)
    x = m.input((1, 2, 2, 3), Quant(1 / (128 if dtype == "int8" else 32768), 0), dtype)
    flat = m.reshape(x, (1, 12))
    m.output(m.fully_connected(flat, len(LABELS)))
    m.output(m.fully_connected(flat, count, quant=Quant(scale, zero_point)))
    (folder / "watcher.tflite").write_bytes(m.build())
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    (folder / "recipe.toml").write_text(RECIPE.replace("SIDE", "2"))
    return HostClassifier(find_model(str(folder / "watcher.tflite")))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", OUTPUTS)
def test_it_says_what_python_says(kind: str, language: str, tmp_path: Path) -> None:
    """At the threshold, a little beside it, and anywhere."""
    python, rng = classifier(kind, tmp_path), np.random.default_rng(5)
    dtype, count, _, zero_point = OUTPUTS[kind]
    limits = np.iinfo(dtype)
    rows = rng.normal(zero_point, rng.uniform(1, limits.max / 2, (200, 1)), (200, count))
    vectors = np.clip(np.rint(rows), limits.min, limits.max).astype(dtype)
    vectors[0], vectors[1], vectors[2] = zero_point, limits.min, limits.max
    scores = np.zeros(len(LABELS), dtype)
    unlike = [python.unlike(np.concatenate([scores, vector])) or 0.0 for vector in vectors]
    thresholds = [*unlike[:30], *(float(np.nextafter(u, 0)) for u in unlike[:5]), -1.0, 1e9]
    thresholds += [float(np.mean(unlike[at : at + 2])) for at in range(10)]
    names = [f"m{index}" for index in range(len(thresholds))]
    for name, threshold in zip(names, thresholds, strict=True):
        compile_model(python.model.path, "portable", name, unknown=threshold).write(tmp_path)
    source = [f'#include "{name}.h"' for name in names]
    source += ['extern "C"' if language == "C++" else "", f"int known(int, const {dtype}_t *);"]
    source += [f"int known(int index, const {dtype}_t *output) {{", "    switch (index) {"]
    source += [f"    case {at}: return {name}_known(output);" for at, name in enumerate(names)]
    (tmp_path / "all").write_text("\n".join([*source, "    }\n    return -1;\n}\n"]))
    command = ["gcc", *LANGUAGES[language], *WARNINGS, "-shared", "-fPIC", "all", "-o", "all.so"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    known = ctypes.CDLL(str(tmp_path / "all.so")).known
    answers = set()
    for index, threshold in enumerate(thresholds):
        for vector, value in zip(vectors, unlike, strict=True):
            expected = not Chosen({}, threshold).is_unknown(value)
            assert known(index, vector.ctypes.data_as(ctypes.c_void_p)) == expected
            answers.add(expected)
    assert answers == {True, False}


def test_the_limit_is_the_largest_sum_that_is_known() -> None:
    for count in (1, 3, 12, 63, 64):
        for total in (0, 1, 7, 12_345, count * 128**2):
            mean = total / 256 / count
            assert steps_within(mean, count, 1 / 16) == total
            assert steps_within(float(np.nextafter(mean, -1)), count, 1 / 16) == total - 1


def test_the_command_takes_the_threshold_from_training(lotor: Lotor, tmp_path: Path) -> None:
    model = write(tmp_path, 32, [np.full((40, 40, 3), grey, np.uint8) for grey in (0, 90, 200)])
    done = lotor("compile", model.path, "-o", tmp_path / "c")
    assert done.returncode == 0, done.stderr
    header = (tmp_path / "c" / "watcher.h").read_text()
    threshold = json.loads((tmp_path / "metrics.json").read_text())["ood"]["threshold"]
    (limit,) = re.findall(r"#define WATCHER_KNOWN_LIMIT (\d+)", header)
    assert int(limit) / 256 / 12 == threshold
    assert "static inline int watcher_known(const int8_t *output_1)" in header
    (tmp_path / "metrics.json").unlink()
    assert lotor("compile", model.path, "-o", tmp_path / "c").returncode == 0
    assert "known" not in (tmp_path / "c" / "watcher.h").read_text().lower()


def test_one_output_tells_nothing() -> None:
    path = CHECKOUT / "models" / "person" / "person.tflite"
    assert compile_model(path, unknown=2.0).header == compile_model(path).header

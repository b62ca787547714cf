"""The conformance table: what it says of models that are right, wrong, refused and damaged."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from cases import built
from cases.conv_2d import conv_2d
from cases.network import network
from conftest import Lotor
from lotor import conformance
from lotor.conformance import Record, Refusal, as_page, as_text
from lotor.errors import LotorError
from tflite_builder import ModelBuilder, Quant


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four models of different fates, and a pipe that nobody writes to."""
    made = tmp_path_factory.mktemp("models")
    (made / "deep").mkdir()
    os.mkfifo(made / "pipe.tflite")
    (made / "deep/network.tflite").write_bytes(built(network).build())
    (made / "conv.tflite").write_bytes(built(conv_2d).build())
    (made / "damaged.tflite").write_bytes(built(conv_2d).build()[:-40])
    m = ModelBuilder()
    x = m.input((1, 4, 4, 2), Quant(0.1, 0))
    y = m.unary("SKIP_GRAM", m.unary("SKIP_GRAM", x))
    m.output(m.rename(m.unary("UNIQUE", y), "last"))
    (made / "odd.tflite").write_bytes(m.build())
    return made


def test_records(folder: Path) -> None:
    found = {r.path: r for r in conformance.conformance([folder], samples=2)}
    assert list(found) == ["conv.tflite", "damaged.tflite", "deep/network.tflite", "odd.tflite"]
    right = found["deep/network.tflite"]
    assert (right.status, right.mismatches, right.samples) == ("exact", 0, 2)
    assert right.arena_bytes is not None and right.lower_bound is not None
    assert right.arena_bytes >= right.lower_bound > 0
    assert right.operators["CONV_2D"] == 4 and right.layers == sum(right.operators.values())
    assert (right.group, right.format) == ("signal", "int8")
    assert found["damaged.tflite"].status == "refused"
    assert "damaged" in found["damaged.tflite"].reason
    odd = found["odd.tflite"]
    assert odd.status == "refused"
    assert [(r.kind, r.count) for r in odd.refusals] == [("SKIP_GRAM", 2), ("UNIQUE", 1)]


def test_command(folder: Path, lotor: Lotor, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    done = lotor("conformance", folder, "--samples", 2, "-o", page, "--json")
    assert done.returncode == 0, done.stderr
    assert [m["path"] for m in json.loads(done.stdout)["models"]][-1] == "odd.tflite"
    text = page.read_text()
    assert "| `deep/network.tflite` | int8 |" in text
    assert "- `odd.tflite`\n  - SKIP_GRAM (2): operator not supported" in text
    assert "BUILTIN_REF" in text
    again = lotor("conformance", folder, "--samples", 2, "-o", page)
    assert page.read_text() == text, "the same models give the same page"
    assert "2 exact" in again.stdout


def test_the_page_is_checked_before_the_models(lotor: Lotor, tmp_path: Path) -> None:
    page = tmp_path / "none" / "page.md"
    done = lotor("conformance", tmp_path, "-o", page)
    assert done.returncode == 2
    assert f"cannot write {page}: No such file or directory; give another file" in done.stderr
    page = tmp_path / "page.md"
    assert "no .tflite file" in lotor("conformance", tmp_path, "-o", page).stderr
    assert not page.exists()


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match=r"no \.tflite file"):
        conformance.conformance([tmp_path], samples=1)
    with pytest.raises(LotorError, match="at least 1"):
        conformance.conformance([tmp_path], samples=0)


def test_a_model_that_takes_too_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "_SECONDS", 0.01)
    found = conformance._in_a_process(folder / "conv.tflite", "conv", 1, 0)
    assert (found.status, found.reason) == ("failed", "took more than 0.01 s")


def test_a_process_that_dies(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\necho compiling\necho out of memory >&2\nexit 3\n")
    dying.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dying))
    found = conformance._in_a_process(folder / "conv.tflite", "conv", 1, 0)
    assert found.status == "failed"
    assert found.reason == "ended with status 3, compiling: out of memory"


def test_what_differs_fails() -> None:
    records = [
        Record("a.tflite", "exact", "image", "int8", 2, {"ADD": 2}, 8, 8, 3, 30),
        Record(
            *("b.tflite", "differs", "image", "int8", 1, {"ADD": 1}, 8, 8, 3, 30, 7, 2.0, 0.5),
            first_bad_layer="0 ADD x",
        ),
        Record("c|d.tflite", "refused", refusals=[Refusal("SIN", "operator not supported", 4)]),
    ]
    text = as_text(records)
    assert "7 of 30 mismatches" in text and "0 ADD x" in text and "1 differs" in text
    page = as_page(records, 3, "make conformance")
    assert "| Models that take images | int8 | 2 | 1 | 0 | 1 | 0 | 0 | 0 |" in page
    assert "- `c|d.tflite`\n  - SIN (4): operator not supported" in page


def test_differences_are_relative_to_the_largest_element() -> None:
    from lotor.verify import _largest

    assert _largest(np.array([1.0, -4.0, np.inf, np.nan], np.float32)) == 4.0
    assert 0 < _largest(np.zeros(3, np.float32)) < 1e-37

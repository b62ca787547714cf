"""The demonstration: what makes it fail, and the sheet that it draws."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from conftest import Lotor
from lotor.contact_sheet import Tile, draw, save
from lotor.data.samples import get_samples
from lotor.demo import as_text, draw_sheet, find_problems
from lotor.errors import LotorError
from lotor.preprocess import read_image

SCORES = {"raccoon": 0.9, "person": 0.1}


def entry(path: str = "raccoon.png", **changed: Any) -> dict[str, Any]:
    return {
        "path": path,
        "expect": "raccoon",
        "label": "raccoon",
        "score": 0.9,
        "scores": SCORES,
        "ticks": 64_000_000,
        "host_equal": True,
        "litert_equal": True,
    } | changed


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"host_equal": False}, "differs from this machine's"),
        ({"litert_equal": False}, "differs from LiteRT's"),
        ({"label": "person"}, "saw person, not raccoon"),
    ],
)
def test_what_makes_it_fail(changed: dict[str, Any], says: str) -> None:
    (problem,) = find_problems([entry(), entry("b.png", **changed)], "raccoon")
    assert problem.startswith("b.png: ")
    assert says in problem


def test_what_does_not_make_it_fail() -> None:
    wrong_elsewhere = entry("cat.png", expect="cat", label="person")
    assert find_problems([entry(litert_equal=None), wrong_elsewhere], "raccoon") == []


def result(folder: Path, images: list[dict[str, Any]]) -> dict[str, Any]:
    cv2.imwrite(str(folder / "raccoon.png"), np.full((60, 80, 3), (10, 200, 30), np.uint8))
    return {
        "board": "netduinoplus2",
        "chip": "STM32F405RG",
        "model": "raccoon",
        "images": images,
        "tick_unit": "instructions",
        "arena_bytes": 55_296,
        "ram_bytes": 65_064,
        "flash_bytes": 256_432,
        "sheet": "sheet.png",
        "problems": find_problems(images, "raccoon"),
    }


def test_the_table_says_what_was_seen(tmp_path: Path) -> None:
    wrong = entry("x/cat.png", expect="cat", host_equal=False)
    text = as_text(result(tmp_path, [entry(), wrong]))
    assert "55,296 bytes" in text
    lines = text.splitlines()
    (seen,) = (line for line in lines if line.startswith("raccoon.png"))
    assert "64,000,000" in seen
    assert "bytes equal host, LiteRT" in seen
    (bad,) = (line for line in lines if line.startswith("cat.png"))
    assert "BYTES DIFFER" in bad
    assert "(shows cat)" in bad
    assert lines[-1].startswith("wrong: cat.png")


def test_the_unknown_has_no_score(tmp_path: Path) -> None:
    unknown = entry("cup.png", expect="person", label="unknown", score=0.9)
    shown = result(tmp_path, [entry(), unknown])
    (line,) = (line for line in as_text(shown).splitlines() if line.startswith("cup.png"))
    assert line.split()[:3] == ["cup.png", "unknown", "64,000,000"]
    assert "(shows person)" in line
    shown["images"][1]["path"] = shown["images"][0]["path"] = str(tmp_path / "raccoon.png")
    assert draw_sheet(shown, "raccoon").any()


def test_the_sheet_shows_whole_photographs(tmp_path: Path) -> None:
    images = [entry(str(tmp_path / "raccoon.png"))] * 4
    sheet = draw_sheet(result(tmp_path, images), "raccoon")
    save(sheet, tmp_path / "deep" / "sheet.png")
    assert (read_image(tmp_path / "deep" / "sheet.png") == sheet).all()
    green = (sheet == (10, 200, 30)).all(axis=2)
    # Four photographs of 4:3, each 300 pixels high.
    assert green.sum() == pytest.approx(4 * 400 * 300, rel=0.01)


@pytest.mark.parametrize("fonts", [True, False])
def test_bars_are_as_long_as_scores(monkeypatch: pytest.MonkeyPatch, fonts: bool) -> None:
    if not fonts and hasattr(cv2, "FontFace"):
        monkeypatch.delattr(cv2, "FontFace")
    image = np.zeros((30, 30, 3), np.uint8)

    def accent(score: float) -> int:
        tile = Tile(image, "raccoon", {"raccoon": score, "person": 0.0}, "")
        sheet = draw([tile], "", "", "raccoon")
        # The photograph is square: right of it and below is the card, whose bar starts at 150.
        return int((sheet[104 + 300 + 50 :] == (60, 110, 230)).all(axis=2).sum())

    full = accent(1.0)
    assert full > 2000
    assert accent(0.5) == pytest.approx(full / 2, rel=0.02)
    assert accent(0.0) == 0


@pytest.mark.hil
@pytest.mark.parametrize(
    ("option", "says"),
    [("--board=netduinoplus", "did you mean 'netduinoplus2'"), ("--model=racoon", "'raccoon'")],
)
def test_a_wrong_name_is_said_at_once(
    option: str, says: str, lotor: Lotor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path / "cache"))
    done = lotor("demo", option, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_whole_road(lotor: Lotor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (shutil.which("qemu-system-arm") and shutil.which("arm-none-eabi-gcc")):
        pytest.skip("needs qemu-system-arm and arm-none-eabi-gcc: see `lotor doctor`")
    try:
        get_samples()
    except LotorError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))  # leave other emulators alone
    done = lotor("demo", "--out", tmp_path / "out", "--json", timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    seen = {Path(image["path"]).stem: image for image in found["images"]}
    assert seen["raccoon"]["label"] == "raccoon"
    assert all(image["host_equal"] for image in seen.values())
    assert all(image["ticks"] > 1_000_000 for image in seen.values())
    assert read_image(Path(found["sheet"])).shape[0] > 500
    assert not list((tmp_path / "run").glob("*.json"))  # what it started, it stopped

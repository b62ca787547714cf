"""The models that ship are within their limits: size, boards, figures; and their cards say so."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cortex_m import needs_emulator
from lotor.board import load_board
from lotor.build import build_firmware, self_test
from lotor.compiler import compile_model
from lotor.device.ready import compile_for
from lotor.host import load
from lotor.tuned import preference
from lotor.zoo import find_model, model_names

BOARD = "netduinoplus2"  # the one that the figures of cards and README are for
CHECKOUT = Path(__file__).parents[1]
SHIPPED = ("person", "raccoon", "raccoon-128", "raccoon-boxes", "raccoon-locate")
pytestmark = pytest.mark.xdist_group("shipped")  # each compiled once
WEIGHTS_BYTES = 300_000
# Flash and RAM of the nRF52840 of an Arduino Nano 33 BLE, a Cortex-M4 as well (its product
# specification, section "Memory"): an image of the same program takes the same there.
NRF52840 = (1_048_576, 262_144)


@dataclass(frozen=True)
class Size:
    """What a model costs on a board, without stripes."""

    macs: int
    weights: int
    arena: int


@cache
def size(name: str) -> Size:
    """Return what `lotor inspect NAME --board netduinoplus2` prints."""
    board = load_board(BOARD)
    compiled = compile_model(
        find_model(name).path, board.target, preference=preference(board, "speed")
    )
    report = compiled.report
    return Size(report["macs"], report["weights_bytes"], report["arena_bytes"])


@cache
def in_stripes(name: str) -> Any:
    """Return a model as it is flashed, in stripes where it must."""
    return compile_for(BOARD, name)


def card_of(name: str) -> str:
    """Return a model's card without its line breaks."""
    return " ".join((CHECKOUT / "models" / name / "card.md").read_text().split())


def readme_row(name: str) -> str:
    """Return a model's row in README's table."""
    lines = (CHECKOUT / "README.md").read_text().splitlines()
    (row,) = (line for line in lines if line.startswith(f"| [{name}](models/"))
    return row


def metrics(name: str) -> Any:
    """Return the test figures of the file that ships, and of no other."""
    path = find_model(name).path
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lineage = json.loads(path.with_name("lineage.json").read_text())
    assert lineage["model_sha256"] == digest, f"{path.name} is not the file that was measured"
    return json.loads(path.with_name("metrics.json").read_text())["test"]


def test_those_are_all() -> None:
    assert tuple(model_names()) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_cards_and_readme_have_the_figures_of_one_command(name: str) -> None:
    found = size(name)
    card = card_of(name)
    said = re.search(r"([\d.]+) million multiply-accumulates, (\d+) kB of weights", card)
    assert said, "the card names multiply-accumulates and weights"
    assert said.groups() == (f"{found.macs / 1e6:.1f}", f"{found.weights / 1000:.0f}")
    assert f" {found.arena:,} bytes of arena".replace(",", " ") in card
    assert f"`lotor inspect {name} --board {BOARD}`" in card
    weights, arena = readme_row(name).split(" | ")[3:5]
    assert weights == f"{found.weights / 1000:.0f} kB"
    assert arena.startswith(f"{found.arena / 1000:.0f} kB")
    assert f"`lotor inspect NAME --board {BOARD}`" in (CHECKOUT / "README.md").read_text()


@pytest.mark.parametrize(
    "name",
    [
        "raccoon",
        pytest.param("raccoon-128", marks=pytest.mark.slow),
        pytest.param("raccoon-boxes", marks=pytest.mark.slow),
        "raccoon-locate",
    ],
)
def test_cards_say_what_stripes_save(name: str) -> None:
    arena = in_stripes(name).report["arena_bytes"]
    assert f"{arena:,} in stripes".replace(",", " ") in card_of(name)
    assert f", {arena / 1000:.0f} in stripes |" in readme_row(name)


@needs_emulator
@pytest.mark.parametrize("name", ["raccoon", "person"])
def test_small_boards_hold_it(name: str) -> None:
    assert size(name).weights <= WEIGHTS_BYTES
    board = load_board(BOARD)
    test = self_test(load(str(find_model(name).path)))
    image = build_firmware(board, [in_stripes(name)], tests=[test])  # as `lotor flash` builds it
    assert image.breakdown["weights"] >= size(name).weights * 0.9
    for flash, ram in ((board.flash_limit, board.ram_limit), NRF52840):
        assert image.flash_bytes <= flash
        assert image.ram_bytes <= ram
    # There is room for the whole of it there, which is quicker than stripes.
    grown = size(name).arena - image.arena_bytes
    assert image.ram_bytes + grown <= NRF52840[1]


@pytest.mark.parametrize(
    ("name", "precision", "recall_1", "recall_5"),
    [("raccoon", 0.80, 0.68, 0.87), ("raccoon-128", 0.86, 0.68, 0.87)],
)
def test_a_worse_classifier_does_not_ship(
    name: str, precision: float, recall_1: float, recall_5: float
) -> None:
    found = metrics(name)["all"]
    assert found["average_precision"] >= precision
    assert found["recall"]["1%"] >= recall_1
    assert found["recall"]["5%"] >= recall_5


@pytest.mark.parametrize(
    ("name", "precision", "recall_1", "recall_5"),
    [("raccoon", 0.88, 0.76, 0.92), ("raccoon-128", 0.92, 0.76, 0.92)],
)
def test_nor_one_that_is_worse_with_views(
    name: str, precision: float, recall_1: float, recall_5: float
) -> None:
    """By the benchmark's results, which are kept for each version."""
    path = find_model(name).path
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    kept = json.loads((path.parent / "results" / f"{digest[:12]}.json").read_text())
    assert kept["model_sha256"] == digest
    found = kept["figures"]["int8-views"]["all"]
    assert found["average_precision"]["value"] >= precision
    assert found["recall_1"]["value"] >= recall_1
    assert found["recall_5"]["value"] >= recall_5


def test_a_worse_pointer_does_not_ship() -> None:
    found = metrics("raccoon-locate")
    assert found["peak_inside"] >= 0.95
    (tenth,) = (row for row in found["pasted"] if row["area"] == 0.1)
    assert tenth["peak_inside"] >= 0.80


def test_a_worse_detector_does_not_ship() -> None:
    found = metrics("raccoon-boxes")
    assert found["boxes"]["mean_average_precision"] >= 0.75
    assert found["best_box_hits"] >= 0.95


def test_person_is_the_file_that_was_measured() -> None:
    """Its target is of other photographs than the garden's: see its card."""
    assert metrics("person")["all"]["photos"] > 0

"""The whole road once: photographs, over a serial line, to a board; what it saw, and the proof."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lotor.board import load_board
from lotor.classifier import BoardClassifier, LiteRtClassifier, open_classifier
from lotor.contact_sheet import Tile, draw, save
from lotor.data.samples import Stored, get_samples
from lotor.decision import read_chosen
from lotor.detect import UNKNOWN, said
from lotor.errors import LotorError
from lotor.evaluate import label_indices
from lotor.preprocess import read_image
from lotor.zoo import ModelFile, find_model


def demo(board: str, model: str, out: Path) -> dict[str, Any]:
    """Flash a model, show its board the sample photographs, and draw a contact sheet.

    An emulator that was not running before is stopped at the end.

    Args:
        board: name of a board.
        model: name or path of a classifier.
        out: folder of the contact sheet, `NAME-BOARD.png`, and of the photographs.

    Returns:
        `board`, `model`, `images[]` (path, expect, what `detect.said` says, ticks, host_equal,
        litert_equal or None without LiteRT), `tick_unit`, `arena_bytes`, `ram_bytes`,
        `flash_bytes`, `sheet`, `problems[]`, `ok`.
    """
    from lotor.device import emulator
    from lotor.device.flash import flash

    load_board(board)  # a wrong name is said before anything is fetched
    found = find_model(model)
    samples = get_samples(out / "photographs")
    was_running = emulator.running(board) is not None
    print(f"building and flashing {found.name} for {board}", file=sys.stderr)
    try:
        flashed = flash(board, str(found.path))
        with open_classifier(found, board) as classifier:
            if not isinstance(classifier, BoardClassifier):
                raise TypeError("a board was asked for")
            images = _look(classifier, samples)
            unit = classifier.session.greeting.tick_unit
    finally:
        if not was_running:
            emulator.stop(board)
    problems = find_problems(images, str(found.recipe.get("target", "")))
    sheet = out / f"{found.name}-{board}.png"
    result = {
        "board": board,
        "chip": flashed.board.chip,
        "model": found.name,
        "images": images,
        "tick_unit": unit,
        "arena_bytes": flashed.image.arena_bytes,
        "ram_bytes": flashed.image.ram_bytes,
        "flash_bytes": flashed.image.flash_bytes,
        "sheet": str(sheet),
        "problems": problems,
        "ok": not problems,
    }
    save(draw_sheet(result, str(found.recipe.get("target", ""))), sheet)
    return result


def _look(board: BoardClassifier, samples: Sequence[Stored]) -> list[dict[str, Any]]:
    """Let the board, this machine and LiteRT, where it is installed, see every photograph."""
    litert, chosen = _litert(board.model), read_chosen(board.model)
    labels = board.labels
    mapped = "data" in board.model.recipe
    label_of = label_indices(board.model.recipe, labels) if mapped else None
    images = []
    for number, sample in enumerate(samples, start=1):
        print(f"photograph {number} of {len(samples)}: {sample.path.name}", file=sys.stderr)
        tensor = board.input.tensor(read_image(sample.path))
        answer = board.ask(tensor)
        scores = board.probabilities(answer.output)
        images.append(
            {
                "path": str(sample.path),
                "expect": labels[label_of(sample.kind)] if label_of else sample.kind,
                "source": sample.source,
                "licence": sample.licence,
                **said(board, scores, answer.output, chosen),
                "ticks": answer.ticks,
                "host_equal": _equal(answer.output, board.expect(tensor)),
                "litert_equal": _equal(answer.output, litert.infer(tensor)) if litert else None,
            }
        )
    return images


def _litert(model: ModelFile) -> LiteRtClassifier | None:
    try:
        return LiteRtClassifier(model)
    except LotorError:
        return None


def _equal(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


def find_problems(images: Sequence[dict[str, Any]], target: str) -> list[str]:
    """Return what makes a demonstration fail: a differing byte, or an unseen target."""
    problems = []
    for image in images:
        name = Path(image["path"]).name
        for key, other in (("host_equal", "this machine's"), ("litert_equal", "LiteRT's")):
            if image[key] is False:
                problems.append(f"{name}: the board's answer differs from {other}")
        if image["expect"] == target and image["label"] != target:
            problems.append(f"{name}: the board saw {image['label']}, not {target}")
    return problems


def draw_sheet(result: dict[str, Any], target: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the contact sheet of a demonstration, BGR."""
    tiles = [
        Tile(
            read_image(Path(image["path"])),
            image["label"],
            image["scores"],
            f"{image['ticks']:,} {result['tick_unit']}  ·  {_proof(image)}",
            image["host_equal"] and image["litert_equal"] is not False,
        )
        for image in result["images"]
    ]
    title = f"What {result['board']} saw"
    subtitle = (
        f"{result['model']} on {result['chip']}  ·  arena {result['arena_bytes']:,} bytes  ·  "
        f"RAM {result['ram_bytes']:,} bytes  ·  flash {result['flash_bytes']:,} bytes"
    )
    return draw(tiles, title, subtitle, target)


def _proof(image: dict[str, Any]) -> str:
    if not image["host_equal"] or image["litert_equal"] is False:
        return "BYTES DIFFER"
    return "bytes equal host" + (", LiteRT" if image["litert_equal"] else "")


def as_text(result: dict[str, Any]) -> str:
    """Return the demonstration as a table for people."""
    unit = result["tick_unit"]
    lines = [
        f"{result['board']} ({result['chip']}) runs {result['model']}: arena "
        f"{result['arena_bytes']:,} bytes, RAM {result['ram_bytes']:,} bytes, flash "
        f"{result['flash_bytes']:,} bytes",
        "",
        f"{'photograph':<14}{'the board saw':<16}{'score':>6}  {unit:>14}  proof",
    ]
    for image in result["images"]:
        name = Path(image["path"]).name
        wrong = "" if image["label"] == image["expect"] else f"  (shows {image['expect']})"
        # The best score is another label's where the label is unknown.
        score = "" if image["label"] == UNKNOWN else f"{image['score']:.1%}"
        lines.append(
            f"{name:<14}{image['label']:<16}{score:>6}  {image['ticks']:>14,}  "
            f"{_proof(image)}{wrong}"
        )
    lines += ["", f"contact sheet: {result['sheet']}"]
    return "\n".join(lines + [f"wrong: {problem}" for problem in result["problems"]])

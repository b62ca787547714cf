"""Sequences of a camera's frames: `frames.csv` in a folder, one row a frame.

Columns that are needed: `file` (path below the folder; the frames of one of its folders are one
sequence), `frame` (a whole number that orders them), `label` (what is on the frame, in words).
Columns that may be there: `timestamp` (seconds, or ISO 8601), `synthetic` (1: made, not filmed),
`source`. Others are ignored.
"""

import csv
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from itertools import pairwise
from pathlib import Path

from lotor.errors import LotorError
from lotor.resources import resource

SEQUENCES = "../shared/data/sequences"
FRAMES = "frames.csv"

_COLUMNS = ("file", "frame", "label")
_VAGUE = frozenset({"", "?", "animal", "entering", "leaving", "unknown", "unlabelled"})
"""What may be said of a frame whether or not the target is on it."""


class Truth(Enum):
    """What a frame's label says of the target."""

    THERE = "there"
    ABSENT = "absent"
    UNCLEAR = "unclear"


def truth_of(label: str, target: Collection[str]) -> Truth:
    """Return what a label says of a target that goes by one of these names.

    Brackets are left out, `or` parts what may be there, and `/`, `,`, `+`, `and` part what is there
    together. The target is there if it is in every alternative, and it is absent if none of them
    names it and none is vague (nothing, `animal`, `entering`, `leaving`, `unknown`, `unlabelled`):
    "cat or empty (not labelled per frame)" is a negative for raccoons, and unclear for cats.
    """
    plain = re.sub(r"\(.*?\)", " ", label).lower()
    names = {name.lower() for name in target}
    alternatives = [
        {" ".join(thing.split()) for thing in re.split(r"[/,+]|\band\b", part)}
        for part in re.split(r"\bor\b", plain)
    ]
    shown = [bool(things & names) for things in alternatives]
    if all(shown):
        return Truth.THERE
    if any(shown) or any(things & _VAGUE for things in alternatives):
        return Truth.UNCLEAR
    return Truth.ABSENT


@dataclass(frozen=True)
class Frame:
    """One frame; `time` in seconds, None where it is not listed."""

    path: Path
    number: int
    label: str
    time: float | None = None


@dataclass(frozen=True)
class FrameSequence:
    """The frames of one camera in order, named by their folder."""

    name: str
    frames: tuple[Frame, ...]
    synthetic: bool = False
    source: str = ""

    def times(self, rate: float) -> list[float]:
        """Return each frame's time in seconds: as listed, else at `rate` frames a second."""
        listed = [frame.time for frame in self.frames if frame.time is not None]
        if len(listed) == len(self.frames):
            return listed
        return [index / rate for index in range(len(self.frames))]


def sequences_folder(given: Path | None) -> Path:
    """Return the folder of sequences: the given one, else the usual one beside the checkout."""
    folder = given or (resource("models").parent / SEQUENCES).resolve()
    if not (folder / FRAMES).is_file():
        raise LotorError(f"no {FRAMES} in {folder}; give a folder that holds one")
    return folder


def read_sequences(folder: Path) -> list[FrameSequence]:
    """Read `folder/frames.csv` and check every row; sequences in the order of their first rows.

    Raises:
        LotorError: it cannot be read, a row is unsound, a file is missing, two frames of a sequence
            have one number, or its times go back.
    """
    path = folder / FRAMES
    try:
        rows = list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
    except OSError as error:
        raise LotorError(f"cannot read {path} ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LotorError(f"{path} is no CSV file in UTF-8: {error}") from error
    if not rows:
        raise LotorError(f"{path} lists no frame")
    if missing := [name for name in _COLUMNS if name not in rows[0]]:
        raise LotorError(f"{path} lacks the column(s) {', '.join(missing)}")
    found: dict[str, list[tuple[Frame, Mapping[str, str]]]] = {}
    for line, row in enumerate(rows, start=2):
        frame = _frame(folder, path, line, row)
        name = frame.path.parent.relative_to(folder).as_posix()
        found.setdefault(folder.resolve().name if name == "." else name, []).append((frame, row))
    return [_sequence(path, name, members) for name, members in found.items()]


def _frame(folder: Path, path: Path, line: int, row: Mapping[str, str]) -> Frame:
    try:
        if any(row[name] is None for name in _COLUMNS):
            raise ValueError("there are fewer values than columns")
        below = Path(row["file"])
        if not row["file"] or below.is_absolute() or ".." in below.parts:
            raise ValueError(f"file '{row['file']}' must lie below the folder of {path.name}")
        if not (folder / below).is_file():
            raise ValueError(f"there is no file {folder / below}")
        if not re.fullmatch(r"\d{1,9}", row["frame"].strip()):
            raise ValueError(f"frame '{row['frame']}' is no whole number from 0 on")
        time = _time(row.get("timestamp") or "")
        return Frame(folder / below, int(row["frame"]), row["label"].strip(), time)
    except ValueError as error:
        raise LotorError(f"{path} line {line}: {error}") from error


def _time(text: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        return datetime.fromisoformat(text).timestamp()
    if not math.isfinite(seconds):
        raise ValueError(f"timestamp {text} must be finite")
    return seconds


def _sequence(
    path: Path, name: str, members: list[tuple[Frame, Mapping[str, str]]]
) -> FrameSequence:
    frames = sorted((frame for frame, _ in members), key=lambda frame: frame.number)
    for before, after in pairwise(frames):
        if before.number == after.number:
            raise LotorError(f"{path}: {name} has two frames with the number {after.number}")
        if before.time is not None and after.time is not None and after.time < before.time:
            raise LotorError(f"{path}: in {name}, frame {after.number} is earlier than the last")
    synthetic = any((row.get("synthetic") or "0").strip() not in ("0", "") for _, row in members)
    return FrameSequence(name, tuple(frames), synthetic, members[0][1].get("source") or "")

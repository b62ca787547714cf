"""`lotor benchmark`: score every variant of a model, measure by subset, compare, keep."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lotor.benchmark import baselines
from lotor.benchmark.compare import (
    BETTER,
    Difference,
    Regression,
    differences,
    regressions,
)
from lotor.benchmark.frozen import PREVIOUS, Opened, find_file, open_data
from lotor.benchmark.metrics import Figures, lacking, measure
from lotor.benchmark.results import FOLDER, Kept, keep, previous, read_results
from lotor.benchmark.subsets import Look, Subset, look_at, subsets
from lotor.classifier import BoardClassifier, Classifier, LiteRtClassifier, open_classifier
from lotor.data.uses import TEST, count_use
from lotor.errors import LotorError
from lotor.evaluate import (
    DIGITS,
    CountingBoard,
    Flags,
    Scored,
    Scores,
    confusion,
    label_indices,
    resamples,
    score_photos,
    spread,
)
from lotor.progress import Progress
from lotor.suggest import did_you_mean
from lotor.zoo import ModelFile

MAIN = "int8"
"""The variant that is compared with the baselines: on this machine, the full frame alone."""

Parts = dict[str, Figures]
"""Figures by subset; a subset with too few photographs is not there."""


@dataclass(frozen=True)
class Variant:
    """One way to run the model, and what it got.

    Attributes:
        name: e.g. `int8-views`.
        where: the same in words.
        rows: which photographs of the split were scored, [n].
        scored: those with their scores of all labels.
        parts: its figures by subset.
        runs: inferences on a board; 0 on this machine.
        mismatches: how many of them differed from this machine's in any byte.
    """

    name: str
    where: str
    rows: npt.NDArray[np.int64]
    scored: Scored
    parts: Parts
    runs: int = 0
    mismatches: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        table = confusion(
            self.scored.truth, self.scored.scores.argmax(axis=1), self.scored.scores.shape[1]
        )
        found: dict[str, Any] = {
            "where": self.where,
            "photos": len(self.rows),
            "subsets": {name: figures.as_dict() for name, figures in self.parts.items()},
            "confusion": table,
        }
        return found | ({"runs": self.runs, "mismatches": self.mismatches} if self.runs else {})


@dataclass(frozen=True)
class Run:
    """Everything a benchmark found; see `as_dict` for what of it is given as JSON.

    Attributes:
        model: what was measured.
        model_sha256: of the int8 file.
        opened: the benchmark and its photographs.
        labels: of the model.
        target: index of the label that is looked for.
        positive: whether it is on each photograph, bool [n].
        looks: what was measured of each photograph.
        subsets: of the photographs.
        lacking: by subset, what is too few for figures; empty where there is enough.
        draws: by subset, the bootstrap samples, as rows of the subset.
        variants: by name.
        baselines: by name, the scores of each photograph.
        baseline_parts: by name, the figures by subset.
        previous: the version before, if there is one.
        changes: how variants differ from it, by variant, subset and metric.
        versions: all that are kept, this one as well if it is.
        kept: the file with its results, if they were kept.
    """

    model: ModelFile
    model_sha256: str
    opened: Opened
    labels: list[str]
    target: int
    positive: Flags
    looks: list[Look]
    subsets: list[Subset]
    lacking: dict[str, str]
    draws: dict[str, list[npt.NDArray[np.int64]]]
    variants: dict[str, Variant] = field(default_factory=dict)
    baselines: dict[str, Scores] = field(default_factory=dict)
    baseline_parts: dict[str, Parts] = field(default_factory=dict)
    previous: Kept | None = None
    changes: dict[str, dict[str, dict[str, Difference]]] = field(default_factory=dict)
    versions: list[Kept] = field(default_factory=list)
    kept: Path | None = None

    def why_not(self, variant: Variant, part: str) -> str:
        """Say why a variant has no figures for a subset."""
        everything = len(variant.rows) == len(self.opened.photos)
        return self.lacking[part] if everything else "too few of the photographs were scored"

    @cached_property
    def regressions(self) -> list[Regression]:
        """What became worse than it was."""
        return regressions(self.changes, self.opened.benchmark.watched)

    @cached_property
    def against(self) -> dict[str, dict[str, Difference]]:
        """How the average precision differs from the baselines', by baseline and subset."""
        mine = self.variants[MAIN].parts
        return {
            name: {
                subset: differences(mine[subset], figures)["average_precision"]
                for subset, figures in parts.items()
            }
            for name, parts in self.baseline_parts.items()
        }

    @property
    def gain(self) -> Difference | None:
        """How the average precision on the whole split differs from the version before's.

        None where there is no such version, or it was not measured in the same way.
        """
        table = self.changes.get(MAIN, {}).get("all", {})
        return table.get("average_precision")

    @property
    def unbeaten(self) -> list[str]:
        """What the model is not better than in average precision, on the whole split.

        A baseline is beaten where all of the interval lies above it. The version before is beaten
        by any higher figure: from one version to the next a gain is smaller than its interval. One
        that ranks all photographs as before need not be better: it has something else that is new.
        """
        names = [
            name
            for name, table in self.against.items()
            if "all" not in table or table["all"].verdict != BETTER
        ]
        # Scores are kept rounded.
        if self.gain and not self.same and round(self.gain.change.value, DIGITS) <= 0:
            names.append(PREVIOUS)
        return names

    @property
    def same(self) -> bool:
        """Whether the model ranks the photographs just as the version before did."""
        if self.gain is None:
            return False
        change = self.gain.change
        return change.value == change.low == change.high == 0

    @property
    def word(self) -> str:
        """How it compares with the version before."""
        if PREVIOUS in self.unbeaten:
            return "NOT beaten"
        return "equalled" if self.same else "beaten"

    @property
    def mismatches(self) -> int:
        """Outputs of a board that differ from this machine's."""
        return sum(variant.mismatches for variant in self.variants.values())

    @property
    def ok(self) -> bool:
        """Whether nothing became worse, all that must be beaten is, and a board agrees."""
        return not (self.regressions or self.unbeaten or self.mismatches)

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        opened = self.opened
        return {
            "model": self.model.name,
            "model_sha256": self.model_sha256,
            "frozen": opened.frozen,
            "split": opened.split,
            "data": str(opened.data.folder),
            "manifest_sha256": opened.data.manifest_hash,
            "photos_sha256": opened.photos_sha256,
            "photos": len(opened.photos),
            "labels": self.labels,
            "target": self.labels[self.target],
            "subsets": {
                part.name: {
                    "rule": part.rule,
                    "photos": int(part.member.sum()),
                    "positives": int((part.member & self.positive).sum()),
                    "lacking": self.lacking[part.name],
                }
                for part in self.subsets
            },
            "variants": {name: one.as_dict() for name, one in self.variants.items()},
            "baselines": {
                name: {
                    "subsets": {part: found.as_dict() for part, found in parts.items()},
                    "against": {part: one.as_dict() for part, one in self.against[name].items()},
                    "beaten": name not in self.unbeaten,
                }
                for name, parts in self.baseline_parts.items()
            },
            "previous": self.previous
            and {
                "model_sha256": self.previous.model_sha256,
                "number": self.previous.number,
                "beaten": None if self.gain is None else self.word == "beaten",
                "changes": {
                    variant: {
                        part: {name: one.as_dict() for name, one in table.items()}
                        for part, table in parts.items()
                    }
                    for variant, parts in self.changes.items()
                },
            },
            "regressions": [one.as_dict() for one in self.regressions],
            "results": self.kept and str(self.kept),
            "ok": self.ok,
        }


def benchmark(
    model: ModelFile,
    data: Path | None = None,
    split: str | None = None,
    unfrozen: bool = False,
    views: bool = False,
    board: str | None = None,
    limit: int | None = None,
    results: Path | None = None,
) -> Run:
    """Measure a model by its `benchmark.toml`.

    Args:
        model: with a recipe; `NAME_float.tflite` beside it is measured, too.
        data: another data set than the frozen one.
        split: another split.
        unfrozen: allow that; such results are not kept, unless `results` is given. Nor are those of
            a model that does not lie beside its `benchmark.toml`.
        views: score nine crops of every photograph as well.
        board: infer on this board, too; every output is compared with this machine's.
        limit: at most so many photographs on the board, spread evenly.
        results: folder of the results of all versions; that beside `benchmark.toml`.

    Raises:
        LotorError: the data is not what the benchmark is frozen on, or the model lacks what says
            what its labels mean.
    """
    if not model.recipe:
        raise LotorError(f"{model.name} has no recipe.toml beside it, which says what classes mean")
    if limit is not None and (board is None or limit < 1):
        raise LotorError(
            f"--limit {limit}: it is for the board, with --board, and 1 at least; everything else "
            "is measured on the whole split"
        )
    path = find_file(model)
    opened = open_data(path, data, split, unfrozen)
    folder = results or path.parent / FOLDER
    versions = read_results(folder)
    # A candidate elsewhere is compared with what ships, and is no version itself.
    ships = model.path.resolve().parent == path.resolve().parent
    kept = bool(results) or (opened.frozen and ships)
    if kept:
        _check_folder(folder)
    run = _prepare(model, opened)
    _add_baselines(run)
    for variant in _variants(run, views, board, limit):
        run.variants[variant.name] = variant
    if opened.split == TEST:
        count_use(opened.data, model.name, model.path.read_bytes())
    run = _add_previous(run, versions)
    if kept:
        return _keep(run, folder, versions)
    return replace(run, versions=versions)


def _check_folder(folder: Path) -> None:
    """See that results can be kept, before the long work."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise LotorError(f"cannot write to {folder}; --results DIR keeps results elsewhere")


def _prepare(model: ModelFile, opened: Opened) -> Run:
    labels = _labels(model)
    wanted = opened.benchmark.target
    if wanted not in labels:
        raise LotorError(
            f"{opened.path}: target '{wanted}'{did_you_mean(wanted, labels)} is none of the "
            f"model's labels {', '.join(labels)}"
        )
    target = labels.index(wanted)
    label_of = label_indices(model.recipe, labels)
    looks = look_at(opened.photos)
    bench = opened.benchmark
    parts = subsets(
        opened.photos, looks, lambda kind: label_of(kind) == target, bench.small, bench.hard
    )
    positive = np.array([label_of(photo.kind) == target for photo in opened.photos], np.bool_)
    draws, short = {}, {}
    for part in parts:
        groups = [_group(opened, row) for row in np.flatnonzero(part.member)]
        short[part.name] = lacking(positive[part.member], groups, wanted)
        if not short[part.name]:
            draws[part.name] = resamples(groups, bench.rounds)
    content = hashlib.sha256(model.path.read_bytes()).hexdigest()
    return Run(model, content, opened, labels, target, positive, looks, parts, short, draws)


def _labels(model: ModelFile) -> list[str]:
    labels = model.labels or model.recipe.get("labels")
    if not labels:
        raise LotorError(f"{model.name} has neither labels.txt nor labels in its recipe.toml")
    return [str(label) for label in labels]


def _group(opened: Opened, row: Any) -> str:
    """Return what a photograph is resampled with; alone where it has no group."""
    return str(opened.photos[row].group or opened.keys[row])


def _variants(run: Run, views: bool, board: str | None, limit: int | None) -> Iterator[Variant]:
    """Score the model in every way that was asked for."""
    framings = (False, True) if views else (False,)
    model, everything = run.model, np.arange(len(run.opened.photos))
    with open_classifier(model) as host:
        for crops in framings:
            yield _variant(run, host, "int8", "int8, this machine", crops, everything)
    float_path = model.path.with_name(f"{model.name}_float.tflite")
    if float_path.is_file():
        real = LiteRtClassifier(replace(model, path=float_path))
        for crops in framings:
            yield _variant(run, real, "float", "float, LiteRT", crops, everything)
    if board is None:
        return
    rows = np.array(spread(range(len(everything)), limit), np.int64)
    with open_classifier(model, board) as there:
        assert isinstance(there, BoardClassifier)
        for crops in framings:
            counting = CountingBoard(there)
            found = _variant(run, counting, "board", f"int8, board {board}", crops, rows)
            yield replace(found, runs=counting.runs, mismatches=counting.mismatches)


def _variant(
    run: Run,
    classifier: Classifier,
    name: str,
    where: str,
    crops: bool,
    rows: npt.NDArray[np.int64],
) -> Variant:
    photos = [run.opened.photos[row] for row in rows]
    label_of = label_indices(run.model.recipe, run.labels)
    scored = score_photos(classifier, photos, label_of, run.target if crops else None)
    parts = _measure(run, scored.scores[:, run.target], scored.truth == run.target, rows)
    name, where = (f"{name}-views", f"{where}, nine crops too") if crops else (name, where)
    return Variant(name, where, rows, scored, parts)


def _measure(
    run: Run, scores: Scores, positive: Flags, rows: npt.NDArray[np.int64] | None = None
) -> Parts:
    """Return figures by subset; `rows` are the photographs of the split that have scores."""
    whole = rows is None or len(rows) == len(run.opened.photos)
    found = {}
    with Progress("resampling", len(run.draws), "subsets") as progress:
        for part in run.subsets:
            if part.name not in run.draws:
                continue
            member, draws = part.member, run.draws[part.name]
            if not whole:
                member = part.member[rows]
                groups = [_group(run.opened, row) for row in np.asarray(rows)[member]]
                short = lacking(positive[member], groups, run.labels[run.target])
                draws = [] if short else resamples(groups, run.opened.benchmark.rounds)
            if draws:
                found[part.name] = measure(scores[member], positive[member], draws, part.whole)
            progress.advance()
    return found


def _add_baselines(run: Run) -> None:
    opened, label_of = run.opened, label_indices(run.model.recipe, run.labels)

    def is_target(kind: str) -> bool:
        return label_of(kind) == run.target

    known: Mapping[str, Callable[[], Scores]] = {
        "always-background": lambda: baselines.always_background(opened.photos),
        "colour-histogram": lambda: baselines.colour_histogram(
            opened.data.split("train"), opened.photos, is_target
        ),
    }
    for name in opened.benchmark.baselines:
        if name in known:
            run.baselines[name] = known[name]()
            run.baseline_parts[name] = _measure(run, run.baselines[name], run.positive)


def _add_previous(run: Run, versions: Sequence[Kept]) -> Run:
    """Compare with the version before, where the benchmark wants that and there is one."""
    opened = run.opened
    before = previous(versions, run.model_sha256, opened.photos_sha256)
    if before is None or PREVIOUS not in opened.benchmark.baselines:
        return run
    for name, variant in run.variants.items():
        scores = before.of(name, opened.keys)
        if scores is not None and len(variant.rows) == len(opened.photos):
            old = _measure(run, scores, run.positive)
            run.changes[name] = {
                part: differences(figures, old[part]) for part, figures in variant.parts.items()
            }
    return replace(run, previous=before)


def _keep(run: Run, folder: Path, versions: Sequence[Kept]) -> Run:
    opened, figures, scores = run.opened, {}, {}
    for name, variant in run.variants.items():
        if len(variant.rows) == len(opened.photos):
            figures[name] = variant.as_dict()["subsets"]
            column = variant.scored.scores[:, run.target]
            scores[name] = {
                key: round(float(score), 6) for key, score in zip(opened.keys, column, strict=True)
            }
    path, kept = keep(folder, versions, run.model_sha256, opened.photos_sha256, figures, scores)
    others = [one for one in versions if one.model_sha256 != run.model_sha256]
    return replace(run, kept=path, versions=sorted([*others, kept], key=lambda one: one.number))

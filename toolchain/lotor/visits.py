"""What a camera with this model would do: visits seen, and false alarms a night.

A model is asked about every frame of sequences (`lotor.data.sequences`), and the sentinel's voting
decides (`lotor.sentinel.voting`). A **visit** is a run of frames whose label says that the target
is there. Runs with fewer frames between them than voting looks back on, or with frames alone that
leave it open, are one visit. Frames beside it that leave it open (the animal enters or leaves)
belong to it: an alarm there is its alarm, but it need not come there. A visit is seen if there was
an alarm in it. An alarm on any other frame that cannot show the target is a false one; frames that
leave it open count neither way.

A second model may watch beside it (`lotor.veto`): while it sees a person, nothing alarms. A frame
that is unlike all that the model knows votes for no alarm; who is seen on it vetoes all the same.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lotor.classifier import BoardClassifier, Classifier, open_classifier
from lotor.data.sequences import (
    FrameSequence,
    Truth,
    read_sequences,
    sequences_folder,
    truth_of,
)
from lotor.decision import LEAST_COST, NOTHING, Chosen, read_chosen
from lotor.detect import combine, target_index, views
from lotor.errors import LotorError
from lotor.evaluate import CountingBoard, val_thresholds
from lotor.preprocess import Image, read_image
from lotor.progress import Progress
from lotor.sentinel.voting import Rule, Voting
from lotor.veto import PERSON, PERSON_SCORE, Veto, check_veto, open_veto
from lotor.zoo import ModelFile

NIGHT_S = 10 * 3600

Scores = dict[str, float]


@dataclass(frozen=True)
class Options:
    """How to watch; nothing here was chosen on sequences.

    Attributes:
        views: score nine crops of every frame too.
        rate: frames a second, where no timestamps are listed.
        votes: "k/n": so many of the last n frames must vote.
        cooldown_s: seconds after an alarm in which there is no other.

    Raises:
        LotorError: the rate or the votes make no sense.
    """

    views: bool = False
    rate: float = 1.0
    votes: str = "3/5"
    cooldown_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.rate < math.inf:
            raise LotorError(f"--rate {self.rate:g}: frames a second, more than 0")
        if not re.fullmatch(r"\d{1,4}/\d{1,4}", self.votes):
            raise LotorError(f"--votes {self.votes}: give it as 3/5, three of the last five frames")
        self.rule({}, {})

    def rule(self, thresholds: Mapping[str, float], vetoes: Mapping[str, float]) -> Rule:
        """Return the rule of voting; a slow camera's frames are remembered for longer."""
        votes, of = (int(number) for number in self.votes.split("/"))
        memory_s = max(Rule.memory_s, of / self.rate)
        return Rule(thresholds, vetoes, votes, of, memory_s, self.cooldown_s)


@dataclass(frozen=True)
class Visit:
    """Indices of frames: the target is there from `first` to `last`, and maybe in `begin..end`."""

    first: int
    last: int
    begin: int
    end: int


def find_visits(truths: Sequence[Truth], apart: int) -> list[Visit]:
    """Return the visits of a sequence in order.

    Args:
        truths: what each frame's label says of the target.
        apart: runs with fewer frames than this between them are one visit.
    """
    runs: list[list[int]] = []
    for index, truth in enumerate(truths):
        if truth is not Truth.THERE:
            continue
        between = truths[runs[-1][1] + 1 : index] if runs else ()
        if runs and (len(between) < apart or all(t is Truth.UNCLEAR for t in between)):
            runs[-1][1] = index
        else:
            runs.append([index, index])
    found = []
    for first, last in runs:
        begin, end = first, last
        while begin > 0 and truths[begin - 1] is Truth.UNCLEAR:
            begin -= 1
        while end + 1 < len(truths) and truths[end + 1] is Truth.UNCLEAR:
            end += 1
        found.append(Visit(first, last, begin, end))
    return found


def judge(
    times: Sequence[float],
    truths: Sequence[Truth],
    scores: Sequence[Mapping[str, float]],
    rule: Rule,
    frame_s: float,
) -> dict[str, Any]:
    """Vote over one sequence and compare the alarms with the truth.

    Args:
        times: of the frames, in seconds.
        truths: what each frame's label says of the target.
        scores: of the rule's labels, for each frame.
        rule: of voting.
        frame_s: seconds that the last frame stands for; each other one stands for the time until
            the next, at most the voting's memory.

    Returns:
        `frames`; `visits`, each with `first`, `last`, `seen` and `delay`, the frames from `first`
        to the alarm (0 also while the animal enters); `negatives`, the frames that cannot show the
        target, and `negative_s`, their time; `false_alarms` and `vetoed`, indices of frames with a
        false alarm, and with enough votes but a veto; `vetoed_by`, for each label that vetoes
        those of the latter that it forbade, and `somebody`, on how many frames it is seen.
    """
    visits = find_visits(truths, rule.of)
    voting = Voting(rule)
    decisions = [voting.decide(time, seen) for time, seen in zip(times, scores, strict=True)]
    alarms = [index for index, decision in enumerate(decisions) if decision.alarm]
    inside = {index for visit in visits for index in range(visit.begin, visit.end + 1)}
    negative = [
        index for index, truth in enumerate(truths) if truth is Truth.ABSENT and index not in inside
    ]
    lasts = np.minimum(np.diff(times, append=times[-1] + frame_s), rule.memory_s)
    held = [index for index, d in enumerate(decisions) if d.enough and d.vetoed_by]
    rows = []
    for visit in visits:
        at = next((index for index in alarms if visit.begin <= index <= visit.end), None)
        delay = None if at is None else max(0, at - visit.first)
        rows.append(
            {"first": visit.first, "last": visit.last, "seen": at is not None, "delay": delay}
        )
    return {
        "frames": len(truths),
        "visits": rows,
        "negatives": len(negative),
        "negative_s": float(lasts[negative].sum()),
        "false_alarms": sorted(set(alarms) & set(negative)),
        "vetoed": held,
        "vetoed_by": {
            label: [index for index in held if label in decisions[index].vetoed_by]
            for label in rule.vetoes
        },
        "somebody": {
            label: sum(not seen[label] < least for seen in scores)  # as voting has it
            for label, least in rule.vetoes.items()
        },
    }


def poisson_upper(count: int, confidence: float = 0.95) -> float:
    """Return the largest mean with which so few events come about by chance often enough.

    One-sided and exact (Garwood, Biometrika 28, 1936): at it, `count` or fewer events have the
    probability 1 - confidence. For none of them it is the rule of three, 3.00.
    """
    low, high = 0.0, count + 10 * math.sqrt(count + 1) + 10
    for _ in range(60):
        mean = (low + high) / 2
        term = total = math.exp(-mean)
        for event in range(1, count + 1):
            term *= mean / event
            total += term
        low, high = (mean, high) if total > 1 - confidence else (low, mean)
    return (low + high) / 2


def summary(parts: Sequence[Mapping[str, Any]], rule: Rule) -> dict[str, Any]:
    """Return the sums over sequences that `judge` made, and what they say of a night of 10 hours.

    No night has more alarms than cool-downs. `per_night` and `per_night_95`, the upper end of the
    one-sided 95 % interval, are None without negatives.
    """
    visits = [visit for part in parts for visit in part["visits"]]
    delays = sorted(visit["delay"] for visit in visits if visit["seen"])
    alarms = sum(len(part["false_alarms"]) for part in parts)
    seconds = sum(part["negative_s"] for part in parts)
    most = NIGHT_S / rule.cooldown_s if rule.cooldown_s else math.inf
    nights = seconds / NIGHT_S
    return {
        "frames": sum(part["frames"] for part in parts),
        "visits": len(visits),
        "seen": len(delays),
        "missed": len(visits) - len(delays),
        "delays": delays,
        "negatives": sum(part["negatives"] for part in parts),
        "negative_s": seconds,
        "scenes": sum(part["negatives"] > 0 for part in parts),
        "false_alarms": alarms,
        "vetoed": sum(len(part["vetoed"]) for part in parts),
        "vetoed_by": {
            label: sum(len(part["vetoed_by"][label]) for part in parts) for label in rule.vetoes
        },
        "somebody": {
            label: sum(part["somebody"][label] for part in parts) for label in rule.vetoes
        },
        "per_night": round(min(most, alarms / nights), 1) if nights else None,
        "per_night_95": round(min(most, poisson_upper(alarms) / nights), 1) if nights else None,
    }


def score_frame(
    classifier: Classifier, image: Image, target: int, vetoes: Sequence[int], with_views: bool
) -> tuple[Scores, float | None]:
    """Return the scores that voting needs of a BGR frame, and how unlike all known ones it is.

    With views, a veto's score is its highest. The second is None where the model cannot tell.
    """
    boxes = views(*image.shape[:2])[: None if with_views else 1]
    tensors = (classifier.input.tensor(image[y0:y1, x0:x1]) for x0, y0, x1, y1 in boxes)
    outputs = [classifier.infer(tensor) for tensor in tensors]
    parts = np.stack([classifier.probabilities(output) for output in outputs])
    found = {classifier.labels[index]: float(parts[:, index].max()) for index in vetoes}
    found[classifier.labels[target]] = float(combine(parts, target)[0][target])
    return found, classifier.unlike(outputs[0])


def measure_visits(
    classifier: Classifier,
    recipe: Mapping[str, Any],
    sequences: Sequence[FrameSequence],
    thresholds: Mapping[str, float],
    options: Options,
    chosen: Chosen = NOTHING,
    veto: Veto | None = None,
) -> dict[str, Any]:
    """Let a classifier watch sequences; each begins with a fresh memory.

    Args:
        classifier: to ask about every frame.
        recipe: of its model: `target`, and `data.classes` for what else the target is called.
        sequences: to watch.
        thresholds: of the target's score, by name; each is measured.
        options: how to watch.
        chosen: what training chose; what is unknown by its threshold votes for no alarm.
        veto: a second model, whose person forbids an alarm as well.

    Returns:
        `target`, `rule` (with the first threshold) and `at`: for each threshold `threshold`,
        `sequences` (`name`, `synthetic`, and what `judge` found), and `all`, `filmed` and `made`,
        the `summary` of all, of those that are not synthetic and of those that are; `unknown`,
        the number of frames that are unlike all known ones, where the model tells it.
    """
    target = target_index(classifier, dict(recipe))
    label = classifier.labels[target]
    own = [i for i, name in enumerate(classifier.labels) if name == PERSON and i != target]
    vetoes = {classifier.labels[i]: PERSON_SCORE for i in own}
    if veto:
        vetoes[veto.label] = veto.threshold
    rules = {name: options.rule({label: value}, vetoes) for name, value in thresholds.items()}
    scores: list[list[Scores]] = []
    unlike: list[float | None] = []
    with Progress("watching", sum(len(s.frames) for s in sequences), "frames") as progress:
        for sequence in sequences:
            scores.append([])
            for frame in sequence.frames:
                image = read_image(frame.path)
                seen, told = score_frame(classifier, image, target, own, options.views)
                if chosen.is_unknown(told):
                    seen[label] = math.nan  # which votes for nothing
                if veto:
                    seen[veto.label] = veto.score(image)
                scores[-1].append(seen)
                unlike.append(told)
                progress.advance()
    classes = recipe.get("data", {}).get("classes", {})
    names = {label} | {kind for kind, of in classes.items() if of == label}
    truths = [[truth_of(frame.label, names) for frame in s.frames] for s in sequences]
    found: dict[str, Any] = {}
    for name, voting in rules.items():
        parts = [
            {"name": sequence.name, "synthetic": sequence.synthetic}
            | judge(sequence.times(options.rate), truth, each, voting, 1 / options.rate)
            for sequence, truth, each in zip(sequences, truths, scores, strict=True)
        ]
        found[name] = {
            "threshold": voting.thresholds[label],
            "sequences": parts,
            "all": summary(parts, voting),
            "filmed": summary([part for part in parts if not part["synthetic"]], voting),
            "made": summary([part for part in parts if part["synthetic"]], voting),
        }
    rule = asdict(next(iter(rules.values())))
    result: dict[str, Any] = {"target": label, "rule": rule, "at": found}
    if chosen.unknown is not None and None not in unlike:
        result["unknown"] = sum(map(chosen.is_unknown, unlike))
    return result


def watch(
    model: ModelFile,
    folder: Path | None = None,
    board: str | None = None,
    threshold: float | None = None,
    options: Options | None = None,
    veto: ModelFile | None = None,
    veto_from: float | None = None,
) -> dict[str, Any]:
    """Let a model watch every sequence of a folder as a camera would.

    Args:
        model: from the zoo, with a recipe that names its target.
        folder: with `frames.csv`; the usual one when None.
        board: infer on this board, and compare every output with this machine's.
        threshold: of the target's score, 0..1; those that training chose on val when None.
        options: how to watch; the usual way when None.
        veto: a second model, whose target is a person: while it sees one, nothing alarms.
        veto_from: its score from which on it does, 0..1; what training chose for it when None.

    Returns:
        `model`, `where`, `folder`, `views`, `rate`, `of_full_frame` (whether thresholds are those
        of the full frame though crops are looked at), what `measure_visits` found, and with a board
        `mismatches`, the number of its `runs` whose output differs in any byte. With a veto
        `veto`: `model`, `label` (what the rule calls it by), `threshold` and its `source`, `where`
        it ran, and on a board its `mismatches` and `runs`.

    Raises:
        LotorError: there is no threshold, or what should veto cannot.
    """
    options = options or Options()
    if veto:
        check_veto(veto, model)
    elif veto_from is not None:
        raise LotorError(
            f"--veto-threshold {veto_from:g} is of a second model: name it with --veto"
        )
    own = val_thresholds(model, options.views)
    # Where it is cheapest never to alarm, that is above 1, which no score reaches either.
    thresholds = {n: min(value, 1.0) for n, value in (own or val_thresholds(model)).items()}
    if threshold is not None:
        thresholds = {"given": threshold}
    if not thresholds:
        raise LotorError(
            f"{model.name} has no thresholds from training (metrics.json beside it); "
            "give one with --threshold"
        )
    place = sequences_folder(folder)
    sequences = read_sequences(place)
    result: dict[str, Any] = {"model": model.name, "folder": str(place)}
    result |= {"views": options.views, "rate": options.rate}
    # Ten views alarm more often than the frame that those thresholds were chosen for.
    result["of_full_frame"] = options.views and not own and threshold is None
    with open_classifier(model, board) as opened:
        asked = CountingBoard(opened) if isinstance(opened, BoardClassifier) else opened
        result["where"] = f"int8, board {board}" if board else "int8, this machine"
        chosen = read_chosen(model)
        second = open_veto(veto, opened, veto_from) if veto else None
        result |= measure_visits(
            asked, model.recipe, sequences, thresholds, options, chosen, second
        )
    result |= _counts(asked)
    if second:
        result["veto"] = {
            "model": second.name,
            "label": second.label,
            "threshold": second.threshold,
            "source": second.source,
            "where": f"int8, {second.where}",
            **_counts(second.classifier),
        }
    return result


def _counts(asked: Classifier) -> dict[str, int]:
    if not isinstance(asked, CountingBoard):
        return {}
    return {"mismatches": asked.mismatches, "runs": asked.runs}


def as_text(result: dict[str, Any]) -> str:
    """Return the figures as a report for people."""
    rule, target = result["rule"], result["target"]
    crops = ", nine crops too" if result["views"] else ""
    veto = "".join(f", nothing beside {name} >= {at:g}" for name, at in rule["vetoes"].items())
    lines = [
        f"{result['model']} ({result['where']}{crops}) on {result['folder']}",
        f"{rule['votes']} votes of {rule['of']} frames, {result['rate']:g} frames a second, "
        f"cool-down {rule['cooldown_s']:g} s{veto}",
    ]
    veto = result.get("veto", {})
    if veto:
        lines.append(
            f"{veto['model']} ({veto['where']}) vetoes from {veto['threshold']:.3f} on "
            f"({veto['source']})"
        )
    for each in (result, veto):
        if "mismatches" in each:
            says = f"outputs of {each['model']} differ from the host's"
            lines.append(f"{each['mismatches']} of {each['runs']} {says}")
    if "unknown" in result:
        lines.append(f"{result['unknown']} frames are unlike all that the model knows")
    for name, found in result["at"].items():
        chosen = f", for {name}{'' if name == LEAST_COST else ' false alarms'} on val"
        chosen = "" if name == "given" else chosen
        if chosen and result.get("of_full_frame", result["views"]):
            chosen += " without crops, which alarm more often"
        lines += ["", f"threshold {found['threshold']:.3f}{chosen}:"]
        width = max(len(part["name"]) for part in found["sequences"]) + 2
        head = f"{'visits seen':>13}{'after frames':>14}{'false alarms':>14}{'frames without':>16}"
        lines.append("  " + " " * width + head)
        for part in found["sequences"]:
            lines.append("  " + _row(part, width))
        lines += _conclusions(found, target, {veto.get("label"): veto.get("model")})
    return "\n".join(lines)


def _row(part: Mapping[str, Any], width: int) -> str:
    visits = part["visits"]
    seen = f"{sum(v['seen'] for v in visits)} of {len(visits)}" if visits else "-"
    delays = " ".join(str(v["delay"]) for v in visits if v["seen"]) or "-"
    made = "   made, not filmed" if part["synthetic"] else ""
    return (
        f"{part['name']:<{width}}{seen:>13}{delays:>14}{len(part['false_alarms']):>14}"
        f"{part['negatives']:>16}{made}"
    )


def _conclusions(found: Mapping[str, Any], target: str, others: Mapping[str, str]) -> list[str]:
    total = found["all"]
    made = sum(len(part["visits"]) for part in found["sequences"] if part["synthetic"])
    lines = [
        f"  visits: {total['seen']} of {total['visits']} seen, {total['missed']} missed"
        + (f"; {made} of them made, not filmed" if made else "")
    ]
    if total["vetoed"]:
        held = [
            f"{count} by {others.get(label, 'its own label')}"
            for label, count in total["vetoed_by"].items()
        ]
        lines.append(
            f"  {total['vetoed']} frames had the votes, but a person was seen: {', '.join(held)}"
        )
    if any(total["somebody"].values()):
        seen = [f"{n} by {others.get(k, 'its own label')}" for k, n in total["somebody"].items()]
        lines.append(f"  a person is seen on frames: {', '.join(seen)}, of {total['frames']}")
    if total["per_night"] is None:
        return [*lines, f"  no frame without {target}: false alarms are not known"]
    parts = {name: found[name] for name in ("filmed", "made")}
    apart = [
        f"    {name} alone: {part['false_alarms']} in {part['negatives']} frames, "
        f"{part['per_night']:.0f} in a night, at most {part['per_night_95']:.0f}"
        for name, part in parts.items()
        if all(each["negatives"] for each in parts.values())
    ]
    return [
        *lines,
        f"  false alarms: {total['false_alarms']} in {total['negatives']} frames without {target} "
        f"({total['negative_s']:.0f} s, {total['scenes']} scenes)",
        f"  in a night of 10 hours: {total['per_night']:.0f}, with 95 % confidence at most "
        f"{total['per_night_95']:.0f} (were frames independent; those of a scene are not)",
        *apart,
    ]

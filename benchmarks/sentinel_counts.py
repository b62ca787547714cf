"""What the sentinel sees, misses and does wrongly, on sequences and in nights of test photographs.

    python benchmarks/sentinel_counts.py [--nights 13] [--split val] [--veto MODEL] [--json]

The first part watches the sequences that lie beside the checkout. The second makes nights: in each,
a photograph of the test split without an animal is the garden, and animals and people of the test
split walk through it, cut out of their photographs (`lotor.data.paste`) where a box is known, else
the photograph itself with its corners rounded off. No model saw any of them in training, nor was
anything chosen on them; who has something to choose takes `--split val`. Half of the nights are by
infrared. People come as well, and once a night while a raccoon is there. A night is as long as its
visitors need, with pauses; figures are for each night of so many visitors.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lotor.data.manifest import Photo, read_manifest
from lotor.data.paste import Cutout, cut_out
from lotor.data.sequences import Truth, read_sequences, truth_of
from lotor.errors import LotorError
from lotor.preprocess import Image, read_image
from lotor.progress import Progress
from lotor.sentinel import config
from lotor.sentinel.bus import Decided, EventChanged, Message
from lotor.sentinel.clock import SetClock
from lotor.sentinel.daemon import Sentinel
from lotor.sentinel.event import Decision, Event
from lotor.sentinel.garden import HEIGHT, WIDTH, Garden, Walk, Who
from lotor.sentinel.scene import Frame

SHARED = Path(__file__).parents[1].parent / "shared/data"
START = 1_790_000_000.0
RATE = 2.0  # frames a second of the nights
PAUSE_S, WALK_S, EMPTY_S = 90.0, 16.0, 15.0  # a pause is longer than the veto holds
ENTER_S = 3.0
OTHERS = {"cat": 3, "dog": 3, "bird": 1, "other_animal": 2, "deer": 1, "insect": 1, "person": 2}


@dataclass
class Counts:
    """What came of some watching.

    Attributes:
        visits: of raccoons.
        alone: of these, with nobody in view at any time.
        seen: of them in an event called raccoon.
        chased: of them met by a deterrent (a dry run).
        chased_alone: of those with nobody in view.
        false_events: called raccoon without one.
        false_acts: deterrents without a raccoon.
        acts_at_people: deterrents while a person was in view, for 3 s or more.
        acts_as_they_enter: deterrents in the first 3 s, when only a part of a person is in view.
        others: visitors that were no raccoons.
        vetoed: raccoons with all rules passed but that of people.
        frames: looked at.
    """

    visits: int = 0
    alone: int = 0
    seen: int = 0
    chased: int = 0
    chased_alone: int = 0
    false_events: int = 0
    false_acts: int = 0
    acts_at_people: int = 0
    acts_as_they_enter: int = 0
    others: int = 0
    vetoed: int = 0
    frames: int = 0


class Watched:
    """A sentinel on a clock of ours, and what it told."""

    def __init__(self, folder: Path, model: str, veto: str) -> None:
        settings = config.Config(
            camera=(config.Camera("garden", "0"),),
            model=(config.Model(model),),
            veto=config.Veto(veto),
            target=(config.Target("raccoon", actions=("bark",)),),
            action=(config.Action("bark", "sound"),),
            deciding=config.Deciding(cooldown_s=30, per_night=1000),
            store=config.Store(folder=str(folder), free_mb=0),
            page=config.Page(on=False),
        )
        self.clock = SetClock(START)
        self.sentinel = Sentinel(config.check(settings, "it"), folder, self.clock)
        self.sentinel.bus.subscribe(self._hear)
        self.events: dict[str, Event] = {}
        self.decisions: list[Decision] = []
        self.number = 0

    def _hear(self, message: Message) -> None:
        if isinstance(message, EventChanged):
            self.events[message.event.id] = message.event
        elif isinstance(message, Decided):
            self.decisions.append(message.decision)

    def see(self, image: Image, seconds: float) -> None:
        """Show a frame, so many seconds after the last one."""
        self.clock.advance(seconds)
        self.number += 1
        now = self.clock.now(), self.clock.monotonic()
        self.sentinel.see(Frame("garden", self.number, *now, image))

    def close(self) -> None:
        """End all visits."""
        self.sentinel.finish()
        self.sentinel.close()


def over(spans: Sequence[tuple[float, float]], begin: float, end: float) -> int | None:
    """Return the index of the span that a time has to do with, a second more or less."""
    for index, (first, last) in enumerate(spans):
        if begin - START <= last + 1 and end - START >= first - 1:
            return index
    return None


def count(
    watched: Watched, raccoons: Sequence[tuple[float, float]], people: Sequence[tuple[float, float]]
) -> Counts:
    """Compare what was told with who was there; spans are seconds since the start."""
    alone = {
        index
        for index, (begin, end) in enumerate(raccoons)
        if not any(first <= end and last >= begin for first, last in people)
    }
    found = Counts(visits=len(raccoons), alone=len(alone), frames=watched.number)
    seen, chased, vetoed = set(), set(), set()
    for event in watched.events.values():
        if event.label == "raccoon":
            at = over(raccoons, event.begin, event.end or event.begin)
            seen.add(at)
            found.false_events += at is None
    for decision in watched.decisions:
        against = [check.rule for check in decision.checks if not check.passed]
        at = over(raccoons, decision.time, decision.time)
        if decision.acts:
            chased.add(at)
            found.false_acts += at is None
            who = over(people, decision.time, decision.time)
            if who is not None:
                early = decision.time - START < people[who][0] + ENTER_S
                found.acts_as_they_enter += early
                found.acts_at_people += not early
        elif against == ["person"] and over(people, decision.time, decision.time) is None:
            vetoed.add(at)
    found.seen, found.chased = len(seen - {None}), len(chased - {None})
    found.chased_alone = len(chased & alone)
    found.vetoed = len(vetoed - chased - {None})
    return found


def filmed(model: str, veto: str) -> Iterator[tuple[str, Counts]]:
    """Watch each sequence, five frames a second."""
    for sequence in read_sequences(SHARED / "sequences"):
        with tempfile.TemporaryDirectory() as folder:
            watched = Watched(Path(folder), model, veto)
            truths = [truth_of(frame.label, {"raccoon"}) for frame in sequence.frames]
            for frame in sequence.frames:
                watched.see(read_image(frame.path), 0.2)
            watched.close()
            there = [i * 0.2 for i, truth in enumerate(truths) if truth is Truth.THERE]
            spans = [(there[0], there[-1] + 0.4)] if there else []
            yield sequence.name, count(watched, spans, [])


def looks(photo: Photo) -> Cutout:
    """Return what is on a photograph: its first box, or all of it."""
    image = read_image(photo.path)
    if photo.boxes:
        return cut_out(image, photo.boxes[0])
    height, width = image.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return Cutout(image, np.asarray(np.clip((1 - (x**4 + y**4)) * 3, 0, 1), np.float32))


def nights(model: str, veto: str, number: int, split: str) -> Iterator[tuple[str, Counts]]:
    """Live nights of a split's photographs."""
    rng = np.random.default_rng(0)
    photos = read_manifest(SHARED / "garden").split(split)
    kinds: dict[str, list[Photo]] = {}
    for photo in photos:
        kinds.setdefault(photo.kind, []).append(photo)
    for each in kinds.values():
        rng.shuffle(each)  # type: ignore[arg-type]
    raccoons = kinds["raccoon"]
    share = -(-len(raccoons) // number)
    for night in range(number):
        visitors = [("raccoon", p) for p in raccoons[night * share : (night + 1) * share]]
        for kind, many in OTHERS.items():
            of = kinds[kind]
            visitors += [(kind, of[(night * many + i) % len(of)]) for i in range(many)]
        rng.shuffle(visitors)  # type: ignore[arg-type]
        walks, time, company = [], EMPTY_S + 45, False
        for kind, photo in visitors:
            size = rng.uniform(0.3, 0.6) if kind != "person" else rng.uniform(0.6, 0.9)
            who = Who.RACCOON if kind == "raccoon" else Who.PERSON if kind == "person" else Who.CAT
            right = bool(rng.random() < 0.5)
            walks.append(Walk(who, time, WALK_S, size, right, 0.3, looks(photo)))
            if who is Who.RACCOON and not company:
                company = True
                guest = kinds["person"][-1 - night]
                walks.append(Walk(Who.PERSON, time + 1, WALK_S, 0.8, not right, 0.3, looks(guest)))
            time += WALK_S + PAUSE_S
        empty = kinds["background"][night]
        scenery = cv2.resize(read_image(empty.path), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        garden = Garden(walks, night=night % 2 == 1, scenery=np.asarray(scenery, np.uint8))
        with tempfile.TemporaryDirectory() as folder:
            watched = Watched(Path(folder), model, veto)
            now = 0.0
            while now < time:
                near = any(w.begin - EMPTY_S <= now <= w.end + 10 for w in walks)
                step = 1 / RATE if near else 10.0
                now += step
                watched.see(garden.picture(now), step)
            watched.close()
            spans = {who: [(w.begin, w.end) for w in walks if w.who is who] for who in Who}
            found = count(watched, spans[Who.RACCOON], spans[Who.PERSON])
            found.others = len(walks) - found.visits
            yield f"night {night + 1}{' (infrared)' if garden.night else ''}", found


def total(parts: Sequence[Counts]) -> Counts:
    """Return the sums."""
    sums: Counter[str] = Counter()
    for part in parts:
        sums.update(asdict(part))
    return Counts(**sums)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="raccoon")
    parser.add_argument("--veto", default="person", help="what sees people")
    parser.add_argument("--nights", type=int, default=13)
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not SHARED.is_dir():
        raise SystemExit("no photographs in ../shared/data: nothing to count")
    result: dict[str, Any] = {}
    for title, rows, number in (
        ("sequences", filmed(args.model, args.veto), len(read_sequences(SHARED / "sequences"))),
        (
            f"nights of {args.split} photographs",
            nights(args.model, args.veto, args.nights, args.split),
            args.nights,
        ),
    ):
        found: list[tuple[str, Counts]] = []
        with Progress(title, number, "watched") as progress:
            for row in rows:
                found.append(row)
                progress.advance()
        found.append(("all", total([each for _, each in found])))
        result[title] = {name: asdict(each) for name, each in found}
        if not args.json:
            print(f"{title}\n{'':28}{'raccoons':>9}{'seen':>6}{'chased':>8}{'alone':>7}{'chased':>8}"
                  f"{'vetoed':>8}{'others':>8}"
                  f"{'false events':>14}{'false acts':>12}"
                  f"{'at people':>11}{'as they enter':>15}")  # fmt: skip
            for name, c in found:
                print(f"{name:28}{c.visits:9}{c.seen:6}{c.chased:8}{c.alone:7}{c.chased_alone:8}"
                      f"{c.vetoed:8}{c.others:8}"
                      f"{c.false_events:14}{c.false_acts:12}"
                      f"{c.acts_at_people:11}{c.acts_as_they_enter:15}")  # fmt: skip
            print()
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    try:
        main()
    except LotorError as error:
        print(f"sentinel_counts.py: {error}", file=sys.stderr)
        sys.exit(2)

"""A board watches: frames go to its camera, or it has its own; its loop decides; events come.

Frames that this machine sends to a synthetic camera are looked at here as well, and every event
must be the one that is expected.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lotor.board import Board, list_boards, load_board
from lotor.board_camera import Camera
from lotor.codegen.views import half_steps
from lotor.compiler import Compiled
from lotor.device.ready import compile_for, open_with_models
from lotor.device.session import Session
from lotor.device.watch import (
    MOST_FRAMES,
    NO_INDEX,
    Action,
    Event,
    Flag,
    Kind,
    Settings,
    State,
    Watching,
)
from lotor.errors import LotorError
from lotor.pixels import from_rgb, to_rgb
from lotor.preprocess import resize
from lotor.suggest import did_you_mean
from lotor.veto import check_veto
from lotor.visits import Options
from lotor.watch_frames import find_clips
from lotor.watch_model import HostWatch
from lotor.zoo import ModelFile, find_model

POLL_S = 1.0  # between two questions to a camera that is not fed


@dataclass(frozen=True)
class Wish:
    """What a user wants of a loop beside `visits.Options`.

    Attributes:
        threshold: of the target's score, 0..1; what training chose when None.
        output: name of the output that an alarm switches on, for `on_ms` milliseconds.
        limit: frames, or events of a camera that is not fed; no limit when None.
    """

    threshold: float | None = None
    output: str | None = None
    on_ms: int = 1000
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise LotorError(f"--threshold {self.threshold:g}: a score is 0 to 1")
        if self.limit is not None and self.limit < 1:
            raise LotorError(f"--limit {self.limit}: give 1 or more")
        if not 1 <= self.on_ms < 1 << 32:
            raise LotorError(f"--on-ms {self.on_ms}: give milliseconds, 1 or more")


Told = Callable[[str, Event], None]
"""Called with the name of a clip and each event as it comes."""


def watch(
    board: str,
    models: Sequence[str],
    sources: Sequence[Path],
    options: Options,
    wish: Wish,
    told: Told,
) -> dict[str, Any]:
    """Let a board watch; an emulated one that does not run the models is flashed.

    Args:
        board: name of a board with a camera.
        models: the model that votes, and maybe one whose person forbids.
        sources: of frames, for a synthetic camera; see `watch_frames.find_clips`.
        options: views, rate, votes, cool-down.
        wish: more of them.
        told: gets the events.

    Returns:
        `board`, `models`, `threshold` and `veto_from` in half steps, `clips`, `frames`, `alarms`,
        `held` (enough votes, and forbidden), `switched_on`, `refused` (by the output), `errors`,
        `fetched` and `missed` events; with a synthetic camera `mismatches`, the number of events
        that are not what this machine expects.

    Raises:
        LotorError: the board has no camera, a model watches no frames, there is nothing to look at.
    """
    chosen = load_board(board)
    camera = _camera(chosen)
    found = _models(models)
    fed = camera.kind == "synthetic"
    if fed and not sources:
        raise LotorError(f"the camera of board {board} is synthetic: feed it with --source")
    if not fed and sources:
        raise LotorError(f"board {board} has a camera of its own, {camera.kind}: omit --source")
    clips = find_clips(sources, options.rate)
    compiled = [compile_for(board, str(model.path)) for model in found]
    settings = _settings(chosen, found, compiled, options, wish, fed)
    named = [(str(model.path), c) for model, c in zip(found, compiled, strict=True)]
    with open_with_models(board, named) as session:
        settings = _on_board(session, chosen, camera, compiled, settings)
        loop = _Loop(session, camera, settings, told)
        if fed:
            person_from = _watched(found[0], compiled[0])["person_from"]
            host = found[0], person_from, found[1] if found[1:] else None
            left = math.inf if wish.limit is None else wish.limit
            for clip in clips:
                if left <= 0:
                    break
                left -= loop.feed(clip.name, clip.frames(), left, host)
        else:
            loop.follow(wish.limit)
    return {
        "board": board,
        "models": [model.name for model in found],
        "threshold": settings.threshold,
        "veto_from": settings.veto_from if len(found) > 1 else None,
        **loop.result(),
    }


def _camera(board: Board) -> Camera:
    if board.camera is None:
        having = ", ".join(name for name in list_boards() if load_board(name).camera)
        raise LotorError(
            f"board {board.name} has no camera: take one that has ({having}), or add [camera] to "
            "its file (docs/cameras.md)"
        )
    return board.camera


def _models(names: Sequence[str]) -> list[ModelFile]:
    if not 1 <= len(names) <= 2:
        raise LotorError(
            f"{len(names)} models: give one with --model, and a second one that forbids alarms"
        )
    found = [find_model(name) for name in names]
    if found[1:]:
        check_veto(found[1], found[0])
    return found


def _watched(model: ModelFile, compiled: Compiled) -> dict[str, Any]:
    table: dict[str, Any] | None = compiled.report.get("watch")
    if table is None:
        target = model.recipe.get("target")
        why = f"its target is {target}, but" if target else "its recipe.toml names no target, or"
        raise LotorError(
            f"{model.name} watches no frames: {why} it is no int8 classifier of whole RGB frames "
            "(aspect = stretch); see docs/cameras.md"
        )
    return table


def _settings(
    board: Board,
    models: Sequence[ModelFile],
    compiled: Sequence[Compiled],
    options: Options,
    wish: Wish,
    fed: bool,
) -> Settings:
    """Return what the loop is to be started with; the models' indices are those here."""
    tables = [_watched(model, c) for model, c in zip(models, compiled, strict=True)]
    rule = options.rule({}, {})
    if rule.of > MOST_FRAMES:
        raise LotorError(f"--votes {options.votes}: a board remembers {MOST_FRAMES} frames")
    own = tables[0]["alarm" if options.views else "alarm_full"]
    if wish.threshold is not None:
        own = half_steps(wish.threshold, float(compiled[0].graph.outputs[0].q.scale))
    if own is None:
        raise LotorError(
            f"{models[0].name} has no threshold from training (metrics.json beside it); give one "
            "with --threshold"
        )
    output = NO_INDEX
    if wish.output is not None:
        names = list(board.outputs)
        if wish.output not in names:
            raise LotorError(
                f"board {board.name} has no output '{wish.output}'"
                f"{did_you_mean(wish.output, names)}: it has {', '.join(names) or 'none'}"
            )
        output = names.index(wish.output)
    return Settings(
        model=0,
        veto=1 if len(models) > 1 else NO_INDEX,
        views=options.views,
        every=fed,
        votes=rule.votes,
        of=rule.of,
        output=output,
        on_ms=wish.on_ms if wish.output else 0,
        memory_ms=round(1000 * rule.memory_s),
        cooldown_ms=round(1000 * rule.cooldown_s),
        threshold=own,
        veto_from=tables[1]["veto_from"] if len(models) > 1 else -1,
    )


def _on_board(
    session: Session,
    board: Board,
    camera: Camera,
    compiled: Sequence[Compiled],
    settings: Settings,
) -> Settings:
    """Return the settings with the models' indices in the board's image."""
    info = session.greeting.camera
    if info is None or (info.width, info.height) != (camera.width, camera.height):
        names = " ".join(f"--model {c.name}" for c in compiled)
        raise LotorError(
            f"{session.where} runs an image without the camera of its board file: "
            f"`lotor flash --board {board.name} {names}`"
        )
    places = [session.require_model(c) for c in reversed(compiled)][::-1]
    second = places[1] if len(places) > 1 else NO_INDEX
    return dataclasses.replace(settings, model=places[0], veto=second)


class _Loop:
    def __init__(self, session: Session, camera: Camera, settings: Settings, told: Told) -> None:
        self._session, self._camera, self._settings = session, camera, settings
        self._told = told
        self._watching = Watching(session)
        self._seen: list[Event] = []
        self._clips = self._frames = self._number = self._mismatches = 0
        self._fed = camera.kind == "synthetic"

    def feed(
        self,
        name: str,
        frames: Iterator[tuple[int, Any]],
        limit: float,
        host: tuple[ModelFile, int, ModelFile | None],
    ) -> int:
        """Feed one clip; return how many of its frames went to the board."""
        state = self._watching.start(self._settings)
        model, person_from, veto = host
        here = HostWatch(model, self._settings, person_from, veto, state.events)
        fed, camera = 0, self._camera
        for time_ms, image in frames:
            if fed >= limit:
                break
            rgb = resize(image, camera.height, camera.width)[:, :, ::-1]
            raw = from_rgb(rgb, camera.format)
            self._watching.feed(self._number, time_ms, raw, camera.format)
            seen = to_rgb(raw, camera.format, camera.height, camera.width)
            expected = here.look(self._number, time_ms, seen)
            self._number += 1
            fed += 1
            state = self._running()
            came = list(self._tell(name, state.events))
            same = [dataclasses.replace(event, action=Action.NONE) for event in came]
            self._mismatches += same != [expected]
        self._watching.stop()
        self._clips += 1
        self._frames += fed
        return fed

    def follow(self, limit: int | None) -> None:
        """Print the events of a camera that sees for itself, until Ctrl-C or so many."""
        state = self._watching.start(self._settings)
        try:
            while limit is None or len(self._seen) < limit:
                until = time.monotonic() + POLL_S
                while (left := until - time.monotonic()) > 0:
                    self._session.next_frame(left)
                state = self._running()
                list(self._tell("", state.events))
        except KeyboardInterrupt:  # the usual way to end it
            pass
        finally:
            self._frames += state.frames
            self._watching.stop()

    def _running(self) -> State:
        state = self._watching.state()
        if not state.running:
            raise LotorError(
                f"{self._session.where} no longer watches: it has restarted; see "
                f"`lotor monitor --board {self._session.greeting.board}`"
            )
        return state

    def _tell(self, name: str, upto: int) -> Iterator[Event]:
        for event in self._watching.events(upto):
            self._seen.append(event)
            self._told(name, event)
            yield event

    def result(self) -> dict[str, Any]:
        """Return the sums."""

        def count(kind: Kind) -> int:
            return sum(event.kind is kind for event in self._seen)

        found: dict[str, Any] = {
            "clips": self._clips,
            "frames": self._frames,
            "alarms": count(Kind.ALARM),
            "held": count(Kind.HELD),
            "switched_on": sum(event.action is Action.ON for event in self._seen),
            "refused": sum(event.action is Action.REFUSED for event in self._seen),
            "errors": count(Kind.ERROR),
            "fetched": self._watching.fetched,
            "missed": self._watching.missed,
        }
        return found | ({"mismatches": self._mismatches} if self._fed else {})


_WHY = {
    Flag.PERSON: "a person",
    Flag.SECOND: "a person by the second model",
    Flag.COOLING: "cooling down",
    Flag.UNKNOWN: "unlike all that the model knows",
}


def describe(event: Event) -> str:
    """Return one line about an event."""
    data = event.as_dict()
    if event.error:
        return f"{event.time_ms / 1000:8.2f} s  frame {event.frame:<5} error: {data['error']}"
    why = ", ".join(text for flag, text in _WHY.items() if flag in event.flags)
    did = {Action.ON: ", output on", Action.REFUSED: ", output rests"}.get(event.action, "")
    return (
        f"{event.time_ms / 1000:8.2f} s  frame {event.frame:<5} {data['kind']:<5}  "
        f"score {event.score / 512:.3f}  votes {event.votes}  view {event.view} "
        f"{event.box}{did}{f'  ({why})' if why else ''}"
    )


def summary(result: dict[str, Any]) -> str:
    """Return the sums for people."""
    text = (
        f"{result['board']} saw {result['frames']} frames with {' and '.join(result['models'])}: "
        f"{result['alarms']} alarms, {result['held']} held back, {result['errors']} errors; "
        f"output on {result['switched_on']} times"
    )
    if result["refused"]:
        text += f", refused {result['refused']} times"
    if result["fetched"] or result["missed"]:
        text += f"; {result['fetched']} events fetched again, {result['missed']} missed"
    if "mismatches" in result:
        text += f"\n{result['mismatches']} of {result['frames']} events differ from this machine's"
    return text

"""What a board's loop must say of frames: `firmware/watch` in Python, event for event.

Pixels and views are `integer_views`, decisions `sentinel.voting`.
"""

import math

import numpy as np

from lotor.classifier import HostClassifier
from lotor.decision import read_chosen
from lotor.detect import target_index, views
from lotor.device.watch import Action, Event, Flag, Kind, Settings
from lotor.integer_views import join, resize
from lotor.preprocess import Image, normalize
from lotor.sentinel.voting import Rule, Voting
from lotor.veto import PERSON
from lotor.zoo import ModelFile

_WHOLE = 1024  # half steps; a power of two, so that scores in parts of it are exact
_OWN, _SECOND, _TARGET = "own", "second", "target"


class HostWatch:
    """The loop on this machine.

    Args:
        model: that votes.
        settings: as the board was started with; no score of them is `CHOSEN`.
        person_from: half steps from which on an own person forbids.
        veto: the second model, if `settings.veto` says that there is one.
        number: of the first event.
    """

    def __init__(
        self,
        model: ModelFile,
        settings: Settings,
        person_from: int,
        veto: ModelFile | None = None,
        number: int = 0,
    ) -> None:
        self.settings, self._number = settings, number
        self._model = HostClassifier(model)
        self._chosen = read_chosen(model)
        self._target = target_index(self._model, model.recipe)
        labels = self._model.labels
        own = PERSON in labels and labels[self._target] != PERSON
        self._person = labels.index(PERSON) if own else None
        self._second = HostClassifier(veto) if veto else None
        self._second_target = 0
        if self._second and veto:
            self._second_target = target_index(self._second, veto.recipe)
        vetoes = {_OWN: person_from} if own else {}
        if veto:
            vetoes[_SECOND] = settings.veto_from
        rule = Rule(
            {_TARGET: settings.threshold / _WHOLE},
            {name: at / _WHOLE for name, at in vetoes.items()},
            settings.votes,
            settings.of,
            settings.memory_ms,  # times are in milliseconds here, which are exact
            settings.cooldown_ms,
        )
        self._voting = Voting(rule)

    def look(self, frame: int, time_ms: int, rgb: Image) -> Event:
        """Return the event of a frame; of an output it knows nothing.

        Args:
            frame: its number.
            time_ms: never before the last frame's.
            rgb: uint8 [height, width, 3].
        """
        boxes = views(*rgb.shape[:2])[: None if self.settings.views else 1]
        outputs = [_ask(self._model, rgb[y0:y1, x0:x1]) for x0, y0, x1, y1 in boxes]
        steps = np.stack([_steps(self._model, output) for output in outputs])
        joined, best = join(steps, self._target)
        score, person, second = int(joined[self._target]), -1, -1
        unknown = self._chosen.is_unknown(self._model.unlike(outputs[0]))
        scores = {_TARGET: math.nan if unknown else score / _WHOLE}
        if self._person is not None:
            person = 2 * int(steps[:, self._person].max())
            scores[_OWN] = person / _WHOLE
        if self._second:
            output = _ask(self._second, rgb)
            second = 2 * int(_steps(self._second, output)[self._second_target])
            scores[_SECOND] = second / _WHOLE
        said = self._voting.decide(time_ms, scores)
        voted = not unknown and score >= self.settings.threshold
        flags = Flag.VOTED * voted | Flag.ENOUGH * bool(said.enough) | Flag.COOLING * said.cooling
        flags |= Flag.PERSON * (_OWN in said.vetoed_by) | Flag.SECOND * (_SECOND in said.vetoed_by)
        flags |= Flag.UNKNOWN * unknown
        kind = Kind.FRAME
        if said.enough:
            kind = Kind.ALARM if said.alarm else Kind.HELD
        votes = said.votes.get(_TARGET, 0)
        number, self._number = self._number, self._number + 1
        return Event(
            number, time_ms, frame, kind, self.settings.model, Flag(flags), 0, best, votes,
            Action.NONE, score, person, second, boxes[best],
        )  # fmt: skip


def _ask(classifier: HostClassifier, rgb: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    given = classifier.input
    pixels = normalize(resize(rgb, given.height, given.width), given.mean, given.std)
    return np.asarray(classifier.infer(given.quantize(pixels)[None]))


def _steps(
    classifier: HostClassifier, output: np.ndarray[tuple[int, ...], np.dtype[np.int8]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.asarray(output.reshape(-1)[: len(classifier.labels)].astype(np.int64) + 128)

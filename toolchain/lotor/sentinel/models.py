"""The models that say what moves, opened once; which one is asked, and from which score on."""

import math
from collections.abc import Sequence
from datetime import datetime

from lotor.classifier import HostClassifier
from lotor.decision import Chosen, read_chosen
from lotor.detect import Box
from lotor.errors import LotorError
from lotor.locate import TASKS
from lotor.preprocess import Image
from lotor.sentinel import config
from lotor.sentinel.hours import within
from lotor.sentinel.scene import Detection, Light
from lotor.veto import PERSON, PERSON_SCORE, check_veto, veto_threshold
from lotor.zoo import ModelFile, find_model

LIKELY = 0.5
"""The score from which on a frame votes for a label where nothing was chosen: likelier than not."""


class Opened:
    """A model that is ready to be asked, and what training chose for it.

    Attributes:
        file: of the model.
        name: of it.
        chosen: thresholds of whole frames.
        person: index of its label of a person; None without one.
        asked: how often it was.
    """

    def __init__(self, file: ModelFile) -> None:
        if file.recipe.get("task") in TASKS:
            raise LotorError(
                f"model {file.name} says where something is; the sentinel asks what a part of a "
                "frame shows: give a classifier, such as raccoon"
            )
        self.file, self.name = file, file.name
        self.chosen: Chosen = read_chosen(file)
        self._classifier = HostClassifier(file, "native")
        self.labels: Sequence[str] = self._classifier.labels
        self.person = self.labels.index(PERSON) if PERSON in self.labels else None
        self.asked = 0

    def score(self, image: Image, box: Box) -> Detection:
        """Return what it says of a part of a BGR frame."""
        x0, y0, x1, y1 = box
        tensor = self._classifier.input.tensor(image[y0:y1, x0:x1])
        output = self._classifier.infer(tensor)
        self.asked += 1
        scores = self._classifier.probabilities(output)
        unlike = self._classifier.unlike(output)
        return Detection(
            box,
            self.name,
            dict(zip(self.labels, map(float, scores), strict=True)),
            unlike,
            self.chosen.is_unknown(unlike),
        )


class Models:
    """All models of a configuration.

    Attributes:
        veto: name and threshold of what sees people; None where nothing does.

    Raises:
        LotorError: a model is not there, is no classifier, or cannot be compiled.
    """

    def __init__(self, settings: config.Config) -> None:
        opened: dict[str, Opened] = {}
        for entry in settings.model:
            if entry.name not in opened:
                opened[entry.name] = Opened(find_model(entry.name))
        self._rows = tuple((entry.when, opened[entry.name]) for entry in settings.model)
        self.opened = tuple(opened.values())
        self._veto: Opened | None = None
        self._part = PERSON_SCORE
        self._label = settings.veto.label_threshold
        self.veto: tuple[str, float] | None = None
        if settings.veto.model:
            file = find_model(settings.veto.model)
            for model in self.opened:
                check_veto(file, model.file, "veto.model")
            self._veto = Opened(file)
            threshold, _ = veto_threshold(file)
            if settings.veto.threshold is not None:
                threshold = settings.veto.threshold
            self.veto = (file.name, threshold)
            self._part, _ = veto_threshold(file, views=True)
        elif any(model.person is not None for model in self.opened):
            first = next(model for model in self.opened if model.person is not None)
            self.veto = (first.name, self._label)

    def choose(self, light: Light, camera: str, zones: Sequence[str], at: float) -> Opened | None:
        """Return the first model whose condition is met; None if none is.

        Args:
            light: by which the frame was taken.
            camera: its name.
            zones: in which the track is.
            at: Unix time of the frame, in seconds.
        """
        for when, model in self._rows:
            if is_met(when, light, camera, zones, at):
                return model
        return None

    def threshold_of(self, model: str, label: str, light: Light) -> float:
        """Return the score from which on a frame votes where the configuration says nothing.

        That is what training chose by cost on val for the label that the model's recipe names as
        its target: for full frames, as a crop is a full frame of what moves, not one of ten views.
        It is `LIKELY` for other labels, or where nothing was chosen; by night the same as by day.

        Args:
            model: name of the model that scored, as `Detection.model` has it.
            label: of it.
            light: by which the frame was taken.
        """
        del light  # training chose none by night
        opened = next((o for o in self.opened if o.name == model), None)
        if opened is None or label != opened.file.recipe.get("target"):
            return LIKELY
        return LIKELY if opened.chosen.alarm is None else min(1.0, opened.chosen.alarm)

    def person(self, image: Image, box: Box | None = None) -> float | None:
        """Return the veto model's score of a person on a BGR frame; None without such a model.

        Args:
            image: the frame.
            box: a part of it. As more alarms come of parts, `lotor.veto` has another threshold for
                them; scores are given on the whole frame's scale.
        """
        if self._veto is None or self._veto.person is None or self.veto is None:
            return None
        height, width = image.shape[:2]
        score = self._veto.score(image, box or (0, 0, width, height)).scores[PERSON]
        return score if box is None else rescaled(score, self._part, self.veto[1])

    def person_by(self, detection: Detection) -> float | None:
        """Return a model's own score of a person on the veto's scale; None without that label.

        There `veto.label_threshold` lies at the veto's threshold.
        """
        score = detection.scores.get(PERSON)
        if score is None or self.veto is None:
            return None
        return rescaled(score, self._label, self.veto[1])


def rescaled(score: float, threshold: float, to: float) -> float:
    """Return a score 0..1 on another scale, where its threshold lies at `to`; both are linear."""
    if math.isnan(score):
        return score
    if score >= threshold:
        left = 1.0 - threshold
        return to + (score - threshold) * (1.0 - to) / left if left > 0 else 1.0
    # Rounding must not lift what is below one threshold to the other.
    return min(score * to / threshold, to * (1 - 1e-9))


def is_met(when: config.When, light: Light, camera: str, zones: Sequence[str], at: float) -> bool:
    """Return whether a model's condition is met; `at` is Unix time in seconds."""
    local = datetime.fromtimestamp(at)
    return (
        (when.light is None or when.light == light)
        and (not when.cameras or camera in when.cameras)
        and (not when.zones or any(zone in when.zones for zone in zones))
        and (not when.months or local.month in when.months)
        and (not when.hours or any(within(span, local) for span in when.hours))
    )

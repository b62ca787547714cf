"""A second model that watches beside the first: while it sees a person, nothing alarms.

It is shown whole frames, also where the first one looks at crops: what costs least with crops finds
fewer people (`person` on val: 0.842, on whole frames 0.947), and a veto must not lose any by them.
"""

from dataclasses import dataclass

from lotor.classifier import BoardClassifier, Classifier, HostClassifier, classify
from lotor.decision import LEAST_COST, read_chosen
from lotor.detect import target_index
from lotor.errors import LotorError
from lotor.evaluate import CountingBoard
from lotor.locate import TASKS
from lotor.preprocess import Image
from lotor.zoo import ModelFile

PERSON = "person"
"""The label in whose presence nothing alarms."""
PERSON_SCORE = 0.5
"""At which a person is taken to be there, where training chose nothing: likelier than not."""
GIVEN, DEFAULT = "given", "default"
"""Where a threshold comes from, if not from training (`decision.LEAST_COST`)."""


@dataclass(frozen=True)
class Veto:
    """A model whose target is a person, ready to be asked.

    Attributes:
        name: of the model.
        classifier: of the model.
        threshold: its score of a person from which on nothing alarms, 0..1.
        source: of that threshold: `LEAST_COST` (training chose it), `DEFAULT` or `GIVEN`.
        where: it runs.
        target: index of its label of a person.
    """

    name: str
    classifier: Classifier
    threshold: float
    source: str
    where: str
    target: int

    @property
    def label(self) -> str:
        """What voting calls it by; the first model may have a label `person` of its own."""
        return f"{PERSON} by {self.name}"

    def score(self, image: Image) -> float:
        """Return the score of a person on a BGR frame, 0..1."""
        return float(classify(self.classifier, image)[self.target])


def veto_threshold(model: ModelFile, views: bool = False) -> tuple[float, str]:
    """Return the score from which on a model sees somebody, and where that comes from.

    That of whole frames vetoes; that of views is for who wants to compare.
    """
    alarm = read_chosen(model, views).alarm
    # Where it is cheapest never to veto, that is above 1.
    return (PERSON_SCORE, DEFAULT) if alarm is None else (min(alarm, 1.0), LEAST_COST)


def check_veto(model: ModelFile, watched: ModelFile, given: str = "--veto") -> None:
    """See that a model can veto another's alarms.

    Args:
        model: that vetoes.
        watched: the other one.
        given: by what, for the message.

    Raises:
        LotorError: it is not about people, says where something is, or the other one is about
            people itself.
    """
    target = model.recipe.get("target")
    if target != PERSON:
        says = f"target is {target}" if target else "recipe.toml beside it names no target"
        raise LotorError(f"{given} {model.name}: its {says}; give a model whose target is {PERSON}")
    if model.recipe.get("task") in TASKS:
        raise LotorError(
            f"{given} {model.name} says where people are; give a model that says whether, as person"
        )
    if watched.recipe.get("target") == PERSON:
        raise LotorError(f"{watched.name} alarms at people: leave out {given} {model.name}")


def open_veto(model: ModelFile, watched: Classifier, given: float | None = None) -> Veto:
    """Return a model ready to veto what another one says.

    Where the other one runs on a board whose image holds this model as well, both run there; else
    this one runs on this machine. `given` replaces its threshold.
    """
    classifier: Classifier = HostClassifier(model)
    where = "this machine"
    if isinstance(watched, BoardClassifier):
        where += ", as the board lacks it"
        if watched.beside(model):
            classifier = CountingBoard(BoardClassifier(model, watched.session))
            where = f"board {watched.session.greeting.board}"
    threshold, source = veto_threshold(model) if given is None else (given, GIVEN)
    target = target_index(classifier, model.recipe)
    return Veto(model.name, classifier, threshold, source, where, target)

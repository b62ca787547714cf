"""A model's recipe, `models/NAME/recipe.toml`: everything a training depends on."""

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from lotor.errors import LotorError
from lotor.preprocess import ASPECTS
from lotor.suggest import did_you_mean
from lotor.train.calibrate import ESTIMATORS as RANGE_ESTIMATORS
from lotor.train.networks import FAMILIES


@dataclass(frozen=True)
class Input:
    """The input tensor: its size and what a pixel p means, (p - mean) / std."""

    height: int
    width: int
    mean: float = 128.0
    std: float = 128.0
    aspect: str = "stretch"


@dataclass(frozen=True)
class Data:
    """Where the photographs are, which label a class has, and how often each label is drawn."""

    folder: str
    classes: dict[str, str]
    other: str
    share: dict[str, float]


@dataclass(frozen=True)
class Transfer:
    """The file whose weights the backbone starts from, and its SHA-256 in hex.

    A `.tflite`, float or quantized, or a Keras model; see `train/transfer.py`. With `classifier`
    the last layer starts from the file's as well, whose labels must be the recipe's.
    """

    file: str
    sha256: str
    classifier: bool = False


@dataclass(frozen=True)
class Teacher:
    """A classifier that the student learns from.

    A `.tflite` or Keras model and its SHA-256 in hex; a pixel p enters it as (p - mean) / std. Its
    `labels` are the "same" as the recipe's, or its "own". See `train/distill.py` for what that
    means, and for `weight` and `temperature`.
    """

    file: str
    sha256: str
    labels: str = "same"
    weight: float = 0.5
    temperature: float = 2.0
    mean: float = 128.0
    std: float = 128.0


@dataclass(frozen=True)
class Network:
    """The network: a family of `train/networks`, its widths multiplied by `width`.

    `depth` multiplies the number of blocks, where the family has a choice of it. With `stem_stride`
    1 in place of 2 all layers see twice the resolution, for four times the work.
    """

    kind: str = "mobilenet_v1"
    width: float = 0.25
    depth: float = 1.0
    stem_stride: int = 2
    dropout: float = 0.2


@dataclass(frozen=True)
class Fit:
    """The optimisation: Adam, a cosine rate, weights averaged over the last steps."""

    steps: int
    batch: int = 64
    rate: float = 1e-3
    head_steps: int = 100
    weight_decay: float = 1e-4
    smoothing: float = 0.05
    average: float = 0.995
    mixup: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Augment:
    """Probabilities (0..1) and strengths of what happens to a training photograph.

    Those from `tilt` on are off unless a recipe turns them on; `train/augment/` says what they do.
    `eyes` and `dim` are shares of the infrared photographs.
    """

    full: float = 0.35
    zoom: float = 0.25
    min_area: float = 0.3
    min_box: float = 0.6
    flip: float = 0.5
    rotate: float = 0.3
    max_angle: float = 12.0
    soften: float = 0.5
    softest: int = 24
    gain: float = 0.35
    colour: float = 0.3
    grey: float = 0.12
    infrared: float = 0.08
    noise: float = 0.2
    jpeg: float = 0.2
    tilt: float = 0.0
    motion: float = 0.0
    vignette: float = 0.0
    fog: float = 0.0
    rain: float = 0.0
    drops: float = 0.0
    leaves: float = 0.0
    grass: float = 0.0
    mesh: float = 0.0
    eyes: float = 0.0
    dim: float = 0.0
    composite: float = 0.0
    composite_least: float = 0.03
    distant: float = 0.0
    distant_least: float = 0.1


@dataclass(frozen=True)
class Quantize:
    """How the trained network becomes integers.

    `samples` training photographs set the activation ranges, by an `estimator` of
    `train/calibrate.py`. Then come `steps` of training as integers, at the rate `rate`.
    `activations` have 8 bits, or 16, which take no such steps. With `weight_bytes`,
    the convolutions with the most weights get 4 bits for each until all fit. Without `int8` it
    stays in float, as a teacher does.
    """

    int8: bool = True
    samples: int = 400
    estimator: str = "min-max"
    equalize: bool = False
    correct_bias: bool = False
    steps: int = 0
    rate: float = 1e-4
    activations: int = 8
    weight_bytes: int = 0


@dataclass(frozen=True)
class Calibrate:
    """How probabilities are made true, by val: see `train/finish.py`.

    `temperature` is "auto" (where it worsens nothing), "on" or "off". `prior` states the share of
    each label where the device will be; without it val's own shares count.
    """

    temperature: str = "auto"
    prior: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What mistakes cost, in any unit, and the share of frames with the target (`prior`).

    With a prior above 0, training chooses the threshold of least expected cost on val.
    """

    false_alarm_cost: float = 1.0
    miss_cost: float = 1.0
    prior: float = 0.0


@dataclass(frozen=True)
class Ood:
    """The second output, which tells the unknown: its bytes; 0 for none. See `train/finish.py`."""

    directions: int = 0


@dataclass(frozen=True)
class Pasting:
    """How small animals are made for what says where something is.

    In a `paste` share of the photographs what is on one is pasted into another, one of the label
    `background`, at `smallest` to `largest` of the frame's area.
    """

    background: str = "background"
    paste: float = 0.4
    smallest: float = 0.03
    largest: float = 0.3


@dataclass(frozen=True)
class Locate(Pasting):
    """What a heat map says; for `task = "locate"`.

    A `cell` is so many pixels of the input wide; the backbone keeps `blocks` of its blocks, or with
    0, as any family can, all up to its last map of such cells. Cells in the middle of an animal's
    box, `core` of its height and width, are its own; those in the rest of the box may say anything.
    `focus` is the exponent of the focal loss, `quiet` what a cell without an animal weighs.
    """

    cell: int = 8
    blocks: int = 11
    core: float = 0.5
    focus: float = 2.0
    quiet: float = 0.2


@dataclass(frozen=True)
class Detect(Pasting):
    """What a detector says; for `task = "detect"`.

    Each cell of the feature maps, `strides` pixels of the input wide, has anchors of every one of
    `ratios` (width to height); `scales` are the maps' sizes of them, as shares of the input's side.
    An anchor stands for a box from `matched` of intersection over union on, below `unmatched` for
    the background. `focus` and `weight` are exponent and weight of the focal loss; `places` weighs
    the loss of boxes beside it. Told are at most `most` boxes of at least the score `least`; of two
    that overlap by `overlap`, the better one.
    """

    strides: list[int] = field(default_factory=lambda: [8, 16, 32])
    scales: list[float] = field(default_factory=lambda: [0.2, 0.4, 0.7])
    ratios: list[float] = field(default_factory=lambda: [1.0, 2.0, 0.5])
    matched: float = 0.5
    unmatched: float = 0.4
    focus: float = 2.0
    weight: float = 0.25
    places: float = 1.0
    most: int = 10
    overlap: float = 0.5
    least: float = 0.02


TASKS = ("classify", "locate", "detect")


@dataclass(frozen=True)
class Recipe:
    """A recipe; `target` is the label that detection is about, `task` one of `TASKS`.

    Without `transfer`, training starts from random weights.
    """

    name: str
    target: str
    labels: list[str]
    input: Input
    data: Data
    fit: Fit
    transfer: Transfer | None = None
    teacher: Teacher | None = None
    network: Network = field(default_factory=Network)
    augment: Augment = field(default_factory=Augment)
    quantize: Quantize = field(default_factory=Quantize)
    calibrate: Calibrate = field(default_factory=Calibrate)
    decision: Decision = field(default_factory=Decision)
    ood: Ood = field(default_factory=Ood)
    task: str = "classify"
    locate: Locate = field(default_factory=Locate)
    detect: Detect = field(default_factory=Detect)

    @property
    def pasting(self) -> Pasting:
        """How small animals are made, for what says where something is."""
        return self.detect if self.task == "detect" else self.locate

    def label_of(self, kind: str) -> int:
        """Return the index of the label that a data set's class belongs to."""
        return self.labels.index(self.data.classes.get(kind, self.data.other))


T = TypeVar("T")

_WORDS: dict[Any, str] = {
    list[str]: "a list of texts",
    list[int]: "a list of whole numbers",
    list[float]: "a list of numbers",
    dict[str, str]: "a table of texts",
    dict[str, float]: "a table of numbers",
}


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe; an unknown key is an error that names the closest known one."""
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise LotorError(f"cannot read recipe {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise LotorError(f"{path} is no TOML: {error}") from error
    return parse_recipe(table, path.name)


def parse_recipe(table: dict[str, Any], where: str) -> Recipe:
    """Return the recipe of a TOML table, checked; `where` is what errors name."""
    recipe = build(Recipe, table, where)
    _check(recipe, where)
    _check_places(recipe, where)
    return recipe


def build(kind: type[T], table: dict[str, Any], where: str) -> T:
    """Return a dataclass filled from a table of TOML; `where` is what errors name.

    Raises:
        LotorError: an unknown or missing key, or a value of another type.
    """
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in hints:
            raise LotorError(f"{where}: unknown key '{key}'{did_you_mean(key, hints)}")
        hint = next((h for h in get_args(hints[key]) if dataclasses.is_dataclass(h)), hints[key])
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            if not isinstance(value, dict):
                raise LotorError(f"{where}: {key} must be a table")
            value = build(hint, value, f"{where} [{key}]")
        elif hint is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        elif hint in (int, float, str, bool) and type(value) is not hint:
            raise LotorError(f"{where}: {key} must be {hint.__name__}, not {value!r}")
        elif get_origin(hint) and not _holds(value, hint):
            raise LotorError(f"{where}: {key} must be {_WORDS[hint]}, not {value!r}")
        values[key] = value
    required = [
        f.name
        for f in dataclasses.fields(kind)  # type: ignore[arg-type]
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing := [name for name in required if name not in values]:
        raise LotorError(f"{where}: {', '.join(missing)} missing")
    return kind(**values)


def _holds(value: Any, hint: Any) -> bool:
    """Whether a TOML list or table holds what its annotation says."""
    kind, element = get_origin(hint), get_args(hint)[-1]
    if not isinstance(value, kind):
        return False
    inside = value.values() if kind is dict else value
    return all(isinstance(v, (int, float) if element is float else element) for v in inside)


def _check(recipe: Recipe, where: str) -> None:
    named = {recipe.target, recipe.data.other, *recipe.data.classes.values(), *recipe.data.share}
    for label in sorted(named - set(recipe.labels)):
        raise LotorError(
            f"{where}: '{label}'{did_you_mean(label, recipe.labels)} is none of the labels "
            f"{', '.join(recipe.labels)}"
        )
    if lacking := sorted(set(recipe.labels) - set(recipe.data.share)):
        raise LotorError(f"{where}: data.share lacks {', '.join(lacking)}")
    if recipe.input.aspect not in ASPECTS:
        raise LotorError(
            f"{where}: input.aspect '{recipe.input.aspect}'"
            f"{did_you_mean(recipe.input.aspect, ASPECTS)} is none of {', '.join(ASPECTS)}"
        )
    _check_network(recipe.network, where)
    if recipe.quantize.estimator not in RANGE_ESTIMATORS:
        raise LotorError(
            f"{where}: quantize.estimator '{recipe.quantize.estimator}'"
            f"{did_you_mean(recipe.quantize.estimator, RANGE_ESTIMATORS)} is none of "
            f"{', '.join(RANGE_ESTIMATORS)}"
        )
    if recipe.quantize.steps < 0:
        raise LotorError(f"{where}: quantize.steps is {recipe.quantize.steps}; 0 is the least")
    if recipe.quantize.weight_bytes < 0:
        raise LotorError(
            f"{where}: quantize.weight_bytes is {recipe.quantize.weight_bytes}; bytes of flash, or "
            "0 for no limit, needed"
        )
    strengths = ("max_angle", "softest", "gain", "colour")
    for name, value in dataclasses.asdict(recipe.augment).items():
        if name not in strengths and not 0 <= value <= 1:
            raise LotorError(f"{where}: augment.{name} is {value}; it must lie in 0..1")
    for name in ("composite_least", "distant_least"):
        if getattr(recipe.augment, name) <= 0:
            raise LotorError(f"{where}: augment.{name} is 0; it must be a share of the area")
    _check_trust(recipe, where)
    for name, value in (
        ("fit.steps", recipe.fit.steps),
        ("fit.batch", recipe.fit.batch),
        ("quantize.samples", recipe.quantize.samples),
    ):
        if value < 1:
            raise LotorError(f"{where}: {name} is {value}; it must be at least 1")
    if recipe.teacher is not None:
        _check_teacher(recipe.teacher, where)


def _check_network(how: Network, where: str) -> None:
    if how.kind not in FAMILIES:
        raise LotorError(
            f"{where}: network.kind '{how.kind}'{did_you_mean(how.kind, FAMILIES)} is none of "
            f"{', '.join(FAMILIES)}"
        )
    if how.stem_stride not in (1, 2):
        raise LotorError(f"{where}: network.stem_stride is {how.stem_stride}; it must be 1 or 2")
    for name, value in (("width", how.width), ("depth", how.depth)):
        if not 0 < value <= 8:
            raise LotorError(f"{where}: network.{name} is {value:g}; above 0, up to 8 is possible")
    if not 0 <= how.dropout < 1:
        raise LotorError(f"{where}: network.dropout is {how.dropout:g}; 0 to below 1 is possible")
    if how.depth != 1 and FAMILIES[how.kind].depth is None:
        raise LotorError(f"{where}: network.depth is {how.depth:g}; {how.kind} has one depth, 1")


def _check_teacher(teacher: Teacher, where: str) -> None:
    if not 0 <= teacher.weight <= 1:
        raise LotorError(f"{where}: teacher.weight is {teacher.weight:g}; 0 to 1 is possible")
    if teacher.labels not in ("same", "own"):
        raise LotorError(f"{where}: teacher.labels is '{teacher.labels}'; 'same' or 'own' needed")
    if not teacher.temperature > 0:
        raise LotorError(f"{where}: teacher.temperature is {teacher.temperature:g}; above 0 needed")


def _check_trust(recipe: Recipe, where: str) -> None:
    """Check what probabilities, decisions and 16 bits depend on."""
    if recipe.quantize.activations not in (8, 16):
        raise LotorError(
            f"{where}: quantize.activations is {recipe.quantize.activations}; it must be 8 or 16"
        )
    if recipe.quantize.activations == 16 and recipe.quantize.steps:
        raise LotorError(
            f"{where}: quantize.steps is {recipe.quantize.steps}; activations of 16 bits are not "
            "trained as integers, and lose too little to need it: set steps = 0"
        )
    how, known = recipe.calibrate, ("auto", "on", "off")
    if how.temperature not in known:
        raise LotorError(
            f"{where}: calibrate.temperature '{how.temperature}'"
            f"{did_you_mean(how.temperature, known)} is none of {', '.join(known)}"
        )
    if how.prior and (set(how.prior) != set(recipe.labels) or min(how.prior.values()) <= 0):
        raise LotorError(
            f"{where}: calibrate.prior needs a share above 0 of every label: "
            f"{', '.join(recipe.labels)}"
        )
    costs = recipe.decision
    if min(costs.false_alarm_cost, costs.miss_cost) < 0 or not 0 <= costs.prior < 1:
        raise LotorError(
            f"{where}: decision needs costs of at least 0 and a prior from 0 to below 1"
        )
    if recipe.ood.directions and not recipe.quantize.int8:
        raise LotorError(f"{where}: ood.directions need integers: set quantize.int8 = true")
    if recipe.ood.directions < 0:
        raise LotorError(f"{where}: ood.directions is {recipe.ood.directions}; 0 is the least")


def _check_places(recipe: Recipe, where: str) -> None:
    """Check what says where something is."""
    if recipe.task not in TASKS:
        raise LotorError(
            f"{where}: task '{recipe.task}'{did_you_mean(recipe.task, TASKS)} is none of "
            f"{', '.join(TASKS)}"
        )
    table = "detect" if recipe.task == "detect" else "locate"
    how = recipe.pasting
    for name, value in (("smallest", how.smallest), ("largest", how.largest)):
        _check_share(value, f"{where}: {table}.{name}")
    if not 0 <= how.paste <= 1:
        raise LotorError(f"{where}: {table}.paste is {how.paste}; it must lie in 0..1")
    if how.smallest > how.largest:
        raise LotorError(
            f"{where}: {table}.smallest {how.smallest} is above {how.largest}, largest"
        )
    _check_share(recipe.locate.core, f"{where}: locate.core")
    if recipe.task == "classify":
        return
    if how.background not in recipe.labels:
        raise LotorError(
            f"{where}: {table}.background '{how.background}'"
            f"{did_you_mean(how.background, recipe.labels)} is none of the labels "
            f"{', '.join(recipe.labels)}"
        )
    if recipe.task == "locate":
        _check_useless(recipe, "a heat map", where)
        _check_heat_map(recipe, where)
    else:
        _check_useless(recipe, "a detector", where)
        _check_detect(recipe, where)


def _check_share(value: float, name: str) -> None:
    if not 0 < value <= 1:
        raise LotorError(f"{name} is {value}; it must be above 0, at most 1")


def _check_useless(recipe: Recipe, what: str, where: str) -> None:
    """Refuse what a heat map or a detector has no use for."""
    for name, value in (
        ("ood.directions", recipe.ood.directions),
        ("augment.composite", recipe.augment.composite),
        ("augment.distant", recipe.augment.distant),
        ("fit.mixup", recipe.fit.mixup),
    ):
        if value:
            raise LotorError(f"{where}: {name} is {value}; {what} is trained without; make it 0")
    if not recipe.quantize.int8:
        raise LotorError(f"{where}: quantize.int8 is false; {what} is measured as integers")
    if recipe.teacher:
        raise LotorError(f"{where}: {what} has no [teacher]; leave it out")


_NUMBERED = ("mobilenet_v1", "ds_cnn")  # families whose blocks `locate.blocks` counts


def _check_heat_map(recipe: Recipe, where: str) -> None:
    cell, shape = recipe.locate.cell, recipe.input
    if shape.height % cell or shape.width % cell:
        raise LotorError(
            f"{where}: {shape.height}x{shape.width} pixels are no whole number of cells of {cell}; "
            "take multiples of locate.cell"
        )
    if recipe.locate.blocks < 0:
        raise LotorError(f"{where}: locate.blocks is {recipe.locate.blocks}; 0 is the least")
    blocks, kind = recipe.locate.blocks, recipe.network.kind
    if blocks and kind not in _NUMBERED:
        raise LotorError(
            f"{where}: locate.blocks is {blocks}, which {kind} does not number; 0 cuts it behind "
            "its last map of locate.cell pixels"
        )


def _check_detect(recipe: Recipe, where: str) -> None:
    how, shape = recipe.detect, recipe.input
    if not how.strides or how.strides != sorted(set(how.strides)) or how.strides[0] < 1:
        raise LotorError(f"{where}: detect.strides {how.strides} must rise, from 1 on")
    if len(how.scales) != len(how.strides):
        raise LotorError(
            f"{where}: detect.scales has {len(how.scales)} numbers; one is needed for each of the "
            f"{len(how.strides)} strides"
        )
    if how.scales != sorted(how.scales):
        raise LotorError(f"{where}: detect.scales {how.scales} must rise")
    for scale in how.scales:
        _check_share(scale, f"{where}: a number in detect.scales")
    if not how.ratios or not all(0.1 <= ratio <= 10 for ratio in how.ratios):
        raise LotorError(f"{where}: detect.ratios {how.ratios} must each lie in 0.1..10")
    if shape.height % how.strides[-1] or shape.width % how.strides[-1]:
        raise LotorError(
            f"{where}: {shape.height}x{shape.width} pixels are no whole number of cells of "
            f"{how.strides[-1]}; take multiples of the largest of detect.strides"
        )
    for name, value in (
        ("matched", how.matched),
        ("unmatched", how.unmatched),
        ("weight", how.weight),
        ("overlap", how.overlap),
        ("least", how.least),
    ):
        _check_share(value, f"{where}: detect.{name}")
    if how.unmatched > how.matched:
        raise LotorError(
            f"{where}: detect.unmatched {how.unmatched} is above {how.matched}, matched"
        )
    if how.most < 1 or how.places < 0 or how.focus < 0:
        raise LotorError(f"{where}: detect needs most from 1, places and focus from 0 on")
    if len(recipe.labels) < 2 or recipe.target == how.background:
        raise LotorError(f"{where}: the target must be a label beside detect.background")
    if recipe.quantize.activations != 8:
        raise LotorError(
            f"{where}: quantize.activations is {recipe.quantize.activations}; a detector's last "
            "layer takes 8 bits"
        )

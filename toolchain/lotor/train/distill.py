"""Learning from a teacher, whose probabilities, softened, are labels beside the true ones.

Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv:1503.02531.

A teacher of the same labels tells the student's own classifier. One of other labels, such as those
of ImageNet, tells a second classifier on the student's features, which training alone has: what
the features must be good for keeps a student of few photographs from learning these by heart.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lotor.compiler import read_content
from lotor.errors import LotorError
from lotor.frontend.tflite import read_model
from lotor.graph import DType, Graph
from lotor.oracle import Oracle
from lotor.preprocess import Image, normalize
from lotor.resources import resource
from lotor.train import recipe as recipes
from lotor.train.box_loss import box_loss
from lotor.train.dequantize import dequantized
from lotor.train.export import to_float
from lotor.train.fold import fold
from lotor.train.heat_loss import heat_loss
from lotor.train.transfer import KERAS_SUFFIXES, load_keras, read_checked
from lotor.train.unpack import unpack

Array = npt.NDArray[np.float32]

TOLD = "told"
"""The layer of a pupil that a teacher of its own labels tells."""

_LEAST = 1e-12  # probability, before its logarithm is taken


class Teacher:
    """A classifier, asked by LiteRT's fast kernels, which beat Keras fourfold on one thread.

    One that takes integers is asked as the real numbers that it stands for. A second output, which
    tells the unknown, teaches nothing.

    Attributes:
        height: pixels of its input.
        width: pixels of its input.
        labels: how many it has.
        own: whether they are others than the recipe's.

    Raises:
        LotorError: the file is another one than the recipe says, or no classifier of its labels.
    """

    def __init__(self, how: recipes.Teacher, labels: list[str]) -> None:
        path = resource("models").parent / how.file
        content = read_checked(path, how.sha256, "the teacher", "[teacher]")
        if path.suffix in KERAS_SUFFIXES:
            content = to_float(fold(load_keras(path)))
        graph = read_model(read_content(content)[0], path.stem)
        if len(graph.inputs) != 1 or len(graph.outputs) not in (1, 2):
            raise LotorError(
                f"teacher {path} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
                "one takes an image, and says labels and at most how unlike all known that is"
            )
        if graph.inputs[0].dtype is not DType.FLOAT32:
            graph = dequantized(graph)
            content = to_float(unpack(graph))
        if graph.inputs[0].dtype is not DType.FLOAT32:
            raise LotorError(f"teacher {path} takes {graph.inputs[0].dtype.value}, not float32")
        (shape,) = (tensor.shape for tensor in graph.inputs)
        if len(shape) != 4 or shape[3] != 3:
            raise LotorError(f"teacher {path} takes {list(shape)}, not [1, height, width, 3]")
        said = graph.outputs[0].shape
        if how.labels == "own":
            if len(said) != 2:
                raise LotorError(f"teacher {path} says {list(said)}, not [1, labels]")
        elif said != (1, len(labels)):
            raise LotorError(
                f"teacher {path} says {list(said)}, the recipe has {len(labels)} labels; both must "
                'have the same ones, in one order, or state teacher.labels = "own"'
            )
        else:
            _check_labels(path, labels)
        self.labels, self.own = said[1], how.labels == "own"
        self.height, self.width = shape[1:3]
        self._how = how
        last = _last(graph)
        if last == "LOGISTIC":
            raise LotorError(
                f"teacher {path} says each label by itself; one with a softmax teaches"
            )
        self._logits = last != "SOFTMAX"
        self._oracle = Oracle(content, fast=True)

    def soft_labels(self, pixels: npt.NDArray[np.float32] | Image) -> Array:
        """Return probabilities at the recipe's temperature, float32 [n, labels].

        Args:
            pixels: 0..255, RGB [n, height, width, 3].
        """
        inputs = normalize(pixels, self._how.mean, self._how.std)
        said = np.concatenate([self._scores(image[None]) for image in inputs]).astype(np.float64)
        # Logits but for a constant, which softmax takes out.
        logits = said if self._logits else np.log(np.maximum(said, _LEAST))
        return soften(logits, self._how.temperature)

    def _scores(self, image: Array) -> npt.NDArray[Any]:
        found = self._oracle.run(image)
        return np.asarray(found[0] if isinstance(found, tuple) else found)


def soften(logits: npt.NDArray[np.float64], temperature: float) -> Array:
    """Return the softmax of logits [n, labels] divided by a temperature."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _last(graph: Graph) -> str:
    """Return the kind of the layer that makes the scores, whatever their shape is then."""
    score = graph.outputs[0]
    for op in reversed(graph.ops):
        if score in op.outputs:
            if op.kind not in ("RESHAPE", "SQUEEZE", "DEQUANTIZE"):
                return op.kind
            score = op.input(0)
    return ""


def _check_labels(path: Path, labels: list[str]) -> None:
    beside = path.with_name("labels.txt")
    if beside.is_file() and (said := beside.read_text("utf-8").splitlines()) != labels:
        raise LotorError(
            f"teacher {path} has the labels {', '.join(said)}; the recipe has {', '.join(labels)}"
        )


def pupil(model: keras.Model, teacher: Teacher | None) -> keras.Model:
    """Return what is trained in a model's place, sharing all its layers.

    Args:
        model: to logits [n, labels], from features that its layer "pool" gives.
        teacher: one of its own labels needs a second classifier: to [n, labels + its own].
    """
    if teacher is None or not teacher.own:
        return model
    told = keras.layers.Dense(teacher.labels, name=TOLD)(model.get_layer("pool").output)
    return keras.Model(model.input, keras.layers.Concatenate(name="both")([model.output, told]))


def loss(recipe: recipes.Recipe) -> Callable[[Any, Any], Any]:
    """Return the loss of logits [n, labels]; `heat_loss` and `box_loss` are those of places.

    Without a teacher: cross-entropy with the true labels [n, labels]. With one, of weight w and
    temperature T: (1 - w) of that and w T^2 times the Kullback-Leibler divergence from the
    teacher's soft labels, which stand behind the true ones, [n, 2 labels]. T^2 keeps both parts'
    gradients in proportion, whatever T is. Those of a teacher of its own labels are for the
    `pupil`'s logits behind the first ones.
    """
    plain = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=recipe.fit.smoothing
    )
    if recipe.task == "locate":
        return heat_loss(recipe.locate.focus)
    if recipe.task == "detect":
        return box_loss(recipe.detect.focus, recipe.detect.weight, recipe.detect.places)
    teacher, count = recipe.teacher, len(recipe.labels)
    if teacher is None:
        return plain  # type: ignore[no-any-return]

    def both(labels: Any, logits: Any) -> Any:
        hard, soft = labels[:, :count], labels[:, count:]
        told = tf.math.log(tf.maximum(soft, _LEAST))
        answers = logits[:, count:] if teacher.labels == "own" else logits
        own = tf.nn.log_softmax(answers / teacher.temperature)
        divergence = tf.reduce_mean(tf.reduce_sum(soft * (told - own), axis=1))
        part = teacher.weight * teacher.temperature**2
        return (1 - teacher.weight) * plain(hard, logits[:, :count]) + part * divergence

    return both

"""What a trained network gets before it is written: true probabilities, and an eye for the unknown.

Both cost the device nothing or next to nothing. The temperature divides the last layer's weights
and bias, so that softmax gives calibrated probabilities; integers stay what they were, but for the
scale of the logits. The unknown is what deviates from photographs of the train split in directions
in which those hardly vary, whitened: a second output of a few bytes whose mean square is 1 for what
is known (the Mahalanobis distance of Lee et al., arXiv:1807.03888, with one mean for all labels as
in arXiv:2003.00402, in its last directions alone).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from lotor.calibration import (
    Labels,
    Values,
    calibration_error,
    fit_temperature,
    log_loss,
    prior_weights,
    softmax,
)
from lotor.data.manifest import Photo
from lotor.errors import LotorError
from lotor.evaluate import average_precision, rounded
from lotor.ood import still_directions
from lotor.preprocess import normalize, read_image, resize
from lotor.progress import Progress
from lotor.train.export import Plan, Quantization
from lotor.train.layers import Array, Layer, Network
from lotor.train.recipe import Recipe
from lotor.train.rounded import Integers

Tensors = Callable[[Any], Mapping[str, Any]]
"""Every tensor of a network by name, for a batch."""

UNLIKE = "unlike"
"""The second output."""

_BATCH = 50
_GREATEST_SCORE = 255 / 256  # of int8
_SLACK = 0.001  # of average precision and right labels that a temperature may cost
# 16 steps for a standard deviation of what is known; eight of them are as far as it looks.
_UNLIKE = {8: Quantization(1 / 16, 0), 16: Quantization(1 / 1024, 0, 16)}


@dataclass(frozen=True)
class Finished:
    """A network that is ready to be written.

    Attributes:
        network: as integers it will be.
        planned: its quantization.
        real: the float network.
        calibration: what the temperature did, for metrics.json; empty without a val split.
    """

    network: Network
    planned: Plan
    real: Network
    calibration: dict[str, Any]


def finish(
    integers: Integers, real: Network, train: Sequence[Photo], val: Sequence[Photo], recipe: Recipe
) -> Finished:
    """Calibrate a network, and give it the second output if the recipe wants it.

    Args:
        integers: the trained network.
        real: the same in float.
        train: photographs that say what is known.
        val: photographs that the temperature is fitted to.
        recipe: its `[calibrate]` and `[ood]`.
    """
    network, planned = integers.network, integers.planned
    run = tf.function(integers.tensors)
    calibration: dict[str, Any] = {}
    if val and recipe.calibrate.temperature != "off":
        found = [np.asarray(run(b)[network.logits]) for b in _seen(val, recipe)]
        logits = np.concatenate(found).astype(np.float64)
        truth = np.array([recipe.label_of(photo.kind) for photo in val], np.int64)
        calibration = choose_temperature(logits, truth, recipe)
        if calibration["used"]:
            temperature = calibration["temperature"]
            network, planned = cooled(network, planned, temperature)
            real = divided(real, temperature)
    done = Finished(network, planned, real, calibration)
    return with_unlike(done, run, train, recipe) if recipe.ood.directions else done


def with_unlike(done: Finished, run: Tensors, known: Sequence[Photo], recipe: Recipe) -> Finished:
    """Return a network with the second output, which tells the unknown.

    Args:
        done: a network without it; the layer goes into its float network as well.
        run: what its integers compute, every tensor by name, of float32 [n, *input].
        known: photographs that say what is known.
        recipe: its `[ood]`.
    """
    network, planned = done.network, done.planned
    features = network[network.logits].inputs[0]
    seen = np.concatenate([np.asarray(run(b)[features]) for b in _seen(known, recipe)])
    layer = unlike_layer(features, seen, recipe.ood.directions)
    bits = planned.tensors[features].bits
    planned = replace(planned, tensors={**planned.tensors, UNLIKE: _UNLIKE[bits]})
    network, real = (_with_output(each, layer) for each in (network, done.real))
    return replace(done, network=network, planned=planned, real=real)


def choose_temperature(logits: Values, truth: Labels, recipe: Recipe) -> dict[str, Any]:
    """Return the temperature for val, whether to use it, and the figures before and after.

    Args:
        logits: [n, labels].
        truth: label of each, [n].
        recipe: `[calibrate]`: "auto" uses it only where the calibration error falls, and neither
            the target's average precision nor the share of right labels does.
    """
    prior = recipe.calibrate.prior
    weights = prior_weights(truth, [prior[label] for label in recipe.labels] if prior else None)
    temperature = fit_temperature(logits, truth, weights)
    target = recipe.labels.index(recipe.target)

    def figures(temperature: float) -> dict[str, float]:
        # In steps of 1/256, as the device puts scores out.
        scores = softmax(logits, temperature)
        scores = np.minimum(np.rint(scores * 256) / 256, _GREATEST_SCORE)
        return {
            "calibration_error": calibration_error(scores, truth, weights),
            "log_loss": log_loss(logits, truth, temperature, weights),
            "average_precision": average_precision(scores[:, target], truth == target),
            "accuracy": float((scores.argmax(axis=1) == truth).mean()),
        }

    before, after = figures(1.0), figures(temperature)
    harmless = after["calibration_error"] < before["calibration_error"] and not any(
        after[name] < before[name] - _SLACK for name in ("average_precision", "accuracy")
    )
    return {
        "temperature": round(temperature, 4),
        "used": recipe.calibrate.temperature == "on" or harmless,
        "prior": prior or "as val has it",
        "before": {name: rounded(value) for name, value in before.items()},
        "after": {name: rounded(value) for name, value in after.items()},
    }


def cooled(network: Network, planned: Plan, temperature: float) -> tuple[Network, Plan]:
    """Return a network whose logits are divided by a temperature, and its plan.

    Weights, bias and the scale of the logits are: the integers stay.
    """
    name = network.logits
    quant = planned.tensors[name]
    scale = float(np.float32(quant.scale / temperature))
    tensors = {**planned.tensors, name: replace(quant, scale=scale)}
    return divided(network, temperature), replace(planned, tensors=tensors)


def divided(network: Network, temperature: float) -> Network:
    """Return a network whose logits are divided by a temperature.

    Raises:
        LotorError: the logits do not come straight from a layer with weights.
    """
    last = network[network.logits]
    if last.weights is None or last.bias is None or last.clamp != (None, None):
        raise LotorError(
            f"{network.name} cannot be calibrated: its logits come from {last.kind} '{last.name}'; "
            'state temperature = "off" under [calibrate]'
        )
    factor = np.float32(1 / temperature)
    changed = replace(last, weights=last.weights * factor, bias=last.bias * factor)
    layers = tuple(changed if layer.name == last.name else layer for layer in network)
    return replace(network, layers=layers)


def unlike_layer(features: str, known: Array, directions: int) -> Layer:
    """Return the dense layer whose outputs have mean 0 and variance 1 over what is known.

    Args:
        features: name of the tensor that it reads.
        known: that tensor for known photographs, [n, channels].
        directions: outputs; see `ood.still_directions`.
    """
    flat = known.reshape(len(known), -1).astype(np.float64)
    weights, bias = (np.asarray(v, np.float32) for v in still_directions(flat, directions))
    return Layer(UNLIKE, "fully_connected", (features,), (directions,), weights, bias)


def _with_output(network: Network, layer: Layer) -> Network:
    """Return a network with one more layer and output; it reads what the logits' layer reads."""
    outputs = (network.outputs[0], layer.name)
    return replace(network, layers=(*network.layers, layer), outputs=outputs)


def _seen(photos: Sequence[Photo], recipe: Recipe) -> Iterator[Array]:
    """Yield photographs as the network sees them, in batches [n, height, width, 3]."""
    shape = recipe.input
    with Progress("finishing", len(photos), "photographs") as progress:
        for start in range(0, len(photos), _BATCH):
            some = photos[start : start + _BATCH]
            pixels = [
                resize(read_image(photo.path), shape.height, shape.width, shape.aspect)
                for photo in some
            ]
            progress.advance(len(some))
            yield np.stack([normalize(each, shape.mean, shape.std) for each in pixels])

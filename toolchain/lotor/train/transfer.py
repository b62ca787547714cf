"""The weights that a network starts from: those of the same backbone, trained by someone else.

A `.tflite` has batch normalisation folded into weights and biases. `transfer` puts it back, so that
training again sees normalised activations and yet the network starts out computing exactly what
the file computes. Quantized weights are taken as the real numbers that they stand for.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

from lotor.errors import LotorError
from lotor.frontend.tflite import read_model
from lotor.graph import Graph, Tensor
from lotor.resources import resource
from lotor.train.dequantize import real_values
from lotor.train.networks.blocks import EPSILON
from lotor.train.recipe import Recipe

Array = npt.NDArray[np.float32]

_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D)
KERAS_SUFFIXES = (".keras", ".h5")
_BATCH = 16


class Folded(NamedTuple):
    """A convolution of a file with its normalisation folded in: Keras layout, stride down."""

    weights: Array
    bias: Array
    stride: int


def transfer(model: keras.Model, folded: Sequence[Folded], images: Array) -> None:
    """Start the backbone from the folded weights of the same network.

    A first convolution of stride 2 becomes one of stride 1, where the network has that, by an
    enlargement of the image.

    Args:
        model: what `networks.build` returned.
        folded: what `read_weights` returned.
        images: float32 [n, height, width, 3]: typical inputs, over which each layer's mean and
            variance are measured for batch normalisation.
    """
    convolutions = [layer for layer in model.layers if isinstance(layer, _CONVOLUTIONS)]
    # One more is the file's own classifier.
    if len(folded) - len(convolutions) not in (0, 1):
        raise LotorError(
            f"the weights to start from have {len(folded)} convolutions, the network has "
            f"{len(convolutions)}; name another file under [transfer] in the recipe, or another "
            "kind or depth under [network]"
        )
    for convolution, (weights, bias, stride) in zip(convolutions, folded, strict=False):
        if convolution.kernel.shape != weights.shape:
            raise LotorError(
                f"{convolution.name} needs weights {list(convolution.kernel.shape)}, those to "
                f"start from are {list(weights.shape)}; check [network] width in the recipe"
            )
        twice = convolution is convolutions[0] and (*convolution.strides, stride) == (1, 1, 2)
        padded = convolution.padding == "valid"  # by a layer before, at all sides
        convolution.set_weights([_of_enlarged(weights, padded) if twice else weights])
        ones, zeros = np.ones_like(bias), np.zeros_like(bias)
        _norm(model, convolution).set_weights([ones, bias, zeros, ones - EPSILON])
    found = _moments(keras.Model(model.input, [layer.output for layer in convolutions]), images)
    for convolution, (mean, variance), (_, bias, _) in zip(
        convolutions, found, folded, strict=False
    ):
        scale = np.sqrt(variance + EPSILON)
        _norm(model, convolution).set_weights([scale, mean + bias, mean, variance])


def _moments(model: keras.Model, images: Array) -> list[tuple[Array, Array]]:
    """Return mean and variance of every channel of every output."""
    run = tf.function(lambda x: [tf.nn.moments(y, (0, 1, 2)) for y in model(x, training=False)])
    sums: list[Any] = []
    for start in range(0, len(images), _BATCH):
        some = images[start : start + _BATCH]
        moments = [(np.asarray(m, np.float64), np.asarray(v, np.float64)) for m, v in run(some)]
        new = [np.stack([m, v + m * m]) * len(some) for m, v in moments]
        sums = [a + b for a, b in zip(sums, new, strict=True)] if sums else new
    means = [both / len(images) for both in sums]
    return [
        (m.astype(np.float32), np.maximum(square - m * m, 0).astype(np.float32))
        for m, square in means
    ]


def _of_enlarged(weights: Array, centred: bool = False) -> Array:
    """Return the filter of stride 1 that gives what one of stride 2 gives on an enlarged image.

    Twice as large, by linear interpolation between the middles of pixels: a row of the enlarged
    image is 3/4 of one row and 1/4 of a neighbour, so that three of them span three rows again.

    Args:
        weights: float32[3, 3, inputs, outputs].
        centred: the filter of stride 2 has its middle on every even pixel, as with one row of
            padding at each side; else on every odd one, as "same" padding has it.
    """
    rows = np.array([[0.25, 0, 0], [0.75, 0.75, 0.25], [0, 0.25, 0.75]], np.float32)
    rows = rows[::-1, ::-1] if centred else rows
    return np.asarray(np.einsum("ai,ijcf,bj->abcf", rows, weights, rows), np.float32)


def _norm(model: keras.Model, convolution: layers.Layer) -> layers.BatchNormalization:
    return model.get_layer(f"{convolution.name}_bn")


def weights_of(recipe: Recipe) -> list[Folded] | None:
    """Return the weights that a recipe starts from, see `read_weights`; None of no file."""
    if recipe.transfer is None:
        return None
    return read_weights(resource("models").parent / recipe.transfer.file, recipe.transfer.sha256)


def read_weights(path: Path, sha256: str) -> list[Folded]:
    """Return every convolution of a file, in order.

    Args:
        path: a `.tflite`, float or quantized, or a Keras model, `.keras` or `.h5`; normalisation is
            folded into what is returned.
        sha256: of the file, in hex.
    """
    raw = read_checked(path, sha256, "the weights to start from", "[transfer]")
    if path.suffix in KERAS_SUFFIXES:
        found = _of_keras(load_keras(path))
    elif raw[4:8] == b"TFL3":
        found = _of_tflite(read_model(raw, path.stem))
    else:
        raise LotorError(f"{path} is no .tflite; weights start from one, or a .keras or .h5")
    if not found:
        raise LotorError(f"{path} has no convolution to start from; name a file of the network's")
    return found


def start_classifier(model: keras.Model, recipe: Recipe) -> None:
    """Start the classifier, too, from that of the file: it must tell the same labels, in order.

    Raises:
        LotorError: the file ends in no dense layer of these features and labels.
    """
    how = recipe.transfer
    if how is None or not how.classifier:
        return
    path = resource("models").parent / how.file
    raw = read_checked(path, how.sha256, "the weights to start from", "[transfer]")
    found: list[tuple[Array, Array]] = []
    if path.suffix in KERAS_SUFFIXES:
        dense = [layer for layer in load_keras(path).layers if isinstance(layer, layers.Dense)]
        found = [(layer.kernel.numpy(), layer.bias.numpy()) for layer in dense if layer.use_bias]
    else:
        ops = [op for op in read_model(raw, path.stem).ops if op.kind == "FULLY_CONNECTED"]
        with_bias = [op for op in ops if len(op.inputs) == 3 and op.inputs[2] is not None]
        found = [(_real(op.input(1)).T, _real(op.input(2))) for op in with_bias]
    logits = model.get_layer("logits")
    if not found or found[-1][0].shape != logits.kernel.shape:
        shape = list(found[-1][0].shape) if found else "none"
        raise LotorError(
            f"transfer.classifier: the network's needs weights {list(logits.kernel.shape)}, that "
            f"of {path} has {shape}; leave it out, and a new one is trained"
        )
    logits.set_weights(found[-1])


def read_checked(path: Path, sha256: str, what: str, table: str) -> bytes:
    """Return the bytes of a file that a recipe's table names, whose SHA-256 must be as it says."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise LotorError(
            f"cannot read {what}, {path} ({error.strerror}); put the file there or name another "
            f"under {table} in the recipe"
        ) from error
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise LotorError(f"{path} is not the file that the recipe names: its SHA-256 differs")
    return raw


def load_keras(path: Path) -> keras.Model:
    """Return a whole Keras model from a file."""
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # whatever a file can provoke in Keras
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise LotorError(f"{path} is no Keras model that can be loaded here: {why}") from error
    return model


def _of_keras(model: keras.Model) -> list[Folded]:
    found = []
    for layer in model.layers:
        if not isinstance(layer, _CONVOLUTIONS):
            continue
        kernel = np.asarray(layer.kernel, np.float64)
        is_depthwise = isinstance(layer, layers.DepthwiseConv2D)
        bias = np.asarray(layer.bias, np.float64) if layer.use_bias else np.float64(0)
        scale, shift = _normalisation(layer)
        along = (-1, 1) if is_depthwise else (1, -1)
        count = kernel.shape[2 if is_depthwise else 3]
        weights = (kernel * np.broadcast_to(scale, count).reshape(along)).astype(np.float32)
        moved = np.broadcast_to(bias * scale + shift, count).astype(np.float32)
        found.append(Folded(weights, moved, layer.strides[0]))
    return found


def _normalisation(convolution: layers.Layer) -> tuple[Any, Any]:
    """Return scale and shift of the normalisation that follows a convolution; 1 and 0 if none."""
    following = [node.operation for node in convolution._outbound_nodes]
    norm = next((f for f in following if isinstance(f, layers.BatchNormalization)), None)
    if norm is None:
        return np.float64(1), np.float64(0)
    mean, variance = (np.asarray(v, np.float64) for v in (norm.moving_mean, norm.moving_variance))
    scale = 1 / np.sqrt(variance + norm.epsilon)
    scale = scale * np.asarray(norm.gamma, np.float64) if norm.scale else scale
    shift = np.asarray(norm.beta, np.float64) if norm.center else 0.0
    return scale, shift - mean * scale


def _of_tflite(graph: Graph) -> list[Folded]:
    found = []
    for op in graph.ops:
        if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            weights, bias = (_real(op.input(i)) for i in (1, 2))
            # TensorFlow Lite stores OHWI and 1HWC; Keras wants HWIO and HWC1.
            found.append(Folded(weights.transpose((1, 2, 3, 0)), bias, op.attrs.stride[0]))
    return found


def _real(tensor: Tensor) -> Array:
    """Return a constant as the real numbers that it stands for."""
    if tensor.data is None:
        raise LotorError(f"weights '{tensor.name}' are not in the file as they are; give another")
    if tensor.quant is None:
        return np.asarray(tensor.data, np.float32)
    return np.asarray(real_values(tensor.data, tensor.quant), np.float32)

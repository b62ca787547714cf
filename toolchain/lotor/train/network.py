"""The network in Keras, and the ImageNet weights it starts from.

MobileNetV1 (Howard et al., arXiv:1704.04861) without its classifier. The source file has batch
normalisation folded into weights and biases; `transfer` puts it back, so that training again sees
normalised activations and yet the network starts out computing exactly what the file computes.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tflite
from keras import layers

from lotor.errors import LotorError

_POINTWISE = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_STRIDE_2 = (1, 3, 5, 11)
_EPSILON = 1e-3

Array = npt.NDArray[np.float32]


def build(
    height: int, width: int, labels: int, alpha: float, dropout: float, stem_stride: int = 2
) -> keras.Model:
    """Return the classifier: float32 [n, height, width, 3] -> logits [n, labels].

    Args:
        height: pixels, a multiple of 32.
        width: pixels, a multiple of 32.
        labels: number of classes.
        alpha: multiplier of every layer's channels.
        dropout: share of features dropped in front of the classifier.
        stem_stride: of the first convolution, 2 as published, or 1: then every layer sees twice
            the resolution, as if the photograph had been enlarged.
    """
    x = image = keras.Input((height, width, 3), name="image")
    x = _unit(
        layers.Conv2D(round(32 * alpha), 3, stem_stride, "same", use_bias=False, name="conv0"), x
    )
    for index, channels in enumerate(_POINTWISE):
        stride = 2 if index in _STRIDE_2 else 1
        name = f"{index + 1}"
        x = _unit(
            layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name=f"depthwise{name}"), x
        )
        x = _unit(
            layers.Conv2D(round(channels * alpha), 1, use_bias=False, name=f"pointwise{name}"), x
        )
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(image, layers.Dense(labels, name="logits")(x))


def _unit(convolution: layers.Layer, x: Any) -> Any:
    x = convolution(x)
    x = layers.BatchNormalization(epsilon=_EPSILON, momentum=0.97, name=f"{convolution.name}_bn")(x)
    return layers.ReLU(6.0, name=f"{convolution.name}_relu")(x)


def transfer(model: keras.Model, pairs: Sequence[tuple[Array, Array]], images: Array) -> None:
    """Start the backbone from the folded weights of the same network.

    Args:
        model: what `build` returned.
        pairs: what `read_weights` returned.
        images: float32 [n, height, width, 3]: typical inputs, over which each layer's mean and
            variance are measured for batch normalisation.
    """
    units = [layer for layer in model.layers if layer.name.startswith(("conv", "depth", "point"))]
    convolutions = [layer for layer in units if not layer.name.endswith(("_bn", "_relu"))]
    # One pair more is the file's own classifier.
    if len(pairs) - len(convolutions) not in (0, 1):
        raise LotorError(
            f"the weights to start from have {len(pairs)} convolutions, MobileNetV1 has "
            f"{len(convolutions)}; name another file under [transfer] in the recipe"
        )
    for convolution, (weights, bias) in zip(convolutions, pairs, strict=False):
        if convolution.kernel.shape != weights.shape:
            raise LotorError(
                f"{convolution.name} needs weights {list(convolution.kernel.shape)}, those to "
                f"start from are {list(weights.shape)}; check [network] width in the recipe"
            )
        twice = convolution.name == "conv0" and convolution.strides == (1, 1)
        convolution.set_weights([_of_enlarged(weights) if twice else weights])
        ones, zeros = np.ones_like(bias), np.zeros_like(bias)
        _norm(model, convolution).set_weights([ones, bias, zeros, ones - _EPSILON])
    measure = keras.Model(model.input, [layer.output for layer in convolutions])
    for convolution, output, (_, bias) in zip(
        convolutions, measure.predict(images, batch_size=64, verbose=0), pairs, strict=False
    ):
        mean, variance = output.mean(axis=(0, 1, 2)), output.var(axis=(0, 1, 2))
        scale = np.sqrt(variance + _EPSILON)
        _norm(model, convolution).set_weights([scale, mean + bias, mean, variance])


def _of_enlarged(weights: Array) -> Array:
    """Return the filter of stride 1 that gives what one of stride 2 gives on an enlarged image.

    Twice as large, by linear interpolation between the middles of pixels: a row of the enlarged
    image is 3/4 of one row and 1/4 of a neighbour, so that three of them span three rows again.

    Args:
        weights: float32[3, 3, inputs, outputs].
    """
    rows = np.array([[0.25, 0, 0], [0.75, 0.75, 0.25], [0, 0.25, 0.75]], np.float32)
    return np.asarray(np.einsum("ai,ijcf,bj->abcf", rows, weights, rows), np.float32)


def _norm(model: keras.Model, convolution: layers.Layer) -> layers.BatchNormalization:
    return model.get_layer(f"{convolution.name}_bn")


def read_weights(path: Path, sha256: str) -> list[tuple[Array, Array]]:
    """Return (weights, bias) of every convolution of a float `.tflite`, in order, Keras layout."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise LotorError(
            f"cannot read the weights to start from, {path} ({error.strerror}); put the file "
            "there or name another under [transfer] in the recipe"
        ) from error
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise LotorError(f"{path} is not the file that the recipe names: its SHA-256 differs")
    model = tflite.Model.GetRootAs(raw)
    graph = model.Subgraphs(0)
    pairs = []
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if kind not in (tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D):
            continue
        weights, bias = (_constant(model, graph.Tensors(operator.Inputs(i))) for i in (1, 2))
        # TensorFlow Lite stores OHWI and 1HWC; Keras wants HWIO and HWC1.
        pairs.append((weights.transpose((1, 2, 3, 0)), bias))
    return pairs


def _constant(model: tflite.Model, tensor: tflite.Tensor) -> Array:
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    return np.asarray(np.frombuffer(data, np.float32).reshape(tensor.ShapeAsNumpy()), np.float32)

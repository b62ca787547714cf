"""Keras model -> `.tflite`: float, and int8 by post-training quantization."""

import logging
import warnings
from collections.abc import Iterator

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tflite
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from lotor.errors import LotorError
from lotor.train.fit import Photos
from lotor.train.quiet import quiet

OPERATORS = frozenset(
    (
        *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "AVERAGE_POOL_2D", "MAX_POOL_2D"),
        *("MEAN", "ADD", "PAD", "RESHAPE", "SOFTMAX", "QUANTIZE", "DEQUANTIZE"),
    )
)
"""What a trained model may consist of."""

Array = npt.NDArray[np.float32]


def to_float(model: keras.Model) -> bytes:
    """Return the model with a softmax behind it as a float32 `.tflite`, input [1, h, w, 3]."""
    return _convert(_converter(model))


def to_int8(model: keras.Model, photos: Photos, rng: np.random.Generator) -> bytes:
    """Return the model with a softmax behind it as an int8 `.tflite`, input and output int8.

    The activation ranges are those seen on the recipe's number of plain training photographs. The
    input's range is that of all pixels, 0..255, so that int8 input = pixel - 128 for mean 128.
    """
    shape = photos.recipe.input
    drawn = photos.draw(photos.recipe.quantize.samples, rng)
    extremes = (np.array([0, 255], np.float32) - shape.mean) / shape.std

    def samples() -> Iterator[list[Array]]:
        for number, index in enumerate(drawn):
            sample = photos.plain(int(index))
            if number == 0:
                sample[0, :2, 0] = extremes
            yield [sample[None]]

    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    content = _convert(converter)
    _check(content)
    return content


def _converter(model: keras.Model) -> tf.lite.TFLiteConverter:
    shape = (1, *model.input_shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="image")], autograph=False)  # type: ignore[untyped-decorator]
    def run(image: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(model(image, training=False), name="probabilities")

    # The calibrator cannot read variables: they must be constants before conversion.
    frozen = convert_variables_to_constants_v2(run.get_concrete_function())
    return tf.lite.TFLiteConverter.from_concrete_functions([frozen])


def _convert(converter: tf.lite.TFLiteConverter) -> bytes:
    tf.get_logger().setLevel("ERROR")
    logging.getLogger("absl").setLevel("ERROR")
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about arguments of this very call
        return bytes(converter.convert())


def _check(content: bytes) -> None:
    """Refuse a conversion that holds an operator, or a type, that the compiler does not take."""
    names = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
    model = tflite.Model.GetRootAs(content)
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    used = {names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes}
    if unknown := sorted(used - OPERATORS):
        raise LotorError(f"the converted model has operators outside the set: {', '.join(unknown)}")
    allowed = {tflite.TensorType.INT8, tflite.TensorType.INT32}
    for index in range(graph.TensorsLength()):
        tensor = graph.Tensors(index)
        if tensor.Type() not in allowed:
            raise LotorError(f"the converted model is not int8 throughout: {tensor.Name()!r}")

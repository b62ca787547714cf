"""Float `.tflite` -> `Network`: models that others have trained can be quantized, too."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lotor.errors import LotorError
from lotor.graph import DType, Graph, Op
from lotor.ops.quantization import Activation
from lotor.optimize.fold_constants import fold_constants
from lotor.optimize.remove_dead import remove_dead
from lotor.train.layers import Layer, Network

_CLAMPS: dict[int, tuple[float | None, float | None]] = {
    Activation.NONE.value: (None, None),
    Activation.RELU.value: (0.0, None),
    Activation.RELU_N1_TO_1.value: (-1.0, 1.0),
    Activation.RELU6.value: (0.0, 6.0),
}


def unpack(graph: Graph) -> Network:
    """Return a float model as a network that can be quantized.

    Args:
        graph: as `frontend.tflite.read_model` reads it.

    Raises:
        LotorError: it is not float, or has a layer that cannot be quantized here; all are named.
    """
    if len(graph.inputs) != 1 or graph.inputs[0].dtype is not DType.FLOAT32:
        raise LotorError(
            f"{graph.name} does not take one float32 input; give the float model, before it was "
            "quantized"
        )
    graph = remove_dead(fold_constants(graph))  # shapes that are computed
    names = tensor_names(graph)
    layers, problems = [], []
    for op in graph.ops:
        if op.kind not in _UNPACK:
            problems.append(f"'{op.name}' is {op.kind}")
            continue
        inputs = tuple(names[id(t)] for t in op.inputs if t is not None and id(t) in names)
        try:
            layers.append(_UNPACK[op.kind](op, names[id(op.outputs[0])], inputs))
        except ValueError as error:
            problems.append(f"'{op.name}' ({op.kind}) {error}")
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise LotorError(
            f"{graph.name} cannot be quantized here: {'; '.join(problems[:3])}{more}; what can: "
            f"{', '.join(_UNPACK)}"
        )
    return Network(
        graph.name,
        names[id(graph.inputs[0])],
        graph.inputs[0].shape[1:],
        tuple(layers),
        tuple(names[id(tensor)] for tensor in graph.outputs),
    )


def tensor_names(graph: Graph) -> dict[int, str]:
    """Return a name of its own for every activation, by the id of its tensor."""
    found: dict[int, str] = {}
    used: set[str] = set()
    for tensor in (graph.inputs[0], *(op.outputs[0] for op in graph.ops)):
        short = tensor.name.split(";", 1)[0].removesuffix(":0") or "tensor"
        name, number = short, 1
        while name in used:
            number += 1
            name = f"{short}_{number}"
        used.add(name)
        found[id(tensor)] = name
    return found


def _value(op: Op, index: int) -> Any:
    tensor = op.inputs[index] if index < len(op.inputs) else None
    if tensor is None:
        return None
    if tensor.data is None:
        raise ValueError("has weights that are computed")
    return tensor.data


def _weights(op: Op, count_axis: int) -> dict[str, Any]:
    weights, bias = _value(op, 1), _value(op, 2)
    if weights.dtype != np.float32:
        raise ValueError(f"has weights of {weights.dtype}")
    if bias is None:
        bias = np.zeros(weights.shape[count_axis], np.float32)
    return {"weights": weights, "bias": bias}


def _window(op: Op) -> dict[str, Any]:
    if getattr(op.attrs, "dilation", (1, 1)) != (1, 1):
        raise ValueError("has a dilation")
    return {"stride": op.attrs.stride, "padding": "SAME" if op.attrs.same else "VALID"}


def _shape(op: Op) -> tuple[int, ...]:
    if op.outputs[0].shape[:1] != (1,):
        raise ValueError(f"has an output of {list(op.outputs[0].shape)}; a batch of 1 is needed")
    return op.outputs[0].shape[1:]


def _conv(op: Op, name: str, inputs: tuple[str, ...]) -> Layer:
    if op.input(1).shape[3] != op.input(0).shape[3]:
        raise ValueError("has groups")
    clamp = _CLAMPS[op.attrs.activation]
    return Layer(name, "conv_2d", inputs, _shape(op), clamp=clamp, **_weights(op, 0), **_window(op))


def _depthwise(op: Op, name: str, inputs: tuple[str, ...]) -> Layer:
    clamp = _CLAMPS[op.attrs.activation]
    kind: Any = "depthwise_conv_2d"
    return Layer(name, kind, inputs, _shape(op), clamp=clamp, **_weights(op, 3), **_window(op))


def _dense(op: Op, name: str, inputs: tuple[str, ...]) -> Layer:
    clamp = _CLAMPS[op.attrs.activation]
    return Layer(name, "fully_connected", inputs, _shape(op), clamp=clamp, **_weights(op, 0))


def _add(op: Op, name: str, inputs: tuple[str, ...]) -> Layer:
    if len(inputs) != 2 or op.input(0).shape != op.input(1).shape:
        raise ValueError("does not add two activations of one shape")
    return Layer(name, "add", inputs, _shape(op), clamp=_CLAMPS[op.attrs.activation])


def _mean(op: Op, name: str, inputs: tuple[str, ...]) -> Layer:
    rank = len(op.input(0).shape)
    if rank != 4 or sorted(int(axis) % rank for axis in np.ravel(_value(op, 1))) != [1, 2]:
        raise ValueError("is not over height and width")
    return Layer(name, "mean", inputs, _shape(op))


def _pool(op: Op, name: str, inputs: tuple[str, ...]) -> Layer:
    kind: Any = op.kind.lower()
    clamp = _CLAMPS[op.attrs.activation]
    window = op.attrs.window
    return Layer(name, kind, inputs, _shape(op), window=window, clamp=clamp, **_window(op))


def _pad(op: Op, name: str, inputs: tuple[str, ...]) -> Layer:
    sides = np.asarray(_value(op, 1)).reshape(-1, 2)
    if len(sides) != 4 or sides[[0, 3]].any():
        raise ValueError("is not of height and width")
    (top, bottom), (left, right) = ((int(a), int(b)) for a, b in sides[1:3])
    return Layer(name, "pad", inputs, _shape(op), before=(top, left), after=(bottom, right))


def _reshape(op: Op, name: str, inputs: tuple[str, ...]) -> Layer:
    return Layer(name, "reshape", inputs[:1], _shape(op))


def _softmax(op: Op, name: str, inputs: tuple[str, ...]) -> Layer:
    if op.attrs.beta != 1.0:
        raise ValueError(f"has a beta of {op.attrs.beta:g}")
    return Layer(name, "softmax", inputs, _shape(op))


_UNPACK: dict[str, Callable[[Op, str, tuple[str, ...]], Layer]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "ADD": _add,
    "MEAN": _mean,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "PAD": _pad,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "SOFTMAX": _softmax,
}

"""Writes `.tflite` files: tensors and operators as flatbuffers, without TensorFlow.

Format: `schema.fbs` of TensorFlow Lite, through the package `tflite`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import tflite

Array = npt.NDArray[Any]

TYPES = {
    "float16": tflite.TensorType.FLOAT16,
    "float32": tflite.TensorType.FLOAT32,
    "int4": tflite.TensorType.INT4,
    "int8": tflite.TensorType.INT8,
    "uint8": tflite.TensorType.UINT8,
    "int16": tflite.TensorType.INT16,
    "int32": tflite.TensorType.INT32,
    "int64": tflite.TensorType.INT64,
    "bool": tflite.TensorType.BOOL,
    "resource": tflite.TensorType.RESOURCE,
    "complex64": tflite.TensorType.COMPLEX64,
}


@dataclass(frozen=True)
class NewTensor:
    """A tensor to write.

    Attributes:
        name: any text.
        shape: with the batch.
        dtype: one of `TYPES`.
        scales: of its quantization: one, or one for each slice along `axis`; none: not quantized.
        zero_point: of its quantization.
        axis: along which the scales are.
        data: of a constant; int4 as int8 numbers.
        signature: shape with -1 where it is open.
        variable: whether it keeps its value between runs.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "int8"
    scales: tuple[float, ...] = ()
    zero_point: int = 0
    axis: int = 0
    data: Array | None = None
    signature: tuple[int, ...] | None = None
    variable: bool = False


@dataclass(frozen=True)
class NewOperator:
    """An operator to write.

    Attributes:
        kind: name in the schema, or "CUSTOM:NAME".
        inputs: indices of tensors; -1 for none.
        outputs: indices of tensors.
        options: the schema's table of options and its fields; `custom` bytes of a custom operator.
        version: of the operator.
        intermediates: indices of tensors.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: tuple[str, Mapping[str, Any]] | None = None
    version: int = 1
    intermediates: tuple[int, ...] = ()


@dataclass(frozen=True)
class NewSubgraph:
    """A subgraph to write; inputs and outputs are indices of its tensors."""

    tensors: Sequence[NewTensor]
    operators: Sequence[NewOperator]
    inputs: Sequence[int]
    outputs: Sequence[int]


def write_model(subgraphs: Sequence[NewSubgraph], description: str) -> bytes:
    """Return a `.tflite` file; equal subgraphs give equal bytes."""
    b = flatbuffers.Builder(4096)
    buffers = [_table(b, "Buffer")]
    kinds = sorted({(op.kind, op.version) for graph in subgraphs for op in graph.operators})
    tables = [_subgraph(b, graph, buffers, kinds) for graph in subgraphs]
    codes = [_operator_code(b, kind, version) for kind, version in kinds]
    fields = {
        "Version": 3,
        "OperatorCodes": _offsets(b, codes),
        "Subgraphs": _offsets(b, tables),
        "Description": b.CreateString(description),
        "Buffers": _offsets(b, buffers),
    }
    b.Finish(_table(b, "Model", **fields), file_identifier=b"TFL3")
    return bytes(b.Output())


def _subgraph(
    b: flatbuffers.Builder, graph: NewSubgraph, buffers: list[int], kinds: list[tuple[str, int]]
) -> int:
    """Write the tensors and operators; constants become buffers."""
    indices: dict[int, int] = {}
    for index, t in enumerate(graph.tensors):
        if t.data is not None:
            indices[index] = len(buffers)
            raw = np.frombuffer(t.data.tobytes(), np.uint8)
            if t.dtype == "int4":
                raw = _packed(raw)
            b.StartVector(1, raw.size, 16)
            b.head -= raw.size
            b.Bytes[b.Head() : b.Head() + raw.size] = raw.tobytes()
            buffers.append(_table(b, "Buffer", Data=b.EndVector()))
    tensors = [_tensor(b, t, indices.get(index, 0)) for index, t in enumerate(graph.tensors)]
    operators = [_operator(b, op, kinds.index((op.kind, op.version))) for op in graph.operators]
    fields = {
        "Tensors": _offsets(b, tensors),
        "Inputs": _int32s(b, graph.inputs),
        "Outputs": _int32s(b, graph.outputs),
        "Operators": _offsets(b, operators),
        "Name": b.CreateString("main"),
    }
    return _table(b, "SubGraph", **fields)


def _tensor(b: flatbuffers.Builder, t: NewTensor, buffer: int) -> int:
    fields: dict[str, Any] = {
        "Shape": _int32s(b, t.shape),
        "Type": TYPES[t.dtype],
        "Buffer": buffer,
        "Name": b.CreateString(t.name),
    }
    if t.variable:
        fields["IsVariable"] = True
    if t.signature is not None:
        fields["ShapeSignature"] = _int32s(b, t.signature)
    if t.scales:
        zero_points = np.full(len(t.scales), t.zero_point, np.int64)
        parameters = {
            "Scale": b.CreateNumpyVector(np.asarray(t.scales, np.float32)),
            "ZeroPoint": b.CreateNumpyVector(zero_points),
            "QuantizedDimension": t.axis,
        }
        fields["Quantization"] = _table(b, "QuantizationParameters", **parameters)
    return _table(b, "Tensor", **fields)


def _operator(b: flatbuffers.Builder, op: NewOperator, code: int) -> int:
    fields: dict[str, Any] = {
        "OpcodeIndex": code,
        "Inputs": _int32s(b, op.inputs),
        "Outputs": _int32s(b, op.outputs),
    }
    if op.intermediates:
        fields["Intermediates"] = _int32s(b, op.intermediates)
    if op.options is not None and op.kind.startswith("CUSTOM:"):
        fields["CustomOptions"] = b.CreateByteVector(op.options[1]["custom"])
    elif op.options is not None:
        name, values = op.options
        values = {k: _field(b, v) for k, v in values.items()}
        fields["BuiltinOptions"] = _table(b, name, **values)
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, name)
    return _table(b, "Operator", **fields)


def _operator_code(b: flatbuffers.Builder, kind: str, version: int) -> int:
    if kind.startswith("CUSTOM:"):
        name = b.CreateString(kind.removeprefix("CUSTOM:"))
        number, fields = tflite.BuiltinOperator.CUSTOM, {"CustomCode": name}
    else:
        number, fields = getattr(tflite.BuiltinOperator, kind), {}
    fields |= {"DeprecatedBuiltinCode": min(number, 127), "BuiltinCode": number}
    return _table(b, "OperatorCode", Version=version, **fields)


def _table(b: flatbuffers.Builder, name: str, **fields: Any) -> int:
    getattr(tflite, f"{name}Start")(b)
    for field, value in fields.items():
        getattr(tflite, f"{name}Add{field}")(b, value)
    return int(getattr(tflite, f"{name}End")(b))


def _packed(values: Array) -> Array:
    """Return int4 values two to a byte, the low half first."""
    nibbles = np.append(values & 15, np.zeros(values.size % 2, np.uint8))
    return np.asarray(nibbles[::2] | nibbles[1::2] << 4, np.uint8)


def _field(b: flatbuffers.Builder, value: Any) -> Any:
    if isinstance(value, str):
        return b.CreateString(value)
    return _int32s(b, value) if isinstance(value, list) else value


def _int32s(b: flatbuffers.Builder, values: Sequence[int]) -> int:
    return int(b.CreateNumpyVector(np.asarray(values, np.int32)))


def _offsets(b: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())

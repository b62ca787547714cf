"""TensorFlow Lite model files (.tflite) to graphs, without TensorFlow.

Source of the format: the public flatbuffer schema `schema.fbs`, version 3.
"""

import math
from typing import Any, Protocol

import numpy as np
import tflite

from lotor.errors import LotorError
from lotor.graph import Array, DType, Graph, Op, Quantization, Tensor
from lotor.ops import operators

_DTYPES = {
    tflite.TensorType.FLOAT32: DType.FLOAT32,
    tflite.TensorType.FLOAT16: DType.FLOAT16,
    tflite.TensorType.INT32: DType.INT32,
    tflite.TensorType.UINT8: DType.UINT8,
    tflite.TensorType.INT64: DType.INT64,
    tflite.TensorType.BOOL: DType.BOOL,
    tflite.TensorType.INT16: DType.INT16,
    tflite.TensorType.INT8: DType.INT8,
    tflite.TensorType.INT4: DType.INT4,
}
_MAX_ELEMENTS = 1 << 28  # offsets in the generated C are int32
_OP_NAMES = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
_OPTION_NAMES = {v: k for k, v in vars(tflite.BuiltinOptions).items() if isinstance(v, int)}


class _Damaged(Exception):
    """Something in the file contradicts the format."""


class _Vector(Protocol):
    """The length half of a flatbuffer vector."""

    def __call__(self) -> int: ...


def read_model(content: bytes, name: str) -> Graph:
    """Return the graph of a .tflite file's bytes.

    Args:
        content: the file.
        name: how errors and the generated code call the model.

    Raises:
        LotorError: no TensorFlow Lite model, damaged, or of a form that has no graph.
    """
    if len(content) < 8 or content[4:8] != b"TFL3":
        raise LotorError(
            f"{name}: not a TensorFlow Lite model (bytes 4-7 are not 'TFL3'); "
            "give a .tflite file made by the TensorFlow Lite converter"
        )
    try:
        return _Reader(content, name).graph()
    except LotorError:
        raise
    # The flatbuffer accessors fail in many ways on damaged bytes; all mean one thing to the user.
    except Exception as error:
        raise LotorError(
            f"{name}: the file is damaged or truncated ({error or type(error).__name__}); "
            "convert or download it again"
        ) from error


def _printable(name: str) -> str:
    """Keep line ends and control characters out of messages and tables."""
    return "".join(c if c.isprintable() else "_" for c in name)


def _unpack_nibbles(data: bytes, elements: int) -> bytes:
    """Return int4 values, two to a byte and the low half first, as one int8 each."""
    packed = np.frombuffer(data, np.uint8)
    if packed.size != (elements + 1) // 2:
        return data  # whose length is refused
    nibbles = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[:elements]
    return ((nibbles ^ 8).astype(np.int8) - 8).astype(np.int8).tobytes()


class _Reader:
    """Reads one file; every count is checked against the file's size before it is trusted."""

    def __init__(self, content: bytes, name: str) -> None:
        self.name = name
        self.size = len(content)
        self.model = tflite.Model.GetRootAs(content, 0)
        if self.model.Version() != 3:
            raise _Damaged(f"schema version {self.model.Version()}, 3 expected")
        subgraphs = self.count(self.model.SubgraphsLength)
        if subgraphs == 0:
            raise _Damaged("no subgraph")
        if subgraphs > 1:
            raise LotorError(
                f"{name}: has {subgraphs} subgraphs (control flow or several signatures), "
                "1 supported; export a single inference function"
            )
        self.subgraph = self.model.Subgraphs(0)
        self.codes = [
            self.model.OperatorCodes(i) for i in range(self.count(self.model.OperatorCodesLength))
        ]
        self.tensors = [self.tensor(i) for i in range(self.count(self.subgraph.TensorsLength))]

    def count(self, length: _Vector) -> int:
        n = length()
        if not 0 <= n <= self.size:
            raise _Damaged(f"a list of {n} entries in a file of {self.size} bytes")
        return n

    def graph(self) -> Graph:
        sub = self.subgraph
        inputs = [self.tensor_at(sub.Inputs(i)) for i in range(self.count(sub.InputsLength))]
        outputs = [self.tensor_at(sub.Outputs(i)) for i in range(self.count(sub.OutputsLength))]
        if not inputs or not outputs:
            raise _Damaged(f"{len(inputs)} inputs and {len(outputs)} outputs")
        graph = Graph(self.name, inputs, outputs)
        known = set(map(id, inputs))
        for index in range(self.count(sub.OperatorsLength)):
            op = self.op(sub.Operators(index))
            for tensor in op.inputs:
                if tensor is None or tensor.data is not None or op.kind not in operators():
                    continue  # what an unknown operator reads (state, scratch) is its own affair
                if id(tensor) not in known:
                    raise _Damaged(f"layer '{op.name}' reads '{tensor.name}' before it is computed")
            for tensor in op.outputs:
                if id(tensor) in known or tensor.data is not None:
                    raise _Damaged(f"tensor '{tensor.name}' is written twice")
                known.add(id(tensor))
            graph.ops.append(op)
        for tensor in outputs:
            if tensor.data is not None:
                raise LotorError(
                    f"{self.name}: output '{tensor.name}' is a constant; leave it out of the model"
                )
            if id(tensor) not in known:
                raise _Damaged(f"output '{tensor.name}' is not computed by any layer")
        return graph

    def tensor_at(self, index: int) -> Tensor:
        if not 0 <= index < len(self.tensors):
            raise _Damaged(f"tensor {index} of {len(self.tensors)}")
        return self.tensors[index]

    def tensor(self, index: int) -> Tensor:
        raw = self.subgraph.Tensors(index)
        name = _printable((raw.Name() or f"tensor_{index}".encode()).decode())
        shape = tuple(int(raw.Shape(i)) for i in range(self.count(raw.ShapeLength)))
        if any(size < 0 for size in shape) or math.prod(shape) > _MAX_ELEMENTS:
            raise _Damaged(f"tensor '{name}' has shape {list(shape)}")
        dtype = _DTYPES.get(raw.Type(), DType.OTHER)
        data = self.constant(raw.Buffer(), name, shape, dtype)
        return Tensor(name, shape, dtype, self.quantization(raw, name), data, index)

    def constant(
        self, buffer_index: int, name: str, shape: tuple[int, ...], dtype: DType
    ) -> Array | None:
        if buffer_index == 0:  # by convention the empty buffer: an activation
            return None
        if buffer_index >= self.count(self.model.BuffersLength):
            raise _Damaged(f"tensor '{name}' points to buffer {buffer_index}")
        buffer = self.model.Buffers(buffer_index)
        length = self.count(buffer.DataLength)
        if length == 0 or dtype is DType.OTHER:
            return None
        data = np.asarray(buffer.DataAsNumpy()).tobytes()
        if dtype is DType.INT4:
            data = _unpack_nibbles(data, math.prod(shape))
        if len(data) != math.prod(shape) * dtype.numpy.itemsize:
            raise _Damaged(f"constant '{name}' has {len(data)} bytes for {list(shape)}")
        # The format is little-endian, whatever this machine is.
        little = dtype.numpy.newbyteorder("<")
        return np.frombuffer(data, little).astype(dtype.numpy).reshape(shape)

    def quantization(self, raw: Any, name: str) -> Quantization | None:
        table = raw.Quantization()
        scales = self.count(table.ScaleLength) if table is not None else 0
        if scales == 0:
            return None
        values = np.array([table.Scale(i) for i in range(scales)], np.float32)
        if not np.all(np.isfinite(values)) or np.any(values <= 0):
            raise _Damaged(f"tensor '{name}' has a scale that is not a positive number")
        points = self.count(table.ZeroPointLength)
        if points not in (0, scales):
            raise _Damaged(f"tensor '{name}' has {scales} scales and {points} zero points")
        zero_points = np.array(
            [table.ZeroPoint(i) for i in range(points)] or [0] * scales, np.int64
        )
        if np.any(np.abs(zero_points) > 1 << 31):
            raise _Damaged(f"tensor '{name}' has a zero point outside 32 bits")
        return Quantization(values, zero_points, int(table.QuantizedDimension()))

    def op(self, raw: Any) -> Op:
        inputs = [
            None if raw.Inputs(i) == -1 else self.tensor_at(raw.Inputs(i))
            for i in range(self.count(raw.InputsLength))
        ]
        outputs = [self.tensor_at(raw.Outputs(i)) for i in range(self.count(raw.OutputsLength))]
        if not outputs:
            raise _Damaged("a layer without output")
        if not 0 <= raw.OpcodeIndex() < len(self.codes):
            raise _Damaged(f"operator code {raw.OpcodeIndex()} of {len(self.codes)}")
        code = self.codes[raw.OpcodeIndex()]
        # Old files keep the operator in the 8-bit field, new ones in the 32-bit one.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = _OP_NAMES.get(number, f"operator {number}")
        if kind == "CUSTOM":
            kind = f"CUSTOM:{_printable((code.CustomCode() or b'?').decode())}"
        op = Op(kind, outputs[0].name, inputs, outputs)
        if kind in operators():
            self.read_attributes(op, raw)
        return op

    def read_attributes(self, op: Op, raw: Any) -> None:
        operator = operators()[op.kind]
        required = [t for t in op.inputs[: operator.inputs] if t is not None]
        if len(required) < operator.inputs:
            raise _Damaged(f"layer '{op.name}' ({op.kind}) has too few inputs")
        if operator.outputs is not None and len(op.outputs) != operator.outputs:
            raise _Damaged(f"layer '{op.name}' ({op.kind}) has {len(op.outputs)} outputs")
        if op.kind.startswith("CUSTOM:"):
            length = self.count(raw.CustomOptionsLength)
            op.attrs = operator.read(raw.CustomOptionsAsNumpy().tobytes() if length else b"")
            return
        if operator.options is None:
            return
        table = raw.BuiltinOptions()
        if table is None or _OPTION_NAMES.get(raw.BuiltinOptionsType()) != operator.options:
            raise _Damaged(f"layer '{op.name}' ({op.kind}) lacks its {operator.options}")
        options = getattr(tflite, operator.options)()
        options.Init(table.Bytes, table.Pos)
        op.attrs = operator.read(options)

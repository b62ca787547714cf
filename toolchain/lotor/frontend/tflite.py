"""TensorFlow Lite model files (.tflite) to graphs, without TensorFlow.

Source of the format: the public flatbuffer schema `schema.fbs`, version 3.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import tflite
from flatbuffers import number_types  # type: ignore[import-untyped]

from lotor.errors import LotorError
from lotor.frontend.metadata import read_labels
from lotor.graph import Array, DType, Graph, Op, Quantization, Signature, Tensor
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
_MAX_RANK = 8
_MAX_ENTRIES = 1 << 16  # tensors, layers or buffers: what no real model reaches
_OP_NAMES = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
_OPTION_NAMES = {v: k for k, v in vars(tflite.BuiltinOptions).items() if isinstance(v, int)}
# Fields that the package `tflite` does not know yet, or does not show: places in their tables.
_EXTERNAL_BUFFER = 24  # of Tensor

_BLOCKWISE = (2, 3)  # scales in tensors of their own


_T = TypeVar("_T")


class _Damaged(Exception):
    """Something in the file contradicts the format."""


class _Vector(Protocol):
    """The length half of a flatbuffer vector."""

    def __call__(self) -> int: ...


class _NoOptions:
    """Stands for an option table that is absent: as in the reference, every field is 0."""

    def __getattr__(self, field: str) -> Callable[..., int]:
        return lambda *_: 0


def read_model(content: bytes, name: str) -> Graph:
    """Return the graph of a .tflite file's bytes.

    Args:
        content: the file.
        name: how errors and the generated code call the model.

    Raises:
        LotorError: no TensorFlow Lite model, damaged, or of a form that has no graph.
    """
    return _read(content, name, lambda reader: reader.model_graph())


def read_tensors(content: bytes, name: str) -> list[Tensor]:
    """Return every tensor of a .tflite file's main graph, in the file's order.

    Raises:
        LotorError: no TensorFlow Lite model, or damaged.
    """
    return _read(content, name, lambda reader: reader.main.tensors)


def check_magic(content: bytes, name: str) -> None:
    """Refuse what does not begin as a .tflite file does.

    Raises:
        LotorError: bytes 4 to 7 are others.
    """
    if content[4:8] != b"TFL3":
        raise LotorError(
            f"{name}: not a TensorFlow Lite model (bytes 4-7 are not 'TFL3'); "
            "give a .tflite file made by the TensorFlow Lite converter"
        )


def _read(content: bytes, name: str, get: "Callable[[_Reader], _T]") -> _T:
    check_magic(content, name)
    operators()  # their modules are loaded here, so that a mistake in one is no damaged file
    try:
        return get(_Reader(content, name))
    except LotorError:
        raise
    # The flatbuffer accessors fail in many ways on damaged bytes; all mean one thing to the user.
    except Exception as error:
        raise LotorError(
            f"{name}: the file is damaged or truncated "
            f"({_printable(str(error)) or type(error).__name__}); convert or download it again"
        ) from error


def _printable(name: str) -> str:
    """Keep line ends and control characters out of messages and tables."""
    return "".join(c if c.isprintable() else "_" for c in name)


def _unpack_nibbles(data: Array, elements: int) -> Array:
    """Return int4 values, two to a byte and the low half first, as one int8 each."""
    if data.size != (elements + 1) // 2:
        return data  # whose length is refused
    nibbles = np.stack([data & 15, data >> 4], axis=1).reshape(-1)[:elements]
    return ((nibbles ^ 8).astype(np.int8) - 8).astype(np.int8).view(np.uint8)


class _Reader:
    """Reads one file; every count is checked against the file's size before it is trusted."""

    def __init__(self, content: bytes, name: str) -> None:
        self.content, self.name, self.size = content, name, len(content)
        self.model = tflite.Model.GetRootAs(content, 0)
        if self.model.Version() != 3:
            raise _Damaged(f"schema version {self.model.Version()}, 3 expected")
        self.codes = [
            self.model.OperatorCodes(i) for i in range(self.count(self.model.OperatorCodesLength))
        ]
        self.buffers = self.count(self.model.BuffersLength)
        self.unpacked: dict[int, Array] = {}
        if self.count(self.model.SubgraphsLength) == 0:
            raise _Damaged("no subgraph")
        self.main = _Subgraph(self, 0)

    def count(self, length: _Vector) -> int:
        """Return the length of a list of tables or numbers."""
        n = length()
        if not 0 <= n <= min(self.size, _MAX_ENTRIES):
            raise _Damaged(f"a list of {n} entries in a file of {self.size} bytes")
        return n

    def model_graph(self) -> Graph:
        """Return the main graph with all that belongs to it."""
        graph = self.main.graph()
        if not graph.inputs or not graph.outputs:
            raise _Damaged(f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs")
        graph.signatures = self.signatures()
        graph.labels = self.labels()
        graph.subgraphs = self.subgraphs(graph)
        return graph

    def subgraphs(self, graph: Graph) -> dict[int, Graph]:
        """Return the graphs that CALL_ONCE layers run; others are refused.

        But not where the main graph has layers that are not supported: they may be what runs them,
        and are then listed one by one.
        """
        total = self.count(self.model.SubgraphsLength)
        called = self.main.initialisers
        if total > 1 + len(called) and all(op.kind in operators() for op in graph.ops):
            raise LotorError(
                f"{self.name}: has {total} subgraphs (control flow or several signatures), "
                f"{'1 supported' if not called else 'only initialisers supported beside the first'}"
                "; export a single inference function"
            )
        if not all(0 < index < total for index in called):
            raise _Damaged(f"CALL_ONCE of a subgraph that is not there: {sorted(called)}")
        return {index: _Subgraph(self, index).graph() for index in sorted(called)}

    def signatures(self) -> dict[str, Signature]:
        """Return the named functions of the main graph."""
        found = {}
        for i in range(self.count(self.model.SignatureDefsLength)):
            raw = self.model.SignatureDefs(i)
            if raw.SubgraphIndex() == 0:
                key = _printable((raw.SignatureKey() or b"").decode())
                inputs = self.names(raw.Inputs, raw.InputsLength)
                found[key] = Signature(inputs, self.names(raw.Outputs, raw.OutputsLength))
        return found

    def names(self, entry: Callable[[int], Any], length: _Vector) -> dict[str, int]:
        found = {}
        for i in range(self.count(length)):
            index = entry(i).TensorIndex()
            self.main.tensor_at(index)
            found[_printable((entry(i).Name() or b"").decode())] = index
        return found

    def labels(self) -> tuple[str, ...]:
        """Return the class names that the file carries."""
        for i in range(self.count(self.model.MetadataLength)):
            entry = self.model.Metadata(i)
            if entry.Name() == b"TFLITE_METADATA":
                data = self.data(entry.Buffer())
                return () if data is None else read_labels(self.content, data.tobytes())
        return ()

    def data(self, index: int) -> Array | None:
        """Return a buffer's bytes, uint8; None if it has none."""
        if index >= self.buffers:
            raise _Damaged(f"buffer {index} of {self.buffers}")
        buffer = self.model.Buffers(index)
        if not buffer.DataIsNone():
            length = buffer.DataLength()
            if not 0 <= length <= self.size:
                raise _Damaged(f"buffer {index} of {length} bytes in a file of {self.size}")
            return np.asarray(buffer.DataAsNumpy()) if length else np.empty(0, np.uint8)
        # Large files keep the bytes behind the flatbuffer.
        if buffer.Offset() <= 1:
            return None
        return self.outside(buffer.Offset(), buffer.Size())

    def outside(self, offset: int, size: int) -> Array:
        """Return bytes of the file that no table holds, uint8."""
        if offset + size > self.size:
            raise _Damaged(f"{size} bytes at {offset} in a file of {self.size}")
        return np.frombuffer(self.content, np.uint8, size, offset)


class _Subgraph:
    """Reads one of the file's graphs."""

    def __init__(self, reader: _Reader, index: int) -> None:
        self.reader, self.name, self.count = reader, reader.name, reader.count
        self.raw = reader.model.Subgraphs(index)
        self.is_main = index == 0
        self.initialisers: set[int] = set()  # subgraphs that CALL_ONCE layers name
        self.tensors = [self.tensor(i) for i in range(self.count(self.raw.TensorsLength))]

    def graph(self) -> Graph:
        raw = self.raw
        self.count(raw.InputsLength)
        self.count(raw.OutputsLength)
        inputs = [self.tensor_at(i) for i in self.numbers(raw.InputsAsNumpy())]
        outputs = [self.tensor_at(i) for i in self.numbers(raw.OutputsAsNumpy())]
        ops = [self.op(i) for i in range(self.count(raw.OperatorsLength))]
        if len({id(t) for t in inputs}) < len(inputs):
            raise _Damaged("an input is listed twice")
        self.fill_empty_constants(inputs, ops)
        self.check_order(inputs, outputs, ops)
        return Graph(self.name, inputs, outputs, ops)

    @staticmethod
    def numbers(values: Any) -> list[int]:
        """Return a vector of numbers; an absent one is empty."""
        return [] if isinstance(values, int) else [int(v) for v in values]

    def fill_empty_constants(self, inputs: list[Tensor], ops: list[Op]) -> None:
        """Make constants of tensors without elements that no layer computes."""
        written = {id(t) for op in ops for t in op.outputs} | {id(t) for t in inputs}
        for tensor in self.tensors:
            plain = tensor.dtype is not DType.OTHER and not tensor.variable
            if plain and tensor.elements == 0 and id(tensor) not in written:
                tensor.data = np.empty(tensor.shape, tensor.np_dtype)

    def check_order(self, inputs: list[Tensor], outputs: list[Tensor], ops: list[Op]) -> None:
        """Refuse a graph whose tensors are not each computed once, before they are read."""
        for tensor in inputs:
            if tensor.data is not None:
                raise LotorError(
                    f"{self.name}: input '{tensor.name}' is a constant; leave it out of the inputs"
                )
        known = set(map(id, inputs))
        for op in ops:
            for read in op.inputs:
                if read is None or read.data is not None or op.kind not in operators():
                    continue  # what an unknown operator reads (state, scratch) is its own affair
                if read.dtype is DType.OTHER:
                    continue  # perhaps a constant; refused with its layer
                if id(read) not in known and not read.variable:
                    raise _Damaged(f"layer '{op.name}' reads '{read.name}' before it is computed")
            for tensor in op.outputs:
                if id(tensor) in known or tensor.data is not None:
                    raise _Damaged(f"tensor '{tensor.name}' is written twice")
                known.add(id(tensor))
        for tensor in outputs:
            if tensor.data is not None:
                raise LotorError(
                    f"{self.name}: output '{tensor.name}' is a constant; leave it out of the model"
                )
            if id(tensor) not in known:
                raise _Damaged(f"output '{tensor.name}' is not computed by any layer")

    def tensor_at(self, index: int) -> Tensor:
        if not 0 <= index < len(self.tensors):
            raise _Damaged(f"tensor {index} of {len(self.tensors)}")
        return self.tensors[index]

    def tensor(self, index: int) -> Tensor:
        raw = self.raw.Tensors(index)
        name = _printable((raw.Name() or f"tensor_{index}".encode()).decode())
        shape = self.shape(name, raw.ShapeLength, raw.ShapeAsNumpy)
        if any(not 0 <= n <= _MAX_ELEMENTS for n in shape) or math.prod(shape) > _MAX_ELEMENTS:
            raise _Damaged(f"tensor '{name}' has shape {list(shape)}")
        dtype = _DTYPES.get(raw.Type(), DType.OTHER)
        unreadable = self.unreadable(raw, name, dtype)
        if unreadable:
            dtype = DType.OTHER
        return Tensor(
            name,
            shape,
            dtype,
            None if unreadable else self.quantization(raw, name, shape, dtype),
            self.constant(raw.Buffer(), name, shape, dtype),
            index if self.is_main else None,
            variable=bool(raw.IsVariable()),
            shape_signature=self.shape(name, raw.ShapeSignatureLength, raw.ShapeSignatureAsNumpy)
            or None,
            unreadable=unreadable,
        )

    def shape(self, name: str, length: _Vector, values: Callable[[], Any]) -> tuple[int, ...]:
        if not 0 <= length() <= _MAX_RANK:
            raise _Damaged(f"tensor '{name}' has {length()} dimensions, at most {_MAX_RANK}")
        return tuple(self.numbers(values()))

    def unreadable(self, raw: Any, name: str, dtype: DType) -> str:
        """Return why a tensor has a form that Lotor cannot read, empty if it has not."""
        if raw.Sparsity() is not None:
            return f"constant '{name}' is sparse; convert the model without sparsity"
        external = raw._tab.Offset(_EXTERNAL_BUFFER)
        if external and raw._tab.Get(number_types.Uint32Flags, raw._tab.Pos + external):
            return (
                f"constant '{name}' lies in another file; convert the model with its weights inside"
            )
        quant = raw.Quantization()
        if quant is None:
            return ""
        if quant.DetailsType() in _BLOCKWISE:
            return f"'{name}' is quantized by blocks; quantize the model per channel"
        scales = np.array(quant.ScaleAsNumpy() if self.count(quant.ScaleLength) else [1])
        if dtype is not DType.FLOAT32 and np.all(np.isfinite(scales)) and np.min(scales) == 0:
            return (
                f"tensor '{name}' has scale 0: the converter saw nothing but 0 in it; give it "
                "representative data as real images have, or leave the quantization to int16 out"
            )
        return ""

    def constant(
        self, buffer: int, name: str, shape: tuple[int, ...], dtype: DType
    ) -> Array | None:
        data = self.reader.data(buffer) if buffer else None  # 0 is by convention the empty one
        elements = math.prod(shape)
        if data is None or dtype is DType.OTHER or (data.size == 0 and elements):
            return None
        if dtype is DType.INT4:
            data = self.reader.unpacked.setdefault(buffer, _unpack_nibbles(data, elements))
        if data.size != elements * dtype.numpy.itemsize:
            raise _Damaged(f"constant '{name}' has {data.size} bytes for {list(shape)}")
        # The format is little-endian, whatever this machine is; copied only where that is needed.
        little = data.view(dtype.numpy.newbyteorder("<"))
        return np.require(little, dtype.numpy, ["C", "A"]).reshape(shape)

    def quantization(
        self, raw: Any, name: str, shape: tuple[int, ...], dtype: DType
    ) -> Quantization | None:
        table = raw.Quantization()
        scales = self.count(table.ScaleLength) if table is not None else 0
        if scales == 0:  # old files state the range alone
            return None
        values = np.array(table.ScaleAsNumpy(), np.float32)
        if not np.all(np.isfinite(values)) or np.any(values <= 0):
            if dtype is DType.FLOAT32:
                return None  # it means nothing there
            raise _Damaged(f"tensor '{name}' has a scale that is not a positive number")
        points = self.count(table.ZeroPointLength)
        if points not in (0, scales):
            raise _Damaged(f"tensor '{name}' has {scales} scales and {points} zero points")
        zero_points = np.array(table.ZeroPointAsNumpy() if points else [0] * scales, np.int64)
        if np.any((zero_points < -(1 << 31)) | (zero_points > 1 << 31)):
            raise _Damaged(f"tensor '{name}' has a zero point outside 32 bits")
        axis = int(table.QuantizedDimension())
        # What a bias is quantized by follows from its layer; real files hold odd axes there.
        fits = 0 <= axis < len(shape) and shape[axis] == scales
        if scales > 1 and not fits and dtype is not DType.INT32:
            raise _Damaged(f"tensor '{name}' {list(shape)} has {scales} scales on axis {axis}")
        return Quantization(values, zero_points, axis)

    def op(self, index: int) -> Op:
        raw = self.raw.Operators(index)
        self.count(raw.InputsLength)
        self.count(raw.OutputsLength)
        inputs = [None if i == -1 else self.tensor_at(i) for i in self.numbers(raw.InputsAsNumpy())]
        outputs = [self.tensor_at(i) for i in self.numbers(raw.OutputsAsNumpy())]
        if not 0 <= raw.OpcodeIndex() < len(self.reader.codes):
            raise _Damaged(f"operator code {raw.OpcodeIndex()} of {len(self.reader.codes)}")
        code = self.reader.codes[raw.OpcodeIndex()]
        # Old files keep the operator in the 8-bit field, new ones in the 32-bit one.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = _OP_NAMES.get(number, f"operator {number}")
        if kind == "CUSTOM":
            kind = f"CUSTOM:{_printable((code.CustomCode() or b'?').decode())}"
        name = outputs[0].name if outputs else f"{kind.lower()}_{index}"
        op = Op(kind, name, inputs, outputs)
        if raw.IntermediatesLength():
            self.count(raw.IntermediatesLength)
            numbers = self.numbers(raw.IntermediatesAsNumpy())
            op.intermediates = [self.tensor_at(i) for i in numbers]
        if kind == "CALL_ONCE":
            called = self.options(raw, "CallOnceOptions").InitSubgraphIndex()
            self.initialisers.add(int(called))
        if kind in operators():
            self.read_attributes(op, raw)
        if not outputs:  # rewrites may rely on a first output
            op.outputs.append(Tensor(name, (), DType.OTHER))
        return op

    def read_attributes(self, op: Op, raw: Any) -> None:
        operator = operators()[op.kind]
        required = [t for t in op.inputs[: operator.inputs] if t is not None]
        if len(required) < operator.inputs:
            raise _Damaged(f"layer '{op.name}' ({op.kind}) has too few inputs")
        if operator.outputs is not None and len(op.outputs) != operator.outputs:
            raise _Damaged(f"layer '{op.name}' ({op.kind}) has {len(op.outputs)} outputs")
        if op.kind.startswith("CUSTOM:"):
            op.attrs = operator.read(self.custom_options(raw))
            self.fill_shapes(op, operator.shapes(op))
        elif operator.options is not None:
            op.attrs = operator.read(self.options(raw, operator.options))

    @staticmethod
    def fill_shapes(op: Op, shapes: Sequence[tuple[int, ...]]) -> None:
        """Set the shapes of outputs that the file leaves open."""
        for tensor, shape in zip(op.outputs, shapes, strict=False):
            if not tensor.shape:
                if any(size < 0 for size in shape) or math.prod(shape) > _MAX_ELEMENTS:
                    raise _Damaged(f"tensor '{tensor.name}' has shape {list(shape)}")
                tensor.shape = shape

    @staticmethod
    def options(raw: Any, name: str) -> Any:
        """Return a layer's option table; where it has none of that type, one of zeros."""
        table = raw.BuiltinOptions()
        if table is None or _OPTION_NAMES.get(raw.BuiltinOptionsType()) != name:
            return _NoOptions()
        options = getattr(tflite, name)()
        options.Init(table.Bytes, table.Pos)
        return options

    def custom_options(self, raw: Any) -> bytes:
        """Return the bytes that a custom operator reads itself."""
        length = raw.CustomOptionsLength()
        if not 0 <= length <= self.reader.size:
            raise _Damaged(f"options of {length} bytes in a file of {self.reader.size}")
        if length:
            return bytes(raw.CustomOptionsAsNumpy().tobytes())
        if raw.LargeCustomOptionsOffset() > 1:
            large = self.reader.outside(
                raw.LargeCustomOptionsOffset(), raw.LargeCustomOptionsSize()
            )
            return large.tobytes()
        return b""

"""Takes .tflite files apart and puts them together again, for tests of odd and broken ones."""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
from ai_edge_litert import schema_py_generated as schema


def unpack(content: bytes) -> Any:
    """A file as plain objects: `model.subgraphs[0].operators[3].inputs`, ..."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def pack(model: Any) -> bytes:
    """The file of such objects."""
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def with_buffers_outside(content: bytes) -> bytes:
    """The same model with the constants' bytes behind the flatbuffer, as in files beyond 2 GB."""
    model = unpack(content)
    datas = [b"" if buffer.data is None else bytes(buffer.data) for buffer in model.buffers]
    for place in ([16] * len(datas), None):
        at = len(pack(model)) if place is None else 0
        for buffer, data in zip(model.buffers, datas, strict=True):
            if data:
                at += -at % 16
                buffer.data, buffer.offset, buffer.size = None, at or 16, len(data)
                at += len(data)
    file = bytearray(pack(model))
    for buffer, data in zip(model.buffers, datas, strict=True):
        if data:
            file += bytes(buffer.offset - len(file)) + data
    return bytes(file)


def with_labels(content: bytes, labels: bytes, kind: int = 2, listed: str = "labels.txt") -> bytes:
    """The same model with metadata that names `listed`, and an archive that holds labels.txt."""
    b = flatbuffers.Builder(64)
    name = b.CreateString(listed)
    b.StartObject(5)
    b.PrependUOffsetTRelativeSlot(0, name, 0)
    b.PrependInt8Slot(2, kind, 0)
    file = b.EndObject()
    for fields, slot in ((9, 6), (7, 3), (10, 3)):  # tensor, subgraph, model
        b.StartVector(4, 1, 4)
        b.PrependUOffsetTRelative(file)
        inner = b.EndVector()
        b.StartObject(fields)
        b.PrependUOffsetTRelativeSlot(slot, inner, 0)
        file = b.EndObject()
    b.Finish(file, b"M001")
    model = unpack(content)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
    model.metadata = [*(model.metadata or []), entry]
    buffer = schema.BufferT()
    buffer.data = list(b.Output())
    model.buffers.append(buffer)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("labels.txt", labels)
    return pack(model) + archive.getvalue()


def signature(key: str, inputs: dict[str, int], outputs: dict[str, int], subgraph: int = 0) -> Any:
    """A named function of the model."""
    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = key, subgraph
    made.inputs, made.outputs = _names(inputs), _names(outputs)
    return made


def _names(tensors: dict[str, int]) -> Sequence[Any]:
    found = []
    for name, index in tensors.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        found.append(entry)
    return found


def with_axes_in_place(content: bytes) -> bytes:
    """The same model where biases do not name the weights' axis, which LiteRT refuses."""
    model = unpack(content)
    for tensor in model.subgraphs[0].tensors:
        quant = tensor.quantization
        if quant is not None and quant.quantizedDimension >= len(tensor.shape):
            quant.quantizedDimension = 0
    return pack(model)

"""Labels that a model file carries: files in a zip archive behind the flatbuffer.

Source of the format: the public flatbuffer schema `metadata_schema.fbs` ("M001") of TensorFlow Lite
Metadata, and the zip archive that tools append to the model file.
"""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
from flatbuffers.table import Table  # type: ignore[import-untyped]

_AXIS_LABELS, _VALUE_LABELS = 2, 3  # AssociatedFileType
_MAX_BYTES = 1 << 20
_MAX_ENTRIES = 1000

# Places of the fields in their tables, in bytes of the table's directory.
_SUBGRAPHS = 10  # of ModelMetadata
_OUTPUTS = 10  # of SubGraphMetadata
_FILES = 16  # of TensorMetadata
_NAME, _TYPE = 4, 8  # of AssociatedFile


def read_labels(content: bytes, metadata: bytes) -> tuple[str, ...]:
    """Return the class names of the first output that has some; nothing if none can be read.

    Labels help people and change no number: damage to them is no reason to refuse a model.

    Args:
        content: the model file, with the archive at its end.
        metadata: the flatbuffer of the metadata.
    """
    try:
        wanted = _label_file(metadata)
        if wanted is None:
            return ()
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(wanted) as file:
            text = file.read(_MAX_BYTES).decode("utf-8")
    except Exception:
        return ()
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _label_file(metadata: bytes) -> str | None:
    """Return the name of the label file: of an axis' classes, else of a value's."""
    if metadata[4:8] != b"M001":
        return None
    found: dict[int, str] = {}
    root = flatbuffers.encode.Get(flatbuffers.packer.uoffset, metadata, 0)
    for subgraph in _tables(Table(metadata, root), _SUBGRAPHS):
        for output in _tables(subgraph, _OUTPUTS):
            for file in _tables(output, _FILES):
                kind = file.Offset(_TYPE)
                number = (
                    file.Get(flatbuffers.number_types.Int8Flags, file.Pos + kind) if kind else 0
                )
                name = file.Offset(_NAME)
                if name and number in (_AXIS_LABELS, _VALUE_LABELS):
                    found.setdefault(number, file.String(file.Pos + name).decode("utf-8"))
    return found.get(_AXIS_LABELS) or found.get(_VALUE_LABELS)


def _tables(table: Any, field: int) -> Iterator[Any]:
    """Yield the tables of a vector field."""
    offset = table.Offset(field)
    if not offset:
        return
    start = table.Vector(offset)
    for index in range(min(table.VectorLen(offset), _MAX_ENTRIES)):
        yield Table(table.Bytes, table.Indirect(start + 4 * index))

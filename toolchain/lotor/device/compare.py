"""Whether a board computes what this machine computes, and which layer differs first."""

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lotor.device.session import Array, Session, as_bytes

if TYPE_CHECKING:
    from lotor.host import HostModel


@dataclass(frozen=True)
class Difference:
    """A board's outputs that differ: how many bytes, and the first layer that does.

    `layer` is None when every layer's output was right in the traced run, so that the fault lies
    between the last layer and the link, or does not come back.
    """

    bytes_wrong: int
    layer: int | None
    name: str

    def __str__(self) -> str:
        where = (
            f"layer {self.layer} ({self.name}) differs first"
            if self.layer is not None
            else "every layer was right in a traced run"
        )
        return f"{self.bytes_wrong} output bytes differ from the host's; {where}"


def difference(session: Session, host: "HostModel", *inputs: Array) -> Difference | None:
    """Run the same inputs on the board's selected model and on this machine.

    Args:
        session: an open session, with the model selected.
        host: the same model, built for this machine.
        inputs: one array of the model's input shape and type per input.

    Returns:
        None when every output byte is equal.
    """
    expected = host_outputs(host, *inputs)
    got = session.infer(*inputs)
    wrong = sum(
        int(np.count_nonzero(np.frombuffer(a, np.uint8) != np.frombuffer(b, np.uint8)))
        for a, b in zip(got, expected, strict=True)
    )
    if wrong == 0:
        return None
    layer = first_bad_layer(session, host, *inputs)
    name = "" if layer is None else str(host.compiled.report["layers"][layer]["name"])
    return Difference(wrong, layer, name)


def host_outputs(host: "HostModel", *inputs: Array) -> list[bytes]:
    """Return the bytes of every output that this machine computes."""
    outputs = host.run(*inputs)
    many = outputs if isinstance(outputs, tuple) else (outputs,)
    return [as_bytes(output) for output in many]


def first_bad_layer(session: Session, host: "HostModel", *inputs: Array) -> int | None:
    """Return the index of the first layer whose output's CRC-32 differs from this machine's.

    A model that keeps something between runs begins anew on both sides.
    """
    if host.compiled.plan.variables:
        session.require_model(host.compiled)
        host.reset()
    session.require_layers(host.compiled)
    session.infer(*inputs, trace=True)
    expected = host.layer_outputs(*inputs)
    for index, (layer, output) in enumerate(zip(session.profile(), expected, strict=True)):
        if not host.compiled.layers[index].output.dense:
            continue  # the board has no checksum of bytes that lie scattered
        if layer.crc != zlib.crc32(as_bytes(output)):
            return index
    return None

"""A trained network as what its file will hold: layers with weights, normalisation folded in.

Keras trains, this is what is quantized: no framework is needed to read or change it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

Kind = Literal[
    "conv_2d",
    "depthwise_conv_2d",
    "fully_connected",
    "add",
    "mean",
    "average_pool_2d",
    "max_pool_2d",
    "pad",
    "reshape",
    "concatenation",
    "logistic",
    "softmax",
]

PROBABILITIES = ("logistic", "softmax")
"""Kinds of layers that make probabilities of what a network has computed."""


@dataclass(frozen=True)
class Layer:
    """One layer; its output tensor is called as it is.

    Attributes:
        name: unique in the network.
        kind: which operator of TensorFlow Lite it becomes.
        inputs: names of the tensors that it reads.
        shape: of the output, without the batch.
        weights: float32 in TensorFlow Lite's layout: [out, h, w, in], [1, h, w, out], [out, in].
        bias: float32[out].
        window: height and width of a pool.
        stride: down and across.
        padding: "SAME" or "VALID".
        before: rows above and columns to the left that `pad` adds.
        after: rows below and columns to the right that it adds.
        clamp: least and greatest output of the activation; None for no limit.
        axis: along which `concatenation` lays its inputs; 0 is the batch.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    weights: Array | None = None
    bias: Array | None = None
    window: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: str = "VALID"
    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)
    clamp: tuple[float | None, float | None] = (None, None)
    axis: int = 1

    @property
    def channel_axis(self) -> int:
        """The axis of the weights that has one filter each."""
        return 3 if self.kind == "depthwise_conv_2d" else 0


@dataclass(frozen=True)
class Network:
    """Layers in an order in which they can run.

    Attributes:
        name: of the network.
        input: name of the input tensor.
        input_shape: without the batch.
        layers: in order.
        outputs: names of the tensors that come out.
    """

    name: str
    input: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    _by_name: Mapping[str, Layer] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {layer.name: layer for layer in self.layers})

    def __getitem__(self, name: str) -> Layer:
        return self._by_name[name]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @property
    def logits(self) -> str:
        """The first output's tensor, or what is before its probabilities."""
        return self.heads[0]

    @property
    def heads(self) -> tuple[str, ...]:
        """Every output's tensor, or what is before its probabilities."""
        return tuple(
            self[name].inputs[0] if self[name].kind in PROBABILITIES else name
            for name in self.outputs
        )

    def readers(self, tensor: str) -> list[Layer]:
        """Return the layers that read a tensor."""
        return [layer for layer in self.layers if tensor in layer.inputs]

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return a tensor's shape without the batch."""
        return self.input_shape if tensor == self.input else self[tensor].shape

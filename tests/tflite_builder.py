"""Builds small quantized .tflite models without TensorFlow, for tests.

A model is written the way it runs::

    m = ModelBuilder(seed=1)
    x = m.input((1, 8, 8, 3), Quant(0.05, -3))
    y = m.conv2d(x, channels=8, kernel=(3, 3), activation="RELU6")
    m.output(m.softmax(m.fully_connected(m.mean(y, (1, 2)), units=4)))
    flatbuffer = m.build()

Weights, biases and quantization that a call leaves out are drawn from the builder's seed, with an
output scale that spreads the result over the int8 range. Every method returns the Tensor that the
operator writes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite

from lotor.frontend.write import NewOperator, NewSubgraph, NewTensor, write_model

Array = npt.NDArray[Any]
Pair = tuple[int, int]

_ACTIVATIONS = {
    "NONE": tflite.ActivationFunctionType.NONE,
    "RELU": tflite.ActivationFunctionType.RELU,
    "RELU_N1_TO_1": tflite.ActivationFunctionType.RELU_N1_TO_1,
    "RELU6": tflite.ActivationFunctionType.RELU6,
}
_PADDINGS = {"SAME": tflite.Padding.SAME, "VALID": tflite.Padding.VALID}
# Plausible output scales; a clamp at 6 uses the whole int8 range at 6 / 255.
_SCALE_RANGES = {"RELU6": (0.02, 0.03), "RELU_N1_TO_1": (0.007, 0.012)}
# The version that the converter writes for the int8 form of an operator.
_VERSIONS = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "AVERAGE_POOL_2D": 2,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "ADD": 2,
    "PAD": 2,
    "PADV2": 2,
    "SOFTMAX": 2,
    "QUANTIZE": 1,
    "DEQUANTIZE": 2,
}


@dataclass(frozen=True)
class Quant:
    """Affine quantization: one scale, or one per channel along `axis`."""

    scale: float | tuple[float, ...]
    zero_point: int = 0
    axis: int = 0

    @property
    def scales(self) -> tuple[float, ...]:
        """The scales as a tuple, also where there is one."""
        return self.scale if isinstance(self.scale, tuple) else (self.scale,)

    @property
    def single(self) -> float:
        """The scale of a per-tensor quantization."""
        (scale,) = self.scales
        return scale


SOFTMAX_QUANT = Quant(1 / 256, -128)


@dataclass(frozen=True)
class Tensor:
    """A tensor of the model being built; `index` is its place in the subgraph."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str = "int8"
    quant: Quant | None = None
    signature: tuple[int, ...] | None = None
    data: Array | None = None
    variable: bool = False

    def __str__(self) -> str:
        quant = ""
        if self.quant is not None:
            quant = f" s={self.quant.scales[:3]} z={self.quant.zero_point}"
        return f"{self.name}:{self.dtype}{list(self.shape)}{quant}"

    @property
    def scale(self) -> float:
        """Its per-tensor scale."""
        assert self.quant is not None, f"{self.name} is not quantized"
        return self.quant.single


@dataclass(frozen=True)
class Scaling:
    """How a layer with weights is quantized: given, or drawn to meet `multiplier`."""

    activation: str
    per_channel: bool
    weight_quant: Quant | None
    quant: Quant | None
    multiplier: float | None


@dataclass(frozen=True)
class _Operator:
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: tuple[str, dict[str, Any]] | None
    version: int
    intermediates: tuple[int, ...] = ()


@dataclass(frozen=True)
class Window:
    """A sliding window over [N, H, W, C]; pairs are (height, width)."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: str

    def output(self, x: Tensor) -> list[int]:
        """Height and width of the result."""
        sizes = []
        for n, kernel, stride, dilation in zip(
            x.shape[1:3], self.kernel, self.stride, self.dilation, strict=True
        ):
            room = n if self.padding == "SAME" else n - (kernel - 1) * dilation
            sizes.append(-(-room // stride))
        return sizes


class ModelBuilder:
    """Collects tensors and operators; `build` gives the flatbuffer."""

    def __init__(self, seed: int = 0) -> None:
        """Start an empty model; what calls leave out is drawn from `seed`."""
        self.rng = np.random.default_rng(seed)
        self.tensors: list[Tensor] = []
        self.operators: list[_Operator] = []
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.extra_subgraphs = 0
        self.initialiser: ModelBuilder | None = None

    def __repr__(self) -> str:
        lines = []
        for op in self.operators:
            reads = ", ".join(str(self.tensors[i]) if i >= 0 else "-" for i in op.inputs)
            writes = ", ".join(str(self.tensors[i]) for i in op.outputs)
            fields = op.options[1] if op.options else {}
            lines.append(f"  {writes} = {op.kind}({reads}) {fields}")
        return "ModelBuilder(\n" + "\n".join(lines) + "\n)"

    # Tensors.

    def tensor(
        self,
        shape: Sequence[int],
        quant: Quant | None = None,
        dtype: str = "int8",
        data: npt.ArrayLike | None = None,
        name: str | None = None,
        signature: Sequence[int] | None = None,
    ) -> Tensor:
        """A tensor; with `data` it is constant. `signature` may hold -1 for a dynamic extent."""
        index = len(self.tensors)
        element = np.dtype({"int4": "int8", "resource": "int32"}.get(dtype, dtype))
        array = None if data is None else np.ascontiguousarray(data, dtype=element)
        made = Tensor(
            index,
            name or f"t{index}",
            tuple(int(n) for n in shape),
            dtype,
            quant,
            None if signature is None else tuple(signature),
            array,
        )
        assert array is None or array.size == prod(made.shape), (array, made.shape)
        self.tensors.append(made)
        return made

    def constant(
        self, data: npt.ArrayLike, quant: Quant | None = None, dtype: str = "int8"
    ) -> Tensor:
        """A constant with the shape of `data`."""
        return self.tensor(np.shape(data), quant, dtype, data)

    def input(
        self,
        shape: Sequence[int],
        quant: Quant | None = None,
        dtype: str = "int8",
        name: str | None = None,
        signature: Sequence[int] | None = None,
    ) -> Tensor:
        """A graph input; int8 without `quant` gets a random one."""
        if dtype == "int8" and quant is None:
            quant = self.quant()
        made = self.tensor(shape, quant, dtype, name=name, signature=signature)
        self.inputs.append(made)
        return made

    def variable(
        self, shape: Sequence[int], quant: Quant | None = None, dtype: str = "int8"
    ) -> Tensor:
        """A tensor that keeps its value from one run to the next."""
        made = replace(self.tensor(shape, quant, dtype), variable=True)
        self.tensors[made.index] = made
        return made

    def handle(self, name: str) -> Tensor:
        """The handle of a resource variable."""
        made = self.tensor((), None, "resource")
        return self.operator("VAR_HANDLE", [], [made], "VarHandleOptions", SharedName=name)

    def read(self, handle: Tensor, like: Tensor) -> Tensor:
        """READ_VARIABLE; the value has the shape and type of another tensor."""
        y = self.tensor(like.shape, like.quant, like.dtype)
        return self.operator("READ_VARIABLE", [handle], [y], "ReadVariableOptions")

    def assign(self, handle: Tensor, value: Tensor) -> None:
        """ASSIGN_VARIABLE."""
        self._append("ASSIGN_VARIABLE", [handle, value], [], "AssignVariableOptions")

    def initialise(self) -> "ModelBuilder":
        """Another builder, whose layers are run once before this model's next ones."""
        self.initialiser = ModelBuilder()
        self._append("CALL_ONCE", options="CallOnceOptions", fields={"InitSubgraphIndex": 1})
        return self.initialiser

    def output(self, *tensors: Tensor) -> None:
        """Make `tensors` outputs of the graph, in this order."""
        self.outputs.extend(tensors)

    def quant(
        self,
        scale: float | None = None,
        zero_point: int | None = None,
        activation: str = "NONE",
    ) -> Quant:
        """A random plausible activation quantization, or the given parts of one."""
        if scale is None:
            low, high = _SCALE_RANGES.get(activation, (0.01, 0.1))
            scale = float(np.float32(self._log_uniform(low, high)))
        if zero_point is None:
            around_zero, anywhere = (int(self.rng.integers(-n, n)) for n in (50, 128))
            choices = [0, around_zero, around_zero, anywhere, -128, 127]
            if activation in ("RELU", "RELU6"):  # as the converter chooses: from zero upwards
                choices = [-128, -128, -128, -128, -128, min(anywhere, 0)]
            zero_point = choices[int(self.rng.integers(len(choices)))]
        return Quant(scale, zero_point)

    def weights(self, shape: Sequence[int]) -> Array:
        """Random int8 weights in [-127, 127]."""
        return self.rng.integers(-127, 128, size=tuple(shape), dtype=np.int8)

    def _log_uniform(self, low: float, high: float, size: int | None = None) -> Any:
        return np.exp(self.rng.uniform(np.log(low), np.log(high), size))

    # Operators.

    def operator(
        self,
        kind: str,
        inputs: Sequence[Tensor | None],
        outputs: Sequence[Tensor],
        options: str | None = None,
        version: int | None = None,
        intermediates: Sequence[Tensor] = (),
        **fields: Any,
    ) -> Tensor:
        """Any operator of the schema; returns its first output.

        A custom one is "CUSTOM:name"; its bytes are the field `custom`, `options` any word.
        """
        self._append(kind, inputs, outputs, options, version, intermediates, fields)
        return outputs[0]

    def _append(
        self,
        kind: str,
        inputs: Sequence[Tensor | None] = (),
        outputs: Sequence[Tensor] = (),
        options: str | None = None,
        version: int | None = None,
        intermediates: Sequence[Tensor] = (),
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        self.operators.append(
            _Operator(
                kind,
                tuple(-1 if t is None else t.index for t in inputs),
                tuple(t.index for t in outputs),
                None if options is None else (options, dict(fields or {})),
                _VERSIONS.get(kind, 1) if version is None else version,
                tuple(t.index for t in intermediates),
            )
        )

    def _scaling(
        self,
        x: Tensor,
        channels: int,
        depth: int,
        axis: int,
        scaling: Scaling,
        product: float,
    ) -> tuple[Quant, Quant]:
        """Quantization of weights and output, so that results of `depth` products fit int8.

        `product` is the standard deviation of one.
        """
        wanted = scaling.multiplier or 45 / (product * depth**0.5)
        weights, output = scaling.weight_quant, scaling.quant
        zero_point = 0 if x.dtype == "int16" else None
        if weights is None:
            output = output or self.quant(None, zero_point, scaling.activation)
            typical = wanted * output.single / x.scale
            count = channels if scaling.per_channel else 1
            spread = self._log_uniform(0.3, 2.0, count) if count > 1 else np.ones(count)
            values = (typical * spread).astype(np.float32)
            weights = Quant(tuple(float(s) for s in values), 0, axis)
        if output is None:
            typical = float(np.exp(np.mean(np.log(weights.scales))))
            output = self.quant(
                float(np.float32(x.scale * typical / wanted)), zero_point, scaling.activation
            )
        return weights, output

    def operands(
        self,
        x: Tensor,
        weights: Array,
        axis: int,
        depth: int,
        bias: Any,
        scaling: Scaling,
        weight_dtype: str = "int8",
    ) -> tuple[Tensor, Tensor | None, Quant | None]:
        """Weights and bias of the types that go with the input's, and the output's quantization."""
        channels = weights.shape[axis]
        if x.dtype == "float32":
            if weights.dtype == np.int8:
                weights = weights * np.float32(0.0173)
            if bias is None:
                bias = self.rng.normal(0, depth**0.5, channels)
            w = self.constant(weights, None, "float32")
            return w, None if bias is False else self.constant(bias, None, "float32"), None
        product = 340 if weight_dtype == "int4" else 5400  # of two uniform values
        weight_quant, quant = self._scaling(x, channels, depth, axis, scaling, product)
        if weight_dtype == "int4":
            weights = np.asarray(weights >> 4 if np.abs(weights).max() > 8 else weights)
        w = self.constant(weights, weight_quant, weight_dtype)
        spread = product * 5 / 9 * depth**0.5
        return w, self._bias(x, weight_quant, channels, spread, bias), quant

    def _bias(
        self, x: Tensor, weight_quant: Quant, channels: int, spread: float, bias: Any
    ) -> Tensor | None:
        if bias is False:
            return None
        if bias is None:
            most = int(spread) * (256 if x.dtype == "int16" else 1)
            bias = self.rng.integers(-most, most + 1, channels)
        scales = tuple(float(np.float32(x.scale) * np.float32(s)) for s in weight_quant.scales)
        dtype = "int64" if x.dtype == "int16" else "int32"
        return self.constant(bias, Quant(scales), dtype)

    def conv2d(
        self,
        x: Tensor,
        channels: int = 4,
        kernel: Pair = (3, 3),
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        padding: str = "SAME",
        activation: str = "NONE",
        per_channel: bool = True,
        weights: Array | None = None,
        weight_quant: Quant | None = None,
        bias: Any = None,
        quant: Quant | None = None,
        multiplier: float | None = None,
        weight_dtype: str = "int8",
    ) -> Tensor:
        """CONV_2D; `bias=False` leaves the bias out, `multiplier` is the wanted requantization.

        Weights and bias are of the types that go with the input's.
        """
        if weights is None:
            weights = self.weights((channels, *kernel, x.shape[3]))
        scaling = Scaling(activation, per_channel, weight_quant, quant, multiplier)
        window = Window((weights.shape[1], weights.shape[2]), stride, dilation, padding)
        depth = weights[0].size
        return self._conv("CONV_2D", x, weights, 0, depth, window, bias, scaling, weight_dtype)

    def depthwise_conv2d(
        self,
        x: Tensor,
        depth_multiplier: int = 1,
        kernel: Pair = (3, 3),
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        padding: str = "SAME",
        activation: str = "NONE",
        per_channel: bool = True,
        weights: Array | None = None,
        weight_quant: Quant | None = None,
        bias: Any = None,
        quant: Quant | None = None,
        multiplier: float | None = None,
        weight_dtype: str = "int8",
    ) -> Tensor:
        """DEPTHWISE_CONV_2D; weights are (1, height, width, channels * depth_multiplier)."""
        if weights is None:
            weights = self.weights((1, *kernel, x.shape[3] * depth_multiplier))
        scaling = Scaling(activation, per_channel, weight_quant, quant, multiplier)
        window = Window((weights.shape[1], weights.shape[2]), stride, dilation, padding)
        depth = prod(window.kernel)
        return self._conv(
            "DEPTHWISE_CONV_2D", x, weights, 3, depth, window, bias, scaling, weight_dtype
        )

    def _conv(
        self,
        kind: str,
        x: Tensor,
        weights: Array,
        axis: int,
        depth: int,
        window: Window,
        bias: Any,
        scaling: Scaling,
        weight_dtype: str,
    ) -> Tensor:
        channels = weights.shape[axis]
        w, b, quant = self.operands(x, weights, axis, depth, bias, scaling, weight_dtype)
        y = self.tensor((x.shape[0], *window.output(x), channels), quant, x.dtype)
        fields: dict[str, Any] = {
            "Padding": _PADDINGS[window.padding],
            "StrideH": window.stride[0],
            "StrideW": window.stride[1],
            "DilationHFactor": window.dilation[0],
            "DilationWFactor": window.dilation[1],
            "FusedActivationFunction": _ACTIVATIONS[scaling.activation],
        }
        options = "Conv2DOptions"
        if kind == "DEPTHWISE_CONV_2D":
            options = "DepthwiseConv2DOptions"
            fields["DepthMultiplier"] = channels // x.shape[3]
        operands = [x, w] if b is None else [x, w, b]
        return self.operator(kind, operands, [y], options, **fields)

    def fully_connected(
        self,
        x: Tensor,
        units: int = 4,
        activation: str = "NONE",
        per_channel: bool = False,
        weights: Array | None = None,
        weight_quant: Quant | None = None,
        bias: Any = None,
        quant: Quant | None = None,
        multiplier: float | None = None,
        keep_dims: bool = False,
        weight_dtype: str = "int8",
    ) -> Tensor:
        """FULLY_CONNECTED; without `keep_dims` the input counts as rows of the weights' depth."""
        if weights is None:
            depth = x.shape[-1] if keep_dims or len(x.shape) == 2 else prod(x.shape[1:])
            weights = self.weights((units, depth))
        units, depth = weights.shape
        scaling = Scaling(activation, per_channel, weight_quant, quant, multiplier)
        w, b, quant = self.operands(x, weights, 0, depth, bias, scaling, weight_dtype)
        shape = (*x.shape[:-1], units) if keep_dims else (prod(x.shape) // depth, units)
        y = self.tensor(shape, quant, x.dtype)
        return self.operator(
            "FULLY_CONNECTED",
            [x, w, b],
            [y],
            "FullyConnectedOptions",
            version=5 if keep_dims else 6 if b is None else 4,
            FusedActivationFunction=_ACTIVATIONS[activation],
            KeepNumDims=keep_dims,
        )

    def _pool(
        self, kind: str, x: Tensor, kernel: Pair, stride: Pair, padding: str, activation: str
    ) -> Tensor:
        size = Window(kernel, stride, (1, 1), padding).output(x)
        y = self.tensor((x.shape[0], *size, x.shape[3]), x.quant)
        return self.operator(
            kind,
            [x],
            [y],
            "Pool2DOptions",
            Padding=_PADDINGS[padding],
            StrideH=stride[0],
            StrideW=stride[1],
            FilterHeight=kernel[0],
            FilterWidth=kernel[1],
            FusedActivationFunction=_ACTIVATIONS[activation],
        )

    def average_pool2d(
        self,
        x: Tensor,
        kernel: Pair = (2, 2),
        stride: Pair = (2, 2),
        padding: str = "VALID",
        activation: str = "NONE",
    ) -> Tensor:
        """AVERAGE_POOL_2D."""
        return self._pool("AVERAGE_POOL_2D", x, kernel, stride, padding, activation)

    def max_pool2d(
        self,
        x: Tensor,
        kernel: Pair = (2, 2),
        stride: Pair = (2, 2),
        padding: str = "VALID",
        activation: str = "NONE",
    ) -> Tensor:
        """MAX_POOL_2D."""
        return self._pool("MAX_POOL_2D", x, kernel, stride, padding, activation)

    def mean(
        self,
        x: Tensor,
        axes: Sequence[int] = (1, 2),
        keep_dims: bool = False,
        quant: Quant | None = None,
    ) -> Tensor:
        """MEAN; negative axes count from the end. `quant` defaults to the input's."""
        reduced = {axis % len(x.shape) for axis in axes}
        if keep_dims:
            shape = [1 if i in reduced else n for i, n in enumerate(x.shape)]
        else:
            shape = [n for i, n in enumerate(x.shape) if i not in reduced]
        a = self.constant(np.asarray(axes, np.int32), None, "int32")
        y = self.tensor(shape, quant or x.quant)
        return self.operator("MEAN", [x, a], [y], "ReducerOptions", KeepDims=keep_dims)

    def add(
        self, a: Tensor, b: Tensor, activation: str = "NONE", quant: Quant | None = None
    ) -> Tensor:
        """ADD, with NumPy's broadcasting."""
        y = self.tensor(
            np.broadcast_shapes(a.shape, b.shape),
            quant or self.quant(float(np.float32(max(a.scale, b.scale) * 1.3)), None, activation),
        )
        return self.operator(
            "ADD", [a, b], [y], "AddOptions", FusedActivationFunction=_ACTIVATIONS[activation]
        )

    def pad(self, x: Tensor, paddings: Sequence[Pair], dtype: str = "int32") -> Tensor:
        """PAD with the zero point; `paddings` is (before, after) for each axis."""
        p = self.constant(np.asarray(paddings), None, dtype)
        shape = [n + before + after for n, (before, after) in zip(x.shape, paddings, strict=True)]
        return self.operator("PAD", [x, p], [self.tensor(shape, x.quant, x.dtype)], "PadOptions")

    def pad_v2(self, x: Tensor, paddings: Sequence[Pair], value: float) -> Tensor:
        """PADV2 with a constant of its own."""
        p = self.constant(np.asarray(paddings), None, "int32")
        v = self.constant(np.full((1,), value), x.quant, x.dtype)
        shape = [n + before + after for n, (before, after) in zip(x.shape, paddings, strict=True)]
        y = self.tensor(shape, x.quant, x.dtype)
        return self.operator("PADV2", [x, p, v], [y], "PadV2Options")

    def reshape(self, x: Tensor, shape: Sequence[int], as_input: bool = True) -> Tensor:
        """RESHAPE; the new shape may hold one -1. `as_input=False` gives it in the options only."""
        known = prod(n for n in shape if n != -1)
        y = self.tensor([prod(x.shape) // known if n == -1 else n for n in shape], x.quant, x.dtype)
        operands = [x]
        if as_input:
            operands.append(self.constant(np.asarray(shape, np.int32), None, "int32"))
        return self.operator("RESHAPE", operands, [y], "ReshapeOptions", NewShape=list(shape))

    def softmax(self, x: Tensor, beta: float = 1.0) -> Tensor:
        """SOFTMAX over the last axis."""
        y = self.tensor(x.shape, SOFTMAX_QUANT if x.dtype == "int8" else None, x.dtype)
        return self.operator("SOFTMAX", [x], [y], "SoftmaxOptions", Beta=beta)

    def quantize(self, x: Tensor, quant: Quant | None = None, dtype: str = "int8") -> Tensor:
        """QUANTIZE, from float32 or from another quantization."""
        y = self.tensor(x.shape, quant or self.quant(), dtype)
        return self.operator("QUANTIZE", [x], [y], "QuantizeOptions")

    def dequantize(self, x: Tensor) -> Tensor:
        """DEQUANTIZE to float32."""
        y = self.tensor(x.shape, None, "float32")
        return self.operator("DEQUANTIZE", [x], [y], "DequantizeOptions")

    def unary(self, kind: str, x: Tensor, quant: Quant | None = None) -> Tensor:
        """An operator without options that keeps shape and type (LOGISTIC, RELU, ABS, ...)."""
        return self.operator(kind, [x], [self.tensor(x.shape, quant or x.quant, x.dtype)])

    def narrow_bias(self, y: Tensor) -> Tensor:
        """Make the bias of the int16 layer that writes `y` int32; it sums in 32 bits then."""
        (place,) = (i for i, op in enumerate(self.operators) if y.index in op.outputs)
        op = self.operators[place]
        assert op.options is not None
        name, fields = op.options
        fields = fields | {"QuantizedBiasType": tflite.TensorType.INT32}
        self.operators[place] = replace(op, options=(name, fields))
        for index in op.inputs:
            t = self.tensors[index]
            if t.dtype == "int64" and t.data is not None:
                self.tensors[index] = replace(t, dtype="int32", data=t.data.astype(np.int32))
        return y

    def residual_block(self, x: Tensor, activation: str = "RELU") -> Tensor:
        """Two convolutions around which the input is added."""
        y = self.conv2d(x, x.shape[3], activation=activation)
        y = self.conv2d(y, x.shape[3])
        return self.add(x, y, activation)

    def mobile_block(self, x: Tensor, channels: int, stride: int = 1) -> Tensor:
        """A depthwise convolution and the pointwise one after it."""
        y = self.depthwise_conv2d(x, stride=(stride, stride), activation="RELU6")
        return self.conv2d(y, channels, kernel=(1, 1), activation="RELU6")

    def to_uint8(self, weights_zero_point: int = 128) -> None:
        """Make all that is int8 uint8, as models of TensorFlow 1 are: the same real numbers.

        Constants keep their bytes' order and get `weights_zero_point`; weights per channel do not
        exist in that form.
        """
        for t in self.tensors:
            if t.dtype == "int8" and t.quant is not None:
                zero_point = t.quant.zero_point + 128 if t.data is None else weights_zero_point
                changed = replace(
                    t,
                    dtype="uint8",
                    quant=replace(t.quant, zero_point=zero_point),
                    data=None if t.data is None else (t.data ^ np.int8(-128)).view(np.uint8),
                )
                self.tensors[t.index] = changed
        self.inputs = [self.tensors[t.index] for t in self.inputs]
        self.outputs = [self.tensors[t.index] for t in self.outputs]

    # The flatbuffer.

    def rename(self, tensor: Tensor, name: str) -> Tensor:
        """Give a tensor another name; returns it under that name."""
        renamed = replace(tensor, name=name)
        self.tensors[tensor.index] = renamed
        return renamed

    def build(self) -> bytes:
        """The .tflite file."""
        builders = [self] if self.initialiser is None else [self, self.initialiser]
        builders += [self] * self.extra_subgraphs
        return write_model([m._subgraph() for m in builders], "test model")

    def _subgraph(self) -> NewSubgraph:
        tensors = [
            NewTensor(
                t.name,
                t.shape,
                t.dtype,
                t.quant.scales if t.quant else (),
                t.quant.zero_point if t.quant else 0,
                t.quant.axis if t.quant else 0,
                t.data,
                t.signature,
                t.variable,
            )
            for t in self.tensors
        ]
        operators = [
            NewOperator(op.kind, op.inputs, op.outputs, op.options, op.version, op.intermediates)
            for op in self.operators
        ]
        inputs, outputs = ([t.index for t in some] for some in (self.inputs, self.outputs))
        return NewSubgraph(tensors, operators, inputs, outputs)

"""Layers with weights and bias, in every type: what goes together, and the factors to the output.

Source: `PopulateConvolutionQuantizationParams`, `GetQuantizedConvolutionMultipler` and
`MultiplyByQuantizedMultiplier` of LiteRT's kernel library.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from lotor.graph import Array, DType, Tensor
from lotor.ops.quantization import factor_problems, fixed_points
from lotor.ops.typed import typed_problems

_BIAS_OF_INT32 = 2  # the number of int32 in the model format
_WIDE_FACTOR = 1 << 7
_WIDE_SUM = 1 << 47
_REDUCED_ONE = 0x7FFF

# The reference stops, or reads two of them as one uint8.
INT4_BESIDE_UINT8 = "int4 weights beside uint8 activations have no reference; use int8 ones"


@dataclass(frozen=True)
class Weighted:
    """The operands of a layer with weights.

    Attributes:
        x: the input.
        weights: the constant that it is multiplied with.
        bias: one number for each output channel; None for zeros.
        y: the output.
        axis: the axis of the weights that the output channels lie on.
        uint8: whether the layer was a uint8 one; then weights may have a zero point.
        bias_type: the bias' type as the options of an int16 layer name it, 0 where they do not.
        zero_point_folded: whether the bias holds what the input's zero point adds.
    """

    x: Tensor
    weights: Tensor
    bias: Tensor | None
    y: Tensor
    axis: int
    uint8: bool = False
    bias_type: int = 0
    zero_point_folded: bool = False

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.weights.shape[self.axis]

    @property
    def filter_size(self) -> int:
        """How many weights an output channel has."""
        return self.weights.elements // self.channels

    @property
    def narrow(self) -> bool:
        """Whether int16 products are summed in 32 bits, which wrap, instead of 64."""
        return self.bias_type == _BIAS_OF_INT32

    @property
    def in_offset(self) -> int:
        """What is added to an input before it is multiplied."""
        return 0 if self.zero_point_folded else -self.x.q.zero_point

    @property
    def weights_offset(self) -> int:
        """What is added to a weight before it is multiplied."""
        return -self.weights.q.zero_point

    def problems(self, *weight_types: DType) -> list[str]:
        """Return what is wrong with types, quantization and values; shapes are the layer's affair.

        Args:
            weight_types: what the weights of quantized layers may be.
        """
        found = typed_problems([self.x, self.y], DType.INT8, DType.INT16, DType.FLOAT32)
        if found:
            return found
        if self.weights.data is None:
            return [f"weights '{self.weights.name}' are computed at run time; constants needed"]
        if self.x.dtype is DType.FLOAT32:
            return self._float_problems()
        found = self._weights_problems(weight_types) + self._bias_problems()
        return found or self._range_problems()

    def _float_problems(self) -> list[str]:
        found = []
        for what, tensor in (("weights", self.weights), ("bias", self.bias)):
            if tensor is None:
                continue
            if tensor.data is None or tensor.dtype is not DType.FLOAT32:
                hybrid = "; convert without dynamic-range quantization, or to full int8"
                found.append(
                    f"{what} '{tensor.name}' are {tensor.dtype.value} beside float32 activations; "
                    f"float32 constants needed{hybrid if what == 'weights' else ''}"
                )
            elif not np.all(np.isfinite(tensor.data)):
                found.append(f"{what} '{tensor.name}' hold infinities or not-a-number")
        if self.bias is not None and self.bias.elements != self.channels:
            found.append(f"bias '{self.bias.name}' must have {self.channels} elements")
        return found

    def _weights_problems(self, allowed: tuple[DType, ...]) -> list[str]:
        weights, channels = self.weights, self.channels
        if self.uint8 and weights.dtype is DType.INT4:
            return [INT4_BESIDE_UINT8]
        if weights.dtype not in allowed or weights.quant is None:
            names = " or ".join(dtype.value for dtype in allowed)
            return [f"weights '{weights.name}' are {weights.dtype.value}; quantized {names} needed"]
        found = []
        asymmetric = bool(np.any(weights.q.zero_points != 0))
        if asymmetric and (not self.uint8 or weights.q.per_channel):
            found.append(f"weights '{weights.name}' are asymmetric; zero point 0 needed")
        elif not -128 <= weights.q.zero_point <= 127:
            found.append(f"weights '{weights.name}' have a zero point outside their type")
        if weights.q.per_channel and (
            weights.q.scales.size != channels or weights.q.axis != self.axis
        ):
            found.append(
                f"weights '{weights.name}' have {weights.q.scales.size} scales on axis "
                f"{weights.q.axis}; 1, or {channels} on axis {self.axis}, needed"
            )
        return found

    def _bias_problems(self) -> list[str]:
        bias = self.bias
        if self.x.dtype is DType.INT16:
            wanted = DType.INT32 if self.narrow else DType.INT64
        else:
            wanted = DType.INT32
        if bias is None or (
            bias.data is not None and bias.dtype is wanted and bias.elements == self.channels
        ):
            return []
        return [f"bias '{bias.name}' must be a constant {wanted.value}[{self.channels}]"]

    def _range_problems(self) -> list[str]:
        largest = float(self.factors().max())
        if self.x.dtype is DType.INT8 or self.narrow:
            found = factor_problems(largest)
        elif largest < _WIDE_FACTOR:
            found = []
        else:
            found = [f"its scales give a factor of {largest:g} to the output; below 2^7 needed"]
        return found + self._sum_problems()

    def _sum_problems(self) -> list[str]:
        """Return a line if sums can leave the accumulator, whatever the input."""
        if self.narrow:
            return []  # wraps, as the reference does
        weights = np.abs(constant(self.weights).astype(np.int64))
        others = tuple(i for i in range(weights.ndim) if i != self.axis)
        taps = prod(weights.shape[i] for i in others)
        sums = weights.sum(axis=others) + abs(self.weights_offset) * taps
        if self.x.dtype is DType.INT8:
            # The bias is added with wrapping, as in the reference.
            if int(sums.max()) * 255 < 1 << 31:
                return []
            return [f"sums of {taps} products may leave int32; split the layer's input"]
        bias = np.abs(self.bias_values().astype(np.float64))
        if float((sums * 32768.0 + bias).max()) < _WIDE_SUM:
            return []
        return ["sums of products and bias may leave 48 bits; smaller weights or biases needed"]

    def bias_values(self) -> Array:
        """Return the bias of every channel, int32 for int8, int64 for int16; zeros without one."""
        dtype = {DType.INT8: np.int32, DType.INT16: np.int64}.get(self.x.dtype, np.float32)
        if self.bias is None or self.bias.data is None:
            return np.zeros(self.channels, dtype)
        values: Array = self.bias.data.reshape(self.channels).astype(dtype)
        return values

    def folded_bias(self) -> Array:
        """Return the int32 bias with the input's zero point in it, wrapping as the sums do.

        Only for layers whose every sum takes all the weights of its channel.
        """
        weights = constant(self.weights).astype(np.int64) + self.weights_offset
        sums = weights.sum(axis=tuple(i for i in range(weights.ndim) if i != self.axis))
        folded: Array = self.bias_values() + self.in_offset * sums
        return folded.astype(np.int32)

    def factors(self) -> Array:
        """Return float64[channels]: the factor from accumulator to output of each channel."""
        scales = self.weights.q.scales
        if self.uint8:
            # The product of the scales is float32 in the reference's uint8 kernels.
            products = (np.float32(self.x.q.scale) * scales).astype(np.float64)
        else:
            products = np.float64(self.x.q.scale) * scales.astype(np.float64)
        return np.broadcast_to(products / np.float64(self.y.q.scale), (self.channels,))

    def requantization(self) -> dict[str, Array]:
        """Return the constants `multiplier` and `shift` of every channel.

        For 64-bit sums the multiplier has 15 bits and the shift is one to the right.
        """
        multiplier, shift = fixed_points(self.factors())
        if self.x.dtype is DType.INT16 and not self.narrow:
            rounded = (multiplier.astype(np.int64) + (1 << 15)) >> 16
            multiplier = np.minimum(rounded, _REDUCED_ONE).astype(np.int32)
            shift = (15 - shift).astype(np.int8)
        return {"multiplier": multiplier, "shift": shift}


def constant(tensor: Tensor) -> Array:
    """Return the value of a constant tensor."""
    if tensor.data is None:
        raise ValueError(f"tensor '{tensor.name}' is not a constant")
    return tensor.data

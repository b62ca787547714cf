"""Weights of 4 bits where they save most, so that a network fits into the flash it is given."""

from lotor.errors import LotorError
from lotor.train.layers import Layer, Network

_BYTES_OF_A_FILTER = 9  # bias and multiplier of 4 bytes, shift of 1


def weight_bytes(layer: Layer, bits: int = 8) -> int:
    """Return what a layer's weights and constants take in flash; each filter begins at a byte."""
    if layer.weights is None:
        return 0
    filters = layer.weights.shape[layer.channel_axis]
    one = layer.weights.size // filters
    return int(filters * ((one * bits + 7) // 8 + _BYTES_OF_A_FILTER))


def narrowed(network: Network, budget: int) -> dict[str, int]:
    """Return the layers whose weights get 4 bits, so that those of the network fit: name to 4.

    Convolutions with the most weights come first: few layers then lose precision, late ones, whose
    noise passes through little else.

    Args:
        network: in float.
        budget: bytes; 0 for no limit.

    Raises:
        LotorError: not even all convolutions at 4 bits fit.
    """
    left = sum(weight_bytes(layer) for layer in network) - budget
    chosen: dict[str, int] = {}
    if not budget:
        return chosen
    convolutions = [layer for layer in network if layer.kind == "conv_2d"]
    for layer in sorted(convolutions, key=weight_bytes, reverse=True):
        if left <= 0:
            return chosen
        chosen[layer.name] = 4
        left -= weight_bytes(layer) - weight_bytes(layer, 4)
    if left > 0:
        raise LotorError(
            f"weights take {budget + left} bytes with 4 bits in every convolution, {left} more "
            f"than {budget}; allow more or take a smaller network"
        )
    return chosen

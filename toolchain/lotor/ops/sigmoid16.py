"""What LOGISTIC and TANH of int16 share: one table of the logistic function.

Source: the behaviour of LiteRT's `reference_integer_ops::Logistic` and `Tanh`.
"""

import numpy as np

from lotor.graph import Array, Op
from lotor.ops.lookup import log
from lotor.ops.operator import KernelCall

_PER_UNIT = 24
_UNITS = 3 * 4096.0  # the kernels count the input in twelve-thousandths


def sigmoid_table() -> Array:
    """Return uint16[256]: the logistic function at i / 24, in units of 2^-16.

    Raised by half of what the chord to the next entry lies below the curve.
    """

    def curve(i: Array) -> Array:
        values: Array = 65536 / (1 + np.exp(-i / _PER_UNIT))
        return values

    i = np.arange(256.0)
    sag = curve(i + 0.5) - (curve(i) + curve(i + 1)) / 2
    table = np.floor(curve(i) + sag / 2 + 0.5)
    table[-1] = 65535
    return table.astype(np.uint16)


def binary_exponent(scale: float) -> int | None:
    """Return log2 of a scale that the reference takes for a power of two, else None."""
    exact = log(np.array([scale])) * (np.float32(1) / log(np.array([2.0])))
    nearest = np.floor(np.abs(exact) + np.float32(0.5)) * np.sign(exact)
    return int(nearest[0]) if abs(exact - nearest)[0] < np.float32(1e-3) else None


def input_problems(op: Op) -> list[str]:
    """Return a line if the input scale is so large that the products would leave int32."""
    scale = op.input(0).q.scale
    return [] if scale * _UNITS < 65535 else [f"input scale {scale:g} is too large; below 5 needed"]


def sigmoid_call(op: Op, function: str, powers: tuple[int, ...]) -> KernelCall:
    """Return the kernel call.

    Args:
        op: the layer.
        function: the kernel's function.
        powers: exponents of input scales that are taken as powers of two.
    """
    x, y = op.input(0), op.outputs[0]
    exponent = binary_exponent(x.q.scale)
    if exponent in powers:
        multiplier, shift = 3 << (12 + exponent), 0
    else:
        # Double until the product fills 15 bits.
        real, shift = x.q.scale * _UNITS, 0
        while real <= 32767 / 2 and shift <= 30:
            real, shift = real * 2, shift + 1
        multiplier = int(real)
    params = {"elements": y.elements, "multiplier": multiplier, "shift": shift}
    return KernelCall("elementwise", function, [x], [y], params, {"table": sigmoid_table()})

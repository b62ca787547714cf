"""Fused activations of float32 operators.

Source: `CalculateActivationRange` and `ActivationFunctionWithMinMax` of LiteRT's kernel library.
"""

import numpy as np

from lotor.graph import Op
from lotor.ops.quantization import Activation

_LARGEST = float(np.finfo(np.float32).max)
_RANGES = {
    Activation.NONE: (-_LARGEST, _LARGEST),
    Activation.RELU: (0.0, _LARGEST),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
    Activation.RELU6: (0.0, 6.0),
}


def float_activation_range(op: Op) -> tuple[float, float]:
    """Return the limits of a float32 layer's output, for `lotor_clamp_float` (float_clamp.h).

    Without an activation they are the largest finite numbers: the reference clamps infinities to
    them, too.
    """
    return _RANGES[Activation(getattr(op.attrs, "activation", 0))]

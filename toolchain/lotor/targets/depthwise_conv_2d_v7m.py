"""DEPTHWISE_CONV_2D of int8 for Armv7-M: which layers, how weights are packed.

The order is that of the kernel with DSP instructions, and so are the clearances.
"""

from dataclasses import replace

from lotor.graph import DType
from lotor.ops import KernelCall
from lotor.targets.depthwise_conv_2d_dsp import gathering
from lotor.targets.linear_scale import Sums
from lotor.targets.v7m_sums import line_of, packed_words, rounded_of

_MOST_OFFSET = 1020  # of LDRD
_FARTHEST = 4095  # of STRB and ADD
_GROUPS = 5  # of two products at most


def pack(call: KernelCall) -> KernelCall | None:
    """Return the call of `v7m.h`; None where it would not be exact or not work."""
    if call.function != "depthwise_conv_2d":
        return None
    p = {name: int(value) for name, value in call.params.items()}
    stride, half = p["stride_h"], -(-p["out_w"] // 2)
    pitch = (half - 1) * stride + 3
    filters = call.constants["weights"].reshape(-1, p["out_c"]).T
    if (
        (p["kernel_h"], p["kernel_w"], p["dilation_h"], p["dilation_w"]) != (3, 3, 1, 1)
        or stride not in (1, 2)
        or p["stride_w"] != stride
        or p["depth_multiplier"] != 1
        or p["weights_offset"] != 0
        or 4 * 2 * pitch + 16 > _MOST_OFFSET
        or (half + 1) * p["out_step"] > _FARTHEST
    ):
        return None
    sums = Sums.of(call, filters)
    scale = line_of(sums) or rounded_of(sums)
    if scale is None:
        return None
    words = packed_words(filters, sums.bias, _GROUPS, scale, starts_first=False)
    names = "batches in_h in_w in_c out_h out_w in_step out_step pad_h pad_w out_min out_max"
    params = {name: p[name] for name in names.split()}
    params |= {
        "stride": stride,
        "in_zero_point": -p["in_offset"],
        "words": words.shape[1],
        "lift": scale.lift,
        "shift": scale.shift,
    }
    packed = replace(
        call,
        params=params,
        constants={"weights": words.reshape(-1)},
        structure="depthwise_conv_2d_v7m",
    )
    return gathering(packed, pitch, dtype=DType.INT32)

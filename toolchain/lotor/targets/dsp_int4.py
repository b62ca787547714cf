"""Weights of four bits for the DSP instructions: packed for one step to what int8 kernels read."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lotor.graph import Array, DType, Tensor
from lotor.memory import NO_CLEARANCE, Clearance
from lotor.ops import KernelCall
from lotor.targets.blocks import Block

# Filters that are unpacked at once, twice as many bytes as the inputs of four pixels become, which
# are unpacked anew for every block of filters; or what fits this part of input and output.
_FILTERS = 16
_PART = 8
_LIFT = 8 * 257  # of both weights in a halfword, so that none is negative
_LAYER = "layer."


def in_blocks(plain: KernelCall, call: KernelCall) -> KernelCall:
    """Return the call of the kernel that unpacks blocks of filters.

    Args:
        plain: the call of the int8 kernel, as `conv_2d_dsp.py` packs it.
        call: the portable one of int4 weights.
    """
    filters = len(call.constants["bias"])
    stream = plain.constants["weights"].reshape(-(-filters // 2), -1)
    params = {f"{_LAYER}{name}": value for name, value in plain.params.items()}
    params |= {f"{_LAYER}words": stream.shape[1], "twos": len(stream), "at_once": 0}
    packed = replace(
        plain,
        kernel=call.kernel,
        function=call.function,
        params=params,
        constants={"weights": _packed(stream, int(plain.params["pairs"]))},
        structure=f"{plain.structure}".replace("conv_2d", "conv_2d_int4"),
    )
    room = (call.inputs[0].nbytes + call.outputs[0].nbytes) // _PART
    fitting = 2 * (room // stream[0].nbytes)
    return _with_filters(packed, _at_once(packed, max(_FILTERS, fitting)))


def layer_of(call: KernelCall) -> KernelCall:
    """Return a call with the parameters of the int8 kernel; the same if they are that one's."""
    params = {name.removeprefix(_LAYER): value for name, value in call.params.items()}
    return replace(call, params=params)


def with_layer(call: KernelCall, **params: int | str) -> KernelCall:
    """Return a call with other parameters of the int8 kernel."""
    prefix = _LAYER if "twos" in call.params else ""
    changed = {f"{prefix}{name}": value for name, value in params.items()}
    return replace(call, params={**call.params, **changed})


def blockwise(
    clearances: Callable[[KernelCall], Sequence[Clearance]],
) -> Callable[[KernelCall], Sequence[Clearance]]:
    """Return the clearances of such a kernel: the inputs are used up where one block is all."""
    return lambda call: (
        clearances(layer_of(call))
        if call.params["at_once"] == call.params["twos"]
        else [NO_CLEARANCE]
    )


def shrink(call: KernelCall) -> KernelCall:
    """Return the call with as few filters at once as it can do with."""
    return _with_filters(call, _at_once(call, 2))


def _packed(stream: Array, pairs: int) -> Array:
    """Return what the kernels read, uint32.

    Args:
        stream: uint32[twos, words], of every two filters a word of weights, two biases, the other
            weights and the scales.
        pairs: words of weights.
    """
    weights = np.concatenate([stream[:, :1], stream[:, 3 : pairs + 2]], axis=1)
    halves = weights.view(np.uint16) + np.uint16(_LIFT)
    low, high = (halves.view(np.uint32)[:, i::2] for i in (0, 1))
    parts = [stream[:, 1:3], low | high << np.uint32(4), stream[:, pairs + 2 :]]
    packed: Array = np.concatenate(parts, axis=1).reshape(-1)
    return packed


def _at_once(call: KernelCall, filters: int) -> int:
    """Return the filters that are unpacked at once where some are wished for; an even number."""
    # The first filter of an odd number is its own partner's, and no block may be that one alone.
    least = 4 if call.params[f"{_LAYER}first"] else 2
    return min(max(filters + filters % 2, least), 2 * int(call.params["twos"]))


def _with_filters(call: KernelCall, filters: int) -> KernelCall:
    twos = filters // 2
    words = twos * int(call.params[f"{_LAYER}words"])
    out, lanes, *_ = call.outputs
    unpacked = Tensor(f"{out.name} filters", (words,), DType.INT32)
    return replace(call, params={**call.params, "at_once": twos}, outputs=[out, lanes, unpacked])


FILTERS = Block(
    "filters",
    (8, 16, 32, 64, 1 << 16),
    _at_once,
    lambda call: 2 * int(call.params["at_once"]),
    _with_filters,
)

"""Random graphs of any operators, with branches and joins, and their comparison with the reference.

A graph follows from a `Recipe`: a list of steps, each an operator's name, a place to start from and
a seed for its details. Hypothesis draws recipes, and shrinks one that fails: fewer steps are a
smaller graph.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from cases import Build, built, cases
from cases.arg_max import arg
from cases.average_pool_2d import pool
from cases.batch_matmul import batch_matmul
from cases.binary import FUSED, binary
from cases.comparison import KINDS as COMPARISONS
from cases.comparison import compare, select
from cases.cumsum import cumsum
from cases.l2_normalization import l2_normalization
from cases.log_softmax import log_softmax
from cases.mean import reduction
from cases.movement import (
    batch_to_space,
    broadcast_to,
    concatenation,
    depth_to_space,
    expand_dims,
    fill,
    gather,
    gather_nd,
    ints,
    pack,
    padded,
    range_,
    reverse,
    shape_of,
    slice_,
    space_to_batch,
    space_to_depth,
    split,
    split_v,
    squeeze,
    strided_slice,
    tile,
    transpose,
    unpack,
    zeros_like,
)
from cases.prelu import prelu
from cases.resize_nearest_neighbor import resize
from cases.svdf import svdf
from cases.topk_v2 import topk
from cases.transpose_conv import transpose_conv
from cases.unary import unary
from exactness import Array, as_list, difference, inputs_of
from lotor import host
from lotor.compiler import compile_model
from lotor.graph import DType
from lotor.optimize.uint8_to_int8 import as_in_file
from lotor.oracle import Oracle
from lotor.verify import random_inputs
from tflite_builder import ModelBuilder, Quant, Tensor

REGRESSIONS = Path(__file__).with_name("regressions")
ULPS = 64  # of the largest element: how far float32 functions that are not exact may be off
_MOST = 3000  # elements of a tensor that may grow

Rng = np.random.Generator
ANY = ("int8", "int8", "int8", "int16", "float32")
NUMBERS: tuple[str, ...] = ("int8", "int8", "float32", "int32")
# Operators whose float32 form is stated to be near the reference, not equal: nothing reads them.
INEXACT = (
    "EXP",
    "LOG",
    "GELU",
    "LOGISTIC",
    "TANH",
    "SOFTMAX",
    "LOG_SOFTMAX",
    "RSQRT",
    "SIN",
    "COS",
)
_ACTIVATIONS = ("NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")


@dataclass(frozen=True)
class Step:
    """One operator: its name, where its input is taken from, the seed of its details."""

    kind: str
    place: int
    seed: int


@dataclass(frozen=True)
class Recipe:
    """A graph: its steps, the seed of its numbers, and whether it is a uint8 model."""

    steps: tuple[Step, ...]
    seed: int
    uint8: bool = False


@dataclass
class Grower:
    """A graph that grows: `free` tensors may be read, the outputs are what nobody has read."""

    m: ModelBuilder
    uint8: bool = False
    place: int = 0
    free: list[Tensor] = field(default_factory=list)
    read: set[int] = field(default_factory=set)
    approximate: set[int] = field(default_factory=set)

    def take(
        self,
        r: Rng,
        dtypes: Sequence[str],
        ranks: Sequence[int] = (),
        fits: Callable[[Tensor], bool] = lambda _: True,
        shape: Sequence[int] = (),
        quant: Quant | None = None,
    ) -> Tensor:
        """A tensor that an operator can read: mostly one that is there, else a new input."""
        if self.uint8:  # built of int8, and then turned into what TensorFlow 1 wrote
            dtypes = ("int8",)
        found = [
            t
            for t in self.free
            if t.dtype in dtypes
            and (not ranks or len(t.shape) in ranks)
            and fits(t)
            and t.index not in self.approximate
        ]
        if found and r.random() < 0.95:
            chosen = found[-1 - self.place % len(found)]
        else:
            dtype = dtypes[0] if len(found) or r.random() < 0.7 else str(r.choice(list(dtypes)))
            chosen = self.input(r, dtype, shape or self.shape(r, ranks), quant)
        self.read.add(chosen.index)
        return chosen

    def shape(self, r: Rng, ranks: Sequence[int]) -> list[int]:
        rank = int(r.choice(list(ranks))) if ranks else int(r.integers(1, 5))
        if rank == 4:
            return [1, *r.integers(3, 9, 2).tolist(), int(r.integers(1, 7))]
        return [int(n) for n in r.integers(1, 7, rank)]

    def input(self, r: Rng, dtype: str, shape: Sequence[int], quant: Quant | None = None) -> Tensor:
        if quant is None and dtype == "int8":
            quant = self.m.quant()
        if quant is None and dtype == "int16":
            quant = Quant(float(np.float32(r.uniform(1e-4, 1e-3))))
        made = self.m.input(shape, quant, dtype)
        self.free.append(made)
        return made

    def add(self, kind: str, *tensors: Tensor) -> None:
        """Note what an operator has written."""
        for tensor in tensors:
            self.free.append(tensor)
            if kind in INEXACT and tensor.dtype == "float32":
                self.approximate.add(tensor.index)

    def quant(self, r: Rng, x: Tensor, spread: float = 1.0) -> Quant | None:
        """A quantization for an output whose values are `spread` times the input's."""
        if x.quant is None:
            return None
        scale = float(np.float32(x.scale * spread * r.uniform(0.5, 1.6)))
        return Quant(scale, 0 if x.dtype == "int16" else int(r.integers(-128, 128)))


Make = Callable[[Grower, Rng], Sequence[Tensor]]
MAKERS: dict[str, Make] = {}


def _maker(*kinds: str) -> Callable[[Callable[[Grower, Rng, str], Any]], Any]:
    """Register a function for operators; it gets the name of the one that is wanted."""

    def register(make: Callable[[Grower, Rng, str], Any]) -> Any:
        for kind in kinds:

            def made(g: Grower, r: Rng, kind: str = kind) -> Sequence[Tensor]:
                result = make(g, r, kind)
                return [result] if isinstance(result, Tensor) else list(result)

            MAKERS[kind] = made
        return make

    return register


def _small(x: Tensor) -> bool:
    return math.prod(x.shape) <= _MOST


def _scaling(g: Grower, r: Rng) -> dict[str, Any]:
    channels = bool(r.integers(2)) and not g.uint8
    return {"activation": str(r.choice(_ACTIVATIONS)), "per_channel": channels}


def _window(r: Rng, x: Tensor, dilated: bool = True) -> dict[str, Any]:
    kernel = tuple(int(n) for n in r.integers(1, 4, 2))
    dilation = (1, 1) if r.random() < 0.7 or not dilated else (2, 2)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    valid = all(n <= size for n, size in zip(reach, x.shape[1:3], strict=True))
    found: dict[str, Any] = {
        "kernel": kernel,
        "stride": tuple(int(n) for n in r.integers(1, 3, 2)),
        "padding": "VALID" if valid and r.random() < 0.5 else "SAME",
    }
    return found | {"dilation": dilation} if dilated else found


# Layers with weights.


@_maker("CONV_2D")
def _conv(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ANY, [4], _small)
    return g.m.conv2d(x, int(r.integers(1, 8)), **_window(r, x), **_scaling(g, r))


@_maker("DEPTHWISE_CONV_2D")
def _depthwise(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ANY, [4], _small)
    return g.m.depthwise_conv2d(x, int(r.integers(1, 3)), **_window(r, x), **_scaling(g, r))


@_maker("TRANSPOSE_CONV")
def _transpose_conv(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("int8", "float32"), [4], lambda t: math.prod(t.shape) < 400)
    size = (2 * x.shape[1], 2 * x.shape[2])
    weights = (int(r.integers(1, 5)), int(r.integers(1, 4)), int(r.integers(1, 4)))
    return transpose_conv(g.m, x, weights, size, **_scaling(g, r))


@_maker("FULLY_CONNECTED")
def _dense(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ANY, [2, 3, 4], _small)
    keep = len(x.shape) > 2 and bool(r.integers(2))
    return g.m.fully_connected(x, int(r.integers(1, 9)), keep_dims=keep, **_scaling(g, r))


@_maker("BATCH_MATMUL")
def _matmul(g: Grower, r: Rng, kind: str) -> Tensor:
    a = g.take(r, ("int8", "float32"), [2, 3], _small)
    shape = (*a.shape[:-2], a.shape[-1], int(r.integers(1, 6)))
    fits = lambda t: t.shape[:-1] == shape[:-1] and t.dtype == a.dtype  # noqa: E731
    return batch_matmul(g.m, a, g.take(r, (a.dtype,), [len(shape)], fits, shape))


@_maker("SVDF")
def _svdf(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("int8", "float32"), [2], _small)
    return svdf(g.m, x, int(r.integers(1, 5)), int(r.integers(1, 3)), int(r.integers(1, 5)))


# Windows without weights.


@_maker("AVERAGE_POOL_2D", "MAX_POOL_2D")
def _pool(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ANY, [4], _small)
    return pool(g.m, kind, x, activation=str(r.choice(_ACTIVATIONS)), **_window(r, x, False))


@_maker("L2_POOL_2D")
def _l2_pool(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("float32",), [4], _small)
    return pool(g.m, kind, x, (2, 2), (1, 1), "SAME", str(r.choice(_ACTIVATIONS)))


@_maker("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def _resize(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("int8", "int8", "float32"), [4], lambda t: math.prod(t.shape) < 800)
    flags = [(False, False), (True, False), (False, True)][int(r.integers(3))]
    return resize(g.m, kind, x, [int(n) for n in r.integers(1, 14, 2)], *flags)


# Element by element.


@_maker("ADD", "SUB", "MUL", "DIV", "SQUARED_DIFFERENCE", "MAXIMUM", "MINIMUM")
def _binary(g: Grower, r: Rng, kind: str) -> Tensor:
    types: tuple[str, ...] = (
        ("float32",) if kind == "DIV" else ("int8", "int8", "int8", "float32", "int32")
    )
    a = g.take(r, types, fits=_small)
    shape = list(a.shape)
    if shape and r.random() < 0.4:
        shape[int(r.integers(len(shape)))] = 1
    same = kind in ("MAXIMUM", "MINIMUM")

    def fits(t: Tensor) -> bool:
        return list(t.shape) == shape and (not same or t.quant == a.quant)

    if kind == "DIV":  # no zeros
        b = g.m.constant(r.uniform(0.5, 3, shape), None, "float32")
    else:
        b = g.take(r, (a.dtype,), [len(shape)], fits, shape, a.quant if same else None)
    quant = None
    if a.dtype == "int8" and not same:
        wide = b.scale if kind in ("ADD", "SUB") else b.scale * 40
        quant = g.quant(r, a, max(1.0, wide / a.scale) if kind in ("ADD", "SUB") else wide)
    plain = kind not in FUSED or a.dtype == "int32"
    activation = "NONE" if plain else str(r.choice(_ACTIVATIONS))
    return binary(g.m, kind, a, b, quant, activation)


@_maker("FLOOR_DIV", "FLOOR_MOD", "POW")
def _divide(g: Grower, r: Rng, kind: str) -> Tensor:
    types = ("int32",) if kind == "POW" else ("float32", "int32")
    a = g.take(r, types, fits=_small)
    # Powers beyond int32 are undefined in the reference.
    high = 2 if kind == "POW" else 4
    b = g.m.constant(r.integers(1 if kind != "POW" else 0, high, a.shape), None, a.dtype)
    return binary(g.m, kind, a, b)


def _comparable(x: Tensor) -> bool:
    return _small(x) and (x.quant is None or x.scale < 1)


@_maker(*COMPARISONS)
def _compare(g: Grower, r: Rng, kind: str) -> Tensor:
    a = g.take(r, NUMBERS, fits=_comparable)
    fits = lambda t: t.shape == a.shape and _comparable(t)  # noqa: E731
    return compare(g.m, kind, a, g.take(r, (a.dtype,), [len(a.shape)], fits, a.shape))


@_maker("LOGICAL_AND", "LOGICAL_OR")
def _logical(g: Grower, r: Rng, kind: str) -> Tensor:
    a = g.take(r, ("bool",), fits=_small)
    fits = lambda t: t.shape == a.shape  # noqa: E731
    return binary(g.m, kind, a, g.take(r, ("bool",), [len(a.shape)], fits, a.shape))


@_maker("LOGICAL_NOT")
def _not(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("bool",))
    return g.m.operator(kind, [x], [g.m.tensor(x.shape, None, "bool")])


@_maker("SELECT", "SELECT_V2")
def _select(g: Grower, r: Rng, kind: str) -> Tensor:
    a = g.take(r, NUMBERS, fits=_small)
    same = lambda t: t.shape == a.shape and t.quant == a.quant  # noqa: E731
    b = g.take(r, (a.dtype,), [len(a.shape)], same, a.shape, a.quant)
    condition = g.take(r, ("bool",), [len(a.shape)], lambda t: t.shape == a.shape, a.shape)
    return select(g.m, condition, a, b, kind)


_UNARY = {
    "RELU": ("int8", "int8", "int16", "float32"),
    "RELU6": ("int8", "int8", "int16", "float32"),
    "RELU_N1_TO_1": ("int8", "float32"),
    "RELU_0_TO_1": ("int8", "float32"),
    "LEAKY_RELU": ("int8", "int8", "int16", "float32"),
    "HARD_SWISH": ("int8", "float32"),
    "LOGISTIC": ("int8", "int8", "int16", "float32"),
    "TANH": ("int8", "int8", "float32"),
    "GELU": ("int8", "float32"),
    "ABS": ("int8", "int16", "float32"),
    "NEG": ("int8", "float32", "int32"),
    "EXP": ("int8", "float32"),
    "LOG": ("int8",),
    "SIN": ("float32",),
    "COS": ("float32",),
    "SQUARE": ("float32",),
    "FLOOR": ("float32",),
    "SIGN": ("float32", "int32"),
}


@_maker(*_UNARY)
def _one(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, _UNARY[kind], fits=_small)
    quant = None if x.quant is None else g.quant(r, x)
    if quant is not None and kind in ("NEG", "ABS"):
        quant = x.quant
    if quant is not None and kind in ("TANH", "EXP", "LOG", "GELU"):
        quant = Quant(1 / 128, 0) if kind == "TANH" else Quant(0.05, -9)
    return unary(g.m, kind, x, quant)


@_maker("SQRT", "RSQRT")
def _root(g: Grower, r: Rng, kind: str) -> Tensor:
    positive = lambda t: t.quant is not None and t.quant.zero_point == -128  # noqa: E731
    x = g.take(r, ("int8",), fits=positive, quant=Quant(0.05, -128))
    return unary(g.m, kind, x, Quant(0.05, -100))


@_maker("PRELU")
def _prelu(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("int8", "float32"), [2, 3, 4], _small)
    return prelu(g.m, x, (*[1] * (len(x.shape) - 2), x.shape[-1]), g.quant(r, x))


@_maker("QUANTIZE")
def _quantize(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("int8", "float32", "int16"), fits=_small)
    if x.dtype != "int8" or r.random() < 0.7:
        return g.m.quantize(x)
    return g.m.quantize(x, Quant(float(np.float32(r.uniform(1e-4, 1e-3)))), "int16")


@_maker("DEQUANTIZE")
def _dequantize(g: Grower, r: Rng, kind: str) -> Tensor:
    return g.m.dequantize(g.take(r, ("int8", "int16"), fits=_small))


@_maker("CAST")
def _cast(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("bool", "int32", "int8"), fits=_small)
    to = str(r.choice(["float32", "int32"]))
    return g.m.operator("CAST", [x], [g.m.tensor(x.shape, None, to)])


# Along an axis.


@_maker("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION")
def _along(g: Grower, r: Rng, kind: str) -> Tensor:
    types = ("int8",) if kind == "L2_NORMALIZATION" else ("int8", "int8", "float32")
    x = g.take(r, types, [1, 2, 3, 4] if kind != "L2_NORMALIZATION" else [2, 3, 4], _small)
    makers = {"LOG_SOFTMAX": log_softmax, "L2_NORMALIZATION": l2_normalization}
    return makers[kind](g.m, x) if kind in makers else g.m.softmax(x)


@_maker("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL")
def _reduce(g: Grower, r: Rng, kind: str) -> Tensor:
    types: Sequence[str] = ("int8", "int8", "float32", "int32")
    if kind in ("REDUCE_ANY", "REDUCE_ALL"):
        types = ("bool",)
    elif kind in ("REDUCE_PROD", "SUM"):  # sums of int8 mean nothing in the reference
        types = ("float32", "int32")
    x = g.take(r, types, [2, 3, 4], _small)
    count = int(r.integers(1, len(x.shape)))
    axes = sorted(int(a) for a in r.permutation(len(x.shape))[:count])
    quant = None
    if x.dtype == "int8" and kind == "MEAN":
        quant = g.quant(r, x)
    return reduction(g.m, kind, x, axes, bool(r.integers(2)), quant)


@_maker("ARG_MAX", "ARG_MIN")
def _arg(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("int8", "float32"), [2, 3, 4], _small)
    return arg(g.m, kind, x, int(r.integers(-1, len(x.shape))), bool(r.integers(2)))


@_maker("CUMSUM")
def _cumsum(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("float32", "int32"), fits=lambda t: bool(t.shape) and _small(t))
    flags = bool(r.integers(2)), bool(r.integers(2))
    return cumsum(g.m, x, int(r.integers(len(x.shape))), *flags)


@_maker("TOPK_V2")
def _topk(g: Grower, r: Rng, kind: str) -> Sequence[Tensor]:
    x = g.take(r, ("int8", "float32"), [1, 2, 3], _small)
    return topk(g.m, x, int(r.integers(1, x.shape[-1] + 1)))


# What moves data.

_MOVED = ("int8", "int8", "int8", "float32", "int16", "int32")


@_maker("RESHAPE")
def _reshape(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, _MOVED)
    size = math.prod(x.shape)
    first = int(r.choice([n for n in range(1, size + 1) if size % n == 0][:40]))
    shapes = [[size], [first, -1], [1, first, -1], [1, *x.shape]]
    return g.m.reshape(x, shapes[int(r.integers(4))] if len(x.shape) < 4 else [first, -1])


@_maker("SQUEEZE")
def _squeeze(g: Grower, r: Rng, kind: str) -> Tensor:
    return squeeze(g.m, g.take(r, _MOVED, fits=lambda t: 1 in t.shape, shape=(1, 3, 1, 4)))


@_maker("EXPAND_DIMS")
def _expand(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, _MOVED, [1, 2, 3])
    return expand_dims(g.m, x, int(r.integers(-1, len(x.shape))))


@_maker("TRANSPOSE")
def _transpose(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, _MOVED, [2, 3, 4])
    nchw = len(x.shape) == 4 and r.random() < 0.6
    orders = ([0, 3, 1, 2], [0, 2, 3, 1])
    return transpose(
        g.m, x, orders[int(r.integers(2))] if nchw else r.permutation(len(x.shape)).tolist()
    )


@_maker("CONCATENATION")
def _concatenate(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, _MOVED, [1, 2, 3, 4], _small)
    axis = len(x.shape) - 1 if r.random() < 0.6 else int(r.integers(len(x.shape)))

    def fits(t: Tensor) -> bool:
        equal = [i == axis or t.shape[i] == n for i, n in enumerate(x.shape)]
        return all(equal) and t.quant == x.quant and _small(t)

    shape = [int(r.integers(1, 4)) if i == axis else n for i, n in enumerate(x.shape)]
    others = [
        g.take(r, (x.dtype,), [len(shape)], fits, shape, x.quant)
        for _ in range(int(r.integers(1, 3)))
    ]
    return concatenation(g.m, [x, *others], axis)


@_maker("SPLIT")
def _split(g: Grower, r: Rng, kind: str) -> Sequence[Tensor]:
    x = g.take(r, _MOVED, fits=lambda t: any(n % 2 == 0 for n in t.shape), shape=(1, 4, 3, 6))
    axes = [i for i, n in enumerate(x.shape) if n % 2 == 0]
    return split(g.m, x, 2, int(r.choice(axes)))


@_maker("SPLIT_V")
def _split_v(g: Grower, r: Rng, kind: str) -> Sequence[Tensor]:
    x = g.take(r, _MOVED, fits=lambda t: any(n > 2 for n in t.shape), shape=(1, 4, 3, 6))
    axis = int(r.choice([i for i, n in enumerate(x.shape) if n > 2]))
    return split_v(g.m, x, (1, -1, 1), axis)


@_maker("PACK")
def _pack(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, _MOVED, [1, 2, 3], _small)
    same = lambda t: t.shape == x.shape and t.quant == x.quant  # noqa: E731
    other = g.take(r, (x.dtype,), [len(x.shape)], same, x.shape, x.quant)
    return pack(g.m, [x, other], int(r.integers(-1, len(x.shape))))


@_maker("UNPACK")
def _unpack(g: Grower, r: Rng, kind: str) -> Sequence[Tensor]:
    few = lambda t: any(n <= 6 for n in t.shape)  # noqa: E731
    x = g.take(r, ("int8", "int8", "float32"), [2, 3, 4], few)
    return unpack(g.m, x, int(r.choice([i for i, n in enumerate(x.shape) if n <= 6])))


@_maker("SLICE")
def _slice(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, _MOVED, [1, 2, 3, 4])
    begin = [int(r.integers(n)) for n in x.shape]
    size = [int(r.integers(1, n - b + 1)) for n, b in zip(x.shape, begin, strict=True)]
    return slice_(g.m, x, begin, size)


@_maker("STRIDED_SLICE")
def _strided(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, _MOVED, [1, 2, 3, 4])
    pieces = [
        slice(None),
        slice(None, None, 2),
        slice(None, None, -1),
        slice(-1, None),
        slice(0, 1),
    ]
    return strided_slice(g.m, x, *[pieces[int(r.integers(5))] for _ in x.shape])


@_maker("GATHER")
def _gather(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, _MOVED, [1, 2, 3, 4], _small)
    axis = int(r.integers(len(x.shape)))
    places = r.integers(0, x.shape[axis], int(r.integers(1, 4)))
    return gather(g.m, x, ints(g.m, places), axis)


@_maker("GATHER_ND")
def _gather_nd(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("int8", "float32", "int32"), [2, 3], _small)
    places = [[int(r.integers(x.shape[0])), int(r.integers(x.shape[1]))] for _ in range(3)]
    return gather_nd(g.m, x, ints(g.m, places))


@_maker("PAD", "PADV2", "MIRROR_PAD")
def _pad(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("int8", "int8", "float32"), [1, 2, 3, 4], lambda t: math.prod(t.shape) < 600)
    most = [min(2, n - 1) if kind == "MIRROR_PAD" else 2 for n in x.shape]
    pairs = [(int(r.integers(n + 1)), int(r.integers(n + 1))) for n in most]
    if len(pairs) == 4 and r.random() < 0.8:  # as before a convolution
        pairs[0] = pairs[3] = (0, 0)
    fields: dict[str, Any] = {}
    if kind == "PADV2":
        fields["value"] = int(r.integers(-5, 5))
    if kind == "MIRROR_PAD":
        fields["Mode"] = int(r.integers(2))
    return padded(g.m, x, pairs, kind, **fields)


@_maker("DEPTH_TO_SPACE")
def _depth(g: Grower, r: Rng, kind: str) -> Tensor:
    fits = lambda t: t.shape[3] % 4 == 0  # noqa: E731
    return depth_to_space(g.m, g.take(r, ("int8", "float32"), [4], fits, (1, 3, 3, 4)), 2)


@_maker("SPACE_TO_DEPTH")
def _space(g: Grower, r: Rng, kind: str) -> Tensor:
    fits = lambda t: t.shape[1] % 2 == 0 and t.shape[2] % 2 == 0  # noqa: E731
    return space_to_depth(g.m, g.take(r, ("int8", "float32"), [4], fits, (1, 4, 6, 3)), 2)


@_maker("SPACE_TO_BATCH_ND")
def _to_batch(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("int8", "float32"), [4], _small)
    pairs = [(int(r.integers(2)), 0) for _ in range(2)]
    pairs = [(a, (n + a) % 2) for (a, _), n in zip(pairs, x.shape[1:3], strict=True)]
    return space_to_batch(g.m, x, (2, 2), pairs)


@_maker("BATCH_TO_SPACE_ND")
def _from_batch(g: Grower, r: Rng, kind: str) -> Tensor:
    fits = lambda t: t.shape[0] % 4 == 0 and _small(t)  # noqa: E731
    x = g.take(r, ("int8", "float32"), [4], fits, (4, 2, 3, 2))
    return batch_to_space(g.m, x, (2, 2), ((int(r.integers(2)), 0), (0, int(r.integers(2)))))


@_maker("TILE")
def _tile(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("int8", "float32", "int32"), [1, 2, 3], lambda t: math.prod(t.shape) < 400)
    return tile(g.m, x, [int(n) for n in r.integers(1, 3, len(x.shape))])


@_maker("BROADCAST_TO")
def _broadcast(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("int8", "float32", "int32"), [1, 2, 3], lambda t: math.prod(t.shape) < 400)
    return broadcast_to(g.m, x, (int(r.integers(1, 4)), *x.shape))


@_maker("REVERSE_V2")
def _reverse(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("int8", "float32", "int32"), [1, 2, 3])
    return reverse(g.m, x, [int(r.integers(len(x.shape)))])


@_maker("ZEROS_LIKE")
def _zeros(g: Grower, r: Rng, kind: str) -> Tensor:
    return zeros_like(g.m, g.take(r, ("float32", "int32")))


@_maker("SHAPE")
def _shape(g: Grower, r: Rng, kind: str) -> Tensor:
    """As in models from Keras: the shape of a tensor, computed, says how it is reshaped."""
    x = g.take(r, ("int8", "float32"), [2, 3, 4])
    batch = strided_slice(g.m, shape_of(g.m, x), 0)
    y = g.m.tensor((x.shape[0], math.prod(x.shape[1:])), x.quant, x.dtype)
    shape = pack(g.m, [batch, ints(g.m, -1)], 0)
    return g.m.operator("RESHAPE", [x, shape], [y], "ReshapeOptions")


@_maker("RANK")
def _rank(g: Grower, r: Rng, kind: str) -> Tensor:
    """A rank is constant: it needs something to be added to."""
    x = g.take(r, ("int8", "float32"))
    rank = g.m.operator("RANK", [x], [g.m.tensor((), None, "int32")], "RankOptions")
    return binary(g.m, "ADD", g.take(r, ("int32",)), rank)


@_maker("RANGE")
def _range(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("int32",), [1, 2])
    return binary(g.m, "ADD", x, range_(g.m, 0, x.shape[-1], 1, "int32"))


@_maker("FILL")
def _fill(g: Grower, r: Rng, kind: str) -> Tensor:
    x = g.take(r, ("int32", "float32"), [1, 2])
    return binary(g.m, "ADD", x, fill(g.m, x.shape, g.m.constant(3, None, x.dtype)))


@cache
def grafts() -> dict[str, Build]:
    """For operators without a maker: a case that has them, which becomes a part of the graph."""
    found: dict[str, Build] = {}
    for build in cases():
        model = built(build)
        if any(t.dtype == "uint8" for t in model.tensors):
            continue  # such cases turn all that is there into uint8
        for op in model.operators:
            if op.kind not in MAKERS:
                found.setdefault(op.kind, build)
    return found


def _grafted(g: Grower, kind: str) -> Sequence[Tensor]:
    given, results = list(g.m.inputs), len(g.m.outputs)
    grafts()[kind](g.m)
    for tensor in g.m.inputs[len(given) :]:
        g.read.add(tensor.index)
    made = g.m.outputs[results:]
    del g.m.outputs[results:]
    return made


def make(g: Grower, step: Step) -> Sequence[Tensor]:
    """Add a step's operator to a graph; returns what it writes."""
    if step.kind in MAKERS:
        return MAKERS[step.kind](g, np.random.default_rng(step.seed))
    return _grafted(g, step.kind)


# What the reference computes in uint8.
UINT8 = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "AVERAGE_POOL_2D", "MAX_POOL_2D", "ADD"),
    *("MUL", "CONCATENATION", "RESHAPE", "SOFTMAX", "LOGISTIC", "RELU", "RELU6", "PAD", "MEAN"),
    *("TRANSPOSE", "SLICE", "STRIDED_SLICE", "SPLIT", "MAXIMUM", "RESIZE_BILINEAR", "TANH"),
    *("RESIZE_NEAREST_NEIGHBOR", "DEQUANTIZE", "SUB"),
)
# What vision models are made of comes more often.
_OFTEN: tuple[str, ...] = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "PAD", "CONCATENATION"),
    *("MAX_POOL_2D", "AVERAGE_POOL_2D", "RELU", "RELU6", "QUANTIZE", "RESHAPE", "TRANSPOSE"),
    *("CONV_2D", "SPLIT", "MUL", "MEAN"),
)


def kinds() -> list[str]:
    """The operators to choose from; some are there several times."""
    return [*sorted(MAKERS), *sorted(grafts()), *_OFTEN]


def recipes(longest: int = 12) -> st.SearchStrategy[Recipe]:
    """Recipes of 2 to `longest` operators, each as likely as it is often among `kinds()`."""
    step = st.builds(Step, st.sampled_from(kinds()), st.integers(0, 3), st.integers(0, 65535))
    sizes = st.integers(2, longest)  # drawn first, as lists by themselves are mostly short
    steps = sizes.flatmap(lambda n: st.lists(step, min_size=n, max_size=n)).map(tuple)
    uint8 = st.sampled_from([False] * 9 + [True])
    return st.builds(Recipe, steps, st.integers(0, 1 << 30), uint8)


def grown(recipe: Recipe) -> Grower:
    """The graph of a recipe."""
    g = Grower(ModelBuilder(recipe.seed), recipe.uint8)
    for step in recipe.steps:
        if recipe.uint8 and step.kind not in UINT8:
            continue
        g.place = step.place
        g.add(step.kind, *make(g, step))
    borders = {t.index for t in g.m.inputs}
    results = [t for t in g.free if t.index not in g.read and t.index not in borders]
    # One in three of the others is an output as well, though layers read it.
    others = [t for t in g.free if t.index in g.read and t.index not in borders]
    g.m.output(*results, *others[::3])
    if recipe.uint8:
        g.m.to_uint8()
    return g


# Comparison.


@contextmanager
def quick_build(flags: Sequence[str] = ("-O0",)) -> Iterator[None]:
    """Build each model once, with its trace, and let the C compiler take less time."""
    module: Any = host
    build, usual = module.build_library, module._FLAGS
    module._FLAGS = (*(f for f in usual if not f.startswith("-O")), *flags)
    module.build_library = lambda compiled, trace: build(compiled, True)
    try:
        yield
    finally:
        module._FLAGS, module.build_library = usual, build


def first_difference(content: bytes, model: ModelBuilder, approximate: set[int]) -> str:
    """Where a model differs from the reference, in an output or in what a layer writes.

    Args:
        content: the file.
        model: what it was built from, for its inputs.
        approximate: places of float32 tensors that may be off by `ULPS`.
    """
    oracle = Oracle(content)
    ours = host.HostModel(compile_model(content, "host"))
    for inputs in list(inputs_of(model))[:4]:
        expected = as_list(oracle.run(*inputs))
        if _undefined(oracle, model):
            oracle.reset()
            ours.reset()
            continue
        before = ours.state
        got = as_list(ours.run(*[x.copy() for x in inputs]))
        ours.state = before
        layers = ours.layer_outputs(*[x.copy() for x in inputs])
        for layer, output in zip(ours.compiled.layers, layers, strict=True):
            source = layer.output.source
            if source is None or layer.output.dtype is DType.OTHER:
                continue
            want = oracle.tensor(source)
            wrong = _differ(as_in_file(output, want.dtype), want, source in approximate)
            if wrong:
                return f"layer {layer.kind} {layer.name}: {wrong}"
        for tensor, a, b in zip(model.outputs, got, expected, strict=True):
            wrong = _differ(a, b, tensor.index in approximate)
            if wrong:
                return f"output {tensor.name}: {wrong}"
    return ""


def _undefined(oracle: Oracle, model: ModelBuilder) -> bool:
    """Whether a number is quantized that no int32 holds: the reference's result is undefined."""
    for op in model.operators:
        if op.kind != "QUANTIZE":
            continue
        x, y = model.tensors[op.inputs[0]], model.tensors[op.outputs[0]]
        if x.dtype == "float32":
            steps = np.abs(oracle.tensor(x.index).astype(np.float64)) / y.scale
            if not (steps < 2.0**31 - 256).all():
                return True
    return False


def _differ(got: Array, want: Array, approximate: bool) -> str:
    if got.dtype != np.float32 or want.dtype != np.float32 or got.shape != want.shape:
        return difference([got], [want])
    if not approximate:  # which of the values that are no number it is says nothing
        nan = np.isnan(got) & np.isnan(want)
        return difference([np.where(nan, 0, got)], [np.where(nan, 0, want)])
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    finite = want[np.isfinite(want)]
    largest = float(np.abs(finite).max(initial=0.0))
    step = max(float(np.spacing(np.float32(largest))), 1e-38)
    with np.errstate(invalid="ignore"):
        near = np.abs(got.astype(np.float64) - want) <= ULPS * step
    return "" if bool((same | near).all()) else difference([got], [want])


def save(content: bytes) -> Path:
    """Keep a model that differs as a case for ever."""
    REGRESSIONS.mkdir(exist_ok=True)
    path = REGRESSIONS / f"graph-{hashlib.sha256(content).hexdigest()[:8]}.tflite"
    path.write_bytes(content)
    return path


def file_difference(content: bytes) -> str:
    """Where a saved file differs from the reference; its float32 outputs are all exact."""
    oracle = Oracle(content)
    ours = host.HostModel(compile_model(content, "host"))
    for inputs in random_inputs(ours.compiled.graph, 8, seed=0):
        wrong = difference(as_list(ours.run(*inputs)), as_list(oracle.run(*inputs)))
        if wrong:
            return wrong
    return ""

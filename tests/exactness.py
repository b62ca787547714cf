"""Compares a whole model, compiled and loaded here, with LiteRT's reference kernels."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lotor import host
from lotor.oracle import Oracle
from tflite_builder import ModelBuilder, Tensor

Array = npt.NDArray[Any]


def as_list(result: Any) -> list[Array]:
    """One array or a tuple of them, as a list."""
    return list(result) if isinstance(result, tuple | list) else [result]


def float_inputs(shape: tuple[int, ...], scale: float, rng: np.random.Generator) -> list[Array]:
    """Floats around a quantizer's decision points, and extremes."""
    ties = (rng.integers(-300, 300, shape) / 2).astype(np.float32) * np.float32(scale)
    spread = rng.normal(0, 90 * scale, shape).astype(np.float32)
    extremes = rng.choice(np.array([0.0, -0.0, 1e5, -1e5, 1e-30], np.float32), shape)
    return [ties, np.nextafter(ties, np.float32(np.inf)), spread, extremes]


def integer_inputs(
    shape: tuple[int, ...], dtype: str, zero_point: int, rng: np.random.Generator
) -> list[Array]:
    """Random values, extremes, constants and a ramp."""
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)
    ramp = np.arange(int(np.prod(shape)), dtype=np.int64).astype(dtype).reshape(shape)
    return [
        rng.integers(low, high, shape, dtype=dtype, endpoint=True),
        np.clip(rng.normal(zero_point, 12, shape), low, high).astype(dtype),
        rng.choice(np.array([low, high], dtype), shape),
        np.full(shape, low, dtype),
        np.full(shape, high, dtype),
        np.full(shape, zero_point, dtype),
        ramp,
    ]


def inputs_of(model: ModelBuilder, seed: int = 0) -> Iterator[list[Array]]:
    """Sets of inputs for a model; the patterns of several inputs are paired differently."""
    rng = np.random.default_rng(seed)
    columns = []
    for place, tensor in enumerate(model.inputs):
        column = _patterns(tensor, rng)
        columns.append(column[place:] + column[:place])
    yield from map(list, zip(*columns, strict=False))


def _patterns(tensor: Tensor, rng: np.random.Generator) -> list[Array]:
    if tensor.dtype == "float32":
        return float_inputs(tensor.shape, 0.05, rng)
    if tensor.dtype == "bool":
        return [rng.integers(0, 2, tensor.shape).astype(bool) for _ in range(4)]
    zero_point = 0 if tensor.quant is None else tensor.quant.zero_point
    return integer_inputs(tensor.shape, tensor.dtype, zero_point, rng)


def difference(ours: Sequence[Array], theirs: Sequence[Array]) -> str:
    """Where two lists of outputs first differ in a bit; "" if nowhere."""
    if len(ours) != len(theirs):
        return f"{len(ours)} outputs, {len(theirs)} in the reference"
    for place, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"output {place}: {a.dtype}{a.shape}, reference {b.dtype}{b.shape}"
        wrong = np.flatnonzero(a.ravel().view(np.uint8) != b.ravel().view(np.uint8)) // a.itemsize
        if wrong.size:
            at = int(wrong[0])
            where = tuple(int(i) for i in np.unravel_index(at, a.shape))
            count = len(set(wrong.tolist()))
            return (
                f"output {place}{list(where)} is {a.ravel()[at]}, reference {b.ravel()[at]} "
                f"({count} of {a.size} elements differ)"
            )
    return ""


def assert_exact(model: ModelBuilder, seed: int = 0) -> None:
    """Every byte of every output equals the reference's, on inputs of several patterns."""
    flatbuffer = model.build()
    oracle = Oracle(flatbuffer)
    ours = host.load(flatbuffer)
    for inputs in inputs_of(model, seed):
        expected = as_list(oracle.run(*inputs))
        # The run may overwrite its input memory, never the caller's array.
        got = as_list(ours.run(*[x.copy() for x in inputs]))
        wrong = difference(got, expected)
        assert not wrong, f"{wrong}\n{model!r}"


def assert_file_exact(path: Path, inputs: Sequence[Array]) -> None:
    """The same for a single-input model file and given inputs."""
    oracle = Oracle(path)
    ours = host.load(path)
    for number, x in enumerate(inputs):
        wrong = difference(as_list(ours.run(x)), as_list(oracle.run(x)))
        assert not wrong, f"{path.name}, input {number}: {wrong}"

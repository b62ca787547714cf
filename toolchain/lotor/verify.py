"""Proof by comparison: the generated C against LiteRT's reference kernels, byte by byte."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np

from lotor.compiler import Compiled
from lotor.device import compare
from lotor.device.session import Session
from lotor.errors import LotorError
from lotor.graph import Array, DType, Graph, Tensor
from lotor.host import HostModel, load
from lotor.infer import as_list, infer_on
from lotor.optimize.uint8_to_int8 import as_in_file
from lotor.oracle import Oracle
from lotor.progress import Progress
from lotor.targets.preference import Optimize
from lotor.zoo import find_model

# Exponentials and logarithms of float32 end in other bits than the C library's: 8 steps of the
# largest element. Of integers, and of floats that stand for them, one step is far more.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Verification:
    """The result of a comparison.

    Attributes:
        model: its name.
        where: "host" or the board.
        reference: name and version of the reference.
        samples: inferences compared.
        elements: output elements compared.
        mismatches: output elements that differ in any bit.
        max_abs_diff: largest difference, in units of the output's type.
        first_bad_layer: the first layer whose output differs, None when all is equal.
        max_rel_diff: largest difference, as a part of the output's largest element.
    """

    model: str
    where: str
    reference: str
    samples: int
    elements: int
    mismatches: int
    max_abs_diff: float
    first_bad_layer: str | None
    max_rel_diff: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether all is equal, or float32 outputs are within the tolerance."""
        return self.mismatches == 0 or self.max_rel_diff <= TOLERANCE

    def __str__(self) -> str:
        head = f"{self.model} on {self.where} against {self.reference}, {self.samples} inputs"
        if self.mismatches == 0:
            return f"{head}: all {self.elements} output elements equal"
        if self.ok:
            return (
                f"{head}: {self.mismatches} of {self.elements} float32 output elements differ in "
                f"their last bits, by at most {self.max_rel_diff:.1e} of the largest "
                f"({TOLERANCE:g} allowed)"
            )
        return (
            f"{head}: {self.mismatches} of {self.elements} output elements differ "
            f"(by at most {self.max_abs_diff:g}); first differing layer: {self.first_bad_layer}"
        )


def random_inputs(graph: Graph, samples: int, seed: int) -> Iterator[list[Array]]:
    """Yield inputs for a model: random ones, and every eighth time one value everywhere.

    Args:
        graph: the model.
        samples: how many.
        seed: decides them.
    """
    rng = np.random.default_rng(seed)
    for sample in range(samples):
        yield [_random(tensor, rng, flat=sample % 8 == 7) for tensor in graph.inputs]


def _random(tensor: Tensor, rng: np.random.Generator, flat: bool) -> Array:
    shape = (1,) * len(tensor.shape) if flat else tensor.shape
    if tensor.dtype is DType.FLOAT32:
        values: Array = rng.normal(0.0, 1.0, shape).astype(np.float32)
    elif tensor.dtype is DType.BOOL:
        values = rng.integers(0, 2, shape).astype(bool)
    else:
        limits = np.iinfo(tensor.np_dtype)
        values = rng.integers(limits.min, limits.max, shape, tensor.np_dtype, endpoint=True)
    return np.array(np.broadcast_to(values, tensor.shape))


def verify(
    model: str,
    samples: int,
    seed: int,
    board: str | None = None,
    ram: int | None = None,
    optimize: Optimize = "speed",
) -> Verification:
    """Compare a model on this machine or on a board with the reference.

    Args:
        model: name or path.
        samples: how many random inputs.
        seed: decides the inputs.
        board: the board; None for this machine.
        ram: bytes that the arena may take; layers run in stripes where it would take more.
        optimize: what kernels are chosen for on the board.

    Raises:
        LotorError: the model cannot be compiled, LiteRT is missing, or the board's trouble.
    """
    if samples < 1:
        raise LotorError(f"--samples {samples}: at least 1 needed")
    if seed < 0:
        raise LotorError(f"--seed {seed}: 0 or more needed")
    found = find_model(model)
    there = _compiled(model, board, ram, optimize)
    host = load(str(found.path), ram=there.ram if there else ram)
    oracle = Oracle(found.path)
    differing = elements = 0
    largest = relative = 0.0
    bad: str | None = None
    with (
        _open(model, board, there) as session,
        Progress("verify", samples, "inputs") as progress,
    ):
        infer = _runner(host, session)
        for inputs in random_inputs(host.compiled.graph, samples, seed):
            expected, before = as_list(oracle.run(*inputs)), host.state
            if session is not None and host.compiled.plan.variables:
                host.run(*inputs)  # keeps what it remembers in step
            for got, want in zip(infer(inputs), expected, strict=True):
                elements += want.size
                count, most = difference(got, want)
                differing, largest = differing + count, max(largest, most)
                if count:
                    relative = max(relative, most / _largest(want))
            if differing and bad is None:
                host.state = before
                bad = first_bad_layer(host, oracle, inputs, session)
            progress.advance()
    name = f"LiteRT {oracle.version} BUILTIN_REF"
    where = board or "host"
    return Verification(
        found.name, where, name, samples, elements, differing, largest, bad, relative
    )


def _largest(values: Array) -> float:
    """Return the largest finite magnitude, at least the smallest normal float32."""
    wide = np.abs(values.astype(np.float64))
    return float(max(wide[np.isfinite(wide)].max(initial=0.0), np.finfo(np.float32).tiny))


def difference(got: Array, want: Array) -> tuple[int, float]:
    """Return how many elements differ in any bit, and the largest absolute difference."""
    differs = got.view(f"u{got.itemsize}") != want.view(f"u{want.itemsize}")
    if not differs.any():
        return 0, 0.0
    wide = np.abs(got.astype(np.float64) - want.astype(np.float64))
    return int(differs.sum()), float(wide[differs].max())


def first_bad_layer(
    host: HostModel, oracle: Oracle, inputs: Sequence[Array], session: Session | None = None
) -> str:
    """Return the first layer that differs from the reference.

    The reference has just run these inputs. On a board the checksums that it traces for each layer
    are compared with those of the host's outputs.
    """
    outputs = host.layer_outputs(*inputs)
    for index, (layer, output) in enumerate(zip(host.compiled.layers, outputs, strict=True)):
        source = layer.output.source
        if source is None:
            continue
        want = oracle.tensor(source)
        if difference(as_in_file(output, want.dtype), want)[0]:
            return f"{index} {layer.kind} {layer.name}"
    if session is not None:
        wrong = compare.first_bad_layer(session, host, *inputs)
        if wrong is not None:
            layer = host.compiled.layers[wrong]
            return f"{wrong} {layer.kind} {layer.name}"
    return "none: only the outputs differ"


def _compiled(
    model: str, board: str | None, ram: int | None, optimize: Optimize
) -> Compiled | None:
    if board is None:
        return None
    from lotor.device.ready import compile_for

    return compile_for(board, model, ram, optimize)


def _open(
    model: str, board: str | None, compiled: Compiled | None
) -> AbstractContextManager[Session | None]:
    if board is None or compiled is None:
        return nullcontext(None)
    from lotor.device.ready import open_with_model

    return open_with_model(board, model, compiled)


def _runner(
    host: HostModel, session: Session | None
) -> Callable[[Sequence[Array]], Sequence[Array]]:
    if session is None:
        return lambda inputs: as_list(host.run(*inputs))
    compiled: Compiled = host.compiled
    return lambda inputs: infer_on(session, compiled, inputs).outputs

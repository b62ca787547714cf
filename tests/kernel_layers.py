"""What the tests of faster kernels share: random layers, and how far outputs may overlap inputs.

Everything runs on an emulated Cortex-M and is compared with LiteRT's reference, byte by byte.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from cases.binary import binary
from cases.strategies import (
    BRANCHES,
    Draw,
    activations,
    builder,
    image,
    paddings,
    quants,
    scaling,
    window,
)
from cortex_m import Array, run
from effort import examples
from exactness import as_list, difference, inputs_of
from lotor.codegen.c import Program, render_header, render_source
from lotor.compiler import Compiled, compile_model
from lotor.memory import Plan
from lotor.oracle import Oracle
from lotor.targets.preference import Optimize, Preference
from lotor.verify import random_inputs
from tflite_builder import ModelBuilder, Quant

EXAMPLES = examples(4)


def taken(
    m: ModelBuilder,
    target: str,
    folder: Path,
    skip: tuple[str, ...] = (),
    optimize: Optimize = "speed",
    preference: Preference | None = None,
) -> Counter[str]:
    """Compare a model with the reference; return the kernels that it took."""
    content = m.build()
    preference = preference or Preference(optimize)
    compiled = compile_model(content, target, skip=skip, preference=preference)
    oracle = Oracle(content)
    inputs = list(inputs_of(m))
    for got, one in zip(run(compiled, inputs, folder), inputs, strict=True):
        expected = as_list(oracle.run(*one))
        assert difference(got, expected) == "", compiled.graph
    return Counter(step.function for layer in compiled.layers for step in layer.steps)


@st.composite
def convolutions(draw: Draw, weights: str = "int8", most: int = 9) -> ModelBuilder:
    """Windows, padding, odd channels, every rest of four pixels, narrow clamps, wide scales."""
    m = builder(draw)
    x = image(draw, m, 7, 20)
    for _ in range(BRANCHES):
        how = {"weight_dtype": weights, **scaling(draw)}
        pixels = draw(st.booleans())
        how |= {"kernel": (1, 1)} if pixels else window(draw, x)
        m.output(m.conv2d(x, draw(st.integers(2, most)), **how))
    return m


@st.composite
def depthwise(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    batch, height = draw(st.sampled_from([1, 1, 2])), draw(st.integers(1, 24))
    width, channels = draw(st.integers(1, 34)), draw(st.integers(1, 6))
    x = m.input((batch, height, width, channels), draw(quants))
    for _ in range(BRANCHES):
        stride = draw(st.integers(1, 2))
        padding = draw(paddings) if min(height, width) > 2 else "SAME"
        m.output(m.depthwise_conv2d(x, stride=(stride, stride), padding=padding, **scaling(draw)))
    return m


@st.composite
def dense(draw: Draw, multiple: int = 1, least: int = 1) -> ModelBuilder:
    """Inputs in a number that is a multiple, and at least so many outputs."""
    m = builder(draw)
    batch, inputs = draw(st.integers(1, 3)), multiple * draw(st.integers(1, 320 // multiple))
    x = m.input((batch, inputs), draw(quants))
    for _ in range(BRANCHES):
        m.output(m.fully_connected(x, draw(st.integers(least, 19)), **scaling(draw)))
    return m


@st.composite
def sums(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    shape = (1, draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    a, b = m.input(shape, draw(quants)), m.input(shape, draw(quants))
    for _ in range(BRANCHES):
        kind, quant = draw(st.sampled_from(["ADD", "SUB"])), draw(quants)
        m.output(binary(m, kind, a, b, quant=quant, activation=draw(activations)))
    return m


def check_random_layers(
    draw: Callable[[], st.SearchStrategy[ModelBuilder]],
    target: str,
    function: str,
    factory: pytest.TempPathFactory,
    examples: int = EXAMPLES,
    optimize: Optimize = "speed",
) -> None:
    """Compare random layers with the reference, most of which must take a kernel."""
    seen: Counter[str] = Counter()

    @seed(0)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(draw())
    def check(m: ModelBuilder) -> None:
        seen.update(taken(m, target, factory.mktemp(function), optimize=optimize))

    check()
    # As many as would be if a few were refused.
    taking = sum(count for name, count in seen.items() if name.startswith(function))
    assert taking >= examples // 2, seen


def overlapping_convolutions(weights: str = "int8") -> dict[str, ModelBuilder]:
    """The convolutions among `overlapping`."""
    found = {}
    for name, shape, channels, kernel, stride in (
        ("pixels", (1, 5, 7, 6), 6, 1, 1),
        ("pixels that grow", (1, 5, 7, 4), 9, 1, 1),
        ("pixels that shrink", (1, 6, 6, 11), 3, 1, 1),
        ("windows", (2, 7, 6, 4), 4, 3, 1),
        ("windows with stride", (1, 9, 10, 4), 8, 3, 2),
    ):
        m = ModelBuilder(seed=1)
        x = m.input(shape, Quant(0.05, 3))
        m.output(m.conv2d(x, channels, (kernel, kernel), (stride, stride), weight_dtype=weights))
        found[name] = m
    return found


def overlapping() -> dict[str, ModelBuilder]:
    """One layer each: blocks of pixels that shrink, keep and grow, and rows of them."""
    found = overlapping_convolutions()
    for name, shape, stride in (
        ("channels", (2, 9, 7, 5), 1),
        ("channels of large images", (1, 40, 30, 2), 1),
        ("rows", (1, 12, 11, 5), 2),
        ("rows of large images", (2, 44, 40, 8), 2),
    ):
        m = ModelBuilder(seed=1)
        x = m.input(shape, Quant(0.05, 3))
        m.output(m.depthwise_conv2d(x, stride=(stride, stride)))
        found[name] = m
    m = ModelBuilder(seed=1)
    a, b = m.input((1, 7, 5), Quant(0.05, 3)), m.input((1, 7, 5), Quant(0.07, 9))
    m.output(m.add(a, b))
    found["sums"] = m
    return found


def apart(compiled: Compiled, distance: int | None) -> Compiled:
    """The one layer with its output so many bytes behind its first input; None: far from it."""
    x, y = compiled.graph.inputs[0], compiled.graph.outputs[0]
    room = 64 + -(-(x.nbytes + y.nbytes) // 64) * 64
    at, places = 4 * room, []
    for placement in compiled.plan.placements:
        chosen = {id(x): room, id(y): room + distance if distance is not None else 3 * room}
        offset = chosen.get(id(placement.tensors[0]), at)
        places.append(replace(placement, offset=offset))
        at += -(-placement.nbytes // 64) * 64
    plan = Plan(tuple(places), at, 0, 0)
    name, target = compiled.name, compiled.target.name
    program = Program(
        name, compiled.graph, compiled.layers, plan, compiled.model_hash, target, "0", ()
    )
    source, header = render_source(program), render_header(program)
    return replace(compiled, plan=plan, source=source, header=header)


def _outputs(
    compiled: Compiled, inputs: Sequence[Sequence[Array]], folder: Path, distance: int | None
) -> list[bytes]:
    found = run(apart(compiled, distance), inputs, folder / str(distance))
    return [array.tobytes() for one in found for array in one]


def check_overlap(models: Mapping[str, ModelBuilder], target: str, folder: Path) -> set[str]:
    """Check outputs at the clearances that the target's kernels declare, and beyond.

    A byte closer, some layer of each kernel must be wrong.

    Args:
        models: of one layer each, which must take a kernel that is not portable.
        target: a Cortex-M.
        folder: an empty one.

    Returns:
        The kernels' functions, with " forward" after those that declare this clearance.
    """
    wrong: Counter[str] = Counter()
    for number, (name, m) in enumerate(models.items()):
        compiled = compile_model(m.build(), target, "small")
        (layer,) = compiled.layers
        (step,) = layer.steps
        assert step.variant.name != "portable", name
        inputs = [*random_inputs(compiled.graph, 4, 0)]

        outputs = partial(_outputs, compiled, inputs, folder / str(number))
        expected = outputs(None)
        clearance = step.variant.clearances(step.call)[0]
        if clearance.in_place:
            assert outputs(0) == expected, name
            wrong[step.function] += outputs(-1) != expected
            wrong[step.function] += outputs(1) != expected
        if clearance.forward is not None:
            assert outputs(-clearance.forward) == expected, name
            assert outputs(-clearance.forward - 1) == expected, name
            wrong[f"{step.function} forward"] += outputs(1 - clearance.forward) != expected
    assert all(wrong.values()), wrong
    return {*wrong}

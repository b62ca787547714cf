"""How far outputs may lie over inputs, by brute force: right as declared, wrong a bit closer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from cases import built, cases, random
from cases.arg_max import arg
from cases.batch_matmul import batch_matmul
from cases.binary import binary
from cases.comparison import compare
from cases.cumsum import cumsum
from cases.fully_connected import dense, wide
from cases.mean import reduction
from cases.movement import (
    concatenation,
    depth_to_space,
    gather,
    slice_,
    space_to_depth,
    strided_slice,
    tile,
    transpose,
)
from cases.resize_nearest_neighbor import resize
from cases.transpose_conv import transpose_conv
from exactness import Array, inputs_of
from lotor.codegen.c import Program, render_header, render_source
from lotor.compiler import Compiled, compile_model
from lotor.host import HostModel
from lotor.memory import Placement, Plan
from lotor.ops import KernelCall
from lotor.targets.overlap import portable_clearances
from lotor.verify import random_inputs
from random_graphs import quick_build
from tflite_builder import ModelBuilder, Quant, Tensor


@dataclass(frozen=True)
class Pair:
    """An input that a layer's output may lie over, and how far; `form` is the kernel's."""

    case: str
    layer: int
    place: int
    form: str
    backward: bool
    clearance: int

    @property
    def name(self) -> str:
        return f"{self.case}-{self.layer}-{self.place}" + "-backward" * self.backward


def of_one_shape(m: ModelBuilder) -> None:
    a, b = (m.input((2, 5), Quant(0.1, 3)) for _ in range(2))
    c, d = (m.input((2, 5), dtype="int32") for _ in range(2))
    m.output(binary(m, "MAXIMUM", a, b, a.quant), binary(m, "MINIMUM", b, a, a.quant))
    m.output(compare(m, "EQUAL", c, d))


def moved(m: ModelBuilder) -> None:
    """Copies of single elements and of runs, that shrink, keep and grow."""
    for dtype in ("int8", "int16", "float32"):
        quant = Quant(0.1, 0) if dtype != "float32" else None
        x = m.input((1, 4, 6, 4), quant, dtype)
        every, other = slice(None), slice(None, None, 2)
        m.output(slice_(m, x, (0, 1, 0, 1), (-1, 3, -1, 2)))
        m.output(strided_slice(m, x, every, other, other), strided_slice(m, x, every, every, other))
        m.output(strided_slice(m, x, Ellipsis, slice(1, None, 3)), transpose(m, x, (0, 2, 3, 1)))
        m.output(space_to_depth(m, x, 2), depth_to_space(m, x, 2), tile(m, x, (1, 2, 1, 3)))
        y = m.input((1, 4, 4, 1), quant, dtype)
        m.output(space_to_depth(m, y, 2), strided_slice(m, y, every, slice(1, None), other))
        for z, last in ((x, (4, 8)), (y, (3, 5))):
            for size in ((2, 3), (4, 4), (7, 5), last):
                m.output(resize(m, "RESIZE_NEAREST_NEIGHBOR", z, size))
                m.output(resize(m, "RESIZE_BILINEAR", z, size, half_pixel_centers=True))


def gathered(m: ModelBuilder) -> None:
    """Slices and single elements, whose indices are constants or inputs."""
    for shape in ((6, 2), (6, 1)):
        x = m.input(shape, Quant(0.1, 3))
        m.output(gather(m, x, m.constant([0, 3, 4, 5], None, "int32")))
    y = m.input((3, 4, 2), Quant(0.1, 3))
    m.output(gather(m, y, arg(m, "ARG_MAX", m.input((5, 4), Quant(0.1, 3)), 1), 1))


def matrices(m: ModelBuilder) -> None:
    """Dense layers and products, of one row and of several, that shrink and grow."""
    for rows in (1, 3):
        for units in (2, 9):
            x = m.input((rows, 5), Quant(0.05, 3))
            weights = m.input((units, 5), Quant(0.02, 7))
            m.output(m.fully_connected(x, units), dense(m, x, weights, None, m.quant(0.3)))
            m.output(m.fully_connected(x, units, weight_dtype="int4"))
            m.output(wide(m, m.input((rows, 5), Quant(0.0003), "int16"), units, None))
            y = m.input((rows, 5), dtype="float32")
            m.output(dense(m, y, m.constant(m.rng.normal(0, 1, (units, 5)), dtype="float32")))
            m.output(dense(m, y, m.input((units, 5), dtype="float32")))
    for shapes in (((2, 3, 5), (2, 5, 4)), ((2, 1, 5), (5, 9)), ((3, 5), (2, 5, 2))):
        a, b = (m.input(shape, Quant(0.05, 3)) for shape in shapes)
        m.output(batch_matmul(m, a, b))
        m.output(batch_matmul(m, b, a, True, True))


def reduced(m: ModelBuilder) -> None:
    """Inner and outer axes that vanish."""
    for dtype in ("int8", "int32", "float32"):
        x = m.input((2, 4, 5, 3), Quant(0.1, 3) if dtype == "int8" else None, dtype)
        for axes in ((1, 2), (3,), (0,), (2,), (0, 2)):
            m.output(reduction(m, "MEAN", x, axes), reduction(m, "REDUCE_MAX", x, axes))
        m.output(arg(m, "ARG_MAX", x, 3), arg(m, "ARG_MAX", x, 1), arg(m, "ARG_MIN", x, 3, True))
        if dtype != "int8":
            m.output(cumsum(m, x, 1), cumsum(m, x, 3), cumsum(m, x, 3, reverse=True))
    m.output(reduction(m, "MEAN", m.input((2, 2, 2, 3, 2, 2, 3, 2)), (1, 3, 5, 7)))


def upsampled(m: ModelBuilder) -> None:
    """Filters that leave gaps, touch and lie over each other."""
    for dtype in ("int8", "int16", "float32"):
        quant = {"int8": Quant(0.05, 3), "int16": Quant(1e-4)}.get(dtype)
        x = m.input((2, 3, 4, 3), quant, dtype)
        m.output(transpose_conv(m, x, (2, 2, 2), (6, 8)))
        m.output(transpose_conv(m, x, (5, 3, 3), (5, 8), padding="SAME"))
        m.output(transpose_conv(m, x, (1, 1, 2), (7, 12), (3, 3), "VALID"))


def parts(m: ModelBuilder) -> None:
    """Layers that read channels of a larger tensor and write channels of another."""
    for dtype in ("int8", "int16", "float32"):
        quant = {"int8": Quant(0.05, 3), "int16": Quant(1e-4)}.get(dtype)
        for number in range(8):
            x = m.input((2, 4, 4, 12), quant, dtype)
            part = slice_(m, x, (0, 0, 0, 4), (-1, -1, -1, 8))
            y = _strided(m, part, number)
            if y is not None:
                other = m.input((*y.shape[:3], 4), quant, dtype)
                m.output(concatenation(m, [y, other] if number % 2 else [other, y], 3))


def _strided(m: ModelBuilder, x: Tensor, number: int) -> Tensor | None:
    """One of the layers that take gaps between pixels; None where it does not take the type."""
    layers: list[Callable[[], Tensor | None]] = [
        lambda: m.conv2d(x, 4, (3, 3), quant=x.quant),
        lambda: m.depthwise_conv2d(x, 1, quant=x.quant),
        lambda: transpose_conv(m, x, (4, 3, 3), (7, 8), quant=x.quant),
        lambda: resize(m, "RESIZE_BILINEAR", x, (6, 7)),
        lambda: resize(m, "RESIZE_NEAREST_NEIGHBOR", x, (7, 5)),
        lambda: space_to_depth(m, x, 2),
        lambda: m.unary("TANH", x, x.quant) if x.dtype == "int8" else None,
        lambda: depth_to_space(m, x, 2),
    ]
    return layers[number]()


OWN = [of_one_shape, moved, gathered, matrices, reduced, upsampled]


Model = tuple[Compiled, list[list[Array]]]


def _model(name: str, model: ModelBuilder, skip: Sequence[str] = ("place_parts",)) -> Model:
    compiled = _laid_out(compile_model(model.build(), "host", name, skip=skip), 0, {})
    return compiled, [*random_inputs(compiled.graph, 6, 0), *list(inputs_of(model))[:4]]


def _models() -> dict[str, Model]:
    """The cases, compiled so that no tensor is placed inside another; and `parts`."""
    found = {}
    for build in [*cases(), *OWN, parts]:
        skip = [] if build is parts else ["place_parts"]
        found[build.__name__] = _model("overlapping", built(build), skip)
    return found


def _pairs(name: str, compiled: Compiled) -> Iterator[Pair]:
    for number, layer in enumerate(compiled.layers):
        call = layer.steps[0].call
        if len(layer.steps) > 1:
            continue
        for place, clearance in enumerate(portable_clearances(call)):
            if call.inputs.count(call.inputs[place]) > 1 or not clearance:
                continue
            under, over = (_placed(compiled, t)[0] for t in (call.inputs[place], call.outputs[0]))
            if under is over or over.first != number:
                continue
            for backward, found in enumerate((clearance.forward, clearance.backward)):
                if found is not None:
                    yield Pair(name, number, place, _form(call), bool(backward), found)


def _form(call: KernelCall) -> str:
    """A kernel function and what else decides its order."""
    x, y = call.inputs[0], call.outputs[0]
    moved = call.params.get("run", call.params.get("pixel", x.np_dtype.itemsize))
    runs = "_of_runs" * int(moved != x.np_dtype.itemsize)
    function: str = call.function
    return function + runs + "_with_gaps" * int(not x.dense or not y.dense)


def _placed(compiled: Compiled, tensor: Any) -> tuple[Placement, int]:
    """The memory that holds a tensor, and where in it the tensor begins."""
    (found,) = [
        p for p in compiled.plan.placements if tensor in p.tensors or tensor in dict(p.parts)
    ]
    return found, dict(found.parts).get(tensor, 0)


# What C says of memcpy: it may do anything where memory overlaps. Nothing is lost in one place.
_INCLUDE = "#include <string.h>\n"
STRICT = """
static inline void *strict_memcpy(void *to, const void *from, size_t count) {
    uint8_t *const target = to;
    const uint8_t *const source = from;
    if (target == source || target + count <= source || source + count <= target) {
        return memcpy(to, from, count);
    }
    for (size_t i = 0; i < count; i++) {
        target[i] = (uint8_t)~target[i];
    }
    return to;
}
#define memcpy strict_memcpy
"""


def _moved(compiled: Compiled, pair: Pair, clearance: int) -> Compiled:
    """The model with the output of one layer so far over an input."""
    (step,) = compiled.layers[pair.layer].steps
    under, over = step.call.inputs[pair.place], step.call.outputs[0]
    (below, under_at), (above, over_at) = (_placed(compiled, t) for t in (under, over))
    room = -(-(abs(clearance) + below.nbytes + above.nbytes) // 64) * 64
    distance = -clearance  # from the beginning of the input to that of the output
    if pair.backward:
        distance = clearance + under.nbytes - over.nbytes
    distance += under_at - over_at  # the same for what they lie in
    # The one with the larger elements is aligned.
    aligned = over.np_dtype.itemsize >= under.np_dtype.itemsize
    at = room - distance if aligned else room
    chosen = {id(above): at + distance, id(below): at}
    return _laid_out(compiled, 3 * room, chosen, pair.layer if pair.backward else None)


def _laid_out(
    compiled: Compiled, start: int, chosen: dict[int, int], backward: int | None = None
) -> Compiled:
    """The model with every tensor in a place of its own, from `start` on, but some chosen ones."""
    places = []
    for p in compiled.plan.placements:
        places.append(replace(p, offset=chosen.get(id(p), start)))
        start += -(-p.nbytes // 64) * 64
    layers = []
    for number, layer in enumerate(compiled.layers):
        ways = {"backward": int(number == backward)}
        calls = [
            replace(s.call, params={**s.call.params, **ways}) if _walks(s.call) else s.call
            for s in layer.steps
        ]
        steps = [replace(s, call=call) for s, call in zip(layer.steps, calls, strict=True)]
        layers.append(replace(layer, steps=steps))
    plan = Plan(tuple(places), start + 64, 0, 0)
    name, target = compiled.name, compiled.target.name
    program = Program(name, compiled.graph, layers, plan, compiled.model_hash, target, "0", ())
    source = render_source(program).replace(_INCLUDE, _INCLUDE + STRICT, 1)
    return replace(compiled, layers=layers, plan=plan, source=source, header=render_header(program))


def _walks(call: KernelCall) -> bool:
    """Whether a kernel can walk backward."""
    return any(c.backward is not None for c in portable_clearances(call))


MODELS = _models()
PAIRS = [pair for name, (compiled, _) in MODELS.items() for pair in _pairs(name, compiled)]


def _same(model: Model, pair: Pair, clearance: int, *flags: str) -> bool:
    """Whether a layer computes what it does in memory of its own."""
    compiled, inputs = model
    with quick_build(flags or ("-O0",)):
        apart, over = HostModel(compiled), HostModel(_moved(compiled, pair, clearance))
        for arrays in inputs:
            got, want = (
                host.layer_outputs(*[a.copy() for a in arrays])[pair.layer]
                for host in (over, apart)
            )
            if got.tobytes() != want.tobytes():
                return False
    return True


def _closer(pair: Pair) -> int:
    call = MODELS[pair.case][0].layers[pair.layer].steps[0].call
    return call.inputs[pair.place].np_dtype.itemsize


def _parameters() -> list[Any]:
    """All pairs; but for one of each form they are slow."""
    few = {(pair.form, pair.backward): pair for pair in PAIRS}.values()
    return [
        pytest.param(
            pair,
            id=pair.name,
            marks=[] if pair in few else [pytest.mark.slow],
        )
        for pair in PAIRS
    ]


@pytest.mark.parametrize("pair", _parameters())
def test_results_are_right_at_the_clearance(pair: Pair) -> None:
    assert _same(MODELS[pair.case], pair, pair.clearance)


@pytest.mark.parametrize("pair", _parameters())
def test_results_are_right_beyond_the_clearance(pair: Pair) -> None:
    assert _same(MODELS[pair.case], pair, pair.clearance + _closer(pair))


# Cases of numbers that are all different, as no chance hides an overlap there.
EVERY = ("moved", "gathered", "matrices", "reduced", "upsampled", "parts")
# Those of many forms, whose kernels have orders of their own.
DRAWN = (
    *("matrices", "fully_connected", "fully_connected_int16", "int4", "transpose_conv", "resize"),
    *("movement", "strided_slice", "blocks", "uint8_concatenation", "mean", "prelu"),
    *("softmax", "softmax_int16", "log_softmax", "l2_normalization", "binary", "comparison"),
    *("conv_2d_of_any_type", "depthwise_conv_2d_of_any_type", "pooling"),
)
FORMS = sorted({(pair.form, pair.backward) for pair in PAIRS})


@pytest.mark.parametrize(("form", "backward"), FORMS)
def test_clearances_are_tight(form: str, backward: bool) -> None:
    pairs = [p for p in PAIRS if (p.form, p.backward) == (form, backward)]
    assert not all(_same(MODELS[pair.case], pair, pair.clearance - _closer(pair)) for pair in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("pair", [pytest.param(p, id=p.name) for p in PAIRS if p.case in EVERY])
def test_every_clearance_is_tight(pair: Pair) -> None:
    assert not _same(MODELS[pair.case], pair, pair.clearance - _closer(pair))


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_random_layers_are_right_at_the_clearance(name: str) -> None:
    @settings(
        max_examples=2,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(random()[name])
    def property_(model: ModelBuilder) -> None:
        found = _model("overlapping", model)
        for pair in _pairs("overlapping", found[0]):
            assert _same(found, pair, pair.clearance, "-O2"), pair

    property_()


def test_outputs_of_many_elements_overlap_nothing() -> None:
    m = ModelBuilder()
    x = m.input((2048, 2049), Quant(0.1, 3))
    m.output(m.add(x, m.unary("RELU", x)))
    layer = compile_model(m.build()).layers[-1]
    assert layer.kind == "ADD"
    assert not any(portable_clearances(layer.steps[0].call))

"""How far outputs may lie over inputs, by brute force: right as declared, wrong a bit closer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from cases import built, cases
from cases.binary import binary
from cases.comparison import compare
from exactness import Array, inputs_of
from lotor.codegen.c import Program, render_header, render_source
from lotor.compiler import Compiled, compile_model
from lotor.host import HostModel
from lotor.memory import Plan
from lotor.targets.overlap import portable_clearances
from random_graphs import quick_build
from tflite_builder import ModelBuilder, Quant


@dataclass(frozen=True)
class Pair:
    """An input that a layer's output may lie over, and how far."""

    case: str
    layer: int
    place: int
    function: str
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


def _models() -> dict[str, tuple[Compiled, list[list[Array]]]]:
    """The cases, compiled so that no tensor is placed inside another."""
    found = {}
    for build in [*cases(), of_one_shape]:
        model = built(build)
        compiled = compile_model(model.build(), "host", skip=["place_parts"])
        found[build.__name__] = compiled, list(inputs_of(model))[:4]
    return found


MODELS = _models()


def _pairs() -> Iterator[Pair]:
    for name, (compiled, _) in MODELS.items():
        for number, layer in enumerate(compiled.layers):
            call = layer.steps[0].call
            if len(layer.steps) > 1:
                continue
            for place, clearance in enumerate(portable_clearances(call)):
                if call.inputs.count(call.inputs[place]) > 1:
                    continue
                for backward, found in enumerate((clearance.forward, clearance.backward)):
                    if found is not None:
                        yield Pair(name, number, place, call.function, bool(backward), found)


PAIRS = list(_pairs())


def _moved(compiled: Compiled, pair: Pair, clearance: int) -> Compiled:
    """The model with every tensor in a place of its own but the output of one layer."""
    (step,) = compiled.layers[pair.layer].steps
    under, over = step.call.inputs[pair.place], step.call.outputs[0]
    room = -(-(abs(clearance) + under.nbytes + over.nbytes) // 64) * 64
    places, offset = [], 3 * room
    distance = -clearance  # from the beginning of the input to that of the output
    if pair.backward:
        distance = clearance + under.nbytes - over.nbytes
    # The one with the larger elements is aligned.
    aligned = over.np_dtype.itemsize >= under.np_dtype.itemsize
    at = room - distance if aligned else room
    for p in compiled.plan.placements:
        if over in p.tensors:
            places.append(replace(p, offset=at + distance))
        elif under in p.tensors:
            places.append(replace(p, offset=at))
        else:
            places.append(replace(p, offset=offset))
            offset += -(-p.nbytes // 64) * 64
    plan = Plan(tuple(places), offset + 64, 0, 0)
    layers, target = list(compiled.layers), compiled.target.name
    if pair.backward:
        call = replace(step.call, params={**step.call.params, "backward": 1})
        layers[pair.layer] = replace(layers[pair.layer], steps=[replace(step, call=call)])
    program = Program(
        compiled.name, compiled.graph, layers, plan, compiled.model_hash, target, "0", ()
    )
    return replace(
        compiled, plan=plan, source=render_source(program), header=render_header(program)
    )


def _same(pair: Pair, clearance: int) -> bool:
    """Whether a layer computes what it does in memory of its own."""
    compiled, inputs = MODELS[pair.case]
    with quick_build():
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
    """All pairs; but for one of each function they are slow."""
    few = {(pair.function, pair.backward): pair for pair in PAIRS}.values()
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
    assert _same(pair, pair.clearance)


FORMS = sorted({(pair.function, pair.backward) for pair in PAIRS})


@pytest.mark.parametrize(("function", "backward"), FORMS)
def test_clearances_are_tight(function: str, backward: bool) -> None:
    pairs = [p for p in PAIRS if (p.function, p.backward) == (function, backward)]
    assert not all(_same(pair, pair.clearance - _closer(pair)) for pair in pairs)


def test_outputs_of_many_elements_overlap_nothing() -> None:
    m = ModelBuilder()
    x = m.input((2048, 2049), Quant(0.1, 3))
    m.output(m.add(x, m.unary("RELU", x)))
    layer = compile_model(m.build()).layers[-1]
    assert layer.kind == "ADD"
    assert not any(portable_clearances(layer.steps[0].call))

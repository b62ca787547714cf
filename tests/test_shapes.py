"""Shapes that the model file leaves open follow from the layers."""

from dataclasses import replace

import numpy as np

from cases import built, cases
from cases import movement as mv
from cases.binary import binary
from exactness import assert_exact
from lotor.frontend.tflite import read_model
from lotor.graph import Op, Tensor
from lotor.interpreter import Interpreter
from lotor.ops import operators
from lotor.optimize.shapes import _PARTS, _SHAPES, settled
from lotor.oracle import Oracle
from tflite_builder import ModelBuilder
from tflite_builder import Tensor as Built


def opened(m: ModelBuilder, *tensors: Built) -> None:
    """Leave the shapes of tensors open, as the converter writes that."""
    for t in tensors:
        sizes = (1,) * len(t.shape)
        m.tensors[t.index] = replace(t, shape=sizes, signature=(-1,) * len(t.shape))
    m.outputs = [m.tensors[t.index] for t in m.outputs]


def rows_of_pixels(m: ModelBuilder) -> None:
    """As a dense layer over more than two axes: its sizes are computed from those of the input."""
    x = m.input((1, 3, 4, 5), dtype="float32", signature=(-1, 3, 4, 5))
    shape = mv.shape_of(m, x)
    pixels = m.operator(
        "REDUCE_PROD",
        [mv.strided_slice(m, shape, slice(0, 3)), mv.ints(m, [0])],
        [m.tensor((), None, "int32")],
        "ReducerOptions",
    )
    rows = m.tensor((12, 5), None, "float32")
    m.operator("RESHAPE", [x, mv.pack(m, [pixels, mv.ints(m, 5)], 0)], [rows], "ReshapeOptions")
    dense = m.fully_connected(rows, 6)
    added = binary(m, "ADD", dense, m.unary("RELU", dense), activation="RELU6")
    # The sizes of a tensor whose own were open.
    flat = m.tensor((72,), None, "float32")
    half = binary(m, "MUL", mv.shape_of(m, added), mv.ints(m, [1, 6]))
    size = m.operator(
        "REDUCE_MAX",
        [half, mv.ints(m, [0])],
        [m.tensor((1,), None, "int32")],
        "ReducerOptions",
        KeepDims=True,
    )
    size = binary(m, "MUL", size, mv.ints(m, [2]))
    m.operator("RESHAPE", [added, size], [flat], "ReshapeOptions")
    m.output(added, m.unary("NEG", dense), flat)
    opened(m, *(t for t in m.tensors if t.dtype == "float32" and t.data is None and t is not x))


def test_layers_behind_a_computed_shape() -> None:
    m = built(rows_of_pixels)
    assert_exact(m)


def test_the_interpreter_tells_the_shapes() -> None:
    m = built(rows_of_pixels)
    ours, oracle = Interpreter(model_content=m.build()), Oracle(m.build())
    ours.allocate_tensors()
    x = m.rng.normal(0, 1, (1, 3, 4, 5)).astype(np.float32)
    ours.set_tensor(m.inputs[0].index, x)
    ours.invoke()
    oracle.run(x)
    for detail in ours.get_output_details():
        expected = oracle.tensor(detail["index"])
        assert tuple(detail["shape"]) == expected.shape
        assert ours.get_tensor(detail["index"]).shape == expected.shape


def _open(op: Op) -> Op:
    """Leave the shapes of a layer's outputs open."""

    def without(t: Tensor) -> Tensor:
        axes = len(t.shape)
        return replace(t, shape=(1,) * axes, shape_signature=(-1,) * axes)

    return replace(op, outputs=[without(t) for t in op.outputs])


def test_every_operator_gives_its_shapes() -> None:
    known = _SHAPES.keys() | _PARTS.keys()
    found = set()
    for build in cases():
        for op in read_model(built(build).build(), "model").ops:
            unknown = _open(op)
            result = settled(unknown)
            if op.kind not in known:
                assert result is unknown
            elif result is not unknown:  # else what it follows from is no constant
                expected = [y.shape for y in op.outputs]
                assert [y.shape for y in result.outputs] == expected, f"{op.kind} {build.__name__}"
                assert settled(op) is op
                found.add(op.kind)
    assert known <= operators().keys()
    assert found == known

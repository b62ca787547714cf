"""Moving data: what is refused, indices that come at run time, what costs nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sanitized
from cases import movement as mv
from exactness import assert_exact
from lotor import host
from lotor.compiler import UnsupportedModelError, compile_model
from lotor.frontend.tflite import read_model
from lotor.ops import operators
from lotor.ops.copy import Copy, View
from lotor.ops.movement import Movement
from tflite_builder import ModelBuilder, Quant, Tensor

REFUSED: dict[str, tuple[str, Callable[[ModelBuilder, Tensor], Tensor]]] = {}


def refused(words: str) -> Callable[[Any], Any]:
    """Register a layer on an int8 input [2,3,4] that must be refused with these words."""

    def register(build: Any) -> Any:
        REFUSED[build.__name__] = words, build
        return build

    return register


def layer(
    m: ModelBuilder,
    kind: str,
    inputs: list[Tensor],
    shape: tuple[int, ...],
    options: str | None = None,
    **fields: Any,
) -> Tensor:
    x = inputs[0]
    return m.operator(kind, inputs, [m.tensor(shape, x.quant, x.dtype)], options, **fields)


@refused("order of 3 axes")
def transpose_twice_the_same(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "TRANSPOSE", [x, mv.ints(m, (0, 1, 1))], (2, 3, 3))


@refused("order of 3 axes")
def transpose_of_too_few(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "TRANSPOSE", [x, mv.ints(m, (1, 0))], (3, 2, 4))


@refused("order of 3 axes")
def transpose_at_run_time(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "TRANSPOSE", [x, m.input((3,), None, "int32")], (2, 3, 4))


@refused("follows from the layer")
def transpose_to_another_shape(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "TRANSPOSE", [x, mv.ints(m, (2, 1, 0))], (2, 3, 4))


@refused("one type needed")
def transpose_to_another_type(m: ModelBuilder, x: Tensor) -> Tensor:
    y = m.tensor((4, 3, 2), None, "int32")
    return m.operator("TRANSPOSE", [x, mv.ints(m, (2, 1, 0))], [y])


@refused("axis 3 does not exist")
def concatenation_of_no_axis(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "CONCATENATION", [x, x], (2, 3, 4), "ConcatenationOptions", Axis=3)


@refused("fused activation")
def concatenation_with_activation(m: ModelBuilder, x: Tensor) -> Tensor:
    fields = {"Axis": 0, "FusedActivationFunction": 1}
    return layer(m, "CONCATENATION", [x, x], (4, 3, 4), "ConcatenationOptions", **fields)


@refused("must have scale and zero point")
def concatenation_of_other_scales(m: ModelBuilder, x: Tensor) -> Tensor:
    return mv.concatenation(m, [x, m.input((2, 3, 4), Quant(0.2))], 0)


@refused("differs from")
def concatenation_with_a_number(m: ModelBuilder, x: Tensor) -> Tensor:
    parts = [m.input((4,), x.quant), m.input((), x.quant)]
    return layer(m, "CONCATENATION", parts, (5,), "ConcatenationOptions", Axis=0)


@refused("differs from")
def concatenation_of_other_shapes(m: ModelBuilder, x: Tensor) -> Tensor:
    y = m.input((2, 2, 4), x.quant)
    return layer(m, "CONCATENATION", [x, y], (4, 3, 4), "ConcatenationOptions", Axis=0)


@refused("zero point 3; 0 needed")
def concatenation_of_int16_with_zero_point(m: ModelBuilder, x: Tensor) -> Tensor:
    return mv.concatenation(m, [m.input((2, 2), Quant(0.1, 3), "int16")] * 2, 0)


@refused("cannot be split")
def split_that_does_not_divide(m: ModelBuilder, x: Tensor) -> Tensor:
    ys = [m.tensor((2, 3, 2), x.quant) for _ in range(3)]
    return m.operator("SPLIT", [mv.ints(m, 2), x], ys, "SplitOptions", NumSplits=3)


@refused("cannot be split")
def split_of_a_wrong_sum(m: ModelBuilder, x: Tensor) -> Tensor:
    ys = [m.tensor((2, 3, 2), x.quant), m.tensor((2, 3, 3), x.quant)]
    operands = [x, mv.ints(m, (2, 3)), mv.ints(m, 2)]
    return m.operator("SPLIT_V", operands, ys, "SplitVOptions", NumSplits=2)


@refused("axis 3 does not exist")
def split_of_no_axis(m: ModelBuilder, x: Tensor) -> Tensor:
    ys = [mv.like(m, x, x.shape)]
    return m.operator("SPLIT", [mv.ints(m, 3), x], ys, "SplitOptions", NumSplits=1)


@refused("does not give")
def unpack_of_too_few(m: ModelBuilder, x: Tensor) -> Tensor:
    ys = [m.tensor((3, 4), x.quant)]
    return m.operator("UNPACK", [x], ys, "UnpackOptions", Num=1, Axis=0)


@refused("has 2")
def pack_of_another_number(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "PACK", [x, x], (3, 2, 3, 4), "PackOptions", ValuesCount=3, Axis=0)


@refused("has no [1, 1, 3] at [0, 0, 2]")
def slice_beyond_the_end(m: ModelBuilder, x: Tensor) -> Tensor:
    operands = [x, mv.ints(m, (0, 0, 2)), mv.ints(m, (1, 1, 3))]
    return layer(m, "SLICE", operands, (1, 1, 3))


@refused("has no")
def slice_before_the_start(m: ModelBuilder, x: Tensor) -> Tensor:
    operands = [x, mv.ints(m, (0, 0, -1)), mv.ints(m, (1, 1, 3))]
    return layer(m, "SLICE", operands, (1, 1, 3))


def strided(
    m: ModelBuilder, x: Tensor, rows: list[list[int]], shape: tuple[int, ...], **masks: int
) -> Tensor:
    operands = [x, *(mv.ints(m, row) for row in rows)]
    return layer(m, "STRIDED_SLICE", operands, shape, "StridedSliceOptions", **masks)


@refused("stride of 0")
def strided_slice_that_stands(m: ModelBuilder, x: Tensor) -> Tensor:
    return strided(m, x, [[0], [2], [0]], (2, 3, 4))


@refused("picks nothing")
def strided_slice_of_no_index(m: ModelBuilder, x: Tensor) -> Tensor:
    return strided(m, x, [[2], [3], [1]], (3, 4), ShrinkAxisMask=1)


@refused("picks nothing")
def strided_slice_backwards_to_an_index(m: ModelBuilder, x: Tensor) -> Tensor:
    return strided(m, x, [[1], [0], [-1]], (3, 4), ShrinkAxisMask=1)


@refused("indices for 4 axes of 3")
def strided_slice_of_too_many(m: ModelBuilder, x: Tensor) -> Tensor:
    return strided(m, x, [[0] * 4, [1] * 4, [1] * 4], (1, 1, 1))


@refused("several ellipses")
def strided_slice_of_two_ellipses(m: ModelBuilder, x: Tensor) -> Tensor:
    return strided(m, x, [[0, 0], [1, 1], [1, 1]], (2, 3, 4), EllipsisMask=3)


@refused("stands for no axis")
def strided_slice_of_an_empty_ellipsis(m: ModelBuilder, x: Tensor) -> Tensor:
    return strided(m, x, [[0] * 4, [1] * 4, [1] * 4], (1, 1, 1), EllipsisMask=1)


@refused("has no end")
def strided_slice_beyond_its_offset(m: ModelBuilder, x: Tensor) -> Tensor:
    return strided(m, x, [[1, 0, 0], [5, 3, 4], [1] * 3], (1, 3, 4), Offset=True)


@refused("ends at -1 of 2")
def strided_slice_backwards_beyond_its_offset(m: ModelBuilder, x: Tensor) -> Tensor:
    return strided(m, x, [[1, 0, 0], [-2, 3, 4], [-1, 1, 1]], (2, 3, 4), Offset=True)


@refused("lengths for 1 axes; 3 needed")
def strided_slice_by_lengths_of_some_axes(m: ModelBuilder, x: Tensor) -> Tensor:
    return strided(m, x, [[0], [1], [1]], (1, 3, 4), Offset=True)


@refused("constant integers each")
def strided_slice_of_other_counts(m: ModelBuilder, x: Tensor) -> Tensor:
    return strided(m, x, [[0], [1, 1], [1]], (1, 3, 4))


@refused("leave the 3 of axis 1")
def gather_beyond_the_end(m: ModelBuilder, x: Tensor) -> Tensor:
    return mv.gather(m, x, mv.ints(m, [0, 3]), 1)


@refused("leave the 3 of axis 1")
def gather_before_the_start(m: ModelBuilder, x: Tensor) -> Tensor:
    return mv.gather(m, x, mv.ints(m, [-1]), 1)


@refused("batch dimensions do not fit")
def gather_of_other_batches(m: ModelBuilder, x: Tensor) -> Tensor:
    fields = {"Axis": 1, "BatchDims": 1}
    indices = mv.ints(m, [[0], [0], [0]])
    return layer(m, "GATHER", [x, indices], (2, 1, 4), "GatherOptions", **fields)


@refused("float32")
def gather_by_floats(m: ModelBuilder, x: Tensor) -> Tensor:
    indices = m.input((2,), None, "float32")
    return layer(m, "GATHER", [x, indices], (2, 3, 4), "GatherOptions")


@refused("leave [2, 3]")
def gather_nd_beyond_the_end(m: ModelBuilder, x: Tensor) -> Tensor:
    return mv.gather_nd(m, x, mv.ints(m, [[1, 3]]))


@refused("do not choose out of")
def gather_nd_of_too_many_coordinates(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "GATHER_ND", [x, mv.ints(m, [[0, 0, 0, 0]])], (1,))


@refused("none negative")
def pad_by_less_than_nothing(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "PAD", [x, mv.ints(m, [[-1, 0], [0, 0], [0, 0]])], (1, 3, 4))


@refused("constant pairs")
def pad_at_run_time(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "PAD", [x, m.input((3, 2), None, "int32")], (2, 3, 4))


@refused("mirror more than")
def mirror_more_than_there_is(m: ModelBuilder, x: Tensor) -> Tensor:
    return mv.padded(m, x, [(2, 0), (0, 0), (0, 0)], "MIRROR_PAD", Mode=0)


@refused("1 needed")
def pad_with_several_values(m: ModelBuilder, x: Tensor) -> Tensor:
    operands = [x, mv.ints(m, [[1, 0], [0, 0], [0, 0]]), m.constant(np.zeros(2), x.quant)]
    return layer(m, "PADV2", operands, (3, 3, 4))


@refused("block")
def space_to_depth_of_three_dimensions(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "SPACE_TO_DEPTH", [x], (2, 3, 4), "SpaceToDepthOptions", BlockSize=2)


@refused("pixels")
def depth_to_space_without_block(m: ModelBuilder, x: Tensor) -> Tensor:
    y = m.reshape(x, (1, 2, 3, 4))
    return layer(m, "DEPTH_TO_SPACE", [y], (1, 2, 3, 4), "DepthToSpaceOptions", BlockSize=0)


@refused("no multiple of 2")
def space_to_batch_that_does_not_divide(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "SPACE_TO_BATCH_ND", [x, mv.ints(m, [2]), mv.ints(m, [[0, 0]])], (4, 1, 4))


@refused("not negative")
def batch_to_space_of_negative_blocks(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "BATCH_TO_SPACE_ND", [x, mv.ints(m, [-2]), mv.ints(m, [[0, 0]])], (1, 6, 4))


@refused("too large")
def space_to_batch_of_a_huge_block(m: ModelBuilder, x: Tensor) -> Tensor:
    return mv.space_to_batch(m, x, (3000,), ((2990, 7),))


@refused("at most 256 are made")
def mirror_of_too_many_parts(m: ModelBuilder, x: Tensor) -> Tensor:
    y = m.input((2,) * 6, x.quant)
    return mv.padded(m, y, [(1, 1)] * 6, "MIRROR_PAD", Mode=1)


@refused("constant integers")
def tile_at_run_time(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "TILE", [x, m.input((3,), None, "int32")], (2, 3, 4))


@refused("cannot be broadcast")
def broadcast_of_more_than_one(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "BROADCAST_TO", [x, mv.ints(m, (2, 6, 4))], (2, 6, 4))


@refused("not all of size 1")
def squeeze_of_more_than_one(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "SQUEEZE", [x], (2, 12), "SqueezeOptions", SqueezeDims=[1])


@refused("axis 4 does not exist")
def expand_beyond_the_last(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "EXPAND_DIMS", [x, mv.ints(m, 4)], (2, 3, 4, 1))


@refused("cannot become")
def reshape_to_other_elements(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "RESHAPE", [x, mv.ints(m, (2, 3))], (2, 3))


@refused("does not give the output's")
def reshape_to_another_shape(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "RESHAPE", [x, mv.ints(m, (4, 6))], (6, 4))


@refused("must be a constant")
def reshape_at_run_time(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "RESHAPE", [x, m.input((1,), None, "int32")], (24,))


@refused("no finite range")
def range_that_never_ends(m: ModelBuilder, x: Tensor) -> Tensor:
    operands = [mv.ints(m, v) for v in (0, 9, 0)]
    return layer(m, "RANGE", operands, (9,), "RangeOptions")


@refused("constant number each")
def range_at_run_time(m: ModelBuilder, x: Tensor) -> Tensor:
    operands = [mv.ints(m, 0), m.input((), None, "int32"), mv.ints(m, 1)]
    return layer(m, "RANGE", operands, (9,), "RangeOptions")


@refused("axes of [2, 3, 4]")
def reverse_of_no_axis(m: ModelBuilder, x: Tensor) -> Tensor:
    return layer(m, "REVERSE_V2", [x, mv.ints(m, [3])], (2, 3, 4))


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_reason(name: str) -> None:
    words, build = REFUSED[name]
    m = ModelBuilder()
    m.output(build(m, m.input((2, 3, 4), Quant(0.1, 0))))
    with pytest.raises(UnsupportedModelError) as caught:
        compile_model(m.build())
    assert words in str(caught.value)


def chosen(kind: str, index: str) -> ModelBuilder:
    """A table of constants out of which indices choose at run time."""
    m = ModelBuilder(5)
    table = m.constant(np.arange(24, dtype=np.int32).reshape(4, 3, 2) + 1, None, "int32")
    if kind == "GATHER":
        m.output(mv.gather(m, table, m.input((2, 3), None, index), 1))
    else:
        m.output(mv.gather_nd(m, table, m.input((3, 2), None, index)))
    return m


@pytest.mark.parametrize("index", ["int16", "int32", "int64"])
@pytest.mark.parametrize("kind", ["GATHER", "GATHER_ND"])
def test_indices_outside_give_zeros(kind: str, index: str) -> None:
    m = chosen(kind, index)
    table = np.arange(24).reshape(4, 3, 2) + 1
    far = np.iinfo(index)
    model = host.load(m.build())
    if kind == "GATHER":
        given = np.array([[0, 3, 2], [-1, far.min, far.max]], index)
        want = np.zeros((4, 2, 3, 2), np.int32)
        want[:, 0, 0], want[:, 0, 2] = table[:, 0], table[:, 2]
    else:
        given = np.array([[3, 2], [4, 0], [0, -1]], index)
        want = np.zeros((3, 2), np.int32)
        want[0] = table[3, 2]
    assert (model.run(given) == want).all()


@pytest.mark.parametrize("kind", ["GATHER", "GATHER_ND"])
def test_indices_outside_read_nothing(kind: str, tmp_path: Path) -> None:
    m = chosen(kind, "int64")
    shape = m.inputs[0].shape
    rng = np.random.default_rng(1)
    model = host.load(m.build())
    given = [rng.integers(-(2**62), 2**62, shape), rng.integers(-2, 6, shape)]
    cases = [x.tobytes() + model.run(x).tobytes() for x in given]
    compiled = compile_model(m.build(), "portable", "chosen")
    assert sanitized.compilers()
    for compiler in sanitized.compilers():
        built = sanitized.program(compiled, tmp_path, compiler)
        assert sanitized.run_program(built, b"".join(cases), len(cases)) == ""


def test_an_ellipsis_that_is_a_new_axis_too() -> None:
    m = ModelBuilder()
    x = m.input((2, 3, 4), Quant(0.1, 0))
    rows = [[0, 0, 1, 0], [1, 1, 2, 4], [1, 1, 1, 2]]
    m.output(strided(m, x, rows, (1, 2, 1, 2), EllipsisMask=2, NewAxisMask=3))
    assert_exact(m)


def test_what_moves_nothing_costs_nothing() -> None:
    m = ModelBuilder()
    x = m.input((1, 3, 1, 4), Quant(0.1, 0))
    y = mv.transpose(m, x, (1, 0, 3, 2))
    y = mv.tile(m, mv.squeeze(m, mv.expand_dims(m, y, 0)), (1, 1))
    m.output(m.max_pool2d(m.reshape(y, (1, 3, 4, 1))))
    compiled = compile_model(m.build())
    assert [layer.kind for layer in compiled.layers] == ["MAX_POOL_2D"]
    assert_exact(m)


def test_copies_say_what_they_are() -> None:
    m = ModelBuilder()
    x = m.input((2, 6, 4), Quant(0.1, 0))
    m.output(*mv.split(m, x, 2, 1))
    (op,) = read_model(m.build(), "model").ops
    operator = operators()["SPLIT"]
    assert isinstance(operator, Movement)
    first, second = operator.copies(op)
    assert first.source.start == 0
    assert second.source.start == 12
    for copy, y in zip((first, second), op.outputs, strict=True):
        assert copy.source.tensor is op.inputs[1]
        assert copy.target == View.of(y)
        assert copy.dimensions() == [(2, 24, 12), (12, 1, 1)]
        (call,) = copy.calls()
        assert call.params["run"] == 12
        assert (call.params["size_5"], call.params["in_5"], call.params["out_5"]) == (2, 24, 12)


def test_many_dimensions_become_several_calls() -> None:
    m = ModelBuilder()
    x = m.input((2, 3, 2, 3, 2, 3, 2, 3), Quant(0.1, 0))
    m.output(mv.transpose(m, x, range(7, -1, -1)))
    (op,) = read_model(m.build(), "model").ops
    operator = operators()["TRANSPOSE"]
    assert isinstance(operator, Movement)
    (copy,) = operator.copies(op)
    assert isinstance(copy, Copy)
    assert copy.count() == len(copy.calls()) == 4

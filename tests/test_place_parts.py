"""Joining and splitting by placement: exact, without a copy, and copied where it must be."""

from collections.abc import Callable

import numpy as np
import pytest

from cases.binary import binary
from cases.comparison import compare, select
from cases.movement import strided_slice
from exactness import assert_exact
from lotor.compiler import Compiled, compile_model
from passes import assert_rewrite_exact
from tflite_builder import SOFTMAX_QUANT, ModelBuilder, Quant, Tensor

Q = Quant(0.05, -3)
Build = Callable[[ModelBuilder], None]


def join(m: ModelBuilder, axis: int, *parts: Tensor) -> Tensor:
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    y = m.tensor(shape, parts[0].quant, parts[0].dtype)
    return m.operator("CONCATENATION", parts, [y], "ConcatenationOptions", Axis=axis)


def split(m: ModelBuilder, x: Tensor, axis: int, parts: int) -> list[Tensor]:
    shape = list(x.shape)
    shape[axis] //= parts
    pieces = [m.tensor(shape, x.quant, x.dtype) for _ in range(parts)]
    where = m.constant(np.array(axis), None, "int32")
    m.operator("SPLIT", [where, x], pieces, "SplitOptions", NumSplits=parts)
    return pieces


def conv(m: ModelBuilder, x: Tensor, channels: int = 4, size: int = 1) -> Tensor:
    return m.conv2d(x, channels, (size, size), quant=Q)


def large_before(m: ModelBuilder, channels: int) -> Tensor:
    """So much memory is needed before that a part may live longer in its place."""
    return m.conv2d(m.input((2, 9, 12, 8), Q), channels, (1, 1), (3, 3), quant=Q)


def joined_rows(m: ModelBuilder) -> None:
    x = m.input((1, 4, 4, 4), Q)
    m.output(conv(m, join(m, 1, conv(m, x), conv(m, x)), size=3))


def joined_channels(m: ModelBuilder) -> None:
    x = m.input((1, 4, 4, 4), Q)
    y = join(m, 3, conv(m, x), m.depthwise_conv2d(x, 2, quant=Q), m.unary("TANH", x, Q))
    m.output(conv(m, y, 3, size=3))


def joined_channels_of_pools_that_others_read(m: ModelBuilder) -> None:
    x = large_before(m, 8)
    a, b = m.max_pool2d(x, padding="SAME"), m.average_pool2d(x, padding="SAME")
    m.output(conv(m, join(m, 3, a, b)), m.max_pool2d(a, (3, 3), (1, 1), "SAME"), conv(m, b, 2, 3))


def joins_of_joins(m: ModelBuilder) -> None:
    x = m.input((1, 3, 5, 4), Q)
    y = join(m, 3, conv(m, x), conv(m, x, 8))
    z = join(m, 3, y, conv(m, y))
    m.output(conv(m, join(m, 3, conv(m, z, 8), z), 3, 3))


def rows_of_joined_rows(m: ModelBuilder) -> None:
    x = m.input((1, 3, 4, 4), Q)
    y = join(m, 1, conv(m, x), conv(m, x))
    m.output(conv(m, join(m, 1, conv(m, x), y), 3))


def split_channels(m: ModelBuilder) -> None:
    x = conv(m, m.input((1, 4, 5, 3), Q), 12)
    a, b, c = split(m, x, 3, 3)
    m.output(conv(m, a, 2, 3), m.depthwise_conv2d(b), m.max_pool2d(c), m.average_pool2d(a))


def split_rows_of_the_input(m: ModelBuilder) -> None:
    a, b = split(m, m.input((1, 4, 4, 2), Q), 1, 2)
    m.output(m.conv2d(a, 3), m.add(a, b))


def splits_of_splits(m: ModelBuilder) -> None:
    x = conv(m, m.input((1, 4, 5, 3), Q), 16)
    a, b = split(m, x, 3, 2)
    c, d = split(m, b, 3, 2)
    m.output(conv(m, a, 2), conv(m, c, 3, 3), conv(m, d, 2, 3))


def shuffled(m: ModelBuilder) -> None:
    x = conv(m, m.input((1, 4, 4, 3), Q), 8)
    a, b = split(m, x, 3, 2)
    m.output(conv(m, join(m, 3, a, conv(m, b, 4, 3)), 5))


def reshaped_and_joined(m: ModelBuilder) -> None:
    x = m.input((1, 4, 4, 3), Q)
    heads = [m.reshape(conv(m, y, 8), (1, -1, 4)) for y in (x, x)]
    m.output(m.softmax(join(m, 1, *heads)))


def joined_sums(m: ModelBuilder) -> None:
    x, row = m.input((2, 3, 4, 4), Q), m.input((1, 1, 4, 4), Q)
    a, b = conv(m, x), m.depthwise_conv2d(x, quant=Q)
    parts = [m.add(a, b, quant=Q), binary(m, "MUL", a, row, Q), binary(m, "SUB", b, a, Q)]
    m.output(conv(m, join(m, 3, *parts), 3, 3))


def a_single_channel_of_differences(m: ModelBuilder) -> None:
    x = large_before(m, 4)
    y = binary(m, "SUB", conv(m, x, 1), conv(m, x, 1), Q)
    m.output(conv(m, join(m, 3, conv(m, x), y), 3, 3))


def sums_of_split_channels(m: ModelBuilder) -> None:
    a, b, c = split(m, large_before(m, 12), 3, 3)
    m.output(m.add(a, b), binary(m, "MAXIMUM", c, a), select(m, compare(m, "LESS", a, c), b, c))


def sums_of_single_channels(m: ModelBuilder) -> None:
    x = conv(m, m.input((1, 4, 5, 3), Q), 8)
    a, b = strided_slice(m, x, ..., slice(0, 1)), strided_slice(m, x, ..., slice(4, 5))
    m.output(m.add(a, b), m.add(b, conv(m, x, 5)), binary(m, "MUL", x, b, Q))


def words_of_split_channels(m: ModelBuilder) -> None:
    x = m.dequantize(conv(m, m.input((1, 4, 5, 3), Q), 8))
    a, b = split(m, x, 3, 2)
    m.output(binary(m, "ADD", a, b), binary(m, "FLOOR_MOD", b, b), binary(m, "DIV", b, a))


PLACED: list[Build] = [
    joined_sums,
    a_single_channel_of_differences,
    sums_of_split_channels,
    sums_of_single_channels,
    words_of_split_channels,
    joined_rows,
    joined_channels,
    joined_channels_of_pools_that_others_read,
    joins_of_joins,
    rows_of_joined_rows,
    split_channels,
    split_rows_of_the_input,
    splits_of_splits,
    reshaped_and_joined,
]


def copies(compiled: Compiled) -> int:
    return compiled.source.count("lotor_copy_portable(\n")


@pytest.mark.parametrize("build", PLACED, ids=lambda build: str(build.__name__))
def test_nothing_is_copied(build: Build) -> None:
    m = ModelBuilder(seed=3)
    build(m)
    assert_rewrite_exact(m, "place_parts")
    assert copies(compile_model(m.build(), skip=["place_parts"])) > 0
    compiled = compile_model(m.build())
    assert copies(compiled) == 0
    assert (
        compiled.plan.arena_bytes <= compile_model(m.build(), skip=["place_parts"]).plan.arena_bytes
    )


def test_a_part_that_goes_into_two_joins_is_copied_into_one() -> None:
    m = ModelBuilder(seed=3)
    x = m.input((1, 4, 4, 4), Q)
    a, b = conv(m, x), conv(m, x)
    m.output(conv(m, join(m, 1, a, b)), conv(m, join(m, 1, b, a)), conv(m, join(m, 1, a, a)))
    assert_rewrite_exact(m, "place_parts")
    assert copies(compile_model(m.build())) > 0


def cut(m: ModelBuilder, x: Tensor, begin: list[int], size: list[int]) -> Tensor:
    where = [m.constant(np.array(v), None, "int32") for v in (begin, size)]
    return m.operator("SLICE", [x, *where], [m.tensor(size, x.quant)], "SliceOptions")


def one_tensor_of_two_shapes_in_two_joins(m: ModelBuilder) -> None:
    x = conv(m, m.input((1, 4, 4, 4), Q))
    a, b = (m.reshape(x, shape) for shape in ((1, 8, 8), (1, 16, 4)))
    other = conv(m, m.max_pool2d(x, (3, 3), (1, 1), "SAME"))
    m.output(join(m, 1, a, m.reshape(other, (1, 8, 8))), join(m, 1, b, m.reshape(x, (1, 16, 4))))


def pieces_of_a_part_with_gaps(m: ModelBuilder) -> None:
    x = m.input((1, 4, 4, 4), Q)
    y = conv(m, x, 8)
    z = join(m, 3, conv(m, x), y)
    m.output(conv(m, cut(m, y, [0, 1, 0, 4], [1, 3, 4, 4]), 2))
    m.output(conv(m, z), *(conv(m, part, 2) for part in split(m, y, 1, 2)))


def a_piece_under_another_shape_in_a_join(m: ModelBuilder) -> None:
    a, b = split(m, conv(m, m.input((1, 4, 4, 4), Q), 8), 1, 2)
    shape = (1, 8, 8)
    m.output(join(m, 1, m.reshape(conv(m, b, 8), shape), m.reshape(a, shape)))


def writers_of_one_piece_only(m: ModelBuilder) -> None:
    x = m.input((1, 4, 4, 4), Q)
    y = m.conv2d(x, 4, (1, 1), quant=SOFTMAX_QUANT)
    m.output(conv(m, join(m, 3, m.softmax(x), y), 3))


@pytest.mark.parametrize(
    "build",
    [
        one_tensor_of_two_shapes_in_two_joins,
        pieces_of_a_part_with_gaps,
        a_piece_under_another_shape_in_a_join,
        writers_of_one_piece_only,
    ],
    ids=lambda build: str(build.__name__),
)
def test_some_are_placed_and_some_copied(build: Build) -> None:
    m = ModelBuilder(seed=3)
    build(m)
    assert_rewrite_exact(m, "place_parts")
    assert copies(compile_model(m.build())) > 0


def test_a_part_of_a_split_that_is_joined_is_copied_once() -> None:
    m = ModelBuilder(seed=3)
    shuffled(m)
    assert_rewrite_exact(m, "place_parts")
    assert copies(compile_model(m.build())) == 1


def outputs(m: ModelBuilder) -> None:
    x = m.input((1, 4, 4, 4), Q)
    y = join(m, 3, conv(m, x), conv(m, x))
    a, b = split(m, y, 1, 2)
    m.output(y, a, b, *split(m, y, 3, 2))


def inputs(m: ModelBuilder) -> None:
    a, b = m.input((1, 4, 4, 4), Q), m.input((1, 4, 4, 4), Q)
    m.output(join(m, 1, a, b), join(m, 3, b, a), join(m, 3, conv(m, a), b))


def constants(m: ModelBuilder) -> None:
    x = conv(m, m.input((1, 4, 4, 4), Q))
    m.output(join(m, 3, x, m.constant(m.weights((1, 4, 4, 4)), Q)))


def unaligned(m: ModelBuilder) -> None:
    x = m.input((1, 3, 3, 3), Q)
    m.output(join(m, 3, conv(m, x, 3), conv(m, x, 5)), join(m, 1, conv(m, x, 3), conv(m, x, 3)))


def pairs_of_columns(m: ModelBuilder) -> None:
    x = m.input((1, 4, 4, 4), Q)
    m.output(conv(m, join(m, 2, conv(m, x), conv(m, x)), 3, 3))


def readers_that_need_all_in_one_piece(m: ModelBuilder) -> None:
    x = m.input((1, 4, 4, 4), Q)
    a, b = conv(m, x), conv(m, x)
    y = m.fully_connected(m.reshape(a, (1, 64)), 4)
    m.output(join(m, 3, a, b), y, m.softmax(b), m.mean(b))


@pytest.mark.parametrize(
    "build",
    [outputs, inputs, constants, unaligned, pairs_of_columns, readers_that_need_all_in_one_piece],
    ids=lambda build: str(build.__name__),
)
def test_what_cannot_be_placed_is_copied(build: Build) -> None:
    m = ModelBuilder(seed=3)
    build(m)
    assert_exact(m)
    assert copies(compile_model(m.build())) > 0


def test_a_large_tensor_does_not_wait_for_a_late_part_where_that_costs_memory() -> None:
    m = ModelBuilder(seed=3)
    x = m.input((1, 8, 8, 4), Q)
    early = m.max_pool2d(conv(m, x), (8, 8), (8, 8))
    wide = conv(m, x, 64)
    late = conv(m, wide, 16)
    parts = [m.reshape(y, (1, -1, 4)) for y in (early, late)]
    m.output(m.softmax(join(m, 1, *parts)))
    assert_exact(m)
    without = compile_model(m.build(), skip=["place_parts"]).plan.arena_bytes
    assert compile_model(m.build()).plan.arena_bytes <= without


def test_profile_of_parts_with_gaps_tells_no_bytes() -> None:
    m = ModelBuilder(seed=3)
    joined_channels(m)
    done = [line for line in compile_model(m.build()).source.splitlines() if "LAYER_DONE(" in line]
    assert sum(line.endswith(", 0);") for line in done) == 1 + 3  # before the first, three parts

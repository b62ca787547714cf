"""TRANSPOSE layers meet, cancel, and move into weights; every result stays."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases.strategies import Draw, builder
from effort import examples
from lotor.frontend.tflite import read_model
from lotor.graph import Graph
from lotor.optimize import trace
from lotor.optimize.cancel_transposes import cancel_transposes, moves_nothing, order_of
from lotor.optimize.fold_transpose_into_weights import fold_transpose_into_weights
from passes import assert_rewrite_exact, run_pass
from tflite_builder import ModelBuilder, Quant, Tensor

CANCEL, FOLD = "cancel_transposes", "fold_transpose_into_weights"
TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


def transpose(m: ModelBuilder, x: Tensor, order: Sequence[int]) -> Tensor:
    axes = m.constant(np.array(order), None, "int32")
    y = m.tensor([x.shape[a] for a in order], x.quant, x.dtype)
    return m.operator("TRANSPOSE", [x, axes], [y], "TransposeOptions", version=2)


def mean(m: ModelBuilder, x: Tensor, axes: Sequence[int], keep_dims: bool = False) -> Tensor:
    return m.mean(x, axes, keep_dims, Quant(0.02, 4))


def start(shape: Sequence[int] = (1, 4, 5, 3)) -> tuple[ModelBuilder, Tensor]:
    m = ModelBuilder(seed=3)
    return m, m.input(shape, Quant(0.05, -3))


def kinds(m: ModelBuilder, name: str = CANCEL) -> list[str]:
    return [op.kind for op in run_pass(m, name).graph.ops]


def transposes(m: ModelBuilder) -> int:
    return kinds(m).count("TRANSPOSE")


def nchw(m: ModelBuilder, x: Tensor, channels: int) -> Tensor:
    """A convolution as converters write it for models whose channels come first."""
    y = m.conv2d(transpose(m, x, TO_NHWC), channels, activation="RELU")
    return transpose(m, y, TO_NCHW)


def test_opposite_transposes_vanish() -> None:
    m, x = start()
    y = transpose(m, transpose(m, m.conv2d(x, 3), TO_NCHW), TO_NHWC)
    m.output(m.conv2d(y, 2))
    assert_rewrite_exact(m, CANCEL)
    assert kinds(m) == ["CONV_2D", "CONV_2D"]


def test_transposes_compose() -> None:
    m, x = start((2, 3, 4, 5))
    m.output(transpose(m, transpose(m, transpose(m, x, (0, 1, 3, 2)), (1, 0, 2, 3)), (3, 2, 1, 0)))
    result = assert_rewrite_exact(m, CANCEL)
    (op,) = result.graph.ops
    assert order_of(op) == (2, 3, 0, 1)


def test_axes_of_size_one_are_reshaped() -> None:
    m, x = start((1, 6, 1, 4))
    m.output(transpose(m, x, (2, 1, 0, 3)), transpose(m, m.conv2d(x, 3), (1, 0, 2, 3)))
    assert_rewrite_exact(m, CANCEL)
    assert kinds(m) == ["RESHAPE", "CONV_2D", "RESHAPE"]
    assert moves_nothing((1, 6, 1, 4), (2, 1, 0, 3))
    assert not moves_nothing((1, 6, 1, 4), (0, 3, 2, 1))


def test_a_sandwich_of_elementwise_layers() -> None:
    m, x = start()
    y = transpose(m, m.conv2d(x, 3), TO_NCHW)
    y = m.unary("LOGISTIC", y, Quant(1 / 256, -128))
    y = m.pad(y, [(0, 0), (0, 2), (1, 0), (0, 1)])
    y = m.quantize(y, Quant(0.01, 5))
    factors = m.constant(m.weights((1, 5, 1, 1)), Quant(0.02, 1))
    y = m.add(y, factors)
    y = m.add(m.constant(m.weights((6,)), Quant(0.02, 1)), y)
    y = m.add(y, m.constant(m.weights(()), Quant(0.02, 1)))
    m.output(m.conv2d(transpose(m, y, TO_NHWC), 2))
    assert_rewrite_exact(m, CANCEL)
    assert transposes(m) == 0


def test_residual_blocks_with_channels_first() -> None:
    m = ModelBuilder(seed=1)
    x = m.input((1, 3, 6, 5))
    y = nchw(m, x, 4)
    for _ in range(3):
        z = nchw(m, nchw(m, y, 4), 4)
        y = m.unary("RELU", m.add(y, z))
    both = m.tensor((1, 8, 6, 5), y.quant)
    m.operator("CONCATENATION", [y, y], [both], "ConcatenationOptions", version=2, Axis=1)
    m.output(m.softmax(m.fully_connected(mean(m, nchw(m, both, 3), (2, 3)), 3)))
    assert_rewrite_exact(m, CANCEL)
    assert transposes(m) == 1  # the input's


def test_means_take_any_order() -> None:
    m, x = start((1, 4, 5, 6))
    y = transpose(m, m.conv2d(x, 6), TO_NCHW)
    y = mean(m, mean(m, y, (3,)), (-1,))
    m.output(m.fully_connected(y, 3))
    assert_rewrite_exact(m, CANCEL)
    assert transposes(m) == 0
    m, x = start((2, 4, 5, 6))
    m.output(mean(m, transpose(m, x, (3, 0, 2, 1)), (2,), keep_dims=True))
    m.output(mean(m, transpose(m, x, (1, 0, 2, 3)), (2, -1)))
    result = assert_rewrite_exact(m, CANCEL)
    assert [op.outputs[0].shape for op in result.graph.ops if op.kind == "TRANSPOSE"] == [
        (6, 2, 1, 4),
        (4, 2),
    ]


def test_new_shapes_that_add_or_drop_axes() -> None:
    m, x = start((1, 4, 5, 6))
    y = m.reshape(transpose(m, x, (0, 3, 2, 1)), (6, 1, 5, 4, 1))
    y = m.reshape(m.unary("RELU", y), (6, 5, 1, 4))
    m.output(transpose(m, y, (3, 2, 1, 0)), m.conv2d(x, 2))
    assert_rewrite_exact(m, CANCEL)
    assert transposes(m) == 0
    m, x = start((1, 4, 5, 6))
    y = m.reshape(transpose(m, x, TO_NCHW), (6, 4, 5))
    m.output(transpose(m, m.reshape(y, (6, 4, 1, 5)), (1, 3, 2, 0)))
    assert_rewrite_exact(m, CANCEL)
    assert transposes(m) == 0
    m, x = start((1, 4, 5, 6))  # rows are split: no
    y = m.reshape(transpose(m, x, TO_NCHW), (1, 6, 20))
    m.output(transpose(m, y, (0, 2, 1)))
    assert_rewrite_exact(m, CANCEL, changes=False)


def test_softmax_needs_its_axis_last() -> None:
    m, x = start((1, 4, 5, 6))
    m.output(transpose(m, m.softmax(transpose(m, x, (0, 2, 1, 3))), (0, 2, 1, 3)))
    assert_rewrite_exact(m, CANCEL)
    assert transposes(m) == 0
    m, x = start((1, 4, 5, 6))
    m.output(transpose(m, m.softmax(transpose(m, x, TO_NCHW)), TO_NHWC))
    assert_rewrite_exact(m, CANCEL, changes=False)


def test_a_sum_of_two_needs_one() -> None:
    m, x = start()
    a, b = (transpose(m, m.conv2d(x, 3), TO_NCHW) for _ in range(2))
    m.output(m.add(a, b))
    assert_rewrite_exact(m, CANCEL)
    assert transposes(m) == 1


def test_a_sum_of_different_orders_stays() -> None:
    m, x = start((1, 3, 3, 3))
    y = m.add(transpose(m, x, (0, 2, 1, 3)), transpose(m, x, (0, 3, 2, 1)))
    m.output(transpose(m, y, (0, 2, 1, 3)), m.add(transpose(m, x, TO_NCHW), x))
    assert_rewrite_exact(m, CANCEL, changes=False)


def test_other_inputs_must_be_turned_too() -> None:
    m, x = start((1, 3, 3, 3))
    z = m.conv2d(x, 3)
    m.output(transpose(m, m.add(transpose(m, x, TO_NCHW), z), TO_NHWC))
    m.output(transpose(m, m.add(m.reshape(m.mean(z), (3,)), transpose(m, x, TO_NCHW)), TO_NHWC))
    y = m.tensor((1, 3, 3, 6), x.quant)
    z = m.quantize(z, x.quant)
    m.operator("CONCATENATION", [z, transpose(m, x, TO_NCHW)], [y], "ConcatenationOptions", Axis=3)
    m.output(transpose(m, y, TO_NHWC))
    assert_rewrite_exact(m, CANCEL, changes=False)


def test_one_number_needs_no_order() -> None:
    m, x = start((1, 4, 5, 3))
    one = m.mean(m.conv2d(x, 1), (1, 2, 3))
    m.output(transpose(m, m.add(transpose(m, x, TO_NCHW), one), TO_NHWC))
    assert_rewrite_exact(m, CANCEL)
    assert transposes(m) == 0


def test_sums_of_floats_keep_their_order() -> None:
    m = ModelBuilder(seed=1)
    x = transpose(m, m.input((1, 4, 5, 3), dtype="float32"), TO_NCHW)
    y = m.tensor((1, 3), None, "float32")
    axes = m.constant(np.array([2, 3]), None, "int32")
    m.output(m.operator("MEAN", [x, axes], [y], "ReducerOptions", version=2, KeepDims=False))
    assert_rewrite_exact(m, CANCEL, changes=False)


def test_moving_as_far_as_nothing_grows() -> None:
    m, x = start((1, 4, 5, 3))
    y = m.unary("RELU", transpose(m, x, TO_NCHW))
    m.output(m.dequantize(transpose(m, y, (0, 3, 2, 1))))
    assert_rewrite_exact(m, CANCEL)
    assert kinds(m) == ["RELU", "TRANSPOSE", "DEQUANTIZE"]


def test_layers_after_a_vanished_pair_keep_their_place_in_the_model() -> None:
    m, x = start()
    y = transpose(m, transpose(m, m.conv2d(x, 3), TO_NCHW), TO_NHWC)
    m.output(m.conv2d(m.unary("RELU", y), 2))
    assert_rewrite_exact(m, CANCEL)
    assert all(op.outputs[0].source is not None for op in run_pass(m, CANCEL).graph.ops)


def test_moving_axes_of_size_one_counts_as_nothing() -> None:
    m, x = start((1, 4, 5, 6))
    m.output(transpose(m, transpose(m, x, TO_NCHW), (1, 0, 2, 3)))
    result = assert_rewrite_exact(m, CANCEL)
    assert [op.kind for op in result.removed] == ["TRANSPOSE"]
    assert kinds(m) == ["TRANSPOSE", "RESHAPE"]


def test_what_changes_between_runs_is_read_in_its_place() -> None:
    m, x = start()
    m.output(transpose(m, transpose(m, x, TO_NCHW), TO_NHWC))
    graph = read_model(m.build(), "model")
    assert cancel_transposes(graph) is not graph
    graph.inputs[0].variable = True
    assert cancel_transposes(graph).ops[0] is graph.ops[0]


def test_what_gains_nothing_stays() -> None:
    m, x = start((1, 3, 4, 5))
    y = m.pad(transpose(m, x, TO_NHWC), [(0, 0), (1, 1), (1, 1), (0, 0)])
    m.output(m.conv2d(y, 2, padding="VALID"))  # the border
    m.output(transpose(m, m.unary("RELU", m.conv2d(y, 2)), TO_NCHW))
    z = transpose(m, m.conv2d(y, 3), TO_NCHW)  # read by two that would each need a transpose
    m.output(m.unary("RELU", z), m.unary("LOGISTIC", z, Quant(1 / 256, -128)))
    assert_rewrite_exact(m, CANCEL, changes=False)


def test_one_region_gains_and_another_does_not() -> None:
    m, x = start((1, 3, 4, 5))
    z = transpose(m, x, TO_NHWC)
    m.output(m.unary("RELU", z), m.unary("LOGISTIC", z, Quant(1 / 256, -128)))
    y = transpose(m, m.conv2d(z, 3), TO_NCHW)
    m.output(m.conv2d(transpose(m, y, TO_NHWC), 3), m.unary("RELU", y))
    assert_rewrite_exact(m, CANCEL)
    assert transposes(m) == 2


def test_growth_between_two_transposes_only() -> None:
    m, x = start((1, 4, 5, 3))
    y = transpose(m, transpose(m, x, (0, 2, 1, 3)), TO_NCHW)  # composes
    y = m.dequantize(y)  # which is not worth another transpose of four times the bytes
    m.output(y)
    assert_rewrite_exact(m, CANCEL)
    assert kinds(m) == ["TRANSPOSE", "DEQUANTIZE"]


def test_floats() -> None:
    m = ModelBuilder(seed=1)
    x = m.input((1, 4, 5, 3), dtype="float32")
    y = m.quantize(transpose(m, x, TO_NCHW), Quant(0.05, 3))
    m.output(y, m.dequantize(transpose(m, y, TO_NHWC)))
    result = assert_rewrite_exact(m, CANCEL)
    assert [op.outputs[0].nbytes for op in result.graph.ops if op.kind == "TRANSPOSE"] == [60]


def test_a_transposed_input_that_is_an_output() -> None:
    m, x = start()
    y = transpose(m, x, TO_NCHW)
    m.output(transpose(m, y, TO_NHWC), m.unary("RELU", y))
    assert_rewrite_exact(m, CANCEL)
    m, x = start((1, 1, 5, 3))
    m.output(transpose(m, x, (1, 0, 2, 3)))
    assert_rewrite_exact(m, CANCEL)


def test_other_quantization_stays() -> None:
    m, x = start()
    y = m.tensor((1, 3, 4, 5), Quant(0.5, 9))
    axes = m.constant(np.array(TO_NCHW), None, "int32")
    m.operator("TRANSPOSE", [x, axes], [y], "TransposeOptions", version=2)
    m.output(m.conv2d(transpose(m, y, TO_NHWC), 2))
    graph = read_model(m.build(), "model")
    assert cancel_transposes(graph) is graph


def test_weights_take_the_order() -> None:
    m, x = start((1, 4, 5, 6))
    flat = m.reshape(transpose(m, m.conv2d(x, 3), TO_NCHW), (1, -1))
    m.output(m.softmax(m.fully_connected(flat, 4)))
    result = assert_rewrite_exact(m, FOLD)
    assert [op.kind for op in result.graph.ops][:3] == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED"]
    m, x = start((2, 4, 5, 6))  # rows of the batch stay
    m.output(m.fully_connected(m.reshape(transpose(m, x, (0, 2, 3, 1)), (2, -1)), 4, bias=False))
    m.output(m.fully_connected(transpose(m, x, (0, 1, 3, 2)), weights=m.weights((2, 30))))
    assert_rewrite_exact(m, FOLD)
    assert "TRANSPOSE" not in kinds(m, FOLD)


def test_weights_cannot_take_every_order() -> None:
    m, x = start((2, 4, 5, 6))
    m.output(m.fully_connected(m.reshape(transpose(m, x, (1, 0, 2, 3)), (2, -1)), 4))
    assert_rewrite_exact(m, FOLD, changes=False)
    m, x = start((2, 4, 5, 6))
    y = transpose(m, x, TO_NCHW)
    m.output(y, m.fully_connected(y, 3))
    assert_rewrite_exact(m, FOLD, changes=False)
    m = ModelBuilder(seed=1)
    y = m.reshape(transpose(m, m.input((1, 4, 5), dtype="float32"), (0, 2, 1)), (1, -1))
    weights = m.constant(m.rng.normal(size=(3, 20)), None, "float32")
    z = m.tensor((1, 3), None, "float32")
    m.output(m.operator("FULLY_CONNECTED", [y, weights], [z], "FullyConnectedOptions"))
    assert not run_pass(m, FOLD).added  # sums of floats depend on the order


def test_weights_that_layers_share_keep_their_order() -> None:
    m, x = start()
    for _ in range(2):
        m.output(m.fully_connected(transpose(m, m.conv2d(x, 3), TO_NCHW), 2))
    graph = read_model(m.build(), "model")
    assert fold_transpose_into_weights(graph) is not graph
    first, second = (op for op in graph.ops if op.kind == "FULLY_CONNECTED")
    second.inputs[1] = first.inputs[1]
    assert fold_transpose_into_weights(graph) is graph


def test_both_rewrites_meet() -> None:
    m, x = start((1, 4, 5, 6))
    y = m.unary("RELU", transpose(m, m.conv2d(x, 3), TO_NCHW))
    m.output(m.fully_connected(m.reshape(y, (1, -1)), 4))
    assert_rewrite_exact(m, FOLD, changes=False)  # the layer between is not moved, as yet


def bytes_transposed(graph: Graph) -> int:
    return sum(op.outputs[0].nbytes for op in graph.ops if op.kind == "TRANSPOSE")


@st.composite
def graphs(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    quant = Quant(0.05, draw(st.sampled_from([-128, -3])))
    pool = [m.input((1, 3, 3, 2), quant), m.input((3, 1, 2, 3), quant)]
    for _ in range(draw(st.integers(2, 9))):
        x = pool[draw(st.integers(0, len(pool) - 1))]
        rank = len(x.shape)
        what = draw(st.sampled_from("tttturapcmsn"))
        if what == "t":
            y = transpose(m, x, draw(st.permutations(range(rank))))
        elif what == "u":
            y = m.unary("LOGISTIC", x, Quant(1 / 256, -128))
        elif what == "r":
            y = m.unary("RELU", x)
        elif what == "a":
            alike = [t for t in pool if t.shape == x.shape]
            y = m.add(x, alike[draw(st.integers(0, len(alike) - 1))])
        elif what == "p":
            y = m.pad(x, [(draw(st.integers(0, 1)), 0) for _ in range(rank)])
        elif what == "c":
            shape = [n if draw(st.booleans()) else 1 for n in x.shape][draw(st.integers(0, 1)) :]
            y = m.add(x, m.constant(m.weights(shape), Quant(0.03, 2)))
        elif what == "m" and rank > 1:
            axes = draw(st.lists(st.integers(-rank, rank - 1), min_size=1, max_size=2))
            axes = list({a % rank: a for a in axes}.values())[: rank - 1]
            y = m.mean(x, axes, draw(st.booleans()), Quant(0.02, 4))
        elif what == "s":
            y = m.softmax(x)
        else:
            shape = [n for n in x.shape if n != 1 or draw(st.booleans())] or [1]
            shape.insert(draw(st.integers(0, len(shape))), 1)
            y = m.reshape(x, shape) if len(shape) <= 4 else x
        if y is not x:
            pool.append(y)
    m.output(*{t.index: t for t in [pool[-1], pool[-2], pool[2]]}.values())
    return m


@settings(
    max_examples=examples(20),
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(graphs())
def test_random_graphs(m: ModelBuilder) -> None:
    before = read_model(m.build(), "model")
    after = run_pass(m, CANCEL)
    assert bytes_transposed(after.graph) <= bytes_transposed(before)
    if after.added:
        assert_rewrite_exact(m, CANCEL)


def test_random_graphs_are_changed() -> None:
    gains = []

    @settings(max_examples=60, deadline=None, database=None, derandomize=True)
    @given(graphs())
    def count(m: ModelBuilder) -> None:
        graph = read_model(m.build(), "model")
        gains.append(bytes_transposed(graph) - bytes_transposed(cancel_transposes(graph)))

    count()
    assert sum(gain > 0 for gain in gains) > 12


@pytest.mark.parametrize("blocks", [400])
def test_large_models_take_no_time(blocks: int) -> None:
    import time

    m = ModelBuilder(seed=1)
    y = m.input((1, 2, 3, 2))
    for _ in range(blocks):
        y = m.unary("RELU", nchw(m, y, 2))
    m.output(y)
    graph = read_model(m.build(), "model")
    begin = time.process_time()
    for result in trace(graph):
        graph = result.graph
    assert time.process_time() - begin < 5
    assert sum(op.kind == "TRANSPOSE" for op in graph.ops) == 2

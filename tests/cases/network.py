"""Whole networks, and edge cases that several operators share."""

import numpy as np
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import Draw, builder, quants
from tflite_builder import ModelBuilder, Quant


@case
def network(m: ModelBuilder) -> None:
    """Every operator in one model."""
    x = m.input((1, 12, 12, 3), dtype="float32")
    y = m.pad(m.quantize(x, Quant(float(np.float32(0.05)), -3)), [(0, 0), (1, 0), (0, 1), (0, 0)])
    y = m.residual_block(m.conv2d(y, 8, stride=(2, 2), activation="RELU6"))
    y = m.mobile_block(m.max_pool2d(y, (2, 2), (1, 1), "SAME"), 12, 2)
    y = m.average_pool2d(y, (2, 2), (1, 1), "SAME")
    y = m.reshape(m.mean(y, (1, 2), True), (1, -1))
    y = m.fully_connected(y, 5, per_channel=True, quant=Quant(0.06, 3))
    m.output(m.dequantize(m.softmax(y)))


@edge
def dead_channels(m: ModelBuilder) -> None:
    # Filters of zeros get tiny scales: shifts of -31, and below that a multiplier of zero.
    x = m.input((1, 4, 4, 3), Quant(0.0625, -7))
    tiny = (0.9 * 2.0**-30, 0.9 * 2.0**-30, 0.9 * 2.0**-31, 0.9 * 2.0**-31, 0.004)
    bias = np.array([2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 7])
    weights = m.weights((5, 1, 1, 3))
    weights[:4] = 0
    m.output(
        m.conv2d(x, weights=weights, weight_quant=Quant(tiny), bias=bias, quant=Quant(0.125, 3)),
        m.fully_connected(
            m.reshape(x, (16, 3)),
            weights=weights[:, 0, 0],
            weight_quant=Quant(tiny),
            bias=bias,
            quant=Quant(0.125, 3),
        ),
    )
    depthwise = m.weights((1, 3, 3, 3))
    depthwise[..., :2] = 0
    m.output(
        m.depthwise_conv2d(
            x,
            weights=depthwise,
            weight_quant=Quant((tiny[0], 1e-30, 0.004), 0, 3),
            bias=bias[2:],
            quant=Quant(0.125, 3),
        )
    )


@edge
def accumulators_at_the_edge_of_int32(m: ModelBuilder) -> None:
    x = m.input((1, 8, 8, 1), Quant(0.03, 0))
    y = m.input((64, 1), Quant(0.03, 0))
    # 128 * 127 more would overflow; the multiplier brings the result into int8.
    top = 2**31 - 1 - 128 * 127
    bias = np.array([top, -top, top - 3, 2**30, -(2**30) - 1])
    for multiplier in (4e-8, 2.0**-25, 5.1e-8):
        quant = Quant(float(np.float32(0.03 * 0.01 / multiplier)), 5)
        scale = Quant(float(np.float32(0.01)))
        weights = m.weights((5, 1, 1, 1))
        m.output(
            m.conv2d(x, weights=weights, weight_quant=scale, bias=bias, quant=quant),
            m.fully_connected(
                y, weights=weights[:, 0, 0], weight_quant=scale, bias=bias, quant=quant
            ),
            m.depthwise_conv2d(
                x,
                5,
                weights=weights.reshape(1, 1, 1, 5),
                weight_quant=scale,
                bias=bias,
                quant=quant,
            ),
        )


@edge
def large_accumulations(m: ModelBuilder) -> None:
    x = m.input((1, 1, 1, 4000), Quant(0.02, -128))
    weights = np.full((3, 1, 1, 4000), 127, np.int8)
    weights[1] = -127
    weights[2] = m.weights((1, 1, 4000))
    m.output(
        m.conv2d(x, weights=weights, multiplier=1e-6),
        m.fully_connected(x, weights=weights[:, 0, 0], multiplier=1e-6),
    )


@edge
def left_shifts(m: ModelBuilder) -> None:
    x = m.input((1, 3, 3, 1), Quant(0.5, 4))
    for multiplier in (1.0, 1.5, 2.0, 3.3, 100.0, 1000.0):
        m.output(m.conv2d(x, 3, (1, 1), multiplier=multiplier, per_channel=False))
        m.output(m.depthwise_conv2d(x, 3, (2, 2), multiplier=multiplier, per_channel=False))
        m.output(m.fully_connected(x, 3, multiplier=multiplier))


@edge
def ties(m: ModelBuilder) -> None:
    # Every accumulator that is an odd multiple of half a step, of both signs.
    x = m.input((1, 16, 16, 1), Quant(2.0**-5, 0))
    rows = m.reshape(x, (256, 1))
    one = Quant(2.0**-6)
    for shift in (1, 2, 3, 6):
        quant = Quant(2.0 ** (-11 + shift), 1)
        weights = np.arange(-8, 8, dtype=np.int8).reshape(16, 1, 1, 1)
        bias = np.arange(16) - 8
        m.output(
            m.conv2d(x, weights=weights, weight_quant=one, bias=bias, quant=quant),
            m.depthwise_conv2d(
                x,
                16,
                weights=weights.reshape(1, 1, 1, 16),
                weight_quant=one,
                bias=bias,
                quant=quant,
            ),
        )
        for weight_quant in (one, Quant((2.0**-6,) * 16)):
            for b in (bias, False):
                m.output(
                    m.fully_connected(
                        rows,
                        weights=weights[:, 0, 0],
                        weight_quant=weight_quant,
                        bias=b,
                        quant=quant,
                    )
                )


@edge
def one_pixel(m: ModelBuilder) -> None:
    x = m.input((1, 1, 1, 1))
    m.output(
        m.conv2d(x, 1, (1, 1)),
        m.conv2d(x, 3, (5, 5)),
        m.depthwise_conv2d(x, 2, (3, 3), stride=(2, 2)),
        m.average_pool2d(x, (1, 1), (1, 1)),
        m.average_pool2d(x, (4, 4), (2, 2), "SAME"),
        m.max_pool2d(x, (3, 3), (1, 1), "SAME"),
        m.mean(x),
        m.softmax(x),
        m.add(x, x),
        m.fully_connected(x, 1),
    )


@edge
def kernel_larger_than_the_input(m: ModelBuilder) -> None:
    x = m.input((1, 2, 3, 2))
    for kernel in ((5, 7), (7, 1), (1, 9)):
        m.output(m.conv2d(x, 3, kernel), m.depthwise_conv2d(x, 2, kernel, stride=(2, 2)))
        m.output(m.conv2d(x, 3, kernel, dilation=(2, 3)))
        m.output(m.average_pool2d(x, kernel, (1, 1), "SAME"))
        m.output(m.max_pool2d(x, kernel, (2, 2), "SAME"))


@edge
def stride_beyond_the_kernel(m: ModelBuilder) -> None:
    x = m.input((1, 11, 10, 3))
    for padding in ("SAME", "VALID"):
        m.output(
            m.conv2d(x, 2, (1, 1), stride=(4, 5), padding=padding),
            m.depthwise_conv2d(x, 1, (2, 1), stride=(3, 4), padding=padding),
            m.average_pool2d(x, (2, 2), (5, 3), padding),
            m.max_pool2d(x, (1, 1), (3, 3), padding),
        )


@edge
def every_channel_count(m: ModelBuilder) -> None:
    rng = np.random.default_rng(5)
    for channels in range(1, 41, 3):
        x = m.input((1, 3, 3, channels))
        m.output(m.conv2d(x, int(rng.integers(1, 41)), (1, 1)))
        m.output(m.mean(m.depthwise_conv2d(x, 1, (3, 3)), (1, 2)))


@edge
def a_result_read_further_on(m: ModelBuilder) -> None:
    x = m.input((1, 6, 6, 3))
    y = m.conv2d(x, 4)
    z = m.conv2d(y, 4)
    m.output(y, m.add(y, z), z)


@edge
def an_input_that_is_an_output(m: ModelBuilder) -> None:
    x = m.input((1, 4, 4, 2))
    m.output(m.conv2d(x, 2), x)


@edge
def two_inputs(m: ModelBuilder) -> None:
    a, b = m.input((1, 5, 4, 3)), m.input((1, 7))
    y = m.fully_connected(b, 3, per_channel=True)
    m.output(m.add(m.mean(a), y), m.conv2d(a, 2))


@edge
def one_tensor_read_by_many(m: ModelBuilder) -> None:
    x = m.input((1, 6, 6, 4))
    y = m.conv2d(x, 4)
    late = m.add(m.max_pool2d(y, (3, 3), (1, 1), "SAME"), m.conv2d(y, 4, (1, 1)))
    for _ in range(3):
        late = m.conv2d(late, 4, (1, 1))
    m.output(m.add(late, y), m.mean(y))


@edge
def float_to_float(m: ModelBuilder) -> None:
    x = m.input((1, 8, 8, 1), dtype="float32")
    y = m.conv2d(m.quantize(x, Quant(float(np.float32(0.05)), -3)), 3, activation="RELU6")
    m.output(m.dequantize(m.softmax(m.fully_connected(m.mean(y), 4))))


@random_models
def networks(draw: Draw) -> ModelBuilder:
    """Chains with branches, so that tensors live side by side in the arena."""
    m = builder(draw)
    x = y = m.input((1, draw(st.integers(4, 9)), draw(st.integers(4, 9)), 4), draw(quants))
    for block in draw(st.lists(st.sampled_from("rmpadb"), min_size=1, max_size=5)):
        if block == "r":
            y = m.residual_block(y)
        elif block == "m":
            y = m.mobile_block(y, draw(st.integers(1, 9)), draw(st.integers(1, 2)))
        elif block == "p":
            y = m.max_pool2d(y, (2, 2), (1, 1), "SAME")
        elif block == "a":
            y = m.average_pool2d(y, (3, 3), (2, 2), "SAME")
        elif block == "d":
            y = m.pad(y, [(0, 0), (1, 0), (0, 1), (0, 0)])
        else:
            y = m.add(m.conv2d(y, 3, (1, 1)), m.depthwise_conv2d(m.conv2d(y, 3, (1, 1))))
        if draw(st.booleans()):
            m.output(y)  # also a result, and read further on
    flat = m.reshape(m.mean(y, (1, 2)), (1, -1))
    logits = m.fully_connected(flat, 5, per_channel=draw(st.booleans()), quant=Quant(0.06, 3))
    m.output(m.softmax(logits))
    if draw(st.booleans()):
        m.output(x)
    return m

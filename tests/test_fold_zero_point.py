"""The zero point in the bias: exact, and only where no window reaches into padding."""

import numpy as np
import pytest

from lotor.compiler import compile_model
from passes import assert_rewrite_exact, run_pass
from tflite_builder import ModelBuilder, Quant

Q = Quant(0.05, -77)


def test_convolutions_without_padding() -> None:
    m = ModelBuilder(seed=4)
    x = m.input((1, 7, 6, 4), Q)
    m.output(m.conv2d(x, 5, (1, 1), (2, 2)), m.conv2d(x, 5, (3, 2), padding="VALID"))
    m.output(m.depthwise_conv2d(x, 2, (2, 3), padding="VALID", per_channel=False))
    m.output(m.conv2d(x, weights=m.weights((6, 1, 1, 2))))
    result = assert_rewrite_exact(m, "fold_zero_point")
    assert len(result.added) == 4
    assert compile_model(m.build()).source.count(".in_offset = 0,") == 4


def test_biases_that_wrap() -> None:
    m = ModelBuilder(seed=4)
    x = m.input((1, 3, 3, 3), Quant(0.05, 127))
    bias = np.array([2**31 - 1, -(2**31), 2**31 - 5, 7])
    for multiplier in (1e-9, 1e-7):
        m.output(m.conv2d(x, 4, (1, 1), bias=bias, multiplier=multiplier))
    assert_rewrite_exact(m, "fold_zero_point")


def test_uint8_weights_with_a_zero_point() -> None:
    m = ModelBuilder(seed=4)
    x = m.input((1, 5, 5, 3), Q)
    m.output(m.conv2d(x, 4, (2, 2), padding="VALID", per_channel=False))
    m.output(m.depthwise_conv2d(x, 1, (2, 2), padding="VALID", per_channel=False))
    m.to_uint8()
    assert len(assert_rewrite_exact(m, "fold_zero_point").added) == 2


@pytest.mark.parametrize("padding", ["SAME", "PAD"])
def test_padded_convolutions_keep_it(padding: str) -> None:
    m = ModelBuilder(seed=4)
    x = m.input((1, 5, 5, 3), Q)
    if padding == "SAME":
        m.output(m.conv2d(x, 4), m.depthwise_conv2d(x))
    else:
        y = m.pad(x, [(0, 0), (0, 1), (0, 0), (0, 0)])
        m.output(m.conv2d(y, 4, padding="VALID"))
    assert_rewrite_exact(m, "fold_zero_point", changes=False)


def test_nothing_to_fold() -> None:
    m = ModelBuilder(seed=4)
    m.output(m.conv2d(m.input((1, 5, 5, 3), Quant(0.05, 0)), 4, (1, 1)))
    m.output(m.conv2d(m.input((1, 5, 5, 3), None, "float32"), 4, (1, 1)))
    assert not run_pass(m, "fold_zero_point").added

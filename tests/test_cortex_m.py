"""Every core: compiled models on its emulated board equal LiteRT's reference."""

from pathlib import Path

import pytest

from cortex_m import BOARDS, needs_emulator, run
from exactness import as_list, difference, inputs_of
from lotor.compiler import compile_model
from lotor.oracle import Oracle
from tflite_builder import ModelBuilder, Quant

pytestmark = needs_emulator


@pytest.mark.parametrize("target", BOARDS)
def test_a_network_on_every_core(target: str, tmp_path: Path) -> None:
    """Odd channels, so that nothing but int8 is aligned; divisions and floats in the softmax."""
    m = ModelBuilder(seed=7)
    x = m.input((2, 9, 7, 5), Quant(0.05, 3))
    y = m.depthwise_conv2d(m.conv2d(x, 7, (3, 3), (2, 2)))
    y = m.add(y, m.conv2d(y, 7, (1, 1)))
    m.output(y, m.softmax(m.fully_connected(m.mean(y, (1, 2)), units=5)))
    compiled, oracle = compile_model(m.build(), target), Oracle(m.build())
    inputs = list(inputs_of(m))
    for got, one in zip(run(compiled, inputs, tmp_path), inputs, strict=True):
        assert difference(got, as_list(oracle.run(*one))) == ""

"""Xtensa: portable kernels equal LiteRT's reference; firmware compiles without a warning."""

import subprocess
from pathlib import Path

import pytest

from cases import Build, built, cases
from cases.conv_2d import conv_2d
from cortex_m import WARNINGS
from exactness import as_list, difference, inputs_of
from lotor.board import load_board
from lotor.compiler import compile_model
from lotor.image_sources import SelfTest, config_header, image_source
from lotor.oracle import Oracle
from lotor.resources import resource
from lotor.verify import random_inputs
from lotor.zoo import find_model
from test_espressif import BOARDS
from tflite_builder import ModelBuilder, Quant
from tiny_model import TinyModel
from xtensa import COMPILER, FLAGS, needs_xtensa, run

pytestmark = needs_xtensa
INPUTS = 3  # random, near the zero point, extremes


def test_a_network(tmp_path: Path) -> None:
    """Odd channels, so that nothing but int8 is aligned; divisions and floats in the softmax."""
    m = ModelBuilder(seed=7)
    x = m.input((2, 9, 7, 5), Quant(0.05, 3))
    y = m.depthwise_conv2d(m.conv2d(x, 7, (3, 3), (2, 2)))
    y = m.add(y, m.conv2d(y, 7, (1, 1)))
    m.output(y, m.softmax(m.fully_connected(m.mean(y, (1, 2)), units=5)))
    _equal(m, tmp_path)


@pytest.mark.parametrize(
    "build",
    [pytest.param(c, marks=() if c is conv_2d else pytest.mark.slow) for c in cases()],
    ids=lambda build: build.__name__,
)
def test_cases_equal_the_reference(build: Build, tmp_path: Path) -> None:
    _equal(built(build), tmp_path)


def _equal(model: ModelBuilder, folder: Path) -> None:
    compiled, oracle = compile_model(model.build(), "xtensa-lx6"), Oracle(model.build())
    inputs = list(inputs_of(model))[:INPUTS]
    for got, one in zip(run(compiled, inputs, folder), inputs, strict=True):
        assert difference(got, as_list(oracle.run(*one))) == ""


def test_raccoon(tmp_path: Path) -> None:
    path = find_model("raccoon").path
    compiled, oracle = compile_model(path, "xtensa-lx7"), Oracle(path)
    inputs = list(random_inputs(compiled.graph, 2, seed=1))
    for got, one in zip(run(compiled, inputs, tmp_path), inputs, strict=True):
        assert difference(got, as_list(oracle.run(*one))) == ""


@pytest.mark.parametrize("name", BOARDS)
def test_the_firmware_compiles_without_a_warning(name: str, tmp_path: Path) -> None:
    """With the family's headers, of which Espressif's are stand-ins."""
    board, models = load_board(name), [TinyModel("tiny")]
    (tmp_path / "lotor_config.h").write_text(config_header(models, board))
    (tmp_path / "lotor_image.c").write_text(image_source(models, [SelfTest()], bytes(20), board))
    (tmp_path / "tiny.h").write_text(models[0].header)
    firmware, standin = resource("firmware"), Path(__file__).with_name("espressif")
    sources = [*firmware.glob("src/*.c"), *firmware.glob("hal/arduino/*.c")]
    include = (tmp_path, firmware / "include", standin / "framework/include")
    command = [
        *(COMPILER, *FLAGS, *WARNINGS, "-Wdouble-promotion", "-Os", "-c", "-DLOTOR_RTC_MEMORY"),
        "-Dmain=lotor_main",
        *(f"-I{folder.absolute()}" for folder in include),
        *map(str, [*sources, tmp_path / "lotor_image.c"]),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.o"))) == len(sources) + 1

"""What `inspect` says of a model, before a board is touched."""

from pathlib import Path

import pytest

from cases import built
from cases.conv_2d import conv_2d
from conftest import CHECKOUT, Lotor
from lotor.board import load_board
from lotor.build import build_firmware
from lotor.compiler import compile_model
from lotor.inspection import as_text, inspect
from lotor.operator_list import as_markdown, operator_list
from lotor.ops import operators
from tflite_builder import ModelBuilder


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A small model as a file."""
    path = tmp_path / "small.tflite"
    path.write_bytes(built(conv_2d).build())
    return str(path)


def test_the_needs_of_an_image_are_close_to_the_image(model: str) -> None:
    board = load_board("netduinoplus2")
    data = inspect(model, board=board.name)
    image = build_firmware(board, [compile_model(Path(model), board.target)])
    assert data["fits"]
    assert abs(data["ram_needed"] - image.ram_bytes) < 2000
    assert abs(data["flash_needed"] - image.flash_bytes) < 4000


def test_a_model_that_does_not_fit(tmp_path: Path) -> None:
    m = ModelBuilder()
    m.output(m.max_pool2d(m.input((1, 210, 210, 3)), (2, 2), (2, 2)))
    path = tmp_path / "wide.tflite"
    path.write_bytes(m.build())
    data = inspect(str(path), board="netduinoplus2")
    assert not data["fits"]
    assert data["ram_needed"] > data["ram_limit"] == 131072
    assert "does not fit netduinoplus2" in as_text(data)
    assert inspect(str(path), board="mps2-an386")["fits"]


def test_what_cannot_be_compiled_has_the_same_keys(
    model: str, tmp_path: Path, lotor: Lotor
) -> None:
    m = ModelBuilder()
    x = m.input((1, 4, 4, 2))
    m.output(m.unary("SKIP_GRAM", m.max_pool2d(x)))
    path = tmp_path / "odd.tflite"
    path.write_bytes(m.build())
    odd = inspect(str(path))
    assert set(odd) == set(inspect(model))
    assert [p["kind"] for p in odd["unsupported"]] == ["SKIP_GRAM"]
    assert lotor("inspect", path).returncode == 1


def test_the_docs_list_the_operators() -> None:
    """The table is what `lotor operators --markdown` prints."""
    assert as_markdown(operator_list()) in (CHECKOUT / "docs/operators.md").read_text()
    assert "TABLE" not in {row["operator"] for row in operator_list()}
    assert all(row["takes"] for row in operator_list())


def test_every_operator_has_the_file_of_its_name() -> None:
    for kind, operator in operators().items():
        name = kind.lower().removeprefix("custom:tflite_")
        assert type(operator).__module__ == f"lotor.ops.{name}", kind

"""The page of `make bench-mcu`: what it says of given measurements."""

from dataclasses import replace
from pathlib import Path

import pytest

import bare
import mcu
from lotor.board import load_board
from lotor.device.ready import compile_for
from lotor.errors import LotorError
from lotor.sizes import code_bytes
from lotor.targets.preference import Optimize

VWW = mcu.Row("cortex-m4", "vww_96_int8", False, 4_000_000, 5_000_000, None, 37_864, 49_324, 26_076)
OWN = replace(VWW, model="raccoon")
BOARD = load_board("netduinoplus2")


def line(text: str, start: str) -> str:
    (found,) = (line for line in text.splitlines() if line.startswith(start))
    return found


def test_one_board_for_each_core() -> None:
    found = mcu.boards()
    assert all(board.default or board.ram_limit >= 512 << 10 for board in found)
    assert [board.target for board in found] == [
        "cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55",
    ]  # fmt: skip
    assert BOARD in found


def test_ratios_are_how_many_times_ours_others_take() -> None:
    kept = replace(VWW, skipped=True, instructions=10_000_000)
    text = mcu.page([OWN, VWW, kept], [BOARD])
    assert line(text, "| VWW `vww_96_int8` |").endswith(
        "| 4,000,000 | 5,000,000 | 1.25 | 37,864 | 49,324 | 26,076 |"
    )
    assert line(text, "| TFLite Micro + CMSIS-NN | 24.72").endswith("24.72 (4.94) | 24.72 (2.47) |")
    pruned = line(text, "| TFLite Micro + CMSIS-NN, constant channels removed")
    assert pruned.endswith("| 17.5 (3.50) |  |")
    assert "est. cycles" not in text


def test_estimates_come_with_those_of_others() -> None:
    text = mcu.page([replace(VWW, cycles_estimate=6_000_000)], [BOARD])
    assert "| 5,000,000 | 1.25 | 6,000,000 | 1.50 |" in text
    assert "30.05 (5.01)" in text
    assert "| Lotor, estimated | cortex-m4 | 6.000 |" in text


def test_without_the_models_of_mlperf_nobody_is_compared() -> None:
    text = mcu.page([OWN], [BOARD])
    assert "`raccoon`" in text
    assert "TFLite" not in text and "silicon" not in text


def test_tables_are_replaced_between_the_markers() -> None:
    page = (Path(__file__).parents[1] / "docs/performance.md").read_text()
    once = mcu.replace_tables(page, "new")
    assert once.count(mcu.BEGIN) == 1 and f"{mcu.BEGIN}\n\nnew\n\n{mcu.END}" in once
    assert mcu.replace_tables(once, "new") == once
    with pytest.raises(LotorError, match="needs a line"):
        mcu.replace_tables("a page", "new")


@pytest.mark.parametrize("optimize", ["speed", "size"])
def test_a_bare_image_is_the_kernels_and_little_else(optimize: Optimize) -> None:
    board = load_board("netduinoplus2")
    compiled = compile_for(board.name, "raccoon", optimize=optimize)
    around = bare.code_bytes(compiled, board) - (code_bytes(compiled) or 0)
    # A vector table, start, and memcpy and its like of the C library; the link's server has 7 KB.
    assert 0 < around < 1500

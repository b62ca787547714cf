"""What `inspect` says of a model, before a board is touched."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cases import Build, built
from cases.conv_2d import conv_2d
from cases.detection_postprocess import detection_postprocess
from cases.int4 import int4_weights
from cases.svdf import layers_over_time
from conftest import CHECKOUT, Lotor
from lotor.board import Board, load_board
from lotor.build import build_firmware
from lotor.compiler import RamError, compile_model
from lotor.device.ready import compile_for
from lotor.inspection import as_text, inspect
from lotor.operator_list import as_markdown, operator_list
from lotor.ops import operators
from lotor.tuned import preference
from lotor.zoo import find_model
from tflite_builder import ModelBuilder


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A small model as a file."""
    path = tmp_path / "small.tflite"
    path.write_bytes(built(conv_2d).build())
    return str(path)


def deep(m: ModelBuilder) -> None:
    """A hundred layers, each with a place in the profile's table."""
    x = m.input((1, 4, 4, 2))
    for _ in range(100):
        x = m.conv2d(x, channels=2, kernel=(2, 2))
    m.output(x)


@pytest.mark.parametrize("build", [conv_2d, deep])
def test_the_needs_of_an_image_are_close_to_the_image(build: Build, tmp_path: Path) -> None:
    path = tmp_path / "small.tflite"
    path.write_bytes(built(build).build())
    board = load_board("netduinoplus2")
    data = inspect(str(path), board=board.name)
    image = build_firmware(board, [compile_model(path, board.target)])
    assert data["fits"]
    assert abs(data["ram_needed"] - image.ram_bytes) < 200
    assert abs(data["flash_needed"] - image.flash_bytes) < 4000


def test_a_model_that_does_not_fit(tmp_path: Path, lotor: Lotor) -> None:
    m = ModelBuilder()
    m.output(m.max_pool2d(m.input((1, 210, 210, 3)), (2, 2), (2, 2)))
    path = tmp_path / "wide.tflite"
    path.write_bytes(m.build())
    data = inspect(str(path), board="netduinoplus2")
    assert not data["fits"]
    assert data["ram_needed"] > data["ram_limit"] == 131072
    assert "does not fit netduinoplus2" in as_text(data)
    assert "stripes do not help: layer 0 MAX_POOL_2D has 132," in as_text(data)
    assert inspect(str(path), board="mps2-an386")["fits"]
    # A check that a build can stop at.
    assert lotor("inspect", path, "--board", "netduinoplus2").returncode == 1
    assert lotor("inspect", path, "--board", "mps2-an386").returncode == 0


def overlapping(m: ModelBuilder) -> None:
    """The peak is a layer whose output lies over its input."""
    x = m.conv2d(m.input((1, 9, 9, 2)), channels=4, kernel=(1, 1))
    m.output(m.max_pool2d(m.conv2d(x, channels=8, kernel=(1, 1)), (3, 3), (3, 3)))


@pytest.mark.parametrize(
    "case", [overlapping, conv_2d, int4_weights, layers_over_time, detection_postprocess]
)
def test_the_peak_is_where_most_bytes_are_in_use(case: Build) -> None:
    """Counted byte by byte, apart from the report."""
    compiled = compile_model(built(case).build())
    report, plan = compiled.report, compiled.plan
    assert case is not overlapping or report["peak"]["overlap_bytes"] > 100
    layers = range(len(report["layers"]))
    tenants = np.zeros((len(layers), plan.arena_bytes), int)
    for p in plan.placements:
        tenants[max(0, p.first) : p.last + 1, p.offset : p.end] += 1
    live = np.count_nonzero(tenants, axis=1).tolist()
    peak = report["peak"]
    assert [layer["live_bytes"] for layer in report["layers"]] == live
    assert peak["layers"] == [layer for layer in layers if live[layer] == max(live)]
    assert peak["live_bytes"] == max(live)
    assert peak["unused_bytes"] == plan.arena_bytes - max(live)
    at = peak["layers"][0]
    assert peak["overlap_bytes"] == int((tenants[at] - 1).clip(0).sum())
    here = [p for p in plan.placements if p.first <= at <= p.last]
    assert sorted((t["offset"], t["bytes"], t["overlap_bytes"]) for t in peak["tensors"]) == sorted(
        (p.offset, p.nbytes, int((tenants[at, p.offset : p.end] > 1).sum())) for p in here
    )


def test_what_memory_is_for() -> None:
    def tensors(case: Build, kind: str) -> set[str]:
        memory = compile_model(built(case).build()).report["memory"]
        return {entry["tensor"] for entry in memory if entry["kind"] == kind}

    assert tensors(conv_2d, "input") == {"t0"}
    assert tensors(conv_2d, "scratch") == {"t7 unpacked"}
    assert tensors(detection_postprocess, "activation") == {"t0", "t1", "t7", "t8"}
    kept = ("decoded", "best", "active", "order")
    assert tensors(detection_postprocess, "scratch") == {
        f"{t} {k}" for t in ("t3", "t10") for k in kept
    }
    assert len(tensors(detection_postprocess, "output")) == 8
    assert tensors(layers_over_time, "state") == {"t4", "t9", "t15", "t20"}


def test_the_table_draws_what_layers_need(tmp_path: Path) -> None:
    m = ModelBuilder()
    x = m.input((1, 8, 8, 16))
    m.output(m.max_pool2d(m.max_pool2d(x, (2, 2), (2, 2)), (2, 2), (2, 2)))
    path = tmp_path / "pools.tflite"
    path.write_bytes(m.build())
    data = inspect(str(path))
    rows = as_text(data).splitlines()
    live = [op["live_bytes"] for op in data["ops"]]
    assert live[0] > live[1]
    assert rows[0].split() == ["#", "operator", "output", "MACs", "kernel", "in", "use", "layer"]
    assert f"{live[0]:,}  {'█' * 10}" in rows[1]
    assert rows[1].endswith("◄ peak")
    assert rows[2].count("█") < 10
    assert "peak" not in rows[2]
    assert rows[4].startswith(f"in use at layer 0 MAX_POOL_2D: {live[0]:,} bytes")


def test_what_each_trick_saved(model: str) -> None:
    data = inspect(model)
    saved = {"order": 1200, "overlap": 34, "stripes": 0}
    text = as_text(data | {"ram_saved": saved})
    assert "bytes of RAM saved by each: order 1,200, overlap 34" in text.splitlines()
    assert "saved by each: nothing" in as_text(data | {"ram_saved": {"order": 0}})


def test_letters_that_the_output_does_not_have(model: str) -> None:
    command = [sys.executable, "-m", "lotor", "inspect", model]
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "?" in done.stdout


def _board(ram: int, flash: int = 1 << 20, name: str = "tiny") -> Board:
    board = load_board("netduinoplus2")
    regions = board.memory
    memory = replace(
        regions,
        ram=replace(regions.ram, bytes=ram),
        flash=replace(regions.flash, bytes=flash),
    )
    return replace(board, name=name, memory=memory)


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let other boards be all that there are."""

    def use(*found: Board) -> None:
        by_name = {board.name: board for board in found}
        monkeypatch.setattr("lotor.inspection.list_boards", lambda: sorted(by_name))
        monkeypatch.setattr("lotor.inspection.load_board", by_name.__getitem__)
        monkeypatch.setattr("lotor.device.ready.load_board", by_name.__getitem__)

    return use


@pytest.fixture
def wide(tmp_path: Path) -> str:
    """A model whose largest tensor is between layers that can run in stripes."""
    m = ModelBuilder(seed=2)
    x = m.conv2d(m.input((1, 48, 48, 2)), channels=12, kernel=(3, 3))
    x = m.max_pool2d(m.depthwise_conv2d(x, kernel=(3, 3)), (4, 4), (4, 4))
    m.output(m.conv2d(x, channels=4, kernel=(3, 3)))
    path = tmp_path / "wide.tflite"
    path.write_bytes(m.build())
    return str(path)


def test_stripes_make_a_model_fit(wide: str, boards: Callable[..., None]) -> None:
    boards(_board(1 << 20))
    whole = inspect(wide, board="tiny")
    room = whole["arena_bytes"] // 2
    needed = whole["ram_needed"] - whole["arena_bytes"]
    boards(_board(room + needed), _board(1 << 20, name="huge"), _board(1 << 17, name="large"))
    data = inspect(wide, board="tiny")
    assert not data["fits"]
    assert data["ram_free"] == data["ram_limit"] - data["ram_needed"] < 0
    assert data["flash_free"] == data["flash_limit"] - data["flash_needed"] > 0
    way = data["way_out"]
    assert [board["board"] for board in way["boards"]] == ["large", "huge"]
    stripes = way["stripes"]
    assert stripes["arena_bytes"] <= stripes["ram"] <= room
    assert stripes["ram_needed"] <= data["ram_limit"]
    # What it says is what compiling so gives.
    striped = inspect(wide, board="tiny", ram=stripes["ram"])
    assert striped["fits"]
    assert striped["arena_bytes"] == stripes["arena_bytes"]
    assert striped["ram_needed"] == stripes["ram_needed"]
    assert striped["macs"] - whole["macs"] == stripes["extra_macs"] == striped["extra_macs"] > 0
    # And what a build for the board does by itself.
    compiled = compile_for("tiny", wide)
    assert compiled.plan.arena_bytes == stripes["arena_bytes"]
    assert compile_for("huge", wide).plan.arena_bytes == whole["arena_bytes"]
    assert not compile_for("tiny", wide, ram=1 << 20).striped
    text = as_text(data)
    assert f"fits with --ram {stripes['ram']}: " in text
    assert f"{stripes['extra_macs']:,} MACs more" in text
    assert "fits as it is: large (131,072 bytes RAM" in text
    assert f"{-data['ram_free']:,} too many" in text
    assert f"run in {striped['stripes'][0]['stripes']} stripes" in as_text(striped)


def test_stripes_that_do_not_suffice(wide: str, boards: Callable[..., None]) -> None:
    boards(_board(1 << 20))
    whole = inspect(wide, board="tiny")
    needed = whole["ram_needed"] - whole["arena_bytes"]
    boards(_board(needed + 100))
    data = inspect(wide, board="tiny")
    with pytest.raises(RamError) as refused:
        chosen = preference(_board(needed + 100))
        compile_model(Path(wide), "cortex-m4", ram=100, preference=chosen)
    assert data["way_out"] == {
        "stripes": None,
        "least_arena_bytes": refused.value.least,
        "boards": [],
    }
    assert f"down to {refused.value.least:,} bytes, the board has 100" in as_text(data)
    assert "fits as it is: no known board" in as_text(data)
    boards(_board(needed - 1))  # not even the firmware fits
    assert f"down to {refused.value.least:,} bytes, the board has 0" in as_text(
        inspect(wide, board="tiny")
    )


def test_flash_that_does_not_suffice(wide: str, boards: Callable[..., None]) -> None:
    boards(_board(1 << 20, 4096), _board(1 << 20, 1 << 19, "roomy"))
    data = inspect(wide, board="tiny")
    assert not data["fits"]
    assert data["ram_free"] > 0 > data["flash_free"]
    assert data["way_out"]["stripes"] is None
    assert [board["board"] for board in data["way_out"]["boards"]] == ["roomy"]
    assert f"({-data['flash_free']:,} too many)" in as_text(data)
    assert f"weights take {data['weights_bytes']:,} bytes" in as_text(data)
    boards(_board(1 << 20))
    assert inspect(wide, board="tiny")["way_out"] is None


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


def test_what_each_trick_saves_is_measured() -> None:
    found = inspect("raccoon", "portable")
    ops = compile_model(find_model("raccoon").path, "portable").graph.ops
    most = max(op.input(0).nbytes + op.outputs[0].nbytes for op in ops)  # side by side
    saved = most - found["arena_bytes"]
    assert saved > 10_000
    assert found["ram_saved"] == dict.fromkeys(found["ram_saved"], 0) | {"overlap": saved}
    assert set(found["ram_saved"]) == {
        "order",
        "aliases",
        "parts",
        "overlap",
        "backward",
        "stripes",
    }
    assert inspect("raccoon", ram=110_000)["ram_saved"]["stripes"] > 2_000
